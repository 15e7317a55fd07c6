"""The typed test client, and the checks of all that an app declares."""

from __future__ import annotations

from typing import Annotated, Any, Never

import pytest
from msgspec import Meta, Struct

import falconws
from falconws.testing import Client, check_conversations
from falconws.typed import CallError, Conversation, Error, Reply, Welcome, speaks
from tests.runtime.typed.conversations import (
    Chat,
    CountWords,
    Price,
    PriceFeed,
    Reverse,
    Said,
    Say,
    Who,
    Words,
    make_app,
)


async def test_a_room_is_talked_to_in_types() -> None:
    async with (
        Client(make_app(falconws.Hub())) as client,
        client.converse(Chat, "/rooms/lobby/chat", query=Who("ada")) as ada,
    ):
        assert (await ada.receive(Welcome)).present == ["ada"]
        await ada.send(Say("hello"))
        assert (await ada.receive_until(Said)).text == "hello"


async def test_calls_return_their_reply_or_raise() -> None:
    async with Client(make_app(falconws.Hub())) as client, client.converse(Words, "/words") as words:
        assert (await words.call(CountWords(text="a b"))).words == 2
        with pytest.raises(CallError) as rude:
            await words.call(Reverse(text="darn"))
        assert rude.value.code == "too_rude"
        await words.send_raw({"type": "count_words", "text": 5})
        assert (await words.receive(Error)).path == "$.text"


async def test_messages_before_the_answer_to_a_call_are_kept() -> None:
    async with Client(make_app(falconws.Hub())) as client, client.converse(Words, "/words") as words:
        await words.send_raw("garbage")
        await words.send_raw({"type": "count_words", "text": 5})
        assert (await words.call(CountWords(text="a b"))).words == 2
        assert [(await words.receive(Error)).code for _ in range(2)] == ["not_a_message", "invalid_message"]


async def test_the_subprotocol_is_offered() -> None:
    async with Client(make_app(falconws.Hub())) as client, client.converse(PriceFeed, "/prices") as prices:
        assert await prices.receive(Price) == Price("ACME", 1.5, 1.75)


async def test_another_message_fails_and_is_shown() -> None:
    async with Client(make_app(falconws.Hub())) as client, client.converse(Words, "/words") as words:
        await words.send_raw("garbage")
        with pytest.raises(AssertionError, match=r"Expected Reply, received Error\(code='not_a_message'"):
            await words.receive(Reply)


async def test_what_is_not_in_the_contract_fails() -> None:
    class Resource:
        async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
            await ws.accept("prices.v1")
            await ws.send_text('{"type": "price", "symbol": "A"}')

    app = falconws.App()
    app.add_route("/", Resource())
    async with Client(app) as client, client.converse(PriceFeed) as prices:
        with pytest.raises(AssertionError, match=r"is not a message of PriceFeed: \$.bid"):
            await prices.receive(Price)


def app_that_speaks(*conversations: type[Conversation[Any, Any]]) -> falconws.App:
    app = falconws.App()
    for number, conversation in enumerate(conversations):

        class Resource:
            @speaks(conversation)
            async def on_websocket(self, req: falconws.Request, chat: Any) -> None: ...

        app.add_route(f"/{number}", Resource())
    return app


class TestCheckConversations:
    def test_the_examples_hold(self) -> None:
        check_conversations(make_app(falconws.Hub()))

    def test_an_app_without_typed_routes_is_told(self) -> None:
        with pytest.raises(AssertionError, match="no route with @speaks"):
            check_conversations(falconws.App())

    def test_every_kind_of_member_gets_an_example(self) -> None:
        class Inner(Struct):
            pair: tuple[int, str]
            after: Inner | None

        class Member(Struct, tag="member"):
            low: Annotated[int, Meta(ge=5, multiple_of=3)]
            above: Annotated[float, Meta(gt=1)]
            below: Annotated[int, Meta(lt=-4)]
            names: Annotated[list[Annotated[str, Meta(min_length=2)]], Meta(min_length=2)]
            inner: Inner
            choice: int | str

        Inner.__annotations__["after"] = None
        globals()["Inner"] = Inner

        class Members(Conversation[Member, Never]):
            pass

        check_conversations(app_that_speaks(Members))

    def test_an_example_that_does_not_hold_is_named(self) -> None:
        class Odd(Struct, tag="odd"):
            text: Annotated[str, Meta(pattern="^[0-9]{4}$")]

        class Odds(Conversation[Odd, Never]):
            pass

        with pytest.raises(ExceptionGroup) as failures:
            check_conversations(app_that_speaks(Odds, Words))
        (failure,) = failures.value.exceptions
        assert failure.__notes__[0] == 'in the example {"type": "odd", "text": "x"} of Odds\'s Odd'
