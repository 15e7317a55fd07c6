"""Presence over real brokers: members of clients that vanish, of processes that die, and of servers that forget."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

import pytest

from falconws import Hub
from falconws.hub.brokers.redis.broker import RedisBroker
from falconws.hub.concurrency import gather_limited
from tests.e2e.hub.proxy import Proxy
from tests.e2e.hub.recorder import SLACK_S, WAIT_S
from tests.e2e.hub.servers import BrokerServer, Valkey
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

        for iterations in range(100):
            joining = asyncio.create_task(join(f"after {iterations} iterations"))
            for _ in range(iterations):
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


async def join_many(hub: Hub, count: int) -> None:
    """Have *count* members join a room each, without sockets."""
    assert hub._dispatcher is not None
    presence = hub._dispatcher.presence

    async def join(number: int) -> None:
        await presence.join(f"room {number % 50}", f"member {number}", b"null")

    await gather_limited(join, range(count), limit=200)


async def count_all(hub: Hub) -> int:
    return sum((await hub.present_counts([f"room {number}" for number in range(50)])).values())


async def until_present(hub: Hub, count: int, what: str) -> None:
    async with asyncio.timeout(WAIT_S):
        while (found := await count_all(hub)) != count:
            await asyncio.sleep(0.05)
    assert found == count, what


@pytest.mark.parametrize("kind", ["redis", "nats"])
async def test_members_are_back_soon_after_a_server_has_lost_its_memory(
    kind: str, start_broker: Callable[..., Any]
) -> None:
    """Much sooner than in their lease."""
    server = start_broker(kind, persistent=False)
    async with Proxy(server.port, delay_s=0.0005) as proxy:
        url = server.url.replace(str(server.port), str(proxy.port))
        async with Hub(url, lease_s=LEASE_S) as hub:
            await join_many(hub, 1000)
            if kind == "redis":
                await asyncio.to_thread(server.say, "FLUSHALL")
            else:
                await asyncio.to_thread(server.restart)
            await until_present(hub, 1000, "all members are present again")


async def test_renewals_take_a_constant_number_of_commands(valkey: Valkey, start_broker: Callable[..., Any]) -> None:
    server: Valkey = start_broker("redis")

    class Counting(RedisBroker):
        renewals = 0

        async def renew(self, lease_s: float) -> bool:
            renewed = await super().renew(lease_s)
            self.renewals += 1
            return renewed

    async def commands(members: int) -> float:
        broker = Counting(f"{server.url}?prefix=m{members}")
        # Long enough that a busy machine does not lose it: then all members join again.
        async with Hub(broker, lease_s=6) as hub:
            await join_many(hub, members)
            before, renewals = await asyncio.to_thread(total_commands, server), broker.renewals
            async with asyncio.timeout(WAIT_S):
                while broker.renewals < renewals + 2:
                    await asyncio.sleep(0.05)
            return await asyncio.to_thread(total_commands, server) - before

    few, many = await commands(1), await commands(2000)
    # The rest is noise: a command for each member would make thousands.
    assert many - few < 500


def total_commands(server: Valkey) -> int:
    return int(server.say("INFO", "stats").partition("total_commands_processed:")[2].split()[0])


@pytest.mark.parametrize("kind", ["valkey", "nats"])
async def test_a_hub_with_many_members_stops_within_a_second(kind: str, request: pytest.FixtureRequest) -> None:
    server: BrokerServer = request.getfixturevalue(kind)
    url = f"{server.url}?prefix=stopping"
    async with Hub(url) as other:
        hub = Hub(url)
        await hub.start()
        await join_many(hub, 2000)
        began = time.monotonic()
        await hub.stop()
        took_s = time.monotonic() - began
        # At once, though they may not all be removed yet.
        assert not await other.present("room 1")
        await until_present(other, 0, "nobody is present")
        assert took_s < 1 + SLACK_S
