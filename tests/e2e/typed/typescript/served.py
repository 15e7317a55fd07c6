"""The app of the tests of generated clients."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import falcon
from msgspec import Struct

import falconws
from falconws.typed import Call, Conversation, Reply, speaks
from tests.runtime.typed.conversations import make_app


class Token(Struct):
    token: int


class Pong(Reply, tag="pong"):
    pass


class Ping(Call[Pong], tag="ping"):
    """Ask whether the server is there."""


class Sleep(Call[Pong], tag="sleep"):
    """Ask, and get no reply."""


class Expire(Call[Pong], tag="expire"):
    """Let the token expire with which this connection has come, and all before it."""


class Guarded(Conversation[Ping | Sleep | Expire, Pong]):
    """A conversation for which a token is needed."""

    query = Token
    close_codes: ClassVar = {4000: "The token is revoked"}


class GuardedResource:
    """Refuses tokens that have expired: in the handshake (401), and during the conversation (3401)."""

    def __init__(self) -> None:
        self._first_valid = 1

    @speaks(Guarded)
    async def on_websocket(self, req: falconws.Request, guarded: Guarded) -> None:
        token = guarded.read_query(Token).token
        if token < self._first_valid:
            raise falcon.HTTPUnauthorized
        await guarded.accept()
        async for message in guarded:
            if token < self._first_valid:
                await guarded.close(3401)
                return
            match message:
                case Ping():
                    await guarded.reply(message, Pong())
                case Expire():
                    self._first_valid = token + 1
                    await guarded.reply(message, Pong())
                case Sleep():
                    pass


app = make_app(falconws.Hub())
app.add_route("/guarded", GuardedResource())
# The page of the test in a browser.
app.add_static_route("/static", str(Path(__file__).parent.resolve()))
