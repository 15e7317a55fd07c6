"""A typed conversation between a responder and a client, through the whole application."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Generic, Literal, Never, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from pydantic import BaseModel

import falconws
from falconws.testing import Client, ClientWebSocket, HandshakeDenied
from falconws.typed import Call, CallMixin, Conversation, Reply, RoomMessage, Welcome, speaks
from falconws.typed.codec import with_id
from falconws.typed.conversation import _error_text
from tests.runtime.typed.conversations import Chat, Mixed, Said, Say, Who, Words, make_app


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with Client(make_app(falconws.Hub())) as client:
        yield client


async def ask(ws: ClientWebSocket, payload: object) -> Any:
    if isinstance(payload, bytes):
        await ws.send_data(payload)
    else:
        await ws.send_text(payload if isinstance(payload, str) else json.dumps(payload))
    return json.loads(await ws.receive_text())


async def hear(ws: ClientWebSocket, tag: str) -> Any:
    """Return the next message with *tag*; who joins and leaves meanwhile is skipped."""
    while (message := json.loads(await ws.receive_text()))["type"] in {"joined", "left"} - {tag}:
        pass
    assert message["type"] == tag
    return message


async def test_a_call_is_answered_under_its_id(client: Client) -> None:
    async with client.websocket("/words") as ws:
        assert await ask(ws, {"type": "count_words", "text": "a b", "id": 7}) == {
            "type": "word_count",
            "words": 2,
            "id": 7,
        }
        assert await ask(ws, {"type": "reverse", "text": "ab", "id": "x"}) == {
            "type": "reversed",
            "text": "ba",
            "id": "x",
        }
        # By hand, without an id: answered in order.
        assert await ask(ws, {"type": "reverse", "text": "ab"}) == {"type": "reversed", "text": "ba"}


class FrozenReply(Reply, tag="done", frozen=True):
    pass


class FrozenCall(Call[FrozenReply], tag="do", frozen=True):
    pass


class FrozenStructs(Conversation[FrozenCall, FrozenReply]):
    pass


@dataclass(frozen=True, slots=True)
class FrozenDataclassReply:
    type: Literal["done"] = "done"
    id: int | str | None = None


@dataclass(frozen=True)
class FrozenDataclassCall(CallMixin[FrozenDataclassReply]):
    type: Literal["do"] = "do"
    id: int | str | None = None


class FrozenDataclasses(Conversation[FrozenDataclassCall, FrozenDataclassReply]):
    pass


class FrozenModelReply(BaseModel, frozen=True):
    type: Literal["done"] = "done"
    id: int | str | None = None


class FrozenModelCall(BaseModel, CallMixin[FrozenModelReply], frozen=True):
    type: Literal["do"] = "do"
    id: int | str | None = None


class FrozenModels(Conversation[FrozenModelCall, FrozenModelReply]):
    pass


@pytest.mark.parametrize("conversation", [FrozenStructs, FrozenDataclasses, FrozenModels])
async def test_calls_and_replies_may_be_frozen(conversation: type[Conversation[Any, Any]]) -> None:
    (call_type,) = conversation.received.by_tag.values()
    reply_type = conversation.sent.by_tag["done"]
    # One message for all calls: it stays as it is.
    done = reply_type()

    class Resource:
        @speaks(conversation)
        async def on_websocket(self, req: falconws.Request, chat: Conversation[Any, Any]) -> None:
            await chat.accept()
            async for call in chat:
                await chat.reply(call, done)

    app = falconws.App()
    app.add_route("/", Resource())
    async with Client(app) as client, client.converse(conversation, "/") as chat:
        call = call_type()
        assert [(await chat.call(call)).id for _ in range(2)] == [1, 2]
        assert (call.id, done.id) == (None, None)


class FrozenSaid(RoomMessage, tag="said", frozen=True):
    text: str


async def test_a_message_of_a_room_may_be_frozen() -> None:
    class Room(Conversation[Never, FrozenSaid]):
        pass

    hub = falconws.Hub()
    async with hub:
        position = await Room.publish(hub, "lobby", FrozenSaid(text="hello"))
        assert await Room.history(hub, "lobby") == [FrozenSaid(text="hello", position=str(position))]


def test_a_reply_needs_the_field_for_the_id() -> None:
    with pytest.raises(TypeError, match=r"Welcome has no field `id`"):
        with_id(Welcome("1", []), 1)


async def test_a_rejected_call_gets_the_error_with_its_id(client: Client) -> None:
    async with client.websocket("/words") as ws:
        assert await ask(ws, {"type": "reverse", "text": "darn", "id": 1}) == {
            "type": "error",
            "code": "too_rude",
            "message": Words.errors["too_rude"],
            "id": 1,
        }


INVALID = [
    ("{", "not_a_message", None),
    ("[]", "not_a_message", None),
    ('"text"', "not_a_message", None),
    ("{}", "not_a_message", "$.type"),
    ('{"type": 5}', "not_a_message", "$.type"),
    ('{"type": "reverse", "text": "x"} trailing', "not_a_message", None),
    ("\ufeff{}", "not_a_message", None),
    ("NaN", "not_a_message", None),
    ("[" * 5000, "not_a_message", None),
    (b'{"type": "reverse", "text": "x"}', "not_a_message", None),
    ('{"type": "shout"}', "unknown_type", "$.type"),
    ('{"type": "reverse"}', "invalid_message", "$.text"),
    ('{"type": "reverse", "text": 5}', "invalid_message", "$.text"),
    ('{"type": "count_words", "text": "' + "x" * 21 + '"}', "invalid_message", "$.text"),
    ('{"type": "reverse", "text": "x", "id": []}', "invalid_message", "$.id"),
]


@pytest.mark.parametrize(("payload", "code", "path"), INVALID)
async def test_an_invalid_message_is_answered_and_the_conversation_goes_on(
    client: Client, payload: str | bytes, code: str, path: str | None
) -> None:
    async with client.websocket("/words") as ws:
        answer = await ask(ws, payload)
        assert (answer["type"], answer["code"], answer.get("path")) == ("error", code, path)
        assert (await ask(ws, {"type": "reverse", "text": "ab"}))["text"] == "ba"


async def test_an_error_finds_its_call(client: Client) -> None:
    async with client.websocket("/words") as ws:
        answer = await ask(ws, {"type": "count_words", "text": 5, "id": "c1"})
        assert (answer["id"], answer["received"]) == ("c1", "count_words")


@pytest.mark.parametrize(
    ("payload", "code", "path"),
    [
        ({"type": "move", "x": "1"}, "invalid_message", "$.x"),
        ({"type": "move"}, "invalid_message", "$.x"),
        ({"type": "rename", "name": ""}, "invalid_message", "$.name"),
        ({"type": "rename", "name": "x", "tags": [1, "y"]}, "invalid_message", "$.tags[1]"),
        ({"type": "say", "text": ""}, "invalid_message", "$.text"),
        ({"type": "jump"}, "unknown_type", "$.type"),
        ({"x": 1}, "not_a_message", "$.type"),
    ],
)
async def test_structs_dataclasses_and_pydantic_models_stand_side_by_side(
    client: Client, payload: dict[str, Any], code: str, path: str
) -> None:
    async with client.websocket("/mixed") as ws:
        answer = await ask(ws, payload)
        assert (answer["code"], answer["path"]) == (code, path)
        assert [
            (await ask(ws, good))["what"]
            for good in (
                {"type": "move", "x": 1},
                {"type": "rename", "name": "x"},
                {"type": "say", "text": "x"},
            )
        ] == ["Move", "Rename", "Say"]


async def test_too_many_invalid_messages_in_a_row_end_the_connection(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "falconws")
    async with client.websocket("/words") as ws:
        for _ in range(Words.max_invalid):
            await ask(ws, "garbage\n")
        # A valid one resets the count.
        await ask(ws, {"type": "reverse", "text": "x"})
        for _ in range(Words.max_invalid):
            await ask(ws, "garbage\n")
        await ws.send_text("garbage")
        assert await ws.wait_closed() == 1007
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(lines) == 1
    assert all("\n" not in line and len(line) < 300 for line in lines)


async def test_a_query_that_does_not_fit_is_refused_with_its_field(client: Client) -> None:
    for query, field in (("", "name"), ("name=" + "x" * 41, "name"), ("name=ada&since=yesterday", "since")):
        with pytest.raises(HandshakeDenied) as denied:
            async with client.websocket(f"/rooms/lobby/chat?{query}"):
                pass
        assert denied.value.status == 400
        assert field in denied.value.text


async def test_a_feed_needs_its_subprotocol_and_takes_no_message(client: Client) -> None:
    with pytest.raises(HandshakeDenied) as denied:
        async with client.websocket("/prices"):
            pass
    assert denied.value.status == 400
    assert "prices.v1" in denied.value.text
    async with client.websocket("/prices", subprotocols=["other", "prices.v1"]) as ws:
        assert ws.subprotocol == "prices.v1"
        assert json.loads(await ws.receive_text())["type"] == "price"
        assert (await ask(ws, {"type": "anything"}))["code"] == "unknown_type"


async def test_a_room_is_typed_from_publish_to_every_client(client: Client) -> None:
    async with (
        client.websocket("/rooms/lobby/chat?name=ada") as ada,
        client.websocket("/rooms/lobby/chat?name=bob") as bob,
    ):
        welcome = await hear(ada, "welcome")
        assert (await hear(bob, "welcome"))["present"] == ["ada", "bob"]
        await ada.send_text('{"type": "say", "text": "hi"}')
        heard = [await hear(each, "said") for each in (ada, bob)]
        assert heard[0] == heard[1]
        assert (heard[0]["name"], heard[0]["text"]) == ("ada", "hi")
    async with client.websocket(f"/rooms/lobby/chat?name=eve&since={welcome['position']}") as eve:
        await hear(eve, "welcome")
        assert await hear(eve, "said") == heard[0]


async def test_a_declared_close_code_brings_its_meaning(client: Client) -> None:
    async with client.websocket("/rooms/lobby/chat?name=ada") as ws:
        await ws.receive_text()
        await ws.send_text('{"type": "say", "text": "close"}')
        assert await ws.wait_closed() == 4001
        assert ws.close_reason == Chat.close_codes[4001]


async def test_what_is_no_message_of_the_room_is_logged_and_not_sent(caplog: pytest.LogCaptureFixture) -> None:
    hub = falconws.Hub()
    async with Client(make_app(hub)) as client, client.websocket("/rooms/lobby/chat?name=ada") as ws:
        await ws.receive_text()
        await hub.publish("lobby", '{"type": "price"}')
        await Chat.publish(hub, "lobby", Said(name="ops", text="after"))
        assert (await hear(ws, "said"))["text"] == "after"
    assert "not one of Chat" in caplog.text


async def test_what_a_direction_does_not_declare_is_not_sent() -> None:
    with pytest.raises(TypeError, match="Say is not a message of this direction"):
        await Chat.publish(falconws.Hub(), "lobby", Say("hi"))


T = TypeVar("T")


class TestDeclaration:
    def test_a_message_needs_a_tag(self) -> None:
        class Untagged(Struct):
            text: str

        with pytest.raises(TypeError, match=r"Untagged has no tag: write `class Untagged\(Struct, tag"):

            class Wrong(Conversation[Untagged, Said]):
                pass

    def test_two_messages_of_one_direction_need_two_tags(self) -> None:
        class Other(Struct, tag="say"):
            text: str

        with pytest.raises(TypeError, match="Say and Other have the same tag 'say'"):

            class Wrong(Conversation[Say | Other, Said]):
                pass

    def test_a_message_is_a_class_of_a_known_library(self) -> None:
        with pytest.raises(TypeError, match="'dict' cannot be a message"):

            class Wrong(Conversation[dict[str, int] | dict, Said]):
                pass

    def test_an_open_generic_is_refused(self) -> None:
        with pytest.raises(TypeError, match="name the messages"):

            class Wrong(Conversation[T, Said], Generic[T]):
                pass

    def test_a_conversation_is_subclassed_directly(self) -> None:
        with pytest.raises(TypeError, match=r"subclass Conversation\[...\] directly"):

            class Wrong(Conversation):
                pass

    def test_speaks_needs_conversations(self) -> None:
        with pytest.raises(TypeError, match="needs subclasses of Conversation, got <class 'int'>"):
            speaks(int)


class TestAnyPayload:
    @given(st.text() | st.binary() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
    @settings(max_examples=300, deadline=None)
    def test_gives_a_message_or_one_bounded_error(self, payload: str | bytes) -> None:
        self.check(payload)

    @given(
        st.fixed_dictionaries(
            {},
            optional={
                "type": st.sampled_from(["move", "rename", "say", "reverse"]) | st.text() | st.integers(),
                "text": st.text() | st.integers(),
                "name": st.text() | st.none(),
                "x": st.integers() | st.floats() | st.text(),
                "id": st.integers() | st.text() | st.lists(st.integers()),
            },
        ).map(json.dumps)
    )
    @settings(max_examples=500, deadline=None)
    def test_that_is_nearly_right_gives_a_message_or_one_bounded_error(self, payload: str) -> None:
        self.check(payload)

    @pytest.mark.parametrize(
        "payload",
        [
            "\ud800",
            '{"type": "' + "q" * 100_000 + '"}',
            '{"type": "' + "\\u0000" * 1000 + '"}',
            '{"type": "say", "text": {"' + '"' * 300 + "",
            json.dumps({"type": "say", "id": "\u0007" * 64}),
            json.dumps({"type": "say", "id": "\u4e2d" * 64, "text": 1}),
            json.dumps({"type": "\u4e2d" * 400}),
            json.dumps({"type": "say", "id": 10**400}),
            '{"type": "say", "id": 1e400}',
        ],
    )
    def test_that_is_meant_badly_gives_one_bounded_error(self, payload: str) -> None:
        self.check(payload)

    def check(self, payload: str | bytes) -> None:
        for conversation in (Chat, Words, Mixed):
            codec = conversation.received
            try:
                if not isinstance(payload, str):
                    raise ValueError
                message = codec.decode(payload)
            except (ValueError, RecursionError) as error:
                text = _error_text(codec.explain(payload, error))
                assert len(text.encode()) <= 500
                assert json.loads(text)["type"] == "error"
            else:
                assert type(message) in codec.by_tag.values()


async def test_several_rooms_need_a_position_of_the_application() -> None:
    class Resource:
        @speaks(Chat)
        async def on_websocket(self, req: falconws.Request, chat: Chat) -> None:
            hub = falconws.Hub()
            with pytest.raises(TypeError, match="with several rooms, pass since= yourself"):
                chat.subscribe(hub, "one", "two")
            await chat.accept()
            await chat.close()

    app = falconws.App()
    app.add_route("/", Resource())
    async with Client(app) as client, client.converse(Chat, query=Who("ada")) as chat:
        with pytest.raises(falconws.WebSocketDisconnected):
            await chat.receive(Welcome)
