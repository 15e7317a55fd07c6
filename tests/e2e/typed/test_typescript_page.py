"""A page on the TypeScript client, in a real browser: through restarts of the server, without a network, reloaded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from tests.e2e.typed.generated_client import environment, generate, run
from tests.node import node_packages
from tests.ports import free_port
from tests.serving import falconws_serve

HERE = Path(__file__).parent / "typescript"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
LOAD_MS = 20_000
HTML = """<!doctype html><title>Chat</title><output></output><ol></ol>
<form><input aria-label="Message"><button>Send</button></form><script type="module" src="page.js"></script>"""

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the app, and with the bundle of the page."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "node_modules").symlink_to(node_packages("esbuild") / "node_modules")
    for name in ("served.py", "page.ts"):
        shutil.copy(HERE / name, folder)
    generate(folder, "ts", "served:app", "--output", "client")
    (folder / "page.html").write_text(HTML)
    run(folder, ".bin/esbuild", "page.ts", "--bundle", "--format=esm", "--outfile=page.js")
    return folder


@pytest.fixture
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def serving(folder: Path, port: int) -> AbstractContextManager[str]:
    return falconws_serve(folder, "served:app", "--port", str(port), "--drain", "0.5", env=environment(folder))


def enter(browser: Browser, port: int, name: str, errors: list[Error]) -> Page:
    """Open the page in a window of its own."""
    page = browser.new_context().new_page()
    page.set_default_timeout(LOAD_MS)
    page.on("pageerror", lambda error: errors.append(error))
    page.goto(f"http://127.0.0.1:{port}/static/page.html?name={name}")
    wait_for_status(page, "open")
    return page


def wait_for_status(page: Page, *statuses: str) -> None:
    page.wait_for_function("statuses => statuses.includes(document.querySelector('output').value)", arg=list(statuses))


def say(page: Page, text: str) -> None:
    page.get_by_label("Message").fill(text)
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_label("Message")).to_have_value("")


def expect_messages(page: Page, *texts: str) -> None:
    expect(page.locator("li")).to_have_text(list(texts), timeout=LOAD_MS)


def test_a_page_survives_restarts_and_a_lost_network(folder: Path, browser: Browser) -> None:
    port = free_port()
    errors: list[Error] = []
    with serving(folder, port):
        ada, bob = (enter(browser, port, name, errors) for name in ("ada", "bob"))
        say(ada, "hello")
        expect_messages(bob, "ada: hello")

        # Without a network, the page knows at once; what it missed comes after.
        bob.context.set_offline(True)
        wait_for_status(bob, "waiting", "connecting")
        say(ada, "are you there?")
        bob.context.set_offline(False)
        expect_messages(bob, "ada: hello", "ada: are you there?")

        # A reload goes on where the page was.
        bob.reload()
        wait_for_status(bob, "open")
        say(ada, "again")
        expect_messages(bob, "ada: again")
        expect_messages(ada, "ada: hello", "ada: are you there?", "ada: again")
    for page in (ada, bob):
        wait_for_status(page, "waiting", "connecting")
    bob.get_by_label("Message").fill("kept by the page")
    bob.get_by_role("button", name="Send").click()
    expect(bob.get_by_label("Message")).to_have_value("kept by the page")
    with serving(folder, port):
        for page in (ada, bob):
            wait_for_status(page, "open")
        bob.get_by_role("button", name="Send").click()
        # The hub of this app is in memory: the server says that it may have lost messages.
        expect_messages(bob, "ada: again", "(messages are missing)", "bob: kept by the page")
        expect(ada.locator("li").last).to_have_text("bob: kept by the page")
    assert errors == []
