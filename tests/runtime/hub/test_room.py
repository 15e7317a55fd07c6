"""A room by itself: what it delivers, and when it asks."""

import logging
from typing import Any

import pytest

from falconws.hub import Gap, History, Message, Position, Publication
from falconws.hub.broadcast import AS_EVENT, Encoder
from falconws.hub.codec import Media
from falconws.hub.room import Room
from falconws.hub.stats import Stats


class Hub:
    """What a room needs of one."""

    def __init__(self) -> None:
        self.encoder = Encoder(Media(None))
        self.stats = Stats()
        self.asked = 0

    def message(self, publication: Publication) -> Message:
        return Message(publication, lambda payload: payload)

    def recover(self, room: Room) -> None:
        self.asked += 1


class Follower:
    """Keeps what it is told."""

    encode = staticmethod(AS_EVENT)
    direct = None
    blocks = watches = False

    def __init__(self) -> None:
        self.told: list[Any] = []

    def offer(self, outgoing: Any) -> None:
        event = outgoing.event
        self.told.append("gap" if isinstance(event, Gap) else event.position.offset)

    def has_room(self, size: int) -> bool:
        return True

    async def wait_for_room(self, size: int, started: float) -> None: ...

    def miss(self, room: Room, *, told: bool) -> None: ...

    def end(self) -> None: ...


def publication(offset: int) -> Publication:
    return Publication("room", str(offset), Position("e", offset), offset - 1, None)


def test_a_copy_of_what_a_broker_has_lost_is_not_delivered_behind_the_gap() -> None:
    hub, follower = Hub(), Follower()
    room = Room(hub, "room")
    room.opened(Position("e", 1))
    room.add(follower)
    room.take(publication(2))
    # It came by the history first, and now live: held back, while the history is asked again.
    room.take(publication(2))
    assert hub.asked == 1
    lost = History([publication(1)], Position("e", 1), complete=False)
    assert room.take_history(lost, room.held)
    assert follower.told == [2, "gap", 1]
    room.take(publication(2))
    assert follower.told == [2, "gap", 1, 2]
    assert hub.stats.gaps == 1


def test_a_history_that_lags_is_asked_again_and_nothing_is_lost() -> None:
    hub, follower = Hub(), Follower()
    room = Room(hub, "room")
    room.opened(Position("e", 0))
    room.add(follower)
    room.take(publication(2))
    assert not room.take_history(History([], Position("e", 0), complete=True), room.held)
    assert follower.told == []
    assert room.take_history(History([publication(1), publication(2)], Position("e", 2), complete=True), room.held)
    assert follower.told == [1, 2]


def test_what_is_held_back_in_vain_is_asked_for_again() -> None:
    """A broker need not know what a publication follows: nothing in what is left tells that some were let go."""
    hub, follower = Hub(), Follower()
    room = Room(hub, "room")
    room.opened(Position("e", 0))
    room.add(follower)
    room.interrupted()
    everything = [publication(offset)._replace(previous=None) for offset in range(1, 1501)]
    for one in everything:
        room.take(one)
    assert not room.take_history(History([], Position("e", 0), complete=True), ())
    assert follower.told == []
    # One more is let go before the answer, which knows of it.
    everything.append(publication(1501)._replace(previous=None))
    room.take(everything[-1])
    assert room.take_history(History(everything, Position("e", 1501), complete=True), room.held)
    assert follower.told == list(range(1, 1502))


def test_a_follower_that_fails_hides_a_gap_from_no_other() -> None:
    class Failing(Follower):
        ended = False

        def miss(self, room: Room, *, told: bool) -> None:
            raise RuntimeError("not today")

        def end(self) -> None:
            self.ended = True

    hub, failing, other = Hub(), Failing(), Follower()
    room = Room(hub, "room")
    room.opened(Position("e", 1))
    for follower in (failing, other):
        room.add(follower)
    room.interrupted()
    assert room.take_history(History([], Position("another", 0), complete=False), ())
    assert failing.ended
    assert other.told == ["gap"]


def test_a_fault_of_the_broker_is_not_told_for_each_room(caplog: pytest.LogCaptureFixture) -> None:
    hub = Hub()
    for number in range(1000):
        room = Room(hub, f"room {number}")
        room.opened(Position("e", 1))
        room.add(Follower())
        room.interrupted()
        assert room.take_history(History([], Position("another", 0), complete=False), ())
    assert hub.stats.gaps == 1000
    told = [record for record in caplog.records if record.levelno >= logging.INFO]
    assert len(told) == 10
