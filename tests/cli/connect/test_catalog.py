"""Lines that name a declared message: what is sent, what is refused, what is completed, and which call is answered."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, ClassVar, Literal

import pytest
from msgspec import Meta, Struct

import falconws
from falconws.typed import Call, Conversation, Gap, Reply, RoomMessage, speaks
from falconws.typed.asyncapi import asyncapi
from falconws_cli.connect.catalog import Catalog, find_catalog


class Point(Struct):
    x: int
    y: int = 0


class Say(Struct, tag="say"):
    """Say something in the room.

    Others hear it.
    """

    text: Annotated[str, Meta(min_length=1, max_length=5, examples=["two words"])]
    tone: Literal["loud", "quiet"] = "quiet"
    to: str | None = None
    at: Point | None = None
    times: Annotated[int, Meta(ge=1, le=3)] = 1
    marks: list[bool] = []


class Sum(Reply, tag="sum"):
    value: float


class Add(Call[Sum], tag="add"):
    a: float
    b: float


class Said(RoomMessage, tag="said"):
    text: str


class Chat(Conversation[Say | Add, Said | Sum | Gap]):
    close_codes: ClassVar = {4001: "The room was closed"}


class Resource:
    @speaks(Chat)
    async def on_websocket(self, req: falconws.Request, chat: Chat, **fields: object) -> None:
        await chat.accept()


class Clock:
    now = 10.0

    def __call__(self) -> float:
        return self.now


def document() -> dict[str, Any]:
    app = falconws.App()
    app.add_route("/rooms/{room}/chat", Resource())
    app.add_route("/files/{name:path}", Resource(), suffix=None)
    return asyncapi(app)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def catalog(clock: Clock) -> Catalog:
    made = document()
    return Catalog(made, next(iter(made["channels"])), clock)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/say text=hello", {"text": "hello"}),
        ('/say text="a b"', {"text": "a b"}),
        ("/say text=5", {"text": "5"}),
        ("/say text=null to=null", {"text": "null", "to": None}),
        ("/say text==", {"text": "="}),
        ("/say text=a tone=loud times=3", {"text": "a", "tone": "loud", "times": 3}),
        ("""/say text=a at='{"x": 1}' marks=[true]""", {"text": "a", "at": {"x": 1}, "marks": [True]}),
    ],
)
def test_a_line_becomes_the_message(catalog: Catalog, line: str, message: dict[str, object]) -> None:
    sent = json.loads(catalog.encode(line))
    assert sent == {"type": "say", **message}
    Chat.received.decode(json.dumps(sent))


@pytest.mark.parametrize("line", ["hello", '{"type": "say"}', " /say", ""])
def test_any_other_line_stays_as_it_is(catalog: Catalog, line: str) -> None:
    assert catalog.encode(line) == line


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("/", 'names no message "": send say or add'),
        ("/sya text=a", 'names no message "sya": send say or add'),
        ("/say", 'is not valid: "text" is missing'),
        ("/say txt=a", "has no field \"txt\": /say has text, tone, to, at, times, marks, as in /say text='two words'"),
        ("/say hello", 'has no field "hello"'),
        ('/say text="', "has no end: no closing quotation"),
        ("/say text=", "is not valid: text has fewer than 1 characters"),
        ("/say text=hello!", "is not valid: text has more than 5 characters"),
        ("/say text=a tone=rude", 'is not valid: tone is not one of "loud", "quiet"'),
        ("/say text=a times=0", "is not valid: times is less than 1"),
        ("/say text=a times=4", "is not valid: times is more than 3"),
        ("/say text=a times=two", 'has no integer in "times"'),
        ("/say text=a times=1.5", "is not valid: times is not integer"),
        ("/say text=a times=true", "is not valid: times is not integer"),
        ("/say text=a at={}", 'is not valid: "x" is missing'),
        ("""/say text=a at='{"x": "1"}'""", "is not valid: at.x is not integer"),
        ("/say text=a marks=[true,1]", "is not valid: marks[1] is not boolean"),
    ],
)
def test_a_line_that_is_no_message_is_refused(catalog: Catalog, line: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}"):
        catalog.encode(line)


@pytest.mark.parametrize(
    ("line", "completions"),
    [
        ("", []),
        ("hello /s", []),
        ("/", ["say", "add"]),
        ("/s", ["say"]),
        ("/say ", ["text=", "tone=", "to=", "at=", "times=", "marks="]),
        ("/say text=a t", ["tone=", "to=", "times="]),
        ("/say tone=", ["loud", "quiet"]),
        ("/say tone=q", ["quiet"]),
        ("/say text=", ["'two words'"]),
        ("/say nothing=", []),
        ("/nothing x", []),
    ],
)
def test_names_fields_and_values_are_completed(catalog: Catalog, line: str, completions: list[str]) -> None:
    found = list(catalog.completions(line))
    assert [text for text, *_ in found] == completions
    for text, replaced, _ in found:
        assert text.startswith(line[len(line) - replaced :])


def test_a_completion_says_what_the_message_is_for(catalog: Catalog) -> None:
    assert list(catalog.completions("/sa")) == [("say", 2, "Say something in the room.")]


def test_a_call_gets_an_id_and_is_paired_with_its_reply(catalog: Catalog, clock: Clock) -> None:
    first, second = catalog.encode("/add a=1 b=2"), catalog.encode("/add a=1 b=2 id=x")
    assert (json.loads(first)["id"], json.loads(second)["id"]) == (1, "x")
    for text in (first, second, catalog.encode("/say text=a"), '{"id": 3}', "text"):
        catalog.sent(text)
    clock.now += 0.0125
    assert catalog.received('{"type": "said", "text": "a"}') == ""
    assert catalog.received('{"type": "sum", "id": "x", "value": 3}') == "(reply to add x after 12.5 ms)"
    assert (
        catalog.received('{"type": "error", "id": 1, "code": "x", "message": "x"}') == "(reply to add 1 after 12.5 ms)"
    )
    assert catalog.received('{"type": "sum", "id": 1, "value": 3}') == ""
    assert catalog.received("[" * 100_000) == ""


def test_calls_that_are_never_answered_are_not_kept_for_ever(catalog: Catalog) -> None:
    for number in range(3000):
        catalog.sent(f'{{"type": "add", "id": {number}}}')
    assert catalog.received('{"id": 0}') == ""
    assert catalog.received('{"id": 2999}') != ""


@pytest.mark.parametrize("path", ["/rooms/lobby/chat", "/rooms/a%20b/chat"])
def test_a_catalog_is_found_by_the_path(path: str) -> None:
    found = find_catalog(document(), path)
    assert found is not None
    assert found.close_codes == {4001: "The room was closed"}


@pytest.mark.parametrize(("path", "there"), [("/files/a/b", True), ("/rooms/lobby", False), ("/", False)])
def test_a_field_of_several_segments(path: str, there: bool) -> None:
    assert (find_catalog(document(), path) is not None) is there
