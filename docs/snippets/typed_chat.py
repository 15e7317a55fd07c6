"""Typed conversations: a chat room, and calls with replies."""

from typing import Annotated, ClassVar

import falconws
from falconws.typed import Call, Conversation, Gap, Joined, Left, Reply, RoomMessage, Welcome, speaks
from msgspec import Meta, Struct

hub = falconws.Hub()


# start: messages
class Say(Struct, tag="say"):
    """Say something in the room."""

    text: Annotated[str, Meta(min_length=1, max_length=2000)]


class Said(RoomMessage, tag="said"):
    """Somebody has said something."""

    name: str
    text: str


class Who(Struct):
    name: Annotated[str, Meta(min_length=1, max_length=40)]


class Chat(Conversation[Say, Welcome | Said | Joined | Left | Gap]):
    """People in a room hear each other."""

    query = Who
    close_codes: ClassVar = {4001: "The room was closed"}
    # end: messages


# start: responder
class ChatResource:
    @speaks(Chat)
    async def on_websocket(self, req: falconws.Request, chat: Chat, room: str) -> None:
        name = chat.read_query(Who).name
        subscription = chat.subscribe(hub, room, member=name)
        await chat.accept()
        async with subscription:
            await chat.send(Welcome(str(subscription.position), sorted(await hub.present(room))))
            async for message in chat:
                match message:
                    case Say(text=text):
                        await Chat.publish(hub, room, Said(name=name, text=text))
                        # end: responder


# start: calls
class WordCount(Reply, tag="word_count"):
    words: int


class CountWords(Call[WordCount], tag="count_words"):
    """Count the words of a text."""

    text: str


class Words(Conversation[CountWords, WordCount]):
    """Work on texts."""

    errors: ClassVar = {"too_long": "The text is too long."}


class WordsResource:
    @speaks(Words)
    async def on_websocket(self, req: falconws.Request, words: Words) -> None:
        await words.accept()
        async for call in words:
            if len(call.text) > 1000:
                await words.reject(call, "too_long")
            else:
                await words.reply(call, WordCount(words=len(call.text.split())))
                # end: calls


app = falconws.App(middleware=[hub])
app.ws_options.allowed_origins = "same-origin"
app.add_route("/rooms/{room}", ChatResource())
app.add_route("/words", WordsResource())
