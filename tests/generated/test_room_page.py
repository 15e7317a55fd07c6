"""The page of a room, as two people see it in a real browser: they talk, the server is restarted, nothing is lost."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e.hub.servers import Valkey
from tests.generated.workshop import START_S, environment, falconws

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
SCREENSHOT = Path(__file__).parents[2] / "docs" / "howto" / "room.png"
LOAD_MS = 20_000

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")


@pytest.fixture
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Valkey]:
    server = Valkey(tmp_path / "valkey")
    yield server
    server.stop()


@contextmanager
def serving(root: Path, port: int, url: str) -> Iterator[int]:
    """Serve the project on *port* (0: a free one); yield the port."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "falconws_cli", "serve", "--port", str(port), "--drain", "0.5"],
        cwd=root,
        env=environment({"DEMO_HUB_URL": url}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "Application startup complete" in line:
                break
        found = re.search(r"http://127\.0\.0\.1:(\d+)", "".join(lines))
        assert found is not None, "".join(lines)
        yield int(found[1])
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
        assert process.wait(START_S) == 0, rest
        assert "Traceback" not in rest, rest
    finally:
        process.kill()
        process.wait(START_S)
        process.stdout.close()


def enter(browser: Browser, port: int, name: str) -> Page:
    """Open the page in a window of its own, as *name*."""
    page = browser.new_context(viewport={"width": 640, "height": 420}).new_page()
    page.set_default_timeout(LOAD_MS)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"http://127.0.0.1:{port}/chat?room=den")
    expect(page.get_by_label("Message")).to_be_hidden()
    page.get_by_label("Your name").fill(name)
    page.get_by_role("button", name="Enter").click()
    expect(page.locator("#status")).to_have_text("connected", timeout=LOAD_MS)
    expect(page.get_by_label("Your name")).to_be_hidden()
    assert errors == []
    return page


def say(page: Page, text: str) -> None:
    page.get_by_label("Message").fill(text)
    page.get_by_role("button", name="Send").click()


def publish(root: Path, url: str, message: str, *options: str) -> None:
    # In a process of its own: Playwright has an event loop in this one.
    command = [sys.executable, "-m", "falconws_cli", "publish", "den", "-", "--url", url, *options]
    subprocess.run(command, cwd=root, env=environment(), input=message.encode("latin-1"), check=True, timeout=START_S)


def expect_log(page: Page, *texts: str) -> None:
    """Wait until what was said is *texts*, in this order and nothing else."""
    expect(page.locator("#log li:not(.note)")).to_have_text(texts, timeout=LOAD_MS)


def test_two_people_talk_across_a_restart_of_the_server(tmp_path: Path, browser: Browser, broker: Valkey) -> None:
    falconws(tmp_path, "new", "demo", "--with", "redis")
    root = tmp_path / "demo"
    falconws(root, "add-resource", "chat", "--pattern", "room")
    with serving(root, 0, broker.url) as port:
        ada, ben = enter(browser, port, "ada"), enter(browser, port, "ben")
        for page in (ada, ben):
            expect(page.locator("#present")).to_have_text("Here: ada, ben", timeout=LOAD_MS)
        say(ada, "<b>hello</b> & welcome")
        say(ben, "hi ada")
        for page in (ada, ben):
            expect_log(page, "ada<b>hello</b> & welcome", "benhi ada")
        publish(root, broker.url, "We restart <soon>")
        publish(root, broker.url, "\x00\xff", "--binary")
        publish(root, broker.url, '{"tea": 3}', "--json")
        for page in (ada, ben):
            expect(page.locator("#log .note", has_text="We restart <soon>")).to_be_visible(timeout=LOAD_MS)
            expect(page.locator("#log .note", has_text='{"tea": 3}')).to_be_visible(timeout=LOAD_MS)
    for page in (ada, ben):
        expect(page.locator("#status")).to_have_attribute("data-state", "reconnecting", timeout=LOAD_MS)
        expect(page.get_by_role("button", name="Send")).to_be_disabled()
    publish(root, broker.url, '{"name": "ops", "text": "restarting, back in a moment"}', "--json")
    with serving(root, port, broker.url):
        for page in (ada, ben):
            expect(page.locator("#status")).to_have_text("connected", timeout=LOAD_MS)
        said = ["ada<b>hello</b> & welcome", "benhi ada", "opsrestarting, back in a moment", "benthat was quick"]
        say(ben, "that was quick")
        for page in (ada, ben):
            expect_log(page, *said)
            expect(page.locator("#log")).not_to_contain_text("missing")
            expect(page.locator("#present")).to_have_text("Here: ada, ben", timeout=LOAD_MS)
        picture = SCREENSHOT if "FALCONWS_UPDATE_SCREENSHOT" in os.environ else tmp_path / "room.png"
        ada.screenshot(path=picture)
        assert picture.stat().st_size > 0


def test_a_room_that_was_forgotten_is_told_to_who_comes_back(tmp_path: Path, browser: Browser) -> None:
    falconws(tmp_path, "new", "demo")
    root = tmp_path / "demo"
    falconws(root, "add-resource", "chat", "--pattern", "room")
    with serving(root, 0, "") as port:
        ada = enter(browser, port, "ada")
        say(ada, "hello")
        expect_log(ada, "adahello")
    with serving(root, port, ""):
        expect(ada.locator("#log")).to_contain_text("Some messages of this room are missing here", timeout=LOAD_MS)
        say(ada, "anybody here?")
        expect_log(ada, "adahello", "adaanybody here?")
