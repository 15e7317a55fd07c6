"""Times are those of the server's clock, which may come to differ from what a process knows of it."""

from __future__ import annotations

import asyncio

from falconws.hub import Entry, HistoryLimits
from falconws.hub.brokers.nats.broker import NatsBroker
from falconws.hub.brokers.nats.jetstream import NatsStream
from tests.e2e.hub.recorder import TIMEOUT_S, WAIT_S
from tests.e2e.hub.servers import Nats
from tests.e2e.hub.test_nats_quiet import started, told

STEP_S = 3600.0
LEASE_S = 600.0


def step(broker: NatsBroker, seconds: float) -> None:
    """Have *broker* know what time it was *seconds* ago: this machine was suspended, or the server's clock was set."""
    streams = broker._streams
    assert streams is not None
    for stream in (streams.rooms, streams.presence._stream):
        assert isinstance(stream, NatsStream)
        stream._clock_s -= seconds


async def test_leases_are_valid_again_after_the_machine_was_suspended(nats: Nats) -> None:
    url = f"{nats.url}?prefix=clock"
    async with (
        started(NatsBroker(url, timeout_s=TIMEOUT_S)) as (suspended, _),
        started(NatsBroker(url)) as (other, _),
    ):
        step(suspended, STEP_S)
        async with asyncio.timeout(WAIT_S):
            while "ada" not in await other.members("room"):
                await suspended.renew(LEASE_S)
                await suspended.join(Entry("room", "ada", "device"), b"null")
                await asyncio.sleep(0.05)


async def test_a_history_is_as_old_as_the_server_says(nats: Nats) -> None:
    url = f"{nats.url}?prefix=clock"
    limits = HistoryLimits(age_s=STEP_S / 2)
    async with started(NatsBroker(url, history=limits, timeout_s=TIMEOUT_S)) as (broker, _):
        start = await broker.subscribe("room")
        top = await broker.publish("room", "young")
        step(broker, -STEP_S)
        async with asyncio.timeout(WAIT_S):
            while told(await broker.history("room", start)) != (True, ["young"], top.offset):
                await asyncio.sleep(0.05)
