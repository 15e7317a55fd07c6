"""One message, echoed in four ways: as text, as untyped JSON media, as a msgspec Struct, and as a pydantic model."""

from typing import Literal

from msgspec import Struct
from pydantic import BaseModel

import falconws
from falconws.typed import Conversation, speaks


class Move(Struct, tag="move"):
    player: str
    x: float
    y: int
    items: list[int]
    ok: bool


class PydanticMove(BaseModel):
    type: Literal["move"] = "move"
    player: str
    x: float
    y: int
    items: list[int]
    ok: bool


class Game(Conversation[Move, Move]):
    """A move is echoed."""


class PydanticGame(Conversation[PydanticMove, PydanticMove]):
    """A move is echoed."""


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
    @speaks(Game)
    async def on_websocket(self, req: falconws.Request, game: Game) -> None:
        await game.accept()
        async for move in game:
            await game.send(move)


class PydanticResource:
    @speaks(PydanticGame)
    async def on_websocket(self, req: falconws.Request, game: PydanticGame) -> None:
        await game.accept()
        async for move in game:
            await game.send(move)


app = falconws.App()
app.ws_options.allowed_origins = "*"
app.add_route("/echo", TextResource())
app.add_route("/media", MediaResource())
app.add_route("/typed", TypedResource())
app.add_route("/pydantic", PydanticResource())
