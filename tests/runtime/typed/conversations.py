"""Conversations for the tests of this folder: a room, calls with replies, a feed, and messages of three libraries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Never

from falcon.asgi import Response
from msgspec import Meta, Struct
from pydantic import BaseModel, Field

import falconws
from falconws.typed import Call, Conversation, Gap, Joined, Left, Reply, RoomMessage, Welcome, speaks

Text = Annotated[str, Meta(min_length=1, max_length=2000, examples=["hello"])]
Name = Annotated[str, Meta(min_length=1, max_length=40, examples=["ada"])]


class Say(Struct, tag="say"):
    """Say something in the room."""

    text: Text


class Typing(Struct, tag="typing"):
    """Tell the others that you are writing."""

    on: bool = True


class Said(RoomMessage, tag="said"):
    """Somebody has said something."""

    name: Name
    text: Text


class Who(Struct):
    name: Name


class Chat(Conversation[Say | Typing, Welcome | Said | Joined | Left | Gap]):
    """People in a room hear each other, and miss nothing when their connection breaks."""

    query = Who
    close_codes: ClassVar = {4001: "The room was closed"}


class ChatResource:
    def __init__(self, hub: falconws.Hub) -> None:
        self._hub = hub

    async def on_post(self, req: falconws.Request, resp: Response, room: str) -> None:
        said = Said(name="ops", text=(await req.get_media())["text"])
        resp.media = {"position": str(await Chat.publish(self._hub, room, said))}

    @speaks(Chat)
    async def on_websocket(self, req: falconws.Request, chat: Chat, room: str) -> None:
        name = chat.read_query(Who).name
        subscription = chat.subscribe(self._hub, room, member=name)
        await chat.accept()
        async with subscription:
            await chat.send(Welcome(str(subscription.position), sorted(await self._hub.present(room))))
            async for message in chat:
                match message:
                    case Say(text="close"):
                        await chat.close(4001)
                    case Say(text=text):
                        await Chat.publish(self._hub, room, Said(name=name, text=text))
                    case Typing():
                        pass


class Price(Struct, tag="price"):
    """An instrument has a new price."""

    symbol: str
    bid: float
    ask: float


class PriceFeed(Conversation[Never, Price]):
    """Prices as they change. The client only listens."""

    subprotocol = "prices.v1"


class PricesResource:
    @speaks(PriceFeed)
    async def on_websocket(self, req: falconws.Request, feed: PriceFeed) -> None:
        await feed.accept()
        await feed.send(Price("ACME", 1.5, 1.75))
        async for _ in feed:
            raise AssertionError("a feed has no messages from the client")


class WordCount(Reply, tag="word_count"):
    words: int


class Reversed(Reply, tag="reversed"):
    text: str


class CountWords(Call[WordCount], tag="count_words"):
    """Count the words of a text."""

    text: Annotated[str, Meta(max_length=20, examples=["two words"])]


class Reverse(Call[Reversed], tag="reverse"):
    """Turn a text round."""

    text: str


class Words(Conversation[CountWords | Reverse, WordCount | Reversed]):
    """Work on texts."""

    errors: ClassVar = {"too_rude": "The text has a word that we do not reverse."}


class WordsResource:
    @speaks(Words)
    async def on_websocket(self, req: falconws.Request, words: Words) -> None:
        await words.accept()
        async for call in words:
            match call:
                case CountWords():
                    await words.reply(call, WordCount(words=len(call.text.split())))
                case Reverse(text="darn"):
                    await words.reject(call, "too_rude")
                case Reverse():
                    await words.reply(call, Reversed(text=call.text[::-1]))


@dataclass
class Move:
    """Move a piece."""

    x: int
    y: int = 0
    type: Literal["move"] = "move"


class Rename(BaseModel):
    """Give a piece another name."""

    type: Literal["rename"] = "rename"
    name: str = Field(min_length=1, max_length=20)
    tags: list[int] = []


class Done(Struct, tag="done"):
    what: str


class Mixed(Conversation[Move | Rename | Say, Done]):
    """Messages of three libraries side by side."""


class MixedResource:
    @speaks(Mixed)
    async def on_websocket(self, req: falconws.Request, mixed: Mixed) -> None:
        await mixed.accept()
        async for message in mixed:
            await mixed.send(Done(type(message).__name__))


def make_app(hub: falconws.Hub) -> falconws.App:
    app = falconws.App(middleware=[hub])
    app.add_route("/rooms/{room}/chat", ChatResource(hub))
    app.add_route("/prices", PricesResource())
    app.add_route("/words", WordsResource())
    app.add_route("/mixed", MixedResource())
    return app
