"""Typed conversations: calls with replies, and a room."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

import falconws
from falconws.typed import Call, Conversation, Gap, Reply, RoomMessage, Welcome, speaks

from .apps import main
from .rooms import running_hub


class WordCount(Reply, tag="word_count"):
    words: int


class CountWords(Call[WordCount], tag="count_words"):
    text: Annotated[str, Meta(max_length=20)]


class Who(Struct):
    name: Annotated[str, Meta(min_length=1)] = "ada"


class Words(Conversation[CountWords, WordCount]):
    subprotocol = "words"
    query = Who
    max_invalid = 3


class WordsResource:
    @speaks(Words)
    async def on_websocket(self, req: falconws.Request, words: Words, run: str) -> None:
        await words.accept()
        async for call in words:
            await words.reply(call, WordCount(words=len(call.text.split())))


class Say(Struct, tag="say"):
    text: str


class Said(RoomMessage, tag="said"):
    text: str


class Room(Conversation[Say, Welcome | Said | Gap]):
    pass


class RoomResource:
    @speaks(Room)
    async def on_websocket(self, req: falconws.Request, room: Room, run: str) -> None:
        hub = await running_hub()
        subscription = room.subscribe(hub, run)
        await room.accept()
        async with subscription:
            await room.send(Welcome(str(subscription.position), []))
            async for message in room:
                await Room.publish(hub, run, Said(text=message.text))


main.add_route("/words/{run}", WordsResource())
main.add_route("/typed-room/{run}", RoomResource())
