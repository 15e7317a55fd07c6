"""An event loop with eager tasks (Python 3.12 and newer) changes nothing for clients."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.server.raw_client import RawClient
from tests.e2e.server.server_process import LOOPS, ServerProcess

pytestmark = pytest.mark.skipif(
    not hasattr(asyncio, "eager_task_factory"), reason="asyncio has eager tasks since Python 3.12"
)

APP = """
    import asyncio

    import falconws

    def eagerly(loop, coro, *, eager_start=None, **kwargs):
        # asyncio.eager_task_factory() of Python 3.13.0 does not know what uvloop passes.
        return asyncio.Task(coro, loop=loop, eager_start=True, **kwargs)

    class Eager:
        async def process_startup(self, scope, event):
            asyncio.get_running_loop().set_task_factory(eagerly)

    class Echo:
        async def on_websocket(self, req, ws):
            await ws.accept()
            async for text in ws.iter_text():
                await ws.send_text(text)

        async def on_get(self, req, resp):
            resp.text = "hello"

    class Timeouts:
        # With a timeout, a task receives.
        async def on_websocket(self, req, ws):
            await ws.accept()
            while True:
                await ws.send_text(await ws.receive_text(timeout=60))

    class Scope:
        async def on_websocket(self, req, ws):
            await ws.accept()
            queue = asyncio.Queue()

            async def receive():
                async for text in ws.iter_text():
                    queue.put_nowait(text)

            async def send():
                while True:
                    await ws.send_text(await queue.get())

            async with ws.task_scope() as scope:
                scope.create_task(receive())
                scope.create_task(send())

    class Slow:
        # The client's messages and its leave come while nobody receives.
        async def on_websocket(self, req, ws):
            await ws.accept()
            while not ws.closed:
                await asyncio.sleep(0.01)
            print("left", req.get_header("X-Key"), flush=True)

    hub = falconws.Hub()

    class Room:
        async def on_websocket(self, req, ws):
            await ws.accept()
            async with hub.subscribe(ws, "room", member="me"):
                async for text in ws.iter_text():
                    await hub.publish("room", text)

    falcon_app = falconws.App(middleware=[Eager(), hub])
    falcon_app.ws_options.allowed_origins = "*"
    for path, resource in {"/echo": Echo(), "/timeouts": Timeouts(), "/scope": Scope(), "/slow": Slow(),
                           "/room": Room()}.items():
        falcon_app.add_route(path, resource)
        falcon_app.add_route("/wrapped" + path, resource)

    async def app(scope, receive, send):
        if scope["type"] == "websocket" and scope["path"].startswith("/wrapped"):
            # As on a server without the extension.
            inner_receive, inner_send = receive, send
            async def receive(): return await inner_receive()
            async def send(event): await inner_send(event)
        await falcon_app(scope, receive, send)
"""


@pytest.fixture(scope="module", params=LOOPS.values(), ids=LOOPS)
def server_options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {"prelude": request.param}


def text_frame(text: bytes) -> bytes:
    return bytes((0x81, 0x80 | len(text), 0, 0, 0, 0)) + text


CLOSE = b"\x88\x82\0\0\0\0\x03\xe8"


@pytest.mark.parametrize("entrance", ["whole", "in-pieces", "behind-a-request", "with-messages"])
@pytest.mark.parametrize("prefix", ["", "/wrapped"])
@pytest.mark.parametrize("path", ["/echo", "/timeouts", "/scope", "/room"])
def test_messages_are_answered_whatever_way_the_handshake_came(
    server: ServerProcess, dial: Callable[..., RawClient], path: str, prefix: str, entrance: str
) -> None:
    client = dial(server.port)
    if entrance == "behind-a-request":
        client.send(b"GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = client.read_head().lower()
        assert client.read(int(head.split(b"content-length: ")[1].split(b"\r\n")[0])) == b"hello"
    if entrance == "in-pieces":
        lines = f"GET {prefix}{path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        client.send(lines.encode())
        client.send(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
        assert client.read_head().startswith(b"HTTP/1.1 101")
    else:
        assert client.handshake(prefix + path).startswith(b"HTTP/1.1 101")
    messages = [b"%d" % number for number in range(10)]
    if entrance == "with-messages":
        client.send(b"".join(map(text_frame, messages)))
    for message in messages:
        if entrance != "with-messages":
            client.send(text_frame(message))
        assert client.read(2 + len(message)) == bytes((0x81, len(message))) + message
    client.send(CLOSE)
    assert client.read(4) == b"\x88\x02\x03\xe8"


@pytest.mark.parametrize("prefix", ["", "/wrapped"])
def test_a_responder_that_does_not_receive_learns_that_its_client_has_left(
    server: ServerProcess, dial: Callable[..., RawClient], prefix: str
) -> None:
    client = dial(server.port)
    assert client.handshake(f"{prefix}/slow").startswith(b"HTTP/1.1 101")
    client.send(text_frame(b"unread") * 10 + CLOSE)
    server.wait_for_line(f"left {client.key}")
