"""An ASGI application that raises a BaseException ends its own connection, and not the server.

Looked at: the application's coroutine, for each kind of scope; tasks that it starts, alone and in a task group, and
callbacks of the event loop. Other ASGI servers end when a task does that: the contract suite has what they can hold.
"""

import signal
from collections.abc import Callable

import pytest

from tests.e2e.server.raw_client import RawClient
from tests.e2e.server.server_process import ServerProcess, by_loop

APP = """
    import asyncio

    KINDS = {"exit": SystemExit, "interrupt": KeyboardInterrupt, "cancelled": asyncio.CancelledError}

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            raise NotImplementedError
        _, when, kind = scope["path"].split("/")
        await receive()
        if when == "echo":
            await send({"type": "websocket.accept"})
            while (event := await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": event["text"]})
            return
        if when != "before":
            await send({"type": "websocket.accept"})

        async def fail():
            raise KINDS[kind]

        def fail_at_once():
            raise KINDS[kind]

        if when == "group":
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(fail())
                tasks.create_task(receive())
        if when == "task":
            task = asyncio.create_task(fail())
            await asyncio.wait([task])
            await send({"type": "websocket.close", "code": 4000})
            return
        if when == "callback":
            asyncio.get_running_loop().call_soon(fail_at_once)
            await asyncio.sleep(0)
            await send({"type": "websocket.close", "code": 4000})
            return
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


@by_loop
@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_of_the_application_does_not_end_the_server(
    serve: Callable[..., ServerProcess], dial: Callable[..., RawClient], loop: str, workers: int
) -> None:
    server = serve(APP, prelude=loop, workers=workers, drain_s=2)
    server.wait_for_line("workers are ready" if workers > 1 else "startup complete")
    others = [dial(server.port) for _ in range(4)]
    for other in others:
        assert other.handshake("/echo/x").startswith(b"HTTP/1.1 101")
    for where, code in (("task", 4000), ("group", 1011), ("callback", 4000)):
        for kind in ("exit", "interrupt"):
            client = dial(server.port)
            client.handshake(f"/{where}/{kind}")
            assert client.read_close()[0] == code
    server.wait_for_line("A task of the application raised SystemExit; the server goes on")
    server.wait_for_line("A task of the application raised KeyboardInterrupt; the server goes on")
    for other in others:
        other.send_frame(1, b"still here")
        assert other.read_frame() == (1, b"still here")
    server.signal(signal.SIGTERM)
    for other in others:
        # The drain is as without it.
        assert other.read_close()[0] == 1012
        other.send_frame(8, b"\x03\xf4")
    assert server.wait() == 0
