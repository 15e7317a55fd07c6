"""Right code: type checkers in strict mode accept every line."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Never, assert_never, assert_type

from msgspec import Meta, Struct
from pydantic import BaseModel

import falconws
from falconws.client import connect
from falconws.testing import Client
from falconws.typed import Call, CallMixin, Conversation, Gap, Joined, Left, Reply, RoomMessage, Welcome, speaks


class Say(Struct, tag="say"):
    text: Annotated[str, Meta(min_length=1)]


class Typing(Struct, tag="typing"):
    on: bool = True


class Said(RoomMessage, tag="said"):
    name: str
    text: str


class Who(Struct):
    name: str


class Chat(Conversation[Say | Typing, Welcome | Said | Joined | Left | Gap]):
    """A room."""

    query = Who
    close_codes: ClassVar = {4001: "The room was closed"}


class WordCount(Reply, tag="word_count"):
    words: int


class TooLong(Struct, tag="too_long", frozen=True):
    """A frozen class declares the field itself: type checkers refuse frozen classes with a base that is not."""

    limit: int
    id: int | str | None = None


class CountWords(Call[WordCount], tag="count_words"):
    text: str


class Reverse(Call[WordCount | TooLong], tag="reverse"):
    text: str


@dataclass
class Moved:
    x: int
    id: int | str | None = None
    type: Literal["moved"] = "moved"


@dataclass
class Move(CallMixin[Moved | TooLong]):
    """A dataclass, answered by a dataclass or by a struct."""

    x: int
    id: int | str | None = None
    type: Literal["move"] = "move"


class Booked(BaseModel):
    type: Literal["booked"] = "booked"
    id: int | str | None = None
    room: str


class Book(BaseModel, CallMixin[Booked]):
    type: Literal["book"] = "book"
    id: int | str | None = None
    room: str


class Desk(Conversation[Move | Book | CountWords, Moved | TooLong | Booked | WordCount]):
    """Calls of three libraries."""


class Words(Conversation[CountWords | Reverse, WordCount | TooLong]):
    """Calls and replies."""


class WordsV2(Conversation[CountWords, WordCount]):
    """The next version."""

    subprotocol = "words.v2"


class Feed(Conversation[Never, Said]):
    """The client only listens."""


class ChatResource:
    def __init__(self, hub: falconws.Hub) -> None:
        self._hub = hub

    @speaks(Chat)
    async def on_websocket(self, req: falconws.Request, chat: Chat, room: str) -> None:
        assert_type(chat.read_query(Who), Who)
        subscription = chat.subscribe(self._hub, room, member=chat.read_query(Who).name)
        await chat.accept()
        async with subscription:
            await chat.send(Welcome(str(subscription.position), []))
            async for message in chat:
                match message:
                    case Say(text=text):
                        position = await Chat.publish(self._hub, room, Said(name="ada", text=text))
                        assert_type(position, falconws.Position)
                    case Typing():
                        await Chat.publish_ephemeral(self._hub, room, Left("ada"), exclude=subscription)
                    case _:
                        assert_never(message)


class WordsResource:
    @speaks(Words)
    async def on_websocket(self, req: falconws.Request, words: Words) -> None:
        await words.accept()
        assert_type(await words.receive(timeout=5), CountWords | Reverse)
        async for call in words:
            match call:
                case CountWords():
                    await words.reply(call, WordCount(words=1))
                case Reverse():
                    await words.reply(call, TooLong(limit=3))
                    await words.reject(call, "too_rude")

    @speaks(WordsV2, Words)
    async def on_websocket_versions(self, req: falconws.Request, words: WordsV2 | Words) -> None:
        await words.accept()
        match words:
            case WordsV2():
                await words.send(WordCount(words=1))
            case _:
                await words.send(TooLong(limit=1))


class DeskResource:
    @speaks(Desk)
    async def on_websocket(self, req: falconws.Request, desk: Desk) -> None:
        async for call in desk:
            match call:
                case Move(x=x):
                    await desk.reply(call, Moved(x) if x else TooLong(limit=1))
                case Book(room=room):
                    await desk.reply(call, Booked(room=room))
                    await desk.reject(call, "taken")
                case CountWords():
                    await desk.reply(call, WordCount(words=1))
                case _:
                    assert_never(call)


class FeedResource:
    @speaks(Feed)
    async def on_websocket(self, req: falconws.Request, feed: Feed) -> None:
        await feed.accept()
        async with feed.task_scope() as scope:
            scope.create_task(feed.send(Said(name="a", text="b")))


responder: Callable[..., Awaitable[None]] = ChatResource(falconws.Hub()).on_websocket
app = falconws.App()
app.add_route("/rooms/{room}", ChatResource(falconws.Hub()))
app.add_route("/words", WordsResource(), suffix="versions")


async def use(client: Client) -> None:
    async with client.converse(Chat, "/rooms/lobby", query=Who("ada")) as ada:
        assert_type((await ada.receive(Said)).text, str)
        await ada.send(Say("hello"))
    async with client.converse(Words, "/words") as words:
        assert_type(await words.call(CountWords(text="a b")), WordCount)
        assert_type(await words.call(Reverse(text="a b")), WordCount | TooLong)
    async with connect(Words, "ws://127.0.0.1:8000/words") as remote:
        assert_type(await remote.call(CountWords(text="two words")), WordCount)
        await remote.send(Reverse(text="a"))
    async with client.converse(Desk, "/desk") as desk:
        assert_type(await desk.call(Move(1)), Moved | TooLong)
        assert_type(await desk.call(Book(room="a")), Booked)
    async with connect(Desk, "ws://127.0.0.1:8000/desk") as far:
        assert_type(await far.call(Move(1)), Moved | TooLong)
        assert_type(await far.call(Book(room="a")), Booked)
        assert_type(await far.call(CountWords(text="a")), WordCount)


async def publish(hub: falconws.Hub) -> None:
    said = Said(name="ada", text="hello")
    assert_type(await Chat.publish_many(hub, "lobby", [said, Left("ada")]), list[falconws.Position])
    await Chat.publish_many(hub, "lobby", [said], key=lambda message: type(message).__name__)
    assert_type(await Feed.history(hub, "lobby", limit=10), list[Said])


def publish_from_a_script(publisher: falconws.Publisher) -> None:
    said = Said(name="ada", text="hello")
    assert_type(Chat.publish(publisher, "lobby", said), falconws.Position)
    assert_type(Chat.publish_many(publisher, "lobby", [said]), list[falconws.Position])
    Chat.publish_ephemeral(publisher, "lobby", said)
