"""A client that joins many rooms does not wait for one after the other."""

from __future__ import annotations

import time

import pytest

from falconws import Hub
from tests.e2e.hub.proxy import Proxy
from tests.e2e.hub.recorder import WAIT_S
from tests.e2e.hub.servers import BrokerServer
from tests.runtime.hub.scripted import ScriptedConnection, ScriptedSocket, eventually

brokers = pytest.mark.parametrize("kind", ["valkey", "nats"])
ROUND_TRIP_S = 0.2


@brokers
async def test_joining_many_rooms_takes_a_few_round_trips(kind: str, request: pytest.FixtureRequest) -> None:
    server: BrokerServer = request.getfixturevalue(kind)
    rooms = [f"many {number}" for number in range(50)]
    member = "of many rooms"
    async with Proxy(server.port, delay_s=ROUND_TRIP_S / 2) as proxy:
        url = server.url.replace(str(server.port), str(proxy.port))
        async with Hub(url, timeout_s=WAIT_S) as hub:
            began = time.monotonic()
            async with hub.subscribe(ScriptedSocket(ScriptedConnection()), *rooms, member=member):
                took_s = time.monotonic() - began
                assert len(await hub.where(member)) == 50
    # One after the other takes 50 times 4 round trips: 40 s.
    assert took_s < 50 * ROUND_TRIP_S


@brokers
async def test_a_client_that_resumes_many_rooms_misses_nothing(kind: str, request: pytest.FixtureRequest) -> None:
    server: BrokerServer = request.getfixturevalue(kind)
    connection = ScriptedConnection()
    async with Hub(server.url, timeout_s=WAIT_S) as hub:
        rooms = [f"resumed {number}" for number in range(100)]
        since = {room: (await hub.publish_many(room, ["seen", f"{room} 1", f"{room} 2"]))[0] for room in rooms}
        async with hub.subscribe(ScriptedSocket(connection), *rooms, since=since) as subscription:
            assert subscription.gaps == frozenset()
            for room in rooms:
                await hub.publish(room, f"{room} 3")
            await subscription.start()
            await eventually(lambda: len(connection.taken) >= 300)
    for room in rooms:
        assert [text for text in connection.taken if text[:-2] == room] == [f"{room} {n}" for n in (1, 2, 3)]
