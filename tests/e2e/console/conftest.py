"""A browser, and the console of the test's application."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.serving import falconws_serve

HERE = Path(__file__).parent
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
LOAD_MS = 20_000
# Also where nothing is said of it: five seconds are short for a browser and a server on a busy machine.
expect.set_options(timeout=LOAD_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the tests of a module: Playwright's event loop runs until it is closed, and allows no other."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def serving(folder: Path, *words: str) -> AbstractContextManager[str]:
    """Serve an application of *folder*; yield the URL that the server names."""
    return falconws_serve(folder, *words, env={**os.environ, "PYTHONPATH": str(HERE)})


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """The server of `served.py`, with its console."""
    with serving(HERE, "served:app", "--console", "--port", "0") as url:
        yield url


class Console:
    """The page in a window of its own. What the page should never do fails the test: errors, and refused content."""

    def __init__(self, browser: Browser, url: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            ignore_https_errors=True,
        )
        self.url = url
        self.page: Page = context.new_page()
        self.page.set_default_timeout(LOAD_MS)
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", lambda message: self._note(message.text))
        self.page.on("dialog", lambda dialog: self.problems.append(dialog.message))

    def _note(self, text: str) -> None:
        # A browser says so of each handshake that fails, whatever the page does about it.
        if not text.startswith("WebSocket connection to"):
            self.problems.append(text)

    def open(self, name: str = "") -> Page:
        """Open the view of this name, such as a path."""
        self.page.goto(f"{self.url}/_falconws/#{name}")
        expect(self.page.get_by_role("status").first).to_have_text("The server is up")
        return self.page

    def close(self) -> None:
        self.page.context.close()
        assert self.problems == []


@pytest.fixture
def console(browser: Browser, url: str) -> Iterator[Console]:
    opened = Console(browser, url)
    yield opened
    opened.close()
