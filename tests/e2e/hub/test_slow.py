"""Slow subscribers over real brokers, which answer before the message has come back."""

from __future__ import annotations

import asyncio

import pytest

from falconws import Hub, Policy
from tests.e2e.hub.servers import BrokerServer
from tests.runtime.hub.scripted import SlowSocket


@pytest.mark.parametrize("publishers", [1, 8])
@pytest.mark.parametrize("kind", ["valkey", "nats"])
async def test_publishers_wait_for_those_who_block(kind: str, publishers: int, request: pytest.FixtureRequest) -> None:
    server: BrokerServer = request.getfixturevalue(kind)
    room = f"slow-{publishers}"
    socket = SlowSocket()
    blocking = Policy.block(max_messages=2, timeout_s=20)
    async with Hub(server.url) as hub, hub.subscribe(socket, room, policy=blocking) as subscription:

        async def publish(publisher: int) -> None:
            for number in range(publisher, 64, publishers):
                await hub.publish(room, str(number))

        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            for publisher in range(publishers):
                group.create_task(publish(publisher))
            while len(socket.sent) < 64 and socket.close_code is None:
                socket.take(1)
                await asyncio.sleep(0.001)
        assert (socket.close_code, dict(subscription.dropped)) == (None, {})
    assert sorted(map(int, socket.sent)) == list(range(64))
    if publishers == 1:
        assert socket.sent == [str(number) for number in range(64)]
