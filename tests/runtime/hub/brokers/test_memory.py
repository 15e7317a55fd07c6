from collections.abc import Awaitable, Callable

import pytest

from falconws.hub.broker import Broker, HistoryLimits, Publication
from falconws.hub.brokers.memory import MemoryBroker
from falconws.hub.position import Position
from falconws.testing import BROKER_CHECKS, check_broker


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

    def joined(self, room: str, member: str, info: bytes) -> None: ...

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
