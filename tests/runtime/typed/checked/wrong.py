"""Wrong code: type checkers in strict mode refuse each line that is marked, and no other."""

from typing import assert_never

import falconws
from falconws.client import connect
from falconws.testing import Client
from falconws.typed import speaks
from tests.runtime.typed.checked.right import (
    Book,
    Booked,
    Chat,
    CountWords,
    Desk,
    Feed,
    Move,
    Moved,
    Reverse,
    Said,
    Say,
    TooLong,
    Typing,
    Who,
    WordCount,
    Words,
)


class ChatResource:
    @speaks(Chat)
    async def on_websocket(self, req: falconws.Request, chat: Chat, room: str) -> None:
        await chat.send(Say("hello"))  # wrong: a message of the client
        await chat.send("hello")  # wrong: no message
        await Chat.publish(falconws.Hub(), room, WordCount(words=1))  # wrong: of another conversation
        print(chat.read_query(Who).age)  # wrong: no such field
        async for message in chat:
            match message:
                case Say():
                    print(message.txt)  # wrong: no such field
                case _:
                    assert_never(message)  # wrong: Typing is forgotten


class WordsResource:
    @speaks(Words)
    async def on_websocket(self, req: falconws.Request, words: Words) -> None:
        async for call in words:
            match call:
                case CountWords():
                    await words.reply(call, TooLong(limit=1))  # wrong: the reply to another call
                case Reverse():
                    await words.reply(call, Said(name="a", text="b"))  # wrong: no reply


class DeskResource:
    @speaks(Desk)
    async def on_websocket(self, req: falconws.Request, desk: Desk) -> None:
        async for call in desk:
            match call:
                case Move():
                    await desk.reply(call, Booked(room="a"))  # wrong: the reply to another call
                case Book():
                    await desk.reply(call, WordCount(words=1))  # wrong: the reply to another call
                case CountWords():
                    await desk.reply(call, Moved(1))  # wrong: the reply to another call


class OtherResource:
    @speaks(Words)  # wrong: the responder takes another conversation
    async def on_websocket(self, req: falconws.Request, words: Chat) -> None:
        await words.accept()


class FeedResource:
    @speaks(Feed)
    async def on_websocket(self, req: falconws.Request, feed: Feed) -> None:
        await feed.send(Typing())  # wrong: not declared


async def use(client: Client) -> None:
    async with client.converse(Chat, "/rooms/lobby") as ada:
        await ada.send(Said(name="a", text="b"))  # wrong: a message of the server
        print((await ada.receive(Said)).member)  # wrong: no such field
    async with connect(Words, "ws://127.0.0.1:8000/words") as words:
        print((await words.call(CountWords(text="a"))).limit)  # wrong: of another reply
        await words.send(Say("a"))  # wrong: of another conversation
    async with connect(Desk, "ws://127.0.0.1:8000/desk") as desk:
        print((await desk.call(Book(room="a"))).x)  # wrong: of another reply
        await desk.call(Moved(1))  # wrong: no call
        await desk.call(Say("a"))  # wrong: no call
    async with client.converse(Desk, "/desk") as near:
        print((await near.call(Move(1))).room)  # wrong: of another reply


async def publish(hub: falconws.Hub, publisher: falconws.Publisher) -> None:
    await Chat.publish_many(hub, "lobby", [WordCount(words=1)])  # wrong: of another conversation
    await Chat.publish(publisher, "lobby", Said(name="a", text="b"))  # wrong: it blocks
    Chat.publish(publisher, "lobby", Say("a"))  # wrong: a message of the client
