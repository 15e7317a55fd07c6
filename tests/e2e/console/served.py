"""An application for the tests of the console: typed and untyped routes, rooms, refusals and close codes."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import falcon
from msgspec import Meta, Struct

import falconws
from falconws.typed import Call, Conversation, Gap, Joined, Left, Reply, RoomMessage, Welcome, speaks

hub = falconws.Hub()


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
    """People in a room hear each other, and miss nothing when their connection breaks."""

    query = Who
    close_codes: ClassVar = {4001: "The room was closed"}


class ChatResource:
    @speaks(Chat)
    async def on_websocket(self, req: falconws.Request, chat: Chat, room: str) -> None:
        name = chat.read_query(Who).name
        subscription = chat.subscribe(hub, room, member=name)
        await chat.accept()
        async with subscription:
            await chat.send(Welcome(str(subscription.position), sorted(await hub.present(room))))
            async for message in chat:
                if message.text == "close":
                    await chat.close(4001, "")
                else:
                    await Chat.publish(hub, room, Said(name=name, text=message.text))


class WordCount(Reply, tag="word_count"):
    words: int


class Point(Struct):
    x: int
    y: int = 0


class CountWords(Call[WordCount], tag="count_words"):
    """Count the words of a text."""

    text: Annotated[str, Meta(max_length=40, examples=["two words"])]
    at_most: Annotated[int, Meta(ge=1)] | None = None
    language: Literal["de", "en"] = "en"
    loudly: bool = False
    where: Point | None = None


class Words(Conversation[CountWords, WordCount]):
    """Work on texts."""

    subprotocol = "words.v1"
    errors: ClassVar = {"too_many": "The text has too many words."}


class WordsResource:
    @speaks(Words)
    async def on_websocket(self, req: falconws.Request, words: Words) -> None:
        await words.accept()
        async for call in words:
            count = len(call.text.split())
            if call.at_most is not None and count > call.at_most:
                await words.reject(call, "too_many")
            else:
                await words.reply(call, WordCount(words=count))


class EchoResource:
    async def on_get(self, req: falconws.Request, resp: falcon.asgi.Response) -> None:
        resp.text = "echo"

    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept(ws.subprotocols[0] if ws.subprotocols else None)
        async for payload in ws.iter_payloads():
            if payload == "leave":
                await ws.close(4999, "as you like")
            elif isinstance(payload, str):
                await ws.send_text(payload + req.get_param("add", default=""))
            else:
                await ws.send_data(payload)


class PrivateResource:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        raise falcon.HTTPUnauthorized(title="Who are <you>?", description="A token is needed.", challenges=["Bearer"])


class EvilResource:
    """Says what must not become markup."""

    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket, rest: str) -> None:
        await ws.accept()
        await ws.send_text("<img src=x onerror=alert(1)>")
        async for _ in ws.iter_text():
            pass


app = falconws.App(middleware=[hub])
app.ws_options.allowed_origins = "same-origin"
app.add_route("/echo", EchoResource())
app.add_route("/rooms/{room}", ChatResource())
app.add_route("/words", WordsResource())
app.add_route("/private", PrivateResource())
app.add_route("/evil/{rest:path}", EvilResource())
