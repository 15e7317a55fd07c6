"""The console for everybody: by keyboard, on a narrow screen, in the dark, and for what a screen reader is told.

The picture of the documentation is made here too: FALCONWS_UPDATE_SCREENSHOT=1 writes it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.console.conftest import Console, serving
from tests.e2e.console.test_console import ROOM, WORDS, connect, log, pane, send

DOCS = Path(__file__).parents[3] / "docs"
PICTURES, SNIPPETS = DOCS / "howto", DOCS / "snippets"
VIEWS = ("", "/echo", ROOM, WORDS, "/private", "path", "rooms")
MIN_CONTRAST = 4.5
"""WCAG 2.2, 1.4.3, level AA."""

CONTRAST = """
() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => [r, g, b].map((c) => linear(c / 255))
    .reduce((sum, c, place) => sum + c * [0.2126, 0.7152, 0.0722][place], 0);
  const background = (node) => {
    for (; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!own || !node.checkVisibility() || node.closest(":disabled, template, script, style")) continue;
    const [a, b] = [luminance(parse(getComputedStyle(node).color)), luminance(background(node))].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), node.outerHTML.slice(0, 80)]);
  }
  return found;
}
"""

UNNAMED = """
() => [...document.querySelectorAll("input, select, textarea, button, a, section")]
  .filter((node) => node.checkVisibility() && !(node.labels?.length || node.ariaLabel || node.textContent.trim()
    || node.getAttribute("aria-labelledby")))
  .map((node) => node.outerHTML)
"""


@pytest.fixture
def keyboard(console: Console) -> Iterator[Page]:
    """The page of a person without a mouse."""
    page = console.open("/echo")
    page.mouse.move(0, 0)
    yield page
    expect(page.locator(":focus")).to_have_count(1)


def tab_to(page: Page, role: str, name: str, *, back: bool = False) -> None:
    """Press Tab until the control of this role and name has the focus."""
    # In the order of the page, so that no control is out of reach.
    for _ in range(40):
        page.keyboard.press("Shift+Tab" if back else "Tab")
        focused = page.locator(":focus")
        if focused.count() and focused.evaluate(
            "(node, name) => (node.labels?.[0] ?? node).textContent.trim().startsWith(name)", name
        ):
            expect(focused).to_have_role(role)
            return
    raise AssertionError(f"Tab does not reach {role} {name!r}")


def test_everything_can_be_done_by_keyboard(keyboard: Page) -> None:
    page, one = keyboard, pane(keyboard)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    tab_to(page, "textbox", "Query")
    page.keyboard.type("add=!")
    tab_to(page, "button", "Connect")
    page.keyboard.press("Enter")
    expect(one.get_by_role("status")).to_have_text("connected to /echo?add=!")
    # Where one goes on.
    expect(one.get_by_label("Text", exact=True)).to_be_focused()
    page.keyboard.type("hello")
    page.keyboard.press("Enter")
    expect(log(one).last).to_contain_text("receivedhello!")
    tab_to(page, "combobox", "Message", back=True)
    page.keyboard.press("b")
    expect(one.get_by_label("Bytes")).to_be_visible()
    tab_to(page, "button", "test")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("textbox")).to_be_focused()
    page.keyboard.press("Escape")
    expect(one.get_by_role("button", name="test")).to_be_focused()
    tab_to(page, "button", "Disconnect", back=True)
    page.keyboard.press("Space")
    expect(log(one).last).to_contain_text("closed1000")
    tab_to(page, "link", "Rooms", back=True)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Rooms")).to_be_focused()


@pytest.mark.parametrize("view", VIEWS)
def test_a_screen_reader_finds_names_and_one_heading_of_the_view(console: Console, view: str) -> None:
    page = console.open(view)
    expect(page.get_by_role("heading", level=2)).to_have_count(1)
    assert page.evaluate(UNNAMED) == []
    assert page.locator("html").get_attribute("lang") == "en"
    expect(page.locator("nav [aria-current=page]")).to_have_count(1)


def test_what_happens_is_announced(console: Console) -> None:
    page = console.open("/echo")
    one = pane(page)
    expect(one.get_by_role("log")).to_have_accessible_name("What connection 1 has sent and received")
    expect(one.get_by_role("status")).to_have_text("not connected")
    expect(page.get_by_role("banner").get_by_role("status")).to_have_text("The server is up")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_all_text_can_be_read(browser: Browser, url: str, dark: bool) -> None:
    console = Console(browser, url, dark=dark)
    for view in VIEWS:
        page = console.open(view)
        if view == WORDS:
            one = connect(pane(page))
            send(one, "at_most optional", "many")
            expect(one.get_by_label("at_most")).to_have_attribute("aria-invalid", "true")
        found = page.evaluate(CONTRAST)
        assert len(found) > 10
        assert [each for each in found if each[0] < MIN_CONTRAST] == []
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background))) < 150) is dark
    console.close()


@pytest.mark.parametrize("width", [380, 640, 1280])
def test_nothing_is_wider_than_the_window(browser: Browser, url: str, width: int, tmp_path: Path) -> None:
    console = Console(browser, url, width=width, height=800)
    for number, view in enumerate(VIEWS):
        page = console.open(view)
        if view == ROOM:
            page.get_by_role("button", name="Add a second connection").click()
            connect(pane(page), room="narrow", name="a" * 40)
            send(pane(page), "text", "x" * 300)
            expect(log(pane(page)).last).to_contain_text("x" * 300)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.screenshot(path=tmp_path / f"{number}.png", full_page=True)
    console.close()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_picture_of_the_documentation(browser: Browser, tmp_path: Path, dark: bool) -> None:
    folder = PICTURES if "FALCONWS_UPDATE_SCREENSHOT" in os.environ and not dark else tmp_path
    with serving(SNIPPETS, "typed_chat:app", "--console", "--port", "0") as url:
        console = Console(browser, url, width=1280, height=860, dark=dark)
        page = console.open(ROOM)
        page.get_by_role("button", name="Add a second connection").click()
        ada = connect(pane(page, 1), room="lobby", name="ada")
        ben = connect(pane(page, 2), room="lobby", name="ben")
        send(ada, "text", "Hello Ben, can you hear me?")
        send(ben, "text", "Loud and clear.")
        send(ben, "text", "")
        for one in (ada, ben):
            expect(one.get_by_role("log")).to_contain_text("Loud and clear.")
        expect(ben.get_by_label("text", exact=True)).to_have_attribute("aria-invalid", "true")
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=folder / "console.png", animations="disabled")
        assert (folder / "console.png").stat().st_size > 0
        console.close()
