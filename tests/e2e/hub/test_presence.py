"""Who goes away in the middle of joining or leaving is not present for longer than that takes, on any broker."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from falconws import Hub
from tests.e2e.hub.proxy import Proxy
from tests.e2e.hub.recorder import WAIT_S
from tests.e2e.hub.servers import BrokerServer
from tests.runtime.hub.scripted import SlowSocket

brokers = pytest.mark.parametrize("kind", ["valkey", "nats"])
LEASE_S = 3600
"""So long that no lease ends a ghost."""


async def until_nobody_is_present(hub: Hub, *rooms: str) -> None:
    present: object = None
    try:
        async with asyncio.timeout(WAIT_S):
            for room in rooms:
                while present := await hub.present(room):
                    await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"still present: {present}") from None


async def stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@brokers
async def test_a_client_that_disconnects_while_joining_is_not_present(
    kind: str, request: pytest.FixtureRequest
) -> None:
    server: BrokerServer = request.getfixturevalue(kind)
    async with Hub(server.url, lease_s=LEASE_S) as hub, hub.subscribe(SlowSocket(), "joining"):

        async def join(member: str) -> None:
            async with hub.subscribe(SlowSocket(), "joining", member=member):
                await asyncio.Event().wait()

        for turns in range(100):
            joining = asyncio.create_task(join(f"after {turns} turns"))
            for _ in range(turns):
                await asyncio.sleep(0)
            await stopped(joining)
        await until_nobody_is_present(hub, "joining")


@brokers
async def test_a_cancelled_leave_leaves_all_rooms(kind: str, request: pytest.FixtureRequest) -> None:
    server: BrokerServer = request.getfixturevalue(kind)
    rooms = ["leaving 1", "leaving 2", "leaving 3"]
    async with (
        Proxy(server.port) as proxy,
        Hub(server.url) as other,
        Hub(server.url.replace(str(server.port), str(proxy.port)), lease_s=LEASE_S) as hub,
    ):
        joined, leave = asyncio.Event(), asyncio.Event()

        async def stay() -> None:
            async with hub.subscribe(SlowSocket(), *rooms, member="ada"):
                joined.set()
                await leave.wait()

        staying = asyncio.create_task(stay())
        await joined.wait()
        proxy.hold()
        leave.set()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not staying.done()
        await stopped(staying)
        proxy.release()
        await until_nobody_is_present(other, *rooms)
