"""Who is present, as one process keeps it; what brokers promise is in ``brokers`` and ``tests/e2e/hub``."""

import asyncio

import pytest

from falconws import BrokerUnavailable, Hub
from falconws.hub import Sink
from falconws.hub.brokers.memory import MemoryBroker

from .scripted import ScriptedConnection, ScriptedSocket, settle


async def test_whoever_is_joining_when_the_hub_stops_is_no_ghost() -> None:
    class Held(MemoryBroker):
        """Answers a join when it is told to; a leave takes its time."""

        permits = asyncio.Semaphore(0)

        async def join(self, room: str, member: str, device: str, info: bytes, lease_s: float) -> bool:
            new = await super().join(room, member, device, info, lease_s)
            await self.permits.acquire()
            return new

        async def leave(self, room: str, member: str, device: str) -> bool:
            await settle()
            return await super().leave(room, member, device)

    broker = Held()
    hub = Hub(broker)
    async with Hub(MemoryBroker(shares=broker)) as other:
        await hub.start()
        entering = asyncio.create_task(
            hub.subscribe(ScriptedSocket(ScriptedConnection()), "room", member="ada").__aenter__()
        )
        await settle()
        assert await other.present("room") == {"ada": None}
        stopping = asyncio.create_task(hub.stop())
        await settle()
        broker.permits.release()
        await stopping
        assert await other.present("room") == {}
        with pytest.raises(BrokerUnavailable, match="has stopped"):
            await entering


async def test_leaving_waits_for_no_broker_that_is_known_to_be_away() -> None:
    class Away(MemoryBroker):
        """Says that it is, and never answers then."""

        def __init__(self) -> None:
            super().__init__()
            self.back = asyncio.Event()

        async def start(self, sink: Sink) -> None:
            self.hub = sink
            await super().start(sink)

        async def leave(self, room: str, member: str, device: str) -> bool:
            await self.back.wait()
            return await super().leave(room, member, device)

    broker = Away()
    async with Hub(broker) as hub:
        async with hub.subscribe(ScriptedSocket(ScriptedConnection()), "room", member="ada"):
            broker.hub.interrupted("it is away")
        assert await hub.present("room") == {"ada": None}
        broker.hub.restored()
        broker.back.set()
        await settle()
        assert await hub.present("room") == {}
