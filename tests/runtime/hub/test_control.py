"""Connections of a member are ended in every process."""

import asyncio
from typing import Any

import pytest

from falconws import BrokerUnavailable, Hub
from falconws.hub.broker import EphemeralPublication
from falconws.hub.brokers.memory import MemoryBroker
from falconws.hub.control import CONTROL_ROOM

from .scripted import ScriptedConnection, ScriptedSocket, settle


def socket() -> ScriptedSocket:
    return ScriptedSocket(ScriptedConnection())


async def test_all_connections_of_a_member_are_closed_in_all_processes() -> None:
    first = MemoryBroker()
    phone, desktop, tab, other = (socket() for _ in range(4))
    async with (
        Hub(first) as hub,
        Hub(MemoryBroker(shares=first)) as remote,
        Hub(MemoryBroker(shares=first)) as admin,
        hub.subscribe(phone, "a", "b", member="ada"),
        hub.subscribe(phone, "c", member="ada"),
        remote.subscribe(desktop, "a", member="ada"),
        remote.subscribe(tab, "a", member="ada"),
        remote.subscribe(other, "a", member="ben"),
    ):
        assert await admin.disconnect(member="ada", reason="signed out") == 3
        await settle()
        for closed in (phone, desktop, tab):
            assert (closed.close_code, closed.close_reason) == (4403, "signed out")
        assert other.close_code is None
        assert await admin.present("a") == {"ben": None}
        assert await admin.disconnect(member="ada") == 0
        assert hub._dispatcher is not None
        assert hub._dispatcher.rooms == {}


async def test_only_connections_in_a_room_may_be_closed() -> None:
    here, there = socket(), socket()
    async with Hub() as hub, hub.subscribe(here, "a", member="ada"), hub.subscribe(there, "b", member="ada"):
        assert await hub.disconnect(member="ada", room="b", code=4001) == 1
        await settle()
        assert (here.close_code, there.close_code) == (None, 4001)


async def test_a_block_that_has_ended_is_not_counted() -> None:
    async with Hub() as hub:
        async with hub.subscribe(socket(), "a", member="ada"):
            pass
        gone = ScriptedConnection()
        async with hub.subscribe(ScriptedSocket(gone), "a", member="ada"):
            gone.disconnect()
            assert await hub.disconnect(member="ada") == 0
        assert hub._dispatcher is not None
        assert hub._dispatcher.control._members == {}


async def test_without_a_broker_only_this_process_is_reached() -> None:
    class Away(MemoryBroker):
        away = False

        async def broadcast(self, *arguments: Any, **options: Any) -> None:
            if self.away:
                raise BrokerUnavailable("away")
            await super().broadcast(*arguments, **options)

    broker = Away()
    closed = socket()
    async with Hub(broker) as hub, hub.subscribe(closed, "a", member="ada"):
        broker.away = True
        with pytest.raises(BrokerUnavailable):
            await hub.disconnect(member="ada")
        await settle()
        assert closed.close_code == 4403


@pytest.mark.parametrize("payload", ["", "[]", "{}", b"\xff", '{"request": 1}', '{"answer": "x", "count": 5}'])
async def test_messages_of_other_programs_change_nothing(payload: str | bytes) -> None:
    async with Hub() as hub, hub.subscribe(socket(), "a", member="ada"):
        assert hub._dispatcher is not None
        hub._dispatcher.deliver_ephemeral(EphemeralPublication(CONTROL_ROOM, payload))
        await settle()
        assert await hub.present("a") == {"ada": None}


@pytest.mark.parametrize(
    "arguments",
    [{"member": ""}, {"member": "a", "room": ""}, {"member": "a", "code": 5}, {"member": "a", "reason": 5}],
)
async def test_arguments_are_checked(arguments: dict[str, Any]) -> None:
    async with Hub() as hub:
        with pytest.raises(ValueError, match=r"."):
            await hub.disconnect(**arguments)
        with pytest.raises(ValueError, match="NUL"):
            await hub.publish(CONTROL_ROOM, "x")


async def test_a_join_that_is_cancelled_does_not_keep_others_from_listening() -> None:
    class Slow(MemoryBroker):
        permits = asyncio.Semaphore(0)

        async def subscribe(self, room: str) -> Any:
            if room == CONTROL_ROOM:
                await self.permits.acquire()
            return await super().subscribe(room)

    broker = Slow()
    async with Hub(broker) as hub:
        entering = asyncio.create_task(hub.subscribe(socket(), "a", member="ada").__aenter__())
        await settle()
        entering.cancel()
        await asyncio.gather(entering, return_exceptions=True)
        broker.permits.release()
        async with hub.subscribe(socket(), "a", member="ben"):
            assert await hub.disconnect(member="ben") == 1
