"""The proposal's example, from its first line to its last, on a real server with a real client.

Source: "Falcon ASGI+WebSocket Interface Proposal (By Example)" by Falcon's author. The code follows it line by line; it
departs where the example has a gap to fill in ("some_condition") or a bug: its parallel loop can pop from an empty
deque, and its Protocol Buffers handler returns what ParseFromString() returns.
"""

from __future__ import annotations

import asyncio
import collections
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import rapidjson
from google.protobuf import struct_pb2
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

import falconws
from falconws.testing import LiveServer

SECONDS = 20.0


class SomeResource:
    def __init__(self) -> None:
        self.ended: asyncio.Queue[str] = asyncio.Queue()

    # A regular HTTP request and a WebSocket, side by side, with the parameters of the URI template.
    async def on_get(self, req: falconws.Request, resp: Any, account_id: str) -> None:
        resp.media = [account_id]

    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket, account_id: str) -> None:
        # The HTTP request that initiates the handshake can be examined.
        some_header_value = req.get_header("Some-Header")
        # Reject it?
        if some_header_value == "reject":
            # Before accept(), the code is ignored, and the server returns a 403 without upgrading.
            await ws.close(code=4000)
            return
        if "wamp" not in ws.subprotocols:
            # If close() is not called explicitly, the framework does it.
            return
        try:
            await ws.accept(subprotocol="wamp")
        except falconws.WebSocketDisconnected:
            return
        await getattr(self, some_header_value or "feed")(ws, account_id)

    async def feed(self, ws: falconws.WebSocket, account_id: str) -> None:
        while True:
            try:
                await ws.send_text(account_id)
                for kind in (bytes, bytearray, memoryview):
                    await ws.send_data(kind(account_id.encode()))
                await ws.send_media({"account": account_id})
                await asyncio.sleep(0)
            except falconws.WebSocketDisconnected:
                self.ended.put_nowait("feed")
                return

    async def converse(self, ws: falconws.WebSocket, account_id: str) -> None:
        while True:
            try:
                payload_str = await ws.receive_text()
                payload_bytes = await ws.receive_data()
                media_object = await ws.receive_media()
                await ws.send_media([payload_str, payload_bytes.decode(), media_object])
            except falconws.WebSocketDisconnected:
                self.ended.put_nowait("converse")
                return
            except TypeError:
                await ws.send_text("TypeError")
            except json.JSONDecodeError:
                await ws.send_text("JSONDecodeError")

    async def finish(self, ws: falconws.WebSocket, account_id: str) -> None:
        await ws.send_media({"event": "message"}, payload_type=falconws.WebSocketPayloadType.BINARY)
        # If the socket is already closed, this call does nothing.
        await ws.close(code=1000)
        await ws.close(code=1000)

    async def unhandled(self, ws: falconws.WebSocket, account_id: str) -> None:
        # Bubbles up to a default error handler that logs a warning and closes the server side.
        await ws.receive_text()

    async def parallel(self, ws: falconws.WebSocket, account_id: str) -> None:
        messages: collections.deque[str] = collections.deque()

        async def sink() -> None:
            while True:
                try:
                    message = await ws.receive_text()
                except falconws.WebSocketDisconnected:
                    break
                messages.append(message)

        sink_task = falconws.create_task(sink())
        while not sink_task.done():
            while ws.ready and not messages and not sink_task.done():
                await asyncio.sleep(0)
            try:
                while messages:
                    await ws.send_text(messages.popleft())
            except falconws.WebSocketDisconnected:
                break
            await asyncio.sleep(0)
        sink_task.cancel()
        with suppress(asyncio.CancelledError):
            await sink_task
        self.ended.put_nowait("parallel")


class SomeMiddleware:
    def __init__(self) -> None:
        self.seen: list[str] = []

    async def process_request_ws(self, req: falconws.Request) -> None:
        self.seen.append(req.path)

    async def process_resource_ws(self, req: falconws.Request, resource: object, params: dict[str, Any]) -> None:
        self.seen.append(f"{type(resource).__name__} {params}")


class RapidJSONHandler(falconws.TextBaseHandlerWS):
    def serialize(self, media: object) -> str:
        text: str = rapidjson.dumps(media, ensure_ascii=False)
        return text

    def deserialize(self, payload: str) -> object:
        return rapidjson.loads(payload)


class ProtocolBuffersHandler(falconws.BinaryBaseHandlerWS):
    def serialize(self, media: object) -> bytes:
        assert isinstance(media, struct_pb2.Struct)
        return media.SerializeToString()

    def deserialize(self, payload: bytes) -> object:
        message = struct_pb2.Struct()
        message.ParseFromString(payload)
        return message


@pytest.fixture
def resource() -> SomeResource:
    return SomeResource()


@pytest.fixture
def middleware() -> SomeMiddleware:
    return SomeMiddleware()


@pytest.fixture
async def proposal_server(resource: SomeResource, middleware: SomeMiddleware) -> AsyncIterator[LiveServer]:
    app = falconws.App(middleware=middleware)
    app.ws_options.allowed_origins = "same-origin"
    app.add_route("/{account_id}/messages", resource)
    with LiveServer(app) as server:
        yield server


def dial(proposal_server: LiveServer, kind: str, *, subprotocol: str = "wamp") -> connect:
    return connect(
        f"{proposal_server.ws_url}/42/messages",
        subprotocols=[Subprotocol(subprotocol)],
        additional_headers={"Some-Header": kind},
        close_timeout=SECONDS,
        # With a bound, this client stops reading when it is flooded, and would not read the server's close frame.
        max_queue=None,
    )


async def received(ws: ClientConnection) -> str | bytes:
    async with asyncio.timeout(SECONDS):
        return await ws.recv()


@pytest.mark.parametrize(("kind", "subprotocol"), [("reject", "wamp"), ("feed", "mqtt")])
async def test_a_rejected_client_sees_403(proposal_server: LiveServer, kind: str, subprotocol: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with dial(proposal_server, kind, subprotocol=subprotocol):
            pytest.fail("accepted")
    assert refused.value.response.status_code == 403


async def test_a_feed_sends_every_kind_of_message_until_the_client_leaves(
    proposal_server: LiveServer, resource: SomeResource, middleware: SomeMiddleware
) -> None:
    async with dial(proposal_server, "feed") as ws:
        assert ws.subprotocol == "wamp"
        messages = [await received(ws) for _ in range(10)]
    assert messages == ["42", b"42", b"42", b"42", '{"account": "42"}'] * 2
    assert await asyncio.wait_for(_get(resource.ended), SECONDS) == "feed"
    assert middleware.seen == ["/42/messages", "SomeResource {'account_id': '42'}"]


async def test_a_conversation_receives_every_kind_of_message(
    proposal_server: LiveServer, resource: SomeResource
) -> None:
    async with dial(proposal_server, "converse") as ws:
        for message in ("text", b"data", '{"a": 1}'):
            await ws.send(message)
        assert json.loads(await received(ws)) == ["text", "data", {"a": 1}]
        await ws.send(b"BINARY where TEXT was expected")
        assert await received(ws) == "TypeError"
        for message in ("text", b"data", "{"):
            await ws.send(message)
        assert await received(ws) == "JSONDecodeError"
    assert await asyncio.wait_for(_get(resource.ended), SECONDS) == "converse"


async def test_binary_media_and_an_explicit_close(proposal_server: LiveServer) -> None:
    async with dial(proposal_server, "finish") as ws:
        assert await received(ws) == b"\x81\xa5event\xa7message"
        with pytest.raises(ConnectionClosed):
            await received(ws)
        assert ws.close_code == 1000


async def test_an_unhandled_disconnect_is_a_warning(
    proposal_server: LiveServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with dial(proposal_server, "unhandled") as ws:
        await ws.close(4321, "gone fishing")
    async with asyncio.timeout(SECONDS):
        while "disconnected with code 4321 (gone fishing)" not in caplog.text:
            await asyncio.sleep(0.01)
    assert {record.levelname for record in caplog.records if "4321" in record.getMessage()} == {"WARNING"}


async def test_loops_run_in_parallel(proposal_server: LiveServer, resource: SomeResource) -> None:
    async with dial(proposal_server, "parallel") as ws:
        for text in ("a", "b", ""):
            await ws.send(text)
            assert await received(ws) == text
    assert await asyncio.wait_for(_get(resource.ended), SECONDS) == "parallel"


async def test_media_handlers_of_ones_own() -> None:
    class Echo:
        async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
            await ws.accept()
            await ws.send_media(await ws.receive_media())
            await ws.send_media(await ws.receive_media(), falconws.WebSocketPayloadType.BINARY)

    app = falconws.App()
    app.ws_options.allowed_origins = "*"
    app.ws_options.media_handlers[falconws.WebSocketPayloadType.TEXT] = RapidJSONHandler()
    app.ws_options.media_handlers[falconws.WebSocketPayloadType.BINARY] = ProtocolBuffersHandler()
    app.add_route("/", Echo())
    message = struct_pb2.Struct()
    message.update({"event": "message"})
    with LiveServer(app) as server:
        async with connect(server.ws_url + "/") as ws:
            await ws.send('{"zażółć": [1]}')
            assert await received(ws) == '{"zażółć":[1]}'
            await ws.send(message.SerializeToString())
            assert struct_pb2.Struct.FromString(await received(ws)) == message


async def test_http_lives_on_the_same_resource(proposal_server: LiveServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proposal_server.port)
    writer.write(b"GET /42/messages HTTP/1.0\r\n\r\n")
    async with asyncio.timeout(SECONDS):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b'["42"]')


async def _get(queue: asyncio.Queue[str]) -> str:
    # The server's loop, in another thread, fills the queue; its waiters could not be woken from here.
    while queue.empty():
        await asyncio.sleep(0.01)
    return queue.get_nowait()
