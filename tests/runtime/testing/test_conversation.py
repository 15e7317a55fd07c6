"""The typed test client, and the checks of all that an app declares."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Never

import falcon
import pytest
from msgspec import Meta, Struct

import falconws
from falconws.testing import Client, check_conversations
from falconws.typed import Call, CallError, Conversation, Error, Reply, Welcome, speaks
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


class Answer(Reply, tag="answer"):
    value: int


class Ask(Call[Answer], tag="ask"):
    question: str


class Other(Reply, tag="other"):
    value: int


class Asking(Conversation[Ask, Answer | Other]):
    subprotocol = "asking"
    query = Who


def app_that_answers(answer: Callable[[Any, Ask], Awaitable[None]]) -> falconws.App:
    class Resource:
        @speaks(Asking)
        async def on_websocket(self, req: falconws.Request, asking: Asking, **fields: object) -> None:
            if req.get_header("Authorization") == "none":
                raise falcon.HTTPUnauthorized
            await asking.accept()
            async for ask in asking:
                await answer(asking, ask)

    app = falconws.App()
    app.add_route("/{name}/{number:int}/{when:dt}", Resource())
    return app


class TestCallsAreSent:
    async def test_a_call_is_answered_also_behind_other_messages(self) -> None:
        async def answer(asking: Asking, ask: Ask) -> None:
            await asking.send(Other(value=1))
            await asking.reply(ask, Answer(value=2))

        # A test may be in an event loop itself.
        check_conversations(app_that_answers(answer))

    def test_an_error_is_an_answer(self) -> None:
        check_conversations(app_that_answers(lambda asking, ask: asking.reject(ask, "busy")))

    @pytest.mark.parametrize(
        ("answer", "problem"),
        [
            (lambda asking, ask: asking.reply(ask, Other(value=1)), "Expected one of its replies, received Other"),
            (lambda asking, ask: asyncio.sleep(0), "no message came within"),
            (lambda asking, ask: asking.close(4000), "4000"),
        ],
        ids=["another", "nothing", "closed"],
    )
    def test_what_is_no_answer_is_told(self, answer: Callable[[Any, Ask], Awaitable[None]], problem: str) -> None:
        with pytest.raises(ExceptionGroup) as failures:
            check_conversations(app_that_answers(answer), timeout=0.2)
        (failure,) = failures.value.exceptions
        assert problem in str(failure)
        assert failure.__notes__ == [
            "after the call {'type': 'ask', 'question': 'x'} on /example/1/2030-01-31T12:00:00Z?name=ada"
        ]
        check_conversations(app_that_answers(answer), send_calls=False)

    def test_a_route_that_denies_is_sent_nothing(self) -> None:
        async def fail(asking: Asking, ask: Ask) -> None:
            raise AssertionError

        check_conversations(app_that_answers(fail), headers={"Authorization": "none"})
