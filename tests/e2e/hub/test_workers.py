"""Several processes on one broker are one hub, also while one of them dies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from tests.e2e.hub.recorder import WAIT_S, make_hub
from tests.e2e.hub.serve_process import Serve
from tests.e2e.hub.servers import BrokerServer

CLIENTS = 200
"""On each of two servers."""
MESSAGES = 90
MEMBERS = 20


class Client:
    """Follows the room and comes back, as a page would, from its last position."""

    def __init__(self, url: str, member: str | None) -> None:
        self._url = url
        self.member = member
        self.payloads: list[str] = []
        self.gaps = 0
        self.pid = 0
        self.position = ""
        self.connections = 0
        self.returns = True
        self.connected = asyncio.Event()

    async def run(self, last: str) -> None:
        """Follow until *last* has come."""
        while self.payloads[-1:] != [last]:
            with contextlib.suppress(OSError, websockets.WebSocketException):
                await self._follow(last)
            if not self.returns:
                return
            await asyncio.sleep(random.uniform(0.05, 0.3))

    async def _follow(self, last: str) -> None:
        query = {"member": self.member, "since": self.position or None}
        url = httpx.URL(self._url, params={name: value for name, value in query.items() if value})
        async with websockets.connect(str(url), open_timeout=WAIT_S, ping_interval=None) as ws:
            welcome = json.loads(await ws.recv())
            self.pid = welcome["pid"]
            self.gaps += welcome["gap"]
            self.position = self.position or welcome["position"]
            self.connections += 1
            self.connected.set()
            async for text in ws:
                event = json.loads(text)
                if "gap" in event:
                    self.gaps += 1
                    continue
                self.payloads.append(event["payload"])
                self.position = event["position"]
                if self.payloads[-1] == last:
                    return


@pytest.mark.parametrize("kind", ["redis", "nats"])
async def test_every_message_comes_once_and_in_order_while_a_worker_is_killed(
    kind: str, start_broker: Callable[..., BrokerServer], serve: Serve
) -> None:
    broker = start_broker(kind)
    starting = [asyncio.to_thread(serve, broker.url, workers=workers) for workers in (2, 1)]
    services = await asyncio.gather(*starting)
    clients = [
        Client(f"{service.ws_url}/rooms/42", f"m{number}-{index}" if index < MEMBERS else None)
        for number, service in enumerate(services)
        for index in range(CLIENTS)
    ]
    last = str(MESSAGES - 1)
    async with asyncio.timeout(90), asyncio.TaskGroup() as group:
        for client in clients:
            # One by one, so that both workers of a server get some.
            group.create_task(client.run(last))
            await client.connected.wait()
        workers = {client.pid for client in clients}
        assert len(workers) == 3
        victim = next(client.pid for client in clients if client.member)
        assert victim != services[0].process.pid
        ghosts = [client for client in clients if client.member and client.pid == victim]
        for ghost in ghosts[: len(ghosts) // 2 + 1]:
            ghost.returns = False
        # With time for each message, as the broker is never away: one that is given up may have got through.
        async with make_hub(broker.url, timeout_s=WAIT_S) as hub:
            assert len(await hub.present("42")) == 2 * MEMBERS
            for number in range(MESSAGES):
                await hub.publish("42", str(number))
                if number == MESSAGES // 3:
                    os.kill(victim, signal.SIGKILL)
                if number == MESSAGES - 2:
                    # Those who come back are there again before the last message ends everybody's visit.
                    await _until_members_are(hub, {c.member for c in clients if c.member and c.returns})
    everything = [str(number) for number in range(MESSAGES)]
    staying = [client for client in clients if client.returns]
    assert len(staying) > 2 * CLIENTS - MEMBERS
    assert sum(client.connections > 1 for client in staying) > 0
    for client in staying:
        assert client.payloads == everything
        assert client.gaps == 0
    for ghost in clients:
        # Until it was killed: a beginning of the whole.
        assert ghost.payloads == everything[: len(ghost.payloads)]


async def _until_members_are(hub: Any, expected: set[str | None]) -> None:
    """Wait until the members of the killed worker who do not come back are gone: by lease, nobody says goodbye."""
    async with asyncio.timeout(WAIT_S):
        while set(await hub.present("42")) != expected:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("kind", ["redis", "nats"])
async def test_readiness_says_what_is_wrong_with_the_broker(
    kind: str, start_broker: Callable[..., BrokerServer], serve: Serve
) -> None:
    broker = start_broker(kind)
    service = await asyncio.to_thread(serve, broker.url)
    async with httpx.AsyncClient(base_url=service.url, timeout=WAIT_S) as http:

        async def until(status: int) -> str:
            async with asyncio.timeout(WAIT_S):
                while (response := await http.get("/readyz")).status_code != status:
                    await asyncio.sleep(0.05)
            return response.text

        assert await until(200) == "ready\n"
        await asyncio.to_thread(broker.kill)
        problem = await until(503)
        # Without addresses: anyone may ask.
        assert problem.startswith("hub: [address] ")
        assert "refused" in problem
        assert problem.count("\n") == 1
        await asyncio.to_thread(broker.start)
        assert await until(200) == "ready\n"


def test_several_workers_refuse_a_hub_in_memory() -> None:
    command = [sys.executable, "-m", "falconws_cli", "serve", "served_room:app", "--port", "0", "--workers", "2"]
    environment = {**os.environ, "HUB_URL": "memory://"}
    folder = Path(__file__).parent
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    assert done.returncode != 0
    assert "2 workers serve the application, and a hub with memory:// reaches the clients of one of them" in done.stderr
    assert "give it the URL of Redis or NATS, or serve with --workers 1" in done.stderr
