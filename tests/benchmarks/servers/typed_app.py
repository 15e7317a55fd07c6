"""One message, echoed in four ways: as text, as untyped JSON media, as a msgspec Struct, and as a pydantic model."""

from typing import Literal

from msgspec import Struct
from pydantic import BaseModel

import falconws
from falconws.typed import Conversation, speaks


class Said(Struct, tag="said"):
    name: str
    text: str


class PydanticSaid(BaseModel):
    type: Literal["said"] = "said"
    name: str
    text: str


class Chat(Conversation[Said, Said]):
    """A message is echoed."""


class PydanticChat(Conversation[PydanticSaid, PydanticSaid]):
    """A message is echoed."""


class TextResource:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(text)


class MediaResource:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        async for media in ws:
            await ws.send_media(media)


class TypedResource:
    @speaks(Chat)
    async def on_websocket(self, req: falconws.Request, chat: Chat) -> None:
        await chat.accept()
        async for said in chat:
            await chat.send(said)


class PydanticResource:
    @speaks(PydanticChat)
    async def on_websocket(self, req: falconws.Request, chat: PydanticChat) -> None:
        await chat.accept()
        async for said in chat:
            await chat.send(said)


app = falconws.App()
app.ws_options.allowed_origins = "*"
app.add_route("/echo", TextResource())
app.add_route("/media", MediaResource())
app.add_route("/typed", TypedResource())
app.add_route("/pydantic", PydanticResource())
