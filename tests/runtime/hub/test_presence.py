"""Who is present, as one process keeps it; the promises of brokers are tested in ``brokers`` and ``tests/e2e/hub``."""

import asyncio
import logging
import traceback

import pytest

from falconws import BrokerUnavailable, HistoryLimits, Hub
from falconws.hub import Sink
from falconws.hub.brokers.memory import MemoryBroker
from falconws.hub.presence import Roster

from .scripted import ScriptedConnection, ScriptedSocket, settle


async def test_a_member_that_joins_while_the_hub_stops_is_removed() -> None:
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


async def test_leaving_does_not_wait_for_an_unreachable_broker() -> None:
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


class SlowBroker(MemoryBroker):
    """Takes the list of members at once, and hands it out when it is told to."""

    def __init__(self) -> None:
        super().__init__("memory://", history=HistoryLimits())
        self.asked = 0
        self.permits = asyncio.Semaphore(0)
        self.problem: Exception | None = None

    async def members(self, room: str) -> dict[str, bytes]:
        self.asked += 1
        members = await super().members(room)
        await self.permits.acquire()
        if self.problem is not None:
            raise self.problem
        return members


async def test_the_result_of_an_earlier_call_is_not_used() -> None:
    broker = SlowBroker()
    roster = Roster(broker)
    await broker.join("room", "ada", "1", b"null", 30)
    first = asyncio.create_task(roster.members("room"))
    await settle()
    await broker.join("room", "bob", "2", b'{"colour": "red"}', 30)
    later = [asyncio.create_task(roster.members("room")) for _ in range(20)]
    await settle()
    broker.permits.release()
    assert await first == {"ada": None}
    broker.permits.release()
    everybody = {"ada": None, "bob": {"colour": "red"}}
    assert await asyncio.gather(*later) == [everybody] * 20
    assert broker.asked == 2
    answers = [task.result() for task in later]
    answers[0].clear()
    assert answers[1] == everybody


async def test_the_next_caller_repeats_a_call_that_was_cancelled() -> None:
    broker = SlowBroker()
    roster = Roster(broker)
    tasks = [asyncio.create_task(roster.members("room")) for _ in range(3)]
    await settle()
    tasks[0].cancel()
    await settle()
    assert broker.asked == 2
    broker.permits.release()
    assert await asyncio.gather(*tasks[1:]) == [{}, {}]
    assert broker.asked == 2


async def test_all_callers_receive_the_error_of_a_broker_and_later_ones_ask_again() -> None:
    broker = SlowBroker()
    roster = Roster(broker)
    broker.problem = BrokerUnavailable("gone")
    tasks = [asyncio.create_task(roster.members("room")) for _ in range(20)]
    await settle()
    broker.permits.release()
    await asyncio.wait(tasks)
    assert all(task.exception() is broker.problem for task in tasks)
    assert broker.asked == 1
    # Who is told last is not told of all the others.
    assert len(traceback.extract_tb(broker.problem.__traceback__)) < 10
    broker.problem = None
    broker.permits.release()
    assert await roster.members("room") == {}


async def test_calls_for_different_rooms_run_concurrently() -> None:
    broker = SlowBroker()
    roster = Roster(broker)
    slow = asyncio.create_task(roster.members("one"))
    await settle()
    other = asyncio.create_task(roster.members("two"))
    await settle()
    assert broker.asked == 2
    broker.permits.release()
    broker.permits.release()
    assert await slow == await other == {}


async def test_info_that_is_not_json_is_none_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    broker = SlowBroker()
    await broker.join("room", "ada", "1", b"{", 30)
    broker.permits.release()
    with caplog.at_level(logging.WARNING, "falconws.hub"):
        assert await Roster(broker).members("room") == {"ada": None}
    assert "'ada'" in caplog.text
