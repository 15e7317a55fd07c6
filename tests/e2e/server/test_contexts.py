"""Context variables belong to one request or one WebSocket, whatever came before it on the connection."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.server.raw_client import RawClient
from tests.e2e.server.server_process import STACKS, ServerProcess

APP = """
    import asyncio
    import contextvars

    user = contextvars.ContextVar("user", default="nobody")

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            user.set("the lifespan")
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        seen = user.get()
        user.set(scope["path"])
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": seen})
            await receive()
            return
        more, size = True, 0
        while more:
            event = await receive()
            more, size = event.get("more_body", False), size + len(event.get("body", b""))
        # Reading was paused and is resumed from this task, or the next request has come meanwhile.
        await asyncio.sleep(0.01)
        body = seen.encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
"""


@pytest.fixture(scope="module", params=STACKS.values(), ids=STACKS)
def server_options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {"prelude": request.param}


def answers(client: RawClient, count: int) -> list[bytes]:
    bodies = []
    for _ in range(count):
        head = client.read_head().lower()
        bodies.append(client.read(int(head.split(b"content-length: ")[1].split(b"\r\n")[0])))
    return bodies


SMALL = b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n"
# More than uvicorn holds before it pauses reading.
LARGE = b"POST /large HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000


@pytest.mark.parametrize("first", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("pipelined", [False, True])
def test_a_request_sees_nothing_of_the_one_before(
    server: ServerProcess, dial: Callable[..., RawClient], first: bytes, pipelined: bool
) -> None:
    client = dial(server.port)
    requests = [first, SMALL, first, SMALL]
    if pipelined:
        client.send(b"".join(requests))
        bodies = answers(client, 4)
    else:
        bodies = []
        for request in requests:
            client.send(request)
            bodies += answers(client, 1)
    assert bodies == [b"nobody"] * 4


@pytest.mark.parametrize("first", [SMALL, LARGE], ids=["small", "large"])
def test_a_websocket_sees_nothing_of_the_request_before(
    server: ServerProcess, dial: Callable[..., RawClient], first: bytes
) -> None:
    client = dial(server.port)
    client.send(first)
    assert answers(client, 1) == [b"nobody"]
    assert client.handshake("/socket").startswith(b"HTTP/1.1 101")
    assert client.read(8) == b"\x81\x06nobody"


def test_a_websocket_sees_nothing_of_another(server: ServerProcess, dial: Callable[..., RawClient]) -> None:
    for _ in range(3):
        client = dial(server.port)
        assert client.handshake("/socket").startswith(b"HTTP/1.1 101")
        assert client.read(8) == b"\x81\x06nobody"
