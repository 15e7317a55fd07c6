"""Rooms recover each by itself: those whose history cannot be had keep nobody waiting, and are told by ``health()``."""

import asyncio
import itertools
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from falconws import Gap, Hub, Joined, Message
from falconws.hub import BrokerUnavailable, History, Position, Sink
from falconws.hub.brokers.memory import MemoryBroker
from tests.runtime.hub.scripted import ScriptedConnection, ScriptedSocket, settle

BAD = [f"bad {number}" for number in range(40)]


class Partly(MemoryBroker):
    """A broker whose histories of some rooms go wrong as the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = BrokerUnavailable("a part is away")
        """None: they never come."""
        self.bad = set(BAD)
        self.asked: list[str] = []
        self.asked_now = 0
        self.most_asked = 0
        self.hub: Sink

    async def start(self, sink: Sink) -> None:
        self.hub = sink
        await super().start(sink)

    async def lose(self, room: str, payload: str) -> None:
        """Publish what is not delivered, but is in the history."""
        self.subscribed.remove(room)
        await self.publish(room, payload)
        self.subscribed.add(room)

    async def history(self, room: str, since: Position) -> History:
        self.asked.append(room)
        self.asked_now += 1
        self.most_asked = max(self.most_asked, self.asked_now)
        try:
            await asyncio.sleep(0)
            if room in self.bad:
                if self.error is not None:
                    raise self.error
                await asyncio.Event().wait()
            return await super().history(room, since)
        finally:
            self.asked_now -= 1


@pytest.fixture
def broker() -> Partly:
    return Partly()


async def follow(hub: Hub, *rooms: str, until: AsyncExitStack) -> ScriptedConnection:
    connection = ScriptedConnection()
    await until.enter_async_context(hub.subscribe(ScriptedSocket(connection), *rooms))
    return connection


async def holds(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("error", [BrokerUnavailable("a part is away"), None], ids=["refused", "no answer"])
async def test_rooms_that_cannot_recover_do_not_delay_others(broker: Partly, error: Exception | None) -> None:
    broker.error = error
    async with AsyncExitStack() as until, Hub(broker) as hub:
        await follow(hub, *BAD, until=until)
        good = await follow(hub, "good", until=until)
        broker.hub.restored()
        await hub.publish("good", "x")
        await holds(lambda: good.taken == ["x"])


async def test_the_number_of_concurrent_requests_is_limited(broker: Partly) -> None:
    broker.bad.clear()
    rooms = [f"room {number}" for number in range(500)]
    async with AsyncExitStack() as until, Hub(broker) as hub:
        connection = await follow(hub, *rooms, until=until)
        broker.hub.restored()
        for room in rooms:
            await hub.publish(room, room)
        await holds(lambda: len(connection.taken) == len(rooms))
    assert sorted(broker.asked) == sorted(rooms)
    assert 1 < broker.most_asked <= 16


async def test_an_unexpected_error_is_logged_once_and_the_room_is_retried(
    broker: Partly, caplog: pytest.LogCaptureFixture
) -> None:
    broker.error = KeyError("not an entry of ours")
    async with AsyncExitStack() as until, Hub(broker) as hub:
        connection = await follow(hub, "bad 0", until=until)
        broker.hub.restored()
        await hub.publish("bad 0", "x")
        await holds(lambda: len(broker.asked) == 3)
        assert connection.taken == []
        broker.bad.clear()
        await holds(lambda: connection.taken == ["x"])
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert ["'bad 0' cannot be recovered" in record.message for record in errors] == [True]


async def test_health_reports_how_many_rooms_do_not_recover_and_why(broker: Partly) -> None:
    async with AsyncExitStack() as until, Hub(broker, timeout_s=0.05) as hub:
        connection = await follow(hub, "good", "bad 0", "bad 1", until=until)
        bad_2 = await until.enter_async_context(hub.subscribe(ScriptedSocket(), "bad 2"))
        broker.hub.interrupted("cut off")
        broker.hub.restored()
        assert (await hub.health()).ok, "not at once: they are about to recover"
        async with asyncio.timeout(20):
            while (await hub.health()).ok:
                await asyncio.sleep(0.005)
        assert await hub.health() == (False, "3 rooms do not recover: a part is away")
        await bad_2.leave("bad 2")
        broker.bad.remove("bad 1")
        await hub.publish("bad 1", "x")
        await holds(lambda: connection.taken == ["x"])
        assert await hub.health() == (False, "1 room does not recover: a part is away")
        broker.bad.clear()
        await hub.publish("bad 0", "y")
        await holds(lambda: connection.taken == ["x", "y"])
        assert (await hub.health()).ok


async def test_rooms_are_retried_at_once_when_the_broker_is_back(
    broker: Partly, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("falconws.hub.recovery.backoff", lambda: itertools.repeat(3600.0))
    async with AsyncExitStack() as until, Hub(broker) as hub:
        connection = await follow(hub, *BAD, until=until)
        broker.hub.restored()
        await holds(lambda: len(broker.asked) == len(BAD))
        await hub.publish("bad 7", "x")
        broker.bad.clear()
        broker.hub.restored()
        await holds(lambda: connection.taken == ["x"])


async def test_a_room_without_followers_is_not_retried(broker: Partly, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("falconws.hub.recovery.backoff", lambda: itertools.repeat(0.0))
    async with AsyncExitStack() as until, Hub(broker) as hub:
        async with hub.subscribe(ScriptedSocket(), "bad 0"):
            broker.hub.restored()
            await holds(lambda: len(broker.asked) > 2)
        await settle()
        asked = len(broker.asked)
        good = await follow(hub, "good", until=until)
        broker.hub.restored()
        await hub.publish("good", "x")
        await holds(lambda: good.taken == ["x"])
        await settle()
        assert broker.asked[asked:] == ["good"]


async def test_messages_lost_during_a_request_are_requested_again() -> None:
    class Slow(Partly):
        answering = asyncio.Event()
        answer = asyncio.Event()

        async def history(self, room: str, since: Position) -> History:
            history = await super().history(room, since)
            self.answering.set()
            await self.answer.wait()
            return history

    broker = Slow()
    async with AsyncExitStack() as until, Hub(broker) as hub:
        connection = await follow(hub, "room", until=until)
        broker.hub.restored()
        await broker.answering.wait()
        await broker.lose("room", "lost on the way")
        broker.hub.restored()
        broker.answer.set()
        await holds(lambda: connection.taken == ["lost on the way"])


async def test_recovered_messages_do_not_overtake_presence_events() -> None:
    def tell(event: object) -> str:
        match event:
            case Joined():
                return f"+{event.member}"
            case Message():
                return str(event.payload)
            case Gap():
                return "gap"
        raise AssertionError(event)

    broker = Partly()
    connection = ScriptedConnection()
    members = [f"u{number}" for number in range(50)]
    async with Hub(broker) as hub, hub.subscribe(ScriptedSocket(connection), "room", encode=tell):
        await hub.publish("room", "before")
        for member in members:
            broker.hub.joined("room", member, b"null", 1)
        assert len(connection.taken) < len(members)
        await broker.lose("room", "x")
        broker.hub.restored()
        await holds(lambda: "x" in connection.taken)
        assert connection.taken == ["before", *(f"+{member}" for member in members), "x"]


async def test_nothing_recovers_once_the_hub_has_stopped() -> None:
    """Saying goodbye to a broker may be what it takes to hear of it again."""

    class Returning(Partly):
        async def leave(self, room: str, member: str, device: str) -> bool:
            last = await super().leave(room, member, device)
            self.hub.interrupted("gone")
            self.hub.restored()
            self.hub.joined("bad 0", "bob", b"null", 1)
            await asyncio.sleep(0)
            return last

    broker = Returning()
    before = asyncio.all_tasks()
    hub = Hub(broker)
    await hub.start()
    await hub.subscribe(ScriptedSocket(ScriptedConnection()), "bad 0", member="ada").__aenter__()
    await hub.stop()
    await settle()
    assert broker.asked == []
    assert asyncio.all_tasks() == before


async def test_a_hub_that_stops_while_rooms_recover_leaves_nothing_running(
    broker: Partly, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("falconws.hub.recovery.backoff", lambda: itertools.repeat(0.001))
    before = asyncio.all_tasks()
    hub = Hub(broker)
    await hub.start()
    await hub.subscribe(ScriptedSocket(ScriptedConnection()), *BAD).__aenter__()
    broker.hub.restored()
    await holds(lambda: len(broker.asked) >= len(BAD))
    await hub.stop()
    asked = len(broker.asked)
    await asyncio.sleep(0.01)
    assert len(broker.asked) == asked
    assert asyncio.all_tasks() == before
