"""Clients that read are not too slow, whatever the broker does; counted on servers with and without the extension."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

import falconws
from falconws import Hub, Policy
from falconws.testing import LiveServer
from tests.e2e.hub.proxy import Proxy
from tests.e2e.hub.servers import BrokerServer
from tests.e2e.server.raw_client import handshake_request

WAIT_S = 20.0
CLIENTS = 5


class Feed:
    """Sends the messages of its room, and says what it has counted."""

    def __init__(self, hub: Hub, room: str) -> None:
        self.hub = hub
        self.room = room

    async def on_websocket(self, req: Any, ws: Any) -> None:
        await ws.accept()
        async with self.hub.subscribe(ws, self.room):
            await ws.send_text("welcome")
            await ws.wait_disconnected()

    async def on_get(self, req: Any, resp: Any) -> None:
        stats = self.hub.stats
        resp.media = [stats.delivered, stats.dropped, stats.disconnected, stats.gaps, stats.waiting]


@pytest.mark.parametrize("engine", ["falconws.server:WebSocketProtocol", "websockets-sansio", "wsproto"])
@pytest.mark.parametrize("kind", ["valkey", "nats"])
async def test_what_is_recovered_disconnects_no_client(kind: str, engine: str, request: pytest.FixtureRequest) -> None:
    """100 messages of 3 kB that were published while the service was cut off from its broker."""
    server: BrokerServer = request.getfixturevalue(kind)
    room = f"recovered {engine}"
    async with Proxy(server.port) as proxy:
        hub = Hub(server.url.replace(str(server.port), str(proxy.port)), timeout_s=2.0)
        app = falconws.App(middleware=[hub])
        app.ws_options.allowed_origins = "*"
        app.add_route("/", Feed(hub, room))
        live = await asyncio.to_thread(LiveServer(app, ws=engine, ws_per_message_deflate=False).__enter__)
        try:
            clients = [await connect(live.ws_url, max_queue=1000) for _ in range(CLIENTS)]
            for client in clients:
                assert await client.recv() == "welcome"
            async with Hub(server.url) as publisher:
                proxy.hold()
                for number in range(100):
                    await publisher.publish(room, json.dumps([number, "x" * 3000]))
                proxy.cut()
                proxy.release()
                for client in clients:
                    async with asyncio.timeout(WAIT_S):
                        assert [json.loads(await client.recv())[0] for _ in range(100)] == list(range(100))
            for client in clients:
                await client.close()
        finally:
            await asyncio.to_thread(live.__exit__, None, None, None)
        stats = hub.stats
        assert (stats.delivered, stats.dropped, stats.disconnected, stats.gaps) == (100 * CLIENTS, 0, 0, 0)


class Prices:
    """Sends prices, and publishes them at 55 kB/s until some are dropped."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    async def on_websocket(self, req: Any, ws: Any) -> None:
        await ws.accept()
        async with self.hub.subscribe(ws, "prices", policy=Policy.conflate()):
            await ws.wait_disconnected()

    async def on_get(self, req: Any, resp: Any) -> None:
        most = req.get_param_as_int("most", required=True)
        published = 0
        while not self.hub.stats.dropped and published < most:
            for symbol in range(20):
                await self.hub.publish("prices", "." * PRICE_BYTES, key=str(symbol))
            published += 20
            await asyncio.sleep(0.04)
        resp.media = {"delivered": self.hub.stats.delivered, "dropped": self.hub.stats.dropped}


PRICE_BYTES = 108
PING, PONG = 0x89, 0x8A


@contextlib.contextmanager
def price_client() -> Iterator[tuple[LiveServer, socket.socket]]:
    """Serve prices to a client whose receive buffer is the kernel's choice: it has room for a second or two."""
    hub = Hub()
    app = falconws.App(middleware=[hub])
    app.ws_options.allowed_origins = "*"
    app.add_route("/", Prices(hub))
    engine = "falconws.server:WebSocketProtocol"
    with (
        LiveServer(app, ws=engine, ws_per_message_deflate=False) as server,
        socket.create_connection(("127.0.0.1", server.port), WAIT_S) as tcp,
    ):
        tcp.sendall(handshake_request())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += tcp.recv(1)
        yield server, tcp


def publish_prices(server: LiveServer, most: int) -> dict[str, int]:
    response = httpx.get(f"{server.url}/?most={most}", timeout=60)
    counts: dict[str, int] = response.json()
    return counts


@pytest.mark.skipif(sys.platform != "linux", reason="what was sent is known on Linux only")
def test_little_that_was_sent_waits_unread_although_the_kernels_have_room() -> None:
    with price_client() as (server, tcp):
        head = tcp.recv(2, socket.MSG_WAITALL)
        assert head[0] == PING
        tcp.sendall(bytes([PONG, 0x80 | head[1]]) + bytes(4) + tcp.recv(head[1], socket.MSG_WAITALL))
        counts = publish_prices(server, most=3_000)
    assert counts["dropped"]
    # 150 kB fit into the buffers of both kernels.
    assert counts["delivered"] * PRICE_BYTES < 70_000


def test_a_client_that_answers_no_ping_is_sent_everything_that_it_reads() -> None:
    with price_client() as (server, tcp):
        reader = threading.Thread(target=lambda: [None for _ in iter(lambda: tcp.recv(65536), b"")])
        reader.start()
        counts = publish_prices(server, most=600)
        tcp.shutdown(socket.SHUT_RDWR)
        reader.join()
    assert counts == {"delivered": 600, "dropped": 0}
