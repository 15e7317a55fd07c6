"""Dataclasses as messages."""

from dataclasses import dataclass
from typing import Literal

import falconws
from falconws.typed import CallMixin, Conversation, speaks


# start: messages
@dataclass(kw_only=True)
class Moved:
    """The piece is where it was sent."""

    type: Literal["moved"] = "moved"
    id: int | str | None = None
    square: str


@dataclass(kw_only=True)
class Move(CallMixin[Moved]):
    """Move a piece."""

    type: Literal["move"] = "move"
    id: int | str | None = None
    piece: str
    square: str


class Board(Conversation[Move, Moved]):
    """Moves pieces on a board."""

    # end: messages


class BoardResource:
    @speaks(Board)
    async def on_websocket(self, req: falconws.Request, board: Board) -> None:
        await board.accept()
        async for move in board:
            await board.reply(move, Moved(square=move.square))


app = falconws.App()
app.add_route("/board", BoardResource())
