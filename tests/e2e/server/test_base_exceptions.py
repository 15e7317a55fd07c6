"""An ASGI application that raises a BaseException ends its own connection, and not the server."""

from collections.abc import Callable

import pytest

from tests.e2e.server.raw_client import RawClient
from tests.e2e.server.server_process import ServerProcess

APP = """
    import asyncio

    KINDS = {"exit": SystemExit, "interrupt": KeyboardInterrupt, "cancelled": asyncio.CancelledError}

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            raise NotImplementedError
        _, when, kind = scope["path"].split("/")
        await receive()
        if when == "accepted":
            await send({"type": "websocket.accept"})
        raise KINDS[kind]
"""


@pytest.mark.parametrize("kind", ["exit", "interrupt", "cancelled"])
def test_it_is_1011_after_accept_and_500_before(
    server: ServerProcess, dial: Callable[..., RawClient], kind: str
) -> None:
    client = dial(server.port)
    assert client.handshake(f"/accepted/{kind}").startswith(b"HTTP/1.1 101")
    assert client.read(4) == b"\x88\x02\x03\xf3"
    assert dial(server.port).handshake(f"/before/{kind}").startswith(b"HTTP/1.1 500")
    client = dial(server.port)
    client.send(f"GET /http/{kind} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert client.read_head().startswith(b"HTTP/1.1 500")
    server.wait_for_line("Exception in ASGI application")
