"""Clients that read are not too slow, whatever the broker does; counted on servers with and without the extension."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect

import falconws
from falconws import Hub
from falconws.testing import LiveServer
from tests.e2e.hub.proxy import Proxy
from tests.e2e.hub.servers import BrokerServer

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
