"""The app of the tests of generated clients."""

from __future__ import annotations

import time
from pathlib import Path
from typing import ClassVar

import falcon
from msgspec import Struct

import falconws
from falconws.typed import Call, Conversation, Reply, speaks
from tests.runtime.typed.conversations import make_app

TOKEN_LIFETIME_S = 0.5


class Token(Struct):
    token: str
    """The time at which it was issued, in seconds since 1970."""


class Pong(Reply, tag="pong"):
    pass


class Ping(Call[Pong], tag="ping"):
    """Ask whether the server is there."""


class Sleep(Call[Pong], tag="sleep"):
    """Ask, and get no reply."""

    ms: float = 0


class Guarded(Conversation[Ping | Sleep, Pong]):
    """A conversation for which a token is needed."""

    query = Token
    close_codes: ClassVar = {4000: "The token is revoked"}


class GuardedResource:
    """Tokens expire before the handshake (401), and during the conversation (3401)."""

    @speaks(Guarded)
    async def on_websocket(self, req: falconws.Request, guarded: Guarded) -> None:
        token = guarded.read_query(Token).token
        if float(token) < time.time() - TOKEN_LIFETIME_S:
            raise falcon.HTTPUnauthorized
        await guarded.accept()
        async for message in guarded:
            match message:
                case Ping():
                    if float(token) < time.time() - TOKEN_LIFETIME_S:
                        await guarded.close(3401)
                    await guarded.reply(message, Pong())
                case Sleep():
                    pass


app = make_app(falconws.Hub())
app.add_route("/guarded", GuardedResource())
# The page of the test in a browser.
app.add_static_route("/static", str(Path(__file__).parent.resolve()))
