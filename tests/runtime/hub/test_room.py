"""A room by itself: what it delivers, and when it requests its history."""

import logging
from typing import Any

import pytest

from falconws.hub import Gap, History, Message, Position, Publication
from falconws.hub.broadcast import AS_EVENT, Encoder
from falconws.hub.codec import Media
from falconws.hub.room import Room
from falconws.hub.stats import Stats


class Hub:
    """The host of a room, which counts requests for its history."""

    def __init__(self) -> None:
        self.encoder = Encoder(Media(None))
        self.stats = Stats()
        self.requests = 0

    def message(self, publication: Publication) -> Message:
        return Message(publication, lambda payload: payload)

    def follower(self, subscription: str | None) -> None: ...

    def request_history(self, room: Room) -> None:
        self.requests += 1


class Follower:
    """Records the events that it receives."""

    encode = staticmethod(AS_EVENT)
    direct = None

    def __init__(self) -> None:
        self.told: list[Any] = []

    def offer(self, encoded: Any, *, recovered: bool) -> None:
        event = encoded.event
        self.told.append("gap" if isinstance(event, Gap) else event.position.offset)

    def miss(self, gap: Gap, *, notified: bool) -> None: ...

    def end(self) -> None: ...


def publication(offset: int) -> Publication:
    return Publication("room", str(offset), Position("e", offset), offset - 1, None)


def test_a_repeated_publication_that_the_broker_has_lost_is_not_delivered_after_the_gap() -> None:
    hub, follower = Hub(), Follower()
    room = Room(hub, "room")
    room.opened(Position("e", 1))
    room.add(follower)
    room.receive(publication(2))
    # It came in the history first and is delivered again: held back while the history is requested.
    room.receive(publication(2))
    assert hub.requests == 1
    lost = History([publication(1)], Position("e", 1), complete=False)
    assert room.take_history(lost, room.held)
    assert follower.told == [2, "gap", 1]
    room.receive(publication(2))
    assert follower.told == [2, "gap", 1, 2]
    assert hub.stats.gaps == 1


def test_a_history_that_lags_is_requested_again_and_nothing_is_lost() -> None:
    hub, follower = Hub(), Follower()
    room = Room(hub, "room")
    room.opened(Position("e", 0))
    room.add(follower)
    room.receive(publication(2))
    assert not room.take_history(History([], Position("e", 0), complete=True), room.held)
    assert follower.told == []
    assert room.take_history(History([publication(1), publication(2)], Position("e", 2), complete=True), room.held)
    assert follower.told == [1, 2]


def test_publications_discarded_while_held_back_are_requested_again() -> None:
    """A broker need not name previous publications: those that are left do not show that some were discarded."""
    hub, follower = Hub(), Follower()
    room = Room(hub, "room")
    room.opened(Position("e", 0))
    room.add(follower)
    room.recover()
    everything = [publication(offset)._replace(previous=None) for offset in range(1, 1501)]
    for one in everything:
        room.receive(one)
    assert not room.take_history(History([], Position("e", 0), complete=True), ())
    assert follower.told == []
    # One more is discarded before the answer, which contains it.
    everything.append(publication(1501)._replace(previous=None))
    room.receive(everything[-1])
    assert room.take_history(History(everything, Position("e", 1501), complete=True), room.held)
    assert follower.told == list(range(1, 1502))


def test_a_follower_that_fails_does_not_hide_a_gap_from_the_others() -> None:
    class Failing(Follower):
        ended = False

        def miss(self, gap: Gap, *, notified: bool) -> None:
            raise RuntimeError("not today")

        def end(self) -> None:
            self.ended = True

    hub, failing, other = Hub(), Failing(), Follower()
    room = Room(hub, "room")
    room.opened(Position("e", 1))
    for follower in (failing, other):
        room.add(follower)
    room.recover()
    assert room.take_history(History([], Position("another", 0), complete=False), ())
    assert failing.ended
    assert other.told == ["gap"]


def test_a_fault_of_the_broker_is_logged_for_the_first_rooms_only(caplog: pytest.LogCaptureFixture) -> None:
    hub = Hub()
    for number in range(1000):
        room = Room(hub, f"room {number}")
        room.opened(Position("e", 1))
        room.add(Follower())
        room.recover()
        assert room.take_history(History([], Position("another", 0), complete=False), ())
    assert hub.stats.gaps == 1000
    told = [record for record in caplog.records if record.levelno >= logging.INFO]
    assert len(told) == 10
