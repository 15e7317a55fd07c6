"""The tutorial works as it is written, from an empty folder to a rolling restart in front of an open page."""

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.docs.blocks import source
from tests.docs.shell import Shell, session
from tests.docs.test_deployment import nginx
from tests.e2e.hub.servers import Valkey
from tests.generated.workshop import mypy_cache

ROOT = Path(__file__).parents[2]
STAGES = ROOT / "docs" / "snippets" / "tutorial"
PAGES = ROOT / "docs" / "tutorial"
CONFTEST = "tests/conftest.py"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
LOAD_MS = 20_000

# The sessions run the tests of the project, which can take longer than the default of two minutes.
pytestmark = pytest.mark.timeout(400)


class Reader:
    """Somebody who follows the tutorial: runs its commands, and saves its files."""

    def __init__(self, folder: Path) -> None:
        self.shell = Shell(folder)
        self.project = folder / "demo"

    def play(self, *sessions: str) -> None:
        """Run the commands of sessions."""
        for text in sessions:
            self.shell.play(text)

    def save(self, stage: str, *paths: str) -> None:
        """Save the files of a stage; all of them if none is named."""
        folder = STAGES / stage
        files = [folder / path for path in paths] or [path for path in folder.rglob("*") if path.is_file()]
        for file in files:
            path = self.project / file.relative_to(folder)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(without_markers(file.read_text()))

    def edit(self, path: str, before: str, after: str, page: str) -> None:
        """Replace *before* with *after*, whose new lines *page* shows."""
        shown = {line.strip() for line in (PAGES / page).read_text().splitlines()}
        new = {line.strip() for line in after.splitlines()} - {line.strip() for line in before.splitlines()}
        assert new <= shown, f"{page} does not show {new - shown}"
        file = self.project / path
        text = file.read_text()
        assert text.count(before) == 1, text
        file.write_text(text.replace(before, after))

    def check(self) -> None:
        """Run the tests of the project, and the checks that it sets for itself."""
        self.shell.play(session("test"))
        for command in (f"mypy --cache-dir {mypy_cache()}", "ruff check .", "ruff format --check ."):
            printed = self.shell.run(f"{command} && echo passed")
            assert printed.endswith("passed\n"), printed

    @contextmanager
    def serving(self, command: str = "falconws serve") -> Iterator[subprocess.Popen[str]]:
        """Run the server of the project, and yield its first process."""
        last = "2 workers are ready" if "--workers" in command else "Application startup complete."
        with self.shell.serving(f"$ {command}\n...\n...{last}\n") as server:
            yield server


def without_markers(text: str) -> str:
    """Return the text of a snippet without the comments that delimit its parts."""
    return re.sub(r"^ *(#|//) (start|end): .*\n", "", text, flags=re.MULTILINE).rstrip("\n") + "\n"


def sell_items(reader: Reader) -> None:
    reader.play(session("add-items"))
    reader.save("items")
    add_setting(reader, "database", "items.md")
    reader.edit(CONFTEST, "import Iterator\n", "import Iterator\nfrom pathlib import Path\n", "items.md")
    conftest = (reader.project / CONFTEST).read_text()
    (environ,) = re.findall(r"@pytest\.fixture\ndef environ.*?\n(?=\n\n)", conftest, re.DOTALL)
    reader.edit(CONFTEST, environ, source("docs/snippets/tutorial/own_database.py", "fixture"), "items.md")


def add_setting(reader: Reader, name: str, page: str) -> None:
    """Add the field and the reader that *page* shows to the settings."""
    (field, reads) = re.findall(
        rf"^( {{4}}{name}: .*?)\.\.\.\n( {{4}}\"{name}\": .*?\n)```",
        (PAGES / page).read_text(),
        re.DOTALL | re.MULTILINE,
    )[0]
    settings = "demo/settings.py"
    reader.edit(settings, "\n    @classmethod\n", f"\n{field}\n    @classmethod\n", page)
    reader.edit(settings, '\n    "log_level":', f'\n{reads}    "log_level":', page)
    (row,) = re.findall(rf"^\| `DEMO_{name.upper()}` .*\n", (PAGES / page).read_text(), re.MULTILINE)
    reader.edit("README.md", "| `DEMO_LOG_LEVEL`", f"{row}| `DEMO_LOG_LEVEL`", page)


def take_bids(reader: Reader) -> None:
    reader.play(session("add-bids"))
    route = '    app.add_route("/items/{item_id:int}/bids", BidsResource(%s))\n'
    reader.edit("demo/routes.py", route % "", route % "catalogue", "bids.md")
    add_setting(reader, "hub_url", "bids.md")
    app = "    app = falconws.App()\n"
    hub = "    app.add_middleware(falconws.Hub(settings.hub_url))\n"
    reader.edit("demo/app.py", app, app + hub, "bids.md")
    reader.save("bids")


def name_bidders(reader: Reader) -> None:
    reader.play(session("add-auth"))
    reader.save("names")


def open_a_page(reader: Reader) -> None:
    reader.save("page")
    (public,) = re.findall(
        r"^PUBLIC_PATHS = frozenset\(\n.*?\n\)\n", (PAGES / "page.md").read_text(), re.DOTALL | re.MULTILINE
    )
    reader.edit("demo/middleware/auth.py", 'PUBLIC_PATHS = frozenset({"/healthz", "/readyz"})\n', public, "page.md")
    routes = "demo/routes.py"
    for before, after in {
        '"""All routes of the application."""\n\n': "from pathlib import Path\n\n",
        "from demo.resources.items import ItemsResource\n": "from demo.resources.session import SessionResource\n",
        '    app.add_route("/items/{item_id:int}/bids", BidsResource(catalogue))\n': (
            '    app.add_route("/session", SessionResource())\n'
            '    app.add_static_route("/auction", Path(__file__).with_name("static"))\n'
        ),
    }.items():
        reader.edit(routes, before, before + after, "page.md")


@pytest.mark.slow
def test_from_an_empty_folder_to_typed_messages(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.play(session("new"))
    with reader.shell.serving(session("serve")):
        reader.play(session("hello"))
    reader.play(session("test"))
    sell_items(reader)
    reader.check()
    take_bids(reader)
    reader.check()
    with reader.serving():
        reader.play(session("sell"), session("bid"))
    reader.save("typed")
    reader.check()
    with reader.serving():
        reader.play(session("bid-typed"))
    reader.play(session("contract"))
    name_bidders(reader)
    reader.check()
    with reader.shell.serving(session("serve-tokens")):
        reader.play(session("bid-token"))


@pytest.fixture
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        here = "--host-resolver-rules=MAP demo.example.com 127.0.0.1"
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", here])
        yield browser
        browser.close()


def sign_in(browser: Browser, url: str, token: str) -> Page:
    """Open the page in a window of its own, and choose the lamp."""
    page = browser.new_context(ignore_https_errors=True, viewport={"width": 720, "height": 620}).new_page()
    page.set_default_timeout(LOAD_MS)
    page.goto(f"{url}/auction/auction.html")
    page.get_by_label("Your token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Lamp").click()
    return page


def bid(page: Page, amount: int) -> None:
    page.get_by_label("Your bid").fill(str(amount))
    page.get_by_role("button", name="Bid").click()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_a_page_survives_a_rolling_restart_behind_nginx(tmp_path: Path, browser: Browser) -> None:
    expect.set_options(timeout=LOAD_MS)
    reader = Reader(tmp_path)
    reader.play(session("new"))
    for part in (sell_items, take_bids, name_bidders, open_a_page):
        part(reader)
    reader.check()
    valkey = Valkey(tmp_path / "valkey")
    serve = f"DEMO_AUTH_TOKENS=ada:a-secret,ben:b-secret DEMO_HUB_URL={valkey.url}/0 falconws serve --workers 2"
    try:
        with reader.serving(serve) as server, nginx(tmp_path, reader.shell.port) as port:
            reader.shell.run(
                session("sell").splitlines()[0].removeprefix("$ ") + " -H 'Authorization: Bearer a-secret'"
            )
            ada, ben = (
                sign_in(browser, f"https://demo.example.com:{port}", token) for token in ("a-secret", "b-secret")
            )
            for page in (ada, ben):
                expect(page.locator("#present")).to_have_text("ada, ben")
            bid(ada, 12)
            expect(ben.locator("#price")).to_have_text("12")
            bid(ben, 11)
            expect(ben.locator("#status")).to_have_text("The bid is too low, or too late.")
            with ada.expect_websocket(timeout=2 * LOAD_MS), ben.expect_websocket(timeout=2 * LOAD_MS):
                server.send_signal(signal.SIGHUP)
            for page in (ada, ben):
                expect(page.locator("#status")).to_have_text("")
                expect(page.locator("#present")).to_have_text("ada, ben")
            bid(ben, 15)
            for page in (ada, ben):
                expect(page.locator("#bidder")).to_have_text("bid by ben")
                expect(page.locator("#log li")).to_have_text(["ben bids 15", "ada bids 12"])
            ada.screenshot(path=tmp_path / "auction.png")
    finally:
        valkey.stop()
