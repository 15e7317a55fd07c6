"""The page of a room, as people see it in a real browser: they talk, the server is restarted, nothing is lost.

What depends on the order of frames is played by a server of the test's own, within the browser.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, WebSocketRoute, expect, sync_playwright

from tests.e2e.hub.servers import Valkey
from tests.generated.workshop import START_S, environment, falconws
from tests.ports import free_port
from tests.serving import falconws_serve

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
LOAD_MS = 20_000
# Also where nothing is said of it: five seconds are short for two browsers and a server on a busy machine.
expect.set_options(timeout=LOAD_MS)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")


@pytest.fixture(scope="module")
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
    words = ("--port", str(port), "--drain", "0.5", "--console")
    with falconws_serve(root, *words, env=environment({"DEMO_HUB_URL": url})) as served:
        found = urlsplit(served).port
        assert found is not None
        yield found


def window(browser: Browser, width: int = 640) -> Page:
    page = browser.new_context(viewport={"width": width, "height": 420}).new_page()
    page.set_default_timeout(LOAD_MS)
    return page


def give_name(page: Page, name: str) -> None:
    page.get_by_label("Your name").fill(name)
    page.get_by_role("button", name="Enter").click()


def enter(browser: Browser, port: int, name: str) -> Page:
    """Open the page in a window of its own, as *name*."""
    page = window(browser)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"http://127.0.0.1:{port}/chat?room=den")
    expect(page.get_by_label("Message", exact=True)).to_be_hidden()
    give_name(page, name)
    expect(page.locator("#status")).to_have_text("connected")
    expect(page.get_by_label("Your name")).to_be_hidden()
    assert errors == []
    return page


@dataclass
class Room:
    """A generated room: its page, and the events that its server sends."""

    html: str
    client: str
    """The module that the page imports; empty for a page with a client of its own."""

    def welcome(self, *names: str) -> dict[str, object]:
        return {"type": "welcome", "position": "a:0", "present" if self.client else "names": list(names)}

    def message(self, number: int, name: str, text: str) -> dict[str, object]:
        return {"type": "said" if self.client else "message", "position": f"a:{number}", "name": name, "text": text}

    def typing(self, name: str) -> dict[str, object]:
        return {"type": "is_typing" if self.client else "typing", "name": name}

    def joined(self, name: str) -> dict[str, object]:
        return {"type": "joined", "member" if self.client else "name": name}

    def left(self, name: str) -> dict[str, object]:
        return {**self.joined(name), "type": "left"}

    def refused(self, text: str) -> dict[str, object]:
        if self.client:
            return {"type": "error", "code": "unavailable", "message": "The room is not available."}
        return {"type": "error", "description": "The room cannot be reached.", "text": text}

    def serve(self, page: Page, url: str) -> None:
        """Answer the page's requests below *url*, a pattern."""
        page.route(url, self._answer)

    def _answer(self, route: Route) -> None:
        if route.request.url.endswith("?client.js"):
            route.fulfill(body=self.client, content_type="text/javascript")
        else:
            route.fulfill(body=self.html, content_type="text/html")


@pytest.fixture(scope="module", params=[(), ("--typed",)], ids=["untyped", "typed"])
def room(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Room:
    root = tmp_path_factory.mktemp("page")
    falconws(root, "new", "demo")
    falconws(root / "demo", "add-resource", "chat", "--pattern", "room", *request.param)
    folder = root / "demo" / "demo" / "resources"
    client = folder / "chat_client" / "client.js"
    return Room((folder / "chat.html").read_text(), client.read_text() if client.exists() else "")


class ScriptedServer:
    """Serves the page to one window; what is sent on its WebSocket is the test's to say.

    Args:
        first: What is sent on each connection as soon as it is open.
    """

    def __init__(self, page: Page, room: Room, *first: dict[str, object]) -> None:
        self.first = first
        self.connections: list[WebSocketRoute] = []
        self.said: list[str] = []
        self.typing = 0
        room.serve(page, "http://room.test/**")
        page.route_web_socket("ws://room.test/**", self._open)
        page.goto("http://room.test/chat?room=den")
        give_name(page, "ada")
        expect(page.locator("#status")).to_have_text("connected")

    def _open(self, ws: WebSocketRoute) -> None:
        ws.on_message(self._take)
        self.connections.append(ws)
        self.send(*self.first)

    def _take(self, message: str | bytes) -> None:
        match json.loads(message):
            case {"say": str(text)} | {"type": "say", "text": str(text)}:
                self.said.append(text)
            case {"typing": True} | {"type": "typing"}:
                self.typing += 1

    def send(self, *events: dict[str, object]) -> None:
        for event in events:
            self.connections[-1].send(json.dumps(event))


def say(page: Page, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_role("button", name="Send").click()


def publish(root: Path, url: str, message: str, *options: str) -> None:
    # In a process of its own: Playwright has an event loop in this one.
    command = [sys.executable, "-m", "falconws_cli", "publish", "den", "-", "--url", url, *options]
    subprocess.run(command, cwd=root, env=environment(), input=message.encode("latin-1"), check=True, timeout=START_S)


def expect_log(page: Page, *texts: str) -> None:
    """Wait until what was said is *texts*, in this order and nothing else; each may have the time in it."""
    patterns = [
        re.compile("^" + re.escape(text[:3]) + r"(\d\d:\d\d( [AP]M)?)?" + re.escape(text[3:]) + "$") for text in texts
    ]
    expect(page.locator("#log li:not(.note)")).to_have_text(patterns)


def test_two_people_talk_across_a_restart_of_the_server(tmp_path: Path, browser: Browser, broker: Valkey) -> None:
    falconws(tmp_path, "new", "demo", "--with", "redis")
    root = tmp_path / "demo"
    falconws(root, "add-resource", "chat", "--pattern", "room")
    with serving(root, 0, broker.url) as port:
        ada, ben = enter(browser, port, "ada"), enter(browser, port, "ben")
        for page in (ada, ben):
            expect(page.locator("#present")).to_have_text("2 here: ada, ben")
        say(ada, "<b>hello</b> & welcome")
        say(ben, "hi ada")
        for page in (ada, ben):
            expect_log(page, "ada<b>hello</b> & welcome", "benhi ada")
        publish(root, broker.url, "We restart <soon>")
        publish(root, broker.url, "\x00\xff", "--binary")
        publish(root, broker.url, '{"tea": 3}', "--json")
        for page in (ada, ben):
            expect(page.locator("#log .note", has_text="We restart <soon>")).to_be_visible()
            expect(page.locator("#log .note", has_text='{"tea": 3}')).to_be_visible()
    for page in (ada, ben):
        expect(page.locator("#status")).to_have_attribute("data-state", "reconnecting")
        expect(page.get_by_role("button", name="Send")).to_be_disabled()
    publish(root, broker.url, '{"name": "ops", "text": "restarting, back in a moment"}', "--json")
    with serving(root, port, broker.url):
        for page in (ada, ben):
            expect(page.locator("#status")).to_have_text("connected")
        said = ["ada<b>hello</b> & welcome", "benhi ada", "opsrestarting, back in a moment", "benthat was quick"]
        say(ben, "that was quick")
        for page in (ada, ben):
            expect_log(page, *said)
            expect(page.locator("#log")).not_to_contain_text("missing")
            expect(page.locator("#present")).to_have_text("2 here: ada, ben")


def test_a_room_that_was_forgotten_is_told_to_who_comes_back(tmp_path: Path, browser: Browser) -> None:
    falconws(tmp_path, "new", "demo")
    root = tmp_path / "demo"
    falconws(root, "add-resource", "chat", "--pattern", "room")
    with serving(root, 0, "") as port:
        ada = enter(browser, port, "ada")
        say(ada, "hello")
        expect_log(ada, "adahello")
    with serving(root, port, ""):
        expect(ada.locator("#log")).to_contain_text("Some messages of this room are missing here")
        say(ada, "anybody here?")
        expect_log(ada, "adahello", "adaanybody here?")


@pytest.mark.parametrize("typed", [(), ("--typed",)], ids=["untyped", "typed"])
@pytest.mark.parametrize(("path", "shown"), [("/rooms/caf%C3%A9", "/rooms/café"), ("/rooms/caf%E9", "/rooms/caf%E9")])
def test_a_path_with_the_rooms_name_is_shown_as_it_can_be(
    tmp_path: Path, browser: Browser, path: str, shown: str, typed: tuple[str, ...]
) -> None:
    root = tmp_path / "demo"
    falconws(tmp_path, "new", "demo")
    falconws(root, "add-resource", "chat", "--pattern", "room", "--route", "/rooms/{room_id}", *typed)
    with serving(root, 0, "memory://") as port:
        page = window(browser)
        page.goto(f"http://127.0.0.1:{port}{path}")
        give_name(page, "ada")
        expect(page.locator("#status")).to_have_text("connected")
        expect(page.locator("#room")).to_have_text(shown)
        say(page, "hello")
        expect_log(page, "adahello")
        page.close()


def test_a_room_is_chosen_from_a_list(browser: Browser, room: Room) -> None:
    page = window(browser)
    ScriptedServer(page, room, room.welcome("ada"))
    rooms = page.get_by_role("navigation", name="Rooms")
    expect(rooms.get_by_role("link")).to_have_text(["lobby", "help", "random", "den"])
    expect(rooms.locator("[aria-current]")).to_have_text("den")
    rooms.get_by_role("link", name="help").click()
    expect(page.locator("#room")).to_have_text("help")
    expect(page.get_by_label("Your name")).to_have_value("ada")
    give_name(page, "ada")
    expect(page.locator("#status")).to_have_text("connected")


def test_a_member_that_has_to_leave_does_not_come_back(browser: Browser, room: Room) -> None:
    page = window(browser)
    server = ScriptedServer(page, room, room.welcome("ada"))
    server.connections[-1].close(code=4403, reason="left on another device")
    expect(page.locator("#status")).to_have_text("left on another device")
    expect(page.get_by_label("Your name")).to_be_visible()
    assert len(server.connections) == 1


def test_typing_is_shown_until_the_message_comes_or_for_a_moment(browser: Browser, room: Room) -> None:
    page = window(browser)
    server = ScriptedServer(page, room, room.welcome("ada", "ben", "cyd"))
    typing = page.locator("#typing")
    server.send(room.typing("ben"), room.typing("cyd"))
    expect(typing).to_have_text("ben, cyd are typing…")
    server.send(room.message(1, "ben", "hi"))
    expect(typing).to_have_text("cyd is typing…")
    expect(typing).to_have_text("")


def test_the_others_are_told_of_typing_now_and_then(browser: Browser, room: Room) -> None:
    page = window(browser)
    server = ScriptedServer(page, room, room.welcome("ada"))
    page.get_by_label("Message", exact=True).press_sequentially("hello")
    say(page, "hello")
    expect(page.locator("#log .pending")).to_have_text(["adahello"])
    assert (server.typing, server.said) == (1, ["hello"])


def test_messages_have_the_time(browser: Browser, room: Room) -> None:
    page = window(browser)
    at = "2026-05-04T12:34:56+00:00"
    ScriptedServer(page, room, room.welcome("ada"), {**room.message(1, "ben", "hi"), "at": at})
    expect(page.locator("#log time")).to_have_attribute("datetime", at)
    assert page.locator("#log time").inner_text().strip()


def test_only_changes_are_told_of_those_who_were_there_before_a_reconnect(browser: Browser, room: Room) -> None:
    page = window(browser)
    server = ScriptedServer(page, room, room.welcome("ada", "ben", "cyd"))
    server.send(room.left("cyd"))
    expect(page.locator("#present")).to_have_text("2 here: ada, ben")
    server.first = (room.welcome("ada"),)
    server.connections[-1].close()
    expect(page.locator("#present")).to_have_text("1 here: ada")
    server.send(room.joined("ben"), room.joined("cyd"))
    expect(page.locator("#present")).to_have_text("3 here: ada, ben, cyd")
    expect(page.locator("#log .note")).to_have_text(["cyd has left", "cyd has joined"])


def test_what_is_said_waits_until_it_comes_back_from_the_room(browser: Browser, room: Room) -> None:
    page = window(browser)
    server = ScriptedServer(page, room, room.welcome("ada"))
    say(page, " one ")
    say(page, "two")
    expect(page.locator("#log .pending")).to_have_text(["adaone", "adatwo"])
    server.send(room.message(1, "ben", "hi"), room.message(2, "ada", "one"))
    expect_log(page, "benhi", "adaone", "adatwo")
    expect(page.locator("#log .pending")).to_have_text(["adatwo"])
    server.send(room.message(3, "ada", "two"))
    expect(page.locator("#log .pending")).to_have_count(0)
    expect_log(page, "benhi", "adaone", "adatwo")
    assert server.said == ["one", "two"]


def test_what_was_perhaps_not_said_is_kept_and_can_be_said_again(browser: Browser, room: Room) -> None:
    page = window(browser)
    server = ScriptedServer(page, room, room.welcome("ada"))
    say(page, "one")
    say(page, "two")
    server.send(room.refused("one"))
    expect(page.locator("#log .uncertain")).to_contain_text("one (may not have been sent)")
    expect(page.locator("#log .pending")).to_have_text(["adatwo"])
    page.get_by_role("button", name="Send again").click()
    expect(page.locator("#log .pending")).to_have_text(["adatwo", "adaone"])
    expect(page.locator("#log .uncertain")).to_have_count(0)
    assert server.said == ["one", "two", "one"]

    # Cut off: "two" was said after all, "one" was not.
    server.first = (room.welcome("ada"), room.message(1, "ada", "two"))
    server.connections[-1].close()
    expect(page.locator("#log .uncertain")).to_have_count(2)
    expect(page.locator("#status")).to_have_text("connected")
    expect(page.locator("#log .uncertain")).to_have_count(1)
    expect(page.locator("#log .uncertain")).to_contain_text("one (may not have been sent)")


def test_a_typed_room_is_resumed_after_a_restart_of_the_server(
    tmp_path: Path, browser: Browser, broker: Valkey
) -> None:
    falconws(tmp_path, "new", "demo", "--with", "redis")
    root = tmp_path / "demo"
    falconws(root, "add-resource", "chat", "--pattern", "room", "--typed")
    with serving(root, 0, broker.url) as port:
        ada, ben = enter(browser, port, "ada"), enter(browser, port, "ben")
        for page in (ada, ben):
            expect(page.locator("#present")).to_have_text("2 here: ada, ben")
        ben.get_by_label("Message", exact=True).press_sequentially("hi")
        expect(ada.locator("#typing")).to_have_text("ben is typing…")
        say(ben, "hi ada")
        for page in (ada, ben):
            expect_log(page, "benhi ada")
    for page in (ada, ben):
        expect(page.locator("#status")).to_have_attribute("data-state", "reconnecting")
    said = {"type": "said", "name": "ops", "text": "back in a moment", "at": "2030-01-31T12:00:00Z"}
    publish(root, broker.url, json.dumps(said), "--json")
    with serving(root, port, broker.url):
        for page in (ada, ben):
            expect(page.locator("#status")).to_have_text("connected")
        say(ada, "that was quick")
        for page in (ada, ben):
            expect_log(page, "benhi ada", "opsback in a moment", "adathat was quick")
            expect(page.locator("#log")).not_to_contain_text("missing")


@pytest.mark.parametrize("typed", [[], ["--typed"]], ids=["untyped", "typed"])
def test_nothing_typed_is_lost_while_the_broker_is_away(
    tmp_path: Path, browser: Browser, broker: Valkey, typed: list[str]
) -> None:
    falconws(tmp_path, "new", "demo", "--with", "redis")
    root = tmp_path / "demo"
    falconws(root, "add-resource", "chat", "--pattern", "room", *typed)
    with serving(root, 0, broker.url) as port:
        ada = enter(browser, port, "ada")
        broker.kill()
        say(ada, "hello")
        expect(ada.locator("#log .pending")).to_have_text(["adahello"])
        expect(ada.locator("#log .uncertain")).to_contain_text("hello (may not have been sent)")
        expect(ada.locator("#status")).to_have_text("connected")
        broker.start()
        ada.get_by_role("button", name="Send again").click()
        expect(ada.locator("#log .pending, #log .uncertain")).to_have_count(0)
        expect_log(ada, "adahello")


@pytest.mark.parametrize(
    ("called", "name", "problem"),
    [("den", "ada", "cannot be reached"), ("x" * 41, "ada", "up to 40 characters")],
)
def test_who_is_refused_can_give_another_name(
    browser: Browser, room: Room, called: str, name: str, problem: str
) -> None:
    page = window(browser)
    # Nothing listens there: to a page, that looks the same as a handshake that is refused.
    room.serve(page, "http://127.0.0.1:*/**")
    page.goto(f"http://127.0.0.1:{free_port()}/chat?room={called}")
    give_name(page, name)
    expect(page.locator("#status")).to_contain_text(problem)
    expect(page.get_by_label("Your name")).to_be_visible()
    expect(page.get_by_label("Message", exact=True)).to_be_hidden()


def test_a_name_is_more_than_spaces(browser: Browser, room: Room) -> None:
    page = window(browser)
    opened: list[str] = []
    room.serve(page, "http://room.test/**")
    page.on("websocket", lambda ws: opened.append(ws.url))
    page.goto("http://room.test/chat")
    give_name(page, "   ")
    assert page.get_by_label("Your name").evaluate("field => field.validity.patternMismatch")
    expect(page.get_by_label("Your name")).to_be_visible()
    assert opened == []


AT_END = "log => log.scrollTop + log.clientHeight >= log.scrollHeight - 8"
SCROLL_UP = "log => new Promise(done => { log.addEventListener('scroll', done, { once: true }); log.scrollTop = 0; })"


@pytest.mark.parametrize("width", [640, 320])
def test_a_crowd_leaves_room_for_the_conversation_which_is_followed(
    tmp_path: Path, browser: Browser, room: Room, width: int
) -> None:
    page = window(browser, width)
    log = page.locator("#log")
    server = ScriptedServer(page, room, room.welcome("ada"))
    for number in range(60):
        server.send(room.message(number + 1, "ben", f"message {number}"), room.joined(f"guest {number}"))
    expect(log.locator("li").last).to_have_text("guest 59 has joined")
    expect(page.locator("#present")).to_contain_text("61 here: ada, guest 0")
    assert log.evaluate(AT_END)
    assert log.evaluate("log => log.clientHeight > 200")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.screenshot(path=tmp_path / "crowd.png")

    log.evaluate(SCROLL_UP)
    server.send(room.message(61, "ben", "last"))
    expect(log.locator("li").last).to_have_text("benlast")
    assert log.evaluate("log => log.scrollTop") == 0


def test_who_is_there_is_no_fact_while_disconnected(browser: Browser, room: Room) -> None:
    page = window(browser)
    server = ScriptedServer(page, room, room.welcome("ada"))
    opacity = "line => getComputedStyle(line).opacity"
    connected = float(page.locator("#present").evaluate(opacity))
    server.first = ()
    server.connections[-1].close()
    expect(page.locator("#status")).to_have_attribute("data-state", "reconnecting")
    assert float(page.locator("#present").evaluate(opacity)) < connected
