"""The console in a real browser: what a developer does with each kind of WebSocket."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.console.conftest import Console, serving

WORDS = "/words"
ROOM = "/rooms/{room}"


def pane(page: Page, number: int = 1) -> Locator:
    return page.get_by_role("region", name=f"Connection {number}")


def connect(pane: Locator, **fields: str) -> Locator:
    """Fill in the form of the handshake, connect, and wait until the connection is open."""
    for name, value in fields.items():
        pane.get_by_label(re.compile(f"^{name}( optional)?$")).fill(value)
    pane.get_by_role("button", name="Connect", exact=True).click()
    expect(pane.get_by_role("status")).to_contain_text("connected to")
    return pane


def send(pane: Locator, label: str, text: str) -> None:
    pane.get_by_label(label, exact=True).fill(text)
    pane.get_by_role("button", name="Send").click()


def log(pane: Locator) -> Locator:
    return pane.get_by_role("log").get_by_role("listitem")


def lines(pane: Locator, *expected: str) -> None:
    """Wait until the log has these lines, each a kind and a text, in this order and nothing else."""
    patterns = [re.compile(f"^{re.escape(each)}") for each in expected]
    expect(log(pane)).to_have_text(patterns)


# Any WebSocket


def test_text_and_bytes_go_to_an_untyped_route(console: Console) -> None:
    one = connect(pane(console.open("/echo")), Query="add=!")
    send(one, "Text", "<b>hello</b>")
    lines(one, "open/echo?add=!", "sent<b>hello</b>", "received<b>hello</b>!")
    expect(one.get_by_label("Text", exact=True)).to_have_value("")
    one.get_by_label("Message", exact=True).select_option("Binary")
    send(one, "Bytes", "00 ffAB")
    expect(log(one).nth(3)).to_have_text("sent00 ff ab3 bytes")
    expect(log(one).nth(4)).to_have_text("received00 ff ab3 bytes")
    send(one, "Bytes", "00 f")
    expect(one.get_by_text("This is not hexadecimal.")).to_be_visible()
    expect(one.get_by_label("Bytes")).to_have_attribute("aria-invalid", "true")
    expect(log(one)).to_have_count(5)


def test_enter_sends_and_shift_enter_starts_a_line(console: Console) -> None:
    one = connect(pane(console.open("/echo")))
    box = one.get_by_label("Text", exact=True)
    box.fill("one")
    box.press("Shift+Enter")
    box.press_sequentially("two")
    box.press("Enter")
    expect(log(one).nth(2)).to_contain_text("one\ntwo")


def test_subprotocols_are_offered_and_the_chosen_one_is_shown(console: Console) -> None:
    one = connect(pane(console.open("/echo")), Subprotocols="b.v1, a.v1")
    expect(one.get_by_role("status")).to_have_text("connected to /echo with b.v1")


def test_a_subprotocol_that_cannot_be_is_refused_by_the_page(console: Console) -> None:
    one = pane(console.open("/echo"))
    one.get_by_label("Subprotocols").fill("not a token")
    one.get_by_role("button", name="Connect", exact=True).click()
    expect(log(one)).to_contain_text("refused")
    expect(one.get_by_role("button", name="Connect", exact=True)).to_be_enabled()


@pytest.mark.parametrize(("text", "code"), [("leave", "4999 as you like")])
def test_the_end_of_a_connection_is_explained(console: Console, text: str, code: str) -> None:
    one = connect(pane(console.open("/echo")))
    send(one, "Text", text)
    expect(log(one).last).to_contain_text(f"closed{code}")
    expect(one.get_by_role("status")).to_have_text("not connected")
    expect(one.get_by_role("button", name="Send")).to_be_disabled()
    connect(one)
    one.get_by_role("button", name="Disconnect").click()
    expect(log(one).last).to_contain_text("closed1000 the conversation is over")


def test_the_focus_stays_with_a_connection_that_ends(console: Console) -> None:
    one = connect(pane(console.open("/echo")))
    one.get_by_label("Text", exact=True).fill("leave")
    one.get_by_label("Text", exact=True).press("Enter")
    expect(log(one).last).to_contain_text("closed4999")
    expect(one.get_by_role("button", name="Connect", exact=True)).to_be_focused()
    console.page.keyboard.press("Enter")
    expect(one.get_by_role("status")).to_contain_text("connected to")
    expect(one.get_by_label("Text", exact=True)).to_be_focused()


def test_a_path_that_is_in_no_list_can_be_typed(console: Console) -> None:
    one = connect(pane(console.open("path")), Path="/echo?add=%C3%A9")
    send(one, "Text", "ol")
    lines(one, "open/echo?add=%C3%A9", "sentol", "receivedolé")
    one.get_by_role("button", name="Disconnect").click()
    expect(log(one).last).to_contain_text("closed1000 the conversation is over")


def test_what_a_server_says_is_text(console: Console) -> None:
    one = connect(pane(console.open("/evil/{rest:path}")), rest="a/b c")
    lines(one, "open/evil/a/b%20c", "received<img src=x onerror=alert(1)>")


def test_a_refused_handshake_shows_status_and_body(console: Console) -> None:
    one = pane(console.open("/private"))
    one.get_by_role("button", name="Connect", exact=True).click()
    expect(log(one).first).to_contain_text("refused401 Unauthorized\nWho are <you>?\nA token is needed.")
    expect(log(one).last).to_contain_text("A browser sends cookies with a handshake, but no headers.")
    expect(one.get_by_role("status")).to_have_text("not connected")


def test_a_path_that_is_not_there_is_a_404(console: Console) -> None:
    one = pane(console.open("path"))
    one.get_by_label("Path").fill("/nowhere")
    one.get_by_role("button", name="Connect", exact=True).click()
    expect(log(one).first).to_contain_text("refused404 Not Found")


# Typed conversations


def test_a_call_is_a_form_and_its_reply_has_a_latency(console: Console) -> None:
    page = console.open(WORDS)
    one = connect(pane(page))
    expect(one.get_by_role("status")).to_have_text("connected to /words with words.v1")
    expect(one.get_by_role("button", name="Disconnect")).to_be_visible()
    expect(one.get_by_text("Count the words of a text. Answered by word_count or error.")).to_be_visible()
    expect(one.get_by_label("text", exact=True)).to_have_value("two words")
    one.get_by_label("at_most optional").fill("5")
    one.get_by_label("language optional").select_option('"de"')
    one.get_by_label("loudly optional").select_option("true")
    one.get_by_label("where optional").fill('{"x": 1}')
    one.get_by_role("button", name="Send").click()
    sent = '{"type":"count_words","id":1,"text":"two words","at_most":5,"language":"de","loudly":true,"where":{"x":1}}'
    expect(log(one).nth(1)).to_contain_text(sent)
    expect(log(one).nth(2)).to_have_text(re.compile(r'^received\{"type":"word_count","words":2,"id":1\}\d+\.\d ms$'))


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("at_most optional", "many", "Expected `int | null`, got `str`"),
        ("at_most optional", "0", "Expected `int` >= 1"),
        ("where optional", '{"y": 1}', "Object missing required field `x`"),
        ("text", "x" * 41, "Expected `str` of length <= 40"),
    ],
)
def test_the_servers_error_is_at_the_field(console: Console, field: str, value: str, says: str) -> None:
    one = connect(pane(console.open(WORDS)))
    control = one.get_by_label(field, exact=True)
    send(one, field, value)
    expect(control).to_have_attribute("aria-invalid", "true")
    expect(control).to_be_focused()
    expect(control).to_have_accessible_description(re.compile(re.escape(says)))
    control.fill("3" if "at_most" in field else "")
    one.get_by_role("button", name="Send").click()
    expect(control).not_to_have_attribute("aria-invalid", "true")


def test_an_error_of_no_field_is_at_the_form(console: Console) -> None:
    one = connect(pane(console.open(WORDS)))
    send(one, "at_most optional", "1")
    expect(one.get_by_role("alert")).to_have_text("The text has too many words.")


def test_a_query_that_does_not_fit_is_shown_at_its_field(console: Console) -> None:
    one = pane(console.open(ROOM))
    one.get_by_label("room", exact=True).fill("den")
    one.get_by_role("button", name="Connect", exact=True).click()
    expect(log(one).first).to_contain_text("refused400 Bad Request\nInvalid query")
    name = one.get_by_label("name", exact=True)
    expect(name).to_have_attribute("aria-invalid", "true")
    # The line that names it, and not the status and the title again.
    expect(name).to_have_accessible_description(re.compile("The query parameter 'name'"))
    expect(name).not_to_have_accessible_description(re.compile("400"))
    connect(one, name="ada")
    # What cannot be changed while the connection is open is out of the way.
    expect(one.get_by_label("name", exact=True)).to_be_hidden()
    one.get_by_role("button", name="Disconnect").click()
    expect(one.get_by_label("name", exact=True)).to_be_visible()
    expect(one.get_by_label("name", exact=True)).not_to_have_attribute("aria-invalid", "true")


def test_a_close_code_of_the_conversation_has_its_meaning(console: Console) -> None:
    one = connect(pane(console.open(ROOM)), room="den", name="ada")
    send(one, "text", "close")
    expect(log(one).last).to_contain_text("closed4001 The room was closed")


def test_anything_can_be_sent_to_a_typed_route_too(console: Console) -> None:
    one = connect(pane(console.open(WORDS)))
    one.get_by_label("Message", exact=True).select_option("Text")
    send(one, "Text", "no message")
    expect(log(one).last).to_contain_text('"code":"not_a_message"')


def test_the_messages_of_a_conversation_are_explained(console: Console) -> None:
    page = console.open(ROOM)
    page.get_by_text("Messages and rules").click()
    expect(page.get_by_text("said Somebody has said something.")).to_be_visible()
    expect(page.get_by_text("4001 (The room was closed)")).to_be_visible()


# Two connections, and rooms


def test_two_connections_hear_each_other_and_the_room_is_shown(browser: Browser, console: Console, url: str) -> None:
    page = console.open(ROOM)
    page.get_by_role("button", name="Add a second connection").click()
    expect(pane(page, 2).get_by_label("room", exact=True)).to_be_focused()
    connect(pane(page, 1), room="side by side", name="ada")
    connect(pane(page, 2), room="side by side", name="ben")
    send(pane(page, 1), "text", "hello ben")
    expect(log(pane(page, 2)).last).to_contain_text('"name":"ada","text":"hello ben"')
    boxes = [pane(page, number).bounding_box() for number in (1, 2)]
    # Side by side, not one below the other.
    assert len({box["y"] for box in boxes if box}) == 1
    other = Console(browser, url)
    rooms = other.open("rooms")
    card = rooms.locator("section", has=rooms.get_by_role("heading", name="side by side"))
    expect(card).to_contain_text("2 present: ada, ben")
    expect(card).to_contain_text("hello ben")
    pane(page, 2).get_by_role("button", name="Disconnect").click()
    expect(card).to_contain_text("1 present: ada")
    other.close()


def test_a_connection_stays_open_while_another_view_is_shown(console: Console) -> None:
    page = console.open("/echo")
    connect(pane(page))
    page.get_by_role("link", name="Rooms", exact=True).click()
    expect(page.get_by_role("heading", name="Rooms")).to_be_focused()
    page.get_by_role("link", name="/echo").click()
    send(pane(page), "Text", "still here")
    lines(pane(page), "open/echo", "sentstill here", "receivedstill here")


# Copies


def copied(page: Page, one: Locator, kind: str) -> str:
    one.get_by_role("button", name=kind, exact=True).click()
    dialog = page.get_by_role("dialog", name=f"Copy as {kind}")
    text = dialog.get_by_role("textbox").input_value()
    dialog.get_by_role("button", name="Copy", exact=True).click()
    expect(dialog.get_by_role("button", name="Copied")).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    return text


def test_a_conversation_can_be_copied(console: Console, tmp_path: Path) -> None:
    page = console.open("/echo")
    one = connect(pane(page), Query="add=!")
    send(one, "Text", "hello")
    expect(log(one)).to_have_count(3)
    command = copied(page, one, "command")
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "hello!\n"
    assert "new WebSocket(" in copied(page, one, "TypeScript")
    test = copied(page, one, "test")
    assert 'client.websocket("/echo?add=!")' in test
    assert 'assert await ws.receive_text() == "hello!"' in test
    one.get_by_role("button", name="Clear").click()
    expect(log(one)).to_have_count(0)


def test_a_typed_conversation_is_copied_for_the_generated_client(console: Console) -> None:
    page = console.open(ROOM)
    one = connect(pane(page), room="den 2", name="ada")
    send(one, "text", "hello")
    expect(log(one).last).to_contain_text("hello")
    text = copied(page, one, "TypeScript")
    assert "connectChat({" in text
    assert 'params: {"room": "den 2"}' in text
    assert 'client.send({"type": "say", "text": "hello"});' in text


# Restarts


def test_the_page_follows_the_application_as_it_changes(browser: Browser, tmp_path: Path) -> None:
    source = """
import falconws

class Echo:
    async def on_websocket(self, req, ws):
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(text)

app = falconws.App()
app.ws_options.allowed_origins = "same-origin"
app.add_route("/echo", Echo())
"""
    served = tmp_path / "growing.py"
    served.write_text(source)
    with serving(tmp_path, "growing:app", "--reload", "--port", "0") as url:
        console = Console(browser, url)
        page = console.open("/echo")
        one = connect(pane(page))
        # Written again while the watcher has not taken its first look yet.
        for _ in range(10):
            served.write_text(source + 'app.add_route("/second", Echo())\n')
            try:
                expect(page.get_by_role("link", name="/second")).to_be_visible(timeout=5000)
                break
            except AssertionError:
                continue
        expect(page.get_by_role("link", name="/second")).to_be_visible()
        one = pane(page)
        expect(one.get_by_role("status")).to_have_text("connected to /echo")
        send(one, "Text", "hello again")
        expect(log(one).last).to_contain_text("receivedhello again")
        console.close()
