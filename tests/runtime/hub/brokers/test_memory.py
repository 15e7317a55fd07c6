"""The memory broker: its contract, and its parts against plain lists of what was done to them."""

from collections.abc import Awaitable, Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from falconws import HubLimits
from falconws.hub.broker import Broker, Entry, HistoryLimits, Member, Publication
from falconws.hub.brokers.memory import HistoryLog, MemoryBroker, PresenceTable
from falconws.hub.position import Position
from falconws.testing import BROKER_CHECKS, check_broker

LIMITS = HistoryLimits(messages=4, age_s=10)
BEGIN = 7
PROCESSES = st.sampled_from("pq")
ENTRIES = st.builds(Entry, st.sampled_from("xy"), st.sampled_from("ab"), st.sampled_from("12"))


@pytest.mark.parametrize("check", BROKER_CHECKS, ids=lambda check: check.__name__)
async def test_it_keeps_the_contract(check: Callable[..., Awaitable[None]]) -> None:
    server = MemoryBroker()
    await check(lambda limits: MemoryBroker(history=limits, shares=server))


class Forgetful(MemoryBroker):
    """Breaks one promise: what it subscribes is not delivered."""

    async def subscribe(self, room: str) -> Position:
        position = await super().subscribe(room)
        self.subscribed.discard(room)
        return position


async def test_a_broker_that_breaks_the_contract_is_told_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("falconws.testing.broker_harness._WAIT_S", 0.2)
    server = MemoryBroker()

    def factory(limits: HistoryLimits) -> Broker:
        return Forgetful(history=limits, shares=server)

    with pytest.raises(ExceptionGroup) as failed:
        await check_broker(factory)
    notes = {note for error in failed.value.exceptions for note in error.__notes__}
    assert "in the check a_subscriber_gets_all_after_its_position" in notes
    assert "in the check publish_returns_positions_that_grow" not in notes


def test_its_url_says_nothing_more() -> None:
    with pytest.raises(ValueError, match=r"'memory://room': the memory broker's URL is just 'memory://'"):
        MemoryBroker("memory://room")


class Recorder:
    def __init__(self) -> None:
        self.publications: list[Publication] = []

    def deliver(self, publication: Publication) -> None:
        self.publications.append(publication)

    def interrupted(self, reason: str) -> None:
        raise AssertionError(reason)

    def restored(self) -> None:
        raise AssertionError

    def refused(self, room: str, reason: str) -> None:
        raise AssertionError(reason)

    def joined(self, room: str, member: str, info: bytes, devices: int) -> None: ...

    def updated(self, room: str, member: str, info: bytes, devices: int) -> None: ...

    def left(self, room: str, member: str) -> None: ...


async def test_a_room_without_messages_and_followers_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("falconws.hub.brokers.memory.monotonic", lambda: now)
    broker = MemoryBroker(history=HistoryLimits(age_s=10))
    await broker.start(Recorder())
    end = await broker.publish("quiet", "1")
    end = await broker.publish("quiet", "2")
    await broker.subscribe("followed")
    await broker.publish("followed", "1")
    assert set(broker._store.rooms) == {"quiet", "followed"}
    now = 11.0
    await broker.publish("other", "1")
    assert set(broker._store.rooms) == {"followed", "other"}
    # One who has seen all of it has missed nothing, though the broker knows nothing of the room any more.
    assert (await broker.history("quiet", end)).complete
    assert not (await broker.history("quiet", Position(end.epoch, 1))).complete
    again = await broker.publish("quiet", "3")
    history = await broker.history("quiet", end)
    assert [publication.position for publication in history.publications] == [again]
    assert again > end
    await broker.unsubscribe("followed")
    now = 22.0
    await broker.history("any", end)
    assert broker._store.rooms == {}
    await broker.stop()


async def test_all_rooms_together_are_bounded_in_bytes() -> None:
    """The rooms that have been quiet for longest lose their oldest messages, and a client is told."""
    broker = MemoryBroker(history=HistoryLimits(messages=1000), limits=HubLimits(history_bytes=10 * 1256))
    await broker.start(Recorder())
    try:
        await broker.subscribe("followed")
        first = [await broker.publish(room, "x" * 1000) for room in ("followed", "quiet", "quiet", "quiet")]
        for _ in range(8):
            await broker.publish("busy", "x" * 1000)
        kept = {room: len((await broker.history(room, Position("", 0))).publications) for room in broker._store.rooms}
        assert kept == {"followed": 0, "quiet": 2, "busy": 8}
        assert not (await broker.history("quiet", first[1]._replace(offset=0))).complete
        assert (await broker.history("quiet", first[1])).complete
        assert "2 messages were removed early" in (await broker.health()).detail
        # A room by itself is bounded too, and one message may be larger than the limit.
        await broker.publish("busy", "x" * 20_000)
        assert broker._store.bytes == 0
        assert set(broker._store.rooms) == {"followed"}
    finally:
        await broker.stop()


class LogAgainstAList(RuleBasedStateMachine):
    """The log, and beside it a plain list of all publications with their times."""

    def __init__(self) -> None:
        super().__init__()
        self.log = HistoryLog(BEGIN)
        self.published: list[tuple[float, Publication]] = []
        self.now = 0.0

    @property
    def top(self) -> int:
        return BEGIN + len(self.published)

    @rule(count=st.integers(1, 6))
    def publish(self, count: int) -> None:
        for _ in range(count):
            publication = Publication("room", str(self.top + 1), Position("e", self.top + 1), self.top)
            self.published.append((self.now, publication))
            self.log.append(publication, self.now, LIMITS)

    @rule(seconds=st.sampled_from([0.5, 4.0, 10.0, 11.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        assert self.log.expire(self.now, LIMITS) == (not self.kept())

    def kept(self) -> list[Publication]:
        newest = self.published[-LIMITS.messages :]
        return [publication for published, publication in newest if published > self.now - LIMITS.age_s]

    @invariant()
    def every_position_gets_what_it_has_missed_or_is_told_of_a_gap(self) -> None:
        assert self.log.offset == self.top
        kept = self.kept()
        for since in range(BEGIN - 2, self.top + 3):
            publications, complete = self.log.after(since)
            missed = [publication for _, publication in self.published if publication.position.offset > since]
            if since < BEGIN or since > self.top:
                assert not complete
                assert publications == kept
            elif complete:
                assert publications == missed
            else:
                assert publications == [publication for publication in missed if publication in kept] != missed


TestLog = LogAgainstAList.TestCase
TestLog.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_without_a_history_nothing_is_kept() -> None:
    log = HistoryLog(0)
    log.append(Publication("room", "", Position("e", 1), 0), 0.0, HistoryLimits(messages=0))
    assert log.after(1) == ([], True)
    assert log.after(0) == ([], False)


class PresenceMachine(RuleBasedStateMachine):
    """The table, and beside it a plain dictionary of all devices."""

    def __init__(self) -> None:
        super().__init__()
        self.table = PresenceTable()
        self.model: dict[tuple[str, Entry], bytes] = {}
        self.now = 0.0

    @rule(process=PROCESSES, entry=ENTRIES, info=st.binary(max_size=2))
    def join(self, process: str, entry: Entry, info: bytes) -> None:
        new = not any((known.room, known.member) == entry[:2] for _, known in self.model)
        assert self.table.join(process, entry, info) == new
        self.model.pop((process, entry), None)
        self.model[process, entry] = info

    @rule(process=PROCESSES, entry=ENTRIES)
    def leave(self, process: str, entry: Entry) -> None:
        assert self.table.leave(process, entry) == (self.model.pop((process, entry), None) is not None)

    @rule(process=PROCESSES, seconds=st.integers(1, 10))
    def renew(self, process: str, seconds: int) -> None:
        self.table.leases[process] = self.now + seconds

    @rule(seconds=st.integers(0, 6))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(process=PROCESSES)
    def remove_process(self, process: str) -> None:
        for entry in self.table.pop_process(process):
            assert self.table.leave(process, entry)
        self.model = {key: info for key, info in self.model.items() if key[0] != process}

    @invariant()
    def the_same_are_present(self) -> None:
        live = {process for process, until in self.table.leases.items() if until > self.now}
        for room in "xy":
            members: dict[str, Member] = {}
            for (process, entry), info in self.model.items():
                if process in live and entry.room == room:
                    members[entry.member] = Member(info, members.get(entry.member, Member(b"", 0)).devices + 1)
            assert self.table.members(room, self.now) == members
        for member in "ab":
            rooms = {entry.room for _, entry in self.model if entry.member == member}
            assert self.table.rooms_of(member) == rooms

    def teardown(self) -> None:
        for process in "pq":
            self.remove_process(process)
        assert not self.table.rooms


TestPresence = PresenceMachine.TestCase
TestPresence.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
