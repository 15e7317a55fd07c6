"""Who is present, as one process keeps it; the promises of brokers are tested in ``brokers`` and ``tests/e2e/hub``."""

import asyncio
import logging
import traceback

import pytest

from falconws import BrokerUnavailable, HistoryLimits, Hub, Joined, Left, Updated
from falconws.hub import Entry, Member, Sink
from falconws.hub.brokers.memory import MemoryBroker
from falconws.hub.presence import Roster

from .scripted import ScriptedConnection, ScriptedSocket, settle


async def test_a_member_that_joins_while_the_hub_stops_is_removed() -> None:
    class Held(MemoryBroker):
        """Answers a join when it is told to; a leave takes its time."""

        permits = asyncio.Semaphore(0)

        async def join(self, entry: Entry, info: bytes) -> None:
            await super().join(entry, info)
            await self.permits.acquire()

        async def leave(self, entry: Entry) -> None:
            await settle()
            await super().leave(entry)

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

        async def leave(self, entry: Entry) -> None:
            await self.back.wait()
            await super().leave(entry)

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

    async def members(self, room: str) -> dict[str, Member]:
        self.asked += 1
        members = await super().members(room)
        await self.permits.acquire()
        if self.problem is not None:
            raise self.problem
        return members


async def test_the_result_of_an_earlier_call_is_not_used() -> None:
    broker = SlowBroker()
    roster = Roster(broker)
    await broker.renew(30)
    await broker.join(Entry("room", "ada", "1"), b"null")
    first = asyncio.create_task(roster.members("room"))
    await settle()
    await broker.join(Entry("room", "bob", "2"), b'{"colour": "red"}')
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
    await broker.renew(30)
    await broker.join(Entry("room", "ada", "1"), b"{")
    broker.permits.release()
    with caplog.at_level(logging.WARNING, "falconws.hub"):
        assert await Roster(broker).members("room") == {"ada": None}
    assert "'ada'" in caplog.text


def tell(event: object) -> str | None:
    match event:
        case Joined() | Updated():
            return f"{type(event).__name__} {event.member} {event.info} {event.devices}"
        case Left():
            return f"Left {event.member} {event.devices}"
    return None


async def test_the_info_of_a_member_is_that_of_the_device_that_is_left() -> None:
    watcher = ScriptedConnection()
    async with Hub() as hub, hub.subscribe(ScriptedSocket(watcher), "room", encode=tell):
        async with hub.subscribe(ScriptedSocket(), "room", member="ada", info="desk") as desk:
            async with hub.subscribe(ScriptedSocket(), "room", member="ada", info="phone"):
                assert await hub.present("room") == {"ada": "phone"}
            assert await hub.present("room") == {"ada": "desk"}
            await desk.update_info({"state": "away"})
            assert await hub.present("room") == {"ada": {"state": "away"}}
        await settle()
    assert watcher.taken == [
        "Joined ada desk 1",
        "Updated ada phone 2",
        "Updated ada desk 1",
        "Updated ada {'state': 'away'} 1",
        "Left ada 0",
    ]


async def test_an_updated_info_holds_in_rooms_that_are_joined_later() -> None:
    async with Hub() as hub, hub.subscribe(ScriptedSocket(), "one", member="ada", info=1) as subscription:
        await subscription.update_info(2)
        await subscription.join("two")
        assert await hub.present("one") == await hub.present("two") == {"ada": 2}


async def test_only_members_have_an_info_to_update() -> None:
    async with Hub() as hub, hub.subscribe(ScriptedSocket(), "room") as subscription:
        with pytest.raises(ValueError, match="describes a member"):
            await subscription.update_info("x")


async def test_members_are_counted_and_found() -> None:
    async with (
        Hub() as hub,
        hub.subscribe(ScriptedSocket(), "b", "a", member="ada"),
        hub.subscribe(ScriptedSocket(), "b", member="bob"),
    ):
        assert await hub.present_count("b") == 2
        assert await hub.present_counts(["a", "b", "c"]) == {"a": 1, "b": 2, "c": 0}
        assert await hub.where("ada") == ["a", "b"]
        assert await hub.where("eve") == []
        with pytest.raises(ValueError, match="room"):
            await hub.present_count("")


async def test_a_member_that_comes_back_within_its_grace_period_never_left() -> None:
    watcher = ScriptedConnection()
    async with Hub() as hub, hub.subscribe(ScriptedSocket(watcher), "room", encode=tell):
        for info in ("first", "second", "second"):
            async with hub.subscribe(ScriptedSocket(), "room", member="ada", info=info, grace_s=60):
                assert await hub.present("room") == {"ada": info}
        assert await hub.present("room") == {"ada": "second"}
        assert watcher.taken == ["Joined ada first 1", "Updated ada second 1", "Updated ada second 1"]


async def test_a_member_leaves_when_its_grace_period_is_over() -> None:
    watcher = ScriptedConnection()
    async with Hub() as hub, hub.subscribe(ScriptedSocket(watcher), "room", encode=tell):
        async with hub.subscribe(ScriptedSocket(), "room", member="ada", grace_s=0.05):
            pass
        assert await hub.present("room") == {"ada": None}
        async with asyncio.timeout(20):
            while await hub.present("room"):
                await asyncio.sleep(0.01)
        assert watcher.taken[-1] == "Left ada 0"


async def test_a_member_that_leaves_a_room_on_purpose_has_no_grace_period() -> None:
    async with Hub() as hub, hub.subscribe(ScriptedSocket(), "room", member="ada", grace_s=60) as subscription:
        await subscription.leave("room")
        assert await hub.present("room") == {}


async def test_members_with_a_grace_period_outlive_a_hub_that_stops() -> None:
    broker = MemoryBroker()
    async with Hub(MemoryBroker(shares=broker)) as other:
        async with Hub(MemoryBroker(shares=broker)) as hub:
            await hub.subscribe(ScriptedSocket(), "room", member="ada", grace_s=0.5).__aenter__()
            await hub.subscribe(ScriptedSocket(), "room", member="bob").__aenter__()
        assert await other.present("room") == {"ada": None}
        async with asyncio.timeout(20):
            while await other.present("room"):
                await asyncio.sleep(0.05)


async def test_renewing_is_one_call_however_many_members_there_are() -> None:
    class Counting(MemoryBroker):
        renewals = 0

        async def renew(self, lease_s: float) -> bool:
            self.renewals += 1
            return await super().renew(lease_s)

        async def join(self, entry: Entry, info: bytes) -> None:
            self.joins = getattr(self, "joins", 0) + 1
            await super().join(entry, info)

    broker = Counting()
    async with Hub(broker, lease_s=0.2) as hub, hub.subscribe(ScriptedSocket(), *map(str, range(200)), member="ada"):
        before = broker.renewals
        async with asyncio.timeout(20):
            while broker.renewals < before + 4:
                await asyncio.sleep(0.01)
        assert broker.joins == 200


async def test_a_lease_is_renewed_while_the_devices_of_a_dead_process_are_removed() -> None:
    class Removing(MemoryBroker):
        renewals = 0
        removing = 0

        async def renew(self, lease_s: float) -> bool:
            self.renewals += 1
            return await super().renew(lease_s)

        async def expire(self) -> None:
            self.removing += 1
            await asyncio.Event().wait()

    broker = Removing()
    async with Hub(broker, lease_s=0.2) as hub, hub.subscribe(ScriptedSocket(), "room", member="ada"):
        async with asyncio.timeout(20):
            while not broker.removing:
                await asyncio.sleep(0.01)
            before = broker.renewals
            while broker.renewals < before + 4:
                await asyncio.sleep(0.01)
        assert broker.removing == 1
