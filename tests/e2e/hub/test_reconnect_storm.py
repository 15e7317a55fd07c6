"""All clients of a large room come back at the same moment, as they do after a restart, and nobody suffers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import websockets

from tests.e2e.hub.recorder import WAIT_S, make_hub
from tests.e2e.hub.serve_process import Serve
from tests.e2e.hub.servers import BrokerServer

CLIENTS = 300
MISSED = 50


class Client:
    """A member who remembers all that it is told, and how each of its connections has ended."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.position: str | None = None
        self.payloads: list[str] = []
        self.joined: set[str] = set()
        self.gaps = 0
        self.codes: list[int | None] = []

    async def follow(self, url: str, last: str) -> None:
        """Follow the room until *last* has come, or the connection ends."""
        query = {"member": self.name, "told": "all"} | ({"since": self.position} if self.position else {})
        async with websockets.connect(
            str(httpx.URL(url, params=query)), open_timeout=WAIT_S, ping_interval=None, compression=None
        ) as ws:
            try:
                while self.payloads[-1:] != [last]:
                    self._take(json.loads(await ws.recv()))
            except websockets.ConnectionClosed:
                self.codes.append(ws.close_code)

    def _take(self, event: dict[str, Any]) -> None:
        if "pid" in event:
            self.position = self.position or event["position"]
            self.gaps += event["gap"]
        elif "joined" in event:
            self.joined.add(event["joined"])
        else:
            self.payloads.append(event["payload"])
            self.position = event["position"]


@pytest.mark.parametrize("kind", ["redis", "nats"])
async def test_all_clients_reconnect_at_once_and_receive_what_they_missed(
    kind: str, start_broker: Callable[..., BrokerServer], serve: Serve
) -> None:
    broker = start_broker(kind)
    first, second = await asyncio.gather(*(asyncio.to_thread(serve, broker.url) for _ in range(2)))
    clients = [Client(f"m{number}") for number in range(CLIENTS)]
    names = {client.name for client in clients}
    last = str(MISSED)
    async with make_hub(broker.url, timeout_s=WAIT_S) as hub, asyncio.timeout(90):
        following = [asyncio.create_task(client.follow(f"{first.ws_url}/rooms/9", last)) for client in clients]
        while set(await hub.present("9")) != names:
            await asyncio.sleep(0.05)
        await hub.publish("9", "0")
        # Those who came after a client are told to it, each of them; when there are many, some behind the message.
        while (
            not all(client.payloads for client in clients)
            or sum(len(client.joined) for client in clients) < CLIENTS * (CLIENTS - 1) // 2
        ):
            await asyncio.sleep(0.05)
        os.killpg(first.process.pid, signal.SIGKILL)
        await asyncio.gather(*following)
        for number in range(1, MISSED):
            await hub.publish("9", str(number))
        back = [asyncio.create_task(client.follow(f"{second.ws_url}/rooms/9", last)) for client in clients]
        while not all(len(client.payloads) == MISSED for client in clients):
            await asyncio.sleep(0.05)
            for task in back:
                # A client that was refused says why.
                assert not task.done(), task.result()
        await hub.publish("9", last)
        await asyncio.gather(*back)
    everything = [str(number) for number in range(MISSED + 1)]
    for client in clients:
        assert client.payloads == everything
        assert client.gaps == 0
        # The only one that was cut off was that of the server that was killed.
        assert client.codes == [1006]
