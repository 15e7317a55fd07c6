"""One room in this process: who follows it, and that they miss nothing unknowingly.

Theory of operation. The broker delivers publications one by one, and may lose or repeat some. Each says which one it
follows (``previous``). While that is the last one delivered here, all is well: the room *flows*. Anything else, or the
broker's word that it was cut off, makes the room *recover*: what comes meanwhile is held back, the history since the
last delivery is asked for and delivered, then what was held back and is still new. If the history does not reach back,
everybody is told ``Gap``. So followers see each publication once and in order, or know that they do not.

    OPENING     being subscribed at the broker; deliveries are held back until the position is known
    FLOWING     publications are delivered as they come
    RECOVERING  publications are held back until the history has been asked
    CLOSING     nobody follows; being unsubscribed

Knows nothing of connections; followers are whatever has the members of ``Follower``.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from .broadcast import Broadcaster, Encode, Encoder, Fan, Outgoing, arrange
from .broker import History, Publication
from .events import Event, Gap, Message
from .position import Position
from .smallset import Few
from .stats import Stats

__all__ = ("CLOSING", "FLOWING", "OPENING", "RECOVERING", "Follower", "Room", "Surroundings")

OPENING, FLOWING, RECOVERING, CLOSING = range(4)

_MAX_HELD = 1024
"""Publications held back at most. Of more, the oldest are let go: the history has them, or everybody is told."""

_logger = logging.getLogger("falconws.hub")


class Follower(Protocol):
    """A subscriber as the room sees it."""

    encode: Encode | None
    direct: Broadcaster | None
    """The connection that a message may be sent on at once; None when it has to be offered."""

    @property
    def watches(self) -> bool:
        """Whether it wants to be told who leaves."""

    def offer(self, outgoing: Outgoing) -> None:
        """Take what could not be sent at once."""

    def miss(self, room: Room, *, told: bool) -> None:
        """Know that messages of *room* behind its position are lost, and whether the client can be told so."""

    def end(self) -> None:
        """End it because the hub stops."""


class Surroundings(Protocol):
    """What a room needs of the hub."""

    encoder: Encoder
    stats: Stats

    def message(self, publication: Publication) -> Message: ...
    def recover(self, room: Room) -> None:
        """See to it that ``take_history()`` is called soon."""


class Room:
    """See the module's docstring. There may be a hundred thousand of them: what most do not need is made when it is."""

    __slots__ = (
        "_fans",
        "_held",
        "_hub",
        "epoch",
        "followers",
        "name",
        "offset",
        "settled",
        "state",
        "watchers",
    )

    def __init__(self, hub: Surroundings, name: str) -> None:
        self._hub = hub
        self.name = name
        self.state = OPENING
        self.epoch = ""
        self.offset = 0
        """That of the last publication that was delivered here."""
        self.watchers = 0
        """How many followers want to be told who leaves."""
        self.settled: asyncio.Future[None] | None = None
        """Set when the state OPENING or CLOSING ends, if somebody waits for it."""
        self.followers: Few[Follower] = Few()
        self._held: _Held | None = None
        self._fans: list[Fan[Follower]] | None = None

    @property
    def position(self) -> Position:
        """Where everybody here stands."""
        return Position(self.epoch, self.offset)

    # Followers

    def add(self, follower: Follower) -> None:
        """Deliver to *follower* from the next publication on."""
        self.followers.add(follower)
        self._fans = None
        self.watchers += follower.watches

    def remove(self, follower: Follower) -> None:
        """End deliveries to *follower*, which was added."""
        self.followers.discard(follower)
        self._fans = None
        self.watchers -= follower.watches

    def rearrange(self) -> None:
        """Know that ``direct`` of a follower has changed."""
        self._fans = None

    # Continuity

    def opened(self, position: Position) -> None:
        """Begin behind *position*."""
        self.epoch, self.offset = position
        self.state = FLOWING
        if not self._release():
            self.interrupted()

    def take(self, publication: Publication) -> None:
        """Deliver *publication*, or hold it back."""
        if self.state != FLOWING:
            self._hold(publication)
        elif self._continues(publication):
            self._deliver(publication)
        else:
            self._hold(publication)
            self.interrupted()

    def interrupted(self) -> None:
        """Look for what was missed."""
        if self.state == FLOWING:
            self.state = RECOVERING
            self._hub.recover(self)

    @property
    def held(self) -> tuple[Publication, ...]:
        """What is held back."""
        return tuple(self._held or ())

    def take_history(self, history: History, held_before: tuple[Publication, ...]) -> bool:
        """Deliver what was missed, and return whether the room flows again; if not, ask for the history once more.

        *held_before* is what was held back before the history was asked for.
        """
        if self.state != RECOVERING:
            return True
        # The history knew of these. If they are of another epoch, that one is over; and what a broker that has gone
        # back does not reach any more is lost.
        over = {
            id(publication)
            for publication in held_before
            if publication.position.epoch != history.top.epoch
            or (not history.complete and publication.position.offset > history.top.offset)
        }
        if over and self._held:
            self._held.keep(lambda publication: id(publication) not in over)
        publications = list(history.publications)
        if not history.complete:
            offset = history.top.offset
            if publications:
                first = publications[0]
                offset = first.position.offset - 1 if first.previous is None else first.previous
            self._jump(Position(history.top.epoch, offset), history)
        for publication in publications:
            if publication.position.offset > self.offset:
                self._deliver(publication)
        self.state = FLOWING
        if self._release():
            return True
        self.state = RECOVERING
        return False

    def _jump(self, position: Position, history: History) -> None:
        stats = self._hub.stats
        if history.top.epoch != self.epoch:
            reason = "the broker has begun afresh"
        elif history.top.offset < self.offset:
            reason = "the broker has lost what it had"
        else:
            reason = "the history does not reach back far enough"
        stats.gaps += 1
        complaints = self._hub.encoder.complaints
        complaints.gap(
            logging.WARNING, "Messages of room %r are missing after %s: %s", self.name, self.position, reason
        )
        disconnected = stats.disconnected
        # Before the position moves: whoever is disconnected for it stands before the gap.
        self.tell(Gap(self.name, position, reason))
        if disconnected != stats.disconnected:
            complaints.gap(
                logging.WARNING,
                "%d subscribers of room %r cannot be told, and are disconnected",
                stats.disconnected - disconnected,
                self.name,
            )
        self.epoch, self.offset = position

    def _continues(self, publication: Publication) -> bool:
        epoch, offset = publication.position
        previous = publication.previous
        if epoch != self.epoch:
            return False
        return previous == self.offset if previous is not None else offset > self.offset

    def _hold(self, publication: Publication) -> None:
        if self._held is None:
            self._held = _Held()
        self._held.hold(publication)

    def _release(self) -> bool:
        """Deliver what was held back; False when something is missing between."""
        held = self._held
        if held is not None and held.lost is not None:
            lost, held.lost = held.lost, None
            if lost.epoch != self.epoch or lost.offset > self.offset:
                return False
        while held:
            publication = held[0]
            if self._continues(publication):
                self._deliver(publication)
            elif publication.position.epoch != self.epoch or publication.position.offset > self.offset:
                return False
            held.popleft()
        self._held = None
        return True

    # Delivery

    def _deliver(self, publication: Publication) -> None:
        self.epoch, self.offset = publication.position
        if self.followers:
            self.tell(self._hub.message(publication), key=publication.key, previous=publication.previous)

    def tell(self, event: Event, *, key: str | None = None, previous: int | None = None) -> None:
        """Send *event* to all followers: each gets it at once, or has it in its backlog."""
        fans = self._fans
        if fans is None:
            fans = arrange(self.followers)
            if len(self.followers) > 1:
                # Most rooms have one follower, and are many.
                self._fans = fans
        encoder = self._hub.encoder
        waiting: list[tuple[Outgoing, Sequence[Follower]]] = []
        for fan in fans:
            told = fan.encode is not None
            outgoing = None
            try:
                outgoing = encoder.encode(fan.encode, self.name, event, key=key, previous=previous)
            except Exception:
                told = False
                self._complain(fan.encode, event)
            if isinstance(event, Gap):
                for follower in fan.followers:
                    try:
                        follower.miss(self, told=told)
                    except Exception:
                        self._end(follower)
            if outgoing is not None:
                waiting.append((outgoing, fan.send(outgoing)))
        for outgoing, followers in waiting:
            for follower in followers:
                try:
                    follower.offer(outgoing)
                except Exception:
                    self._end(follower)
        if isinstance(event, Message):
            self._hub.stats.delivered += len(self.followers)

    def _end(self, follower: Follower) -> None:
        # Whatever has happened to it, it must not reach the others.
        _logger.exception("A subscriber of room %r has failed; its subscription ends", self.name)
        follower.end()

    def encode(
        self, encode: Encode | None, event: Event, *, key: str | None = None, previous: int | None = None
    ) -> Outgoing | None:
        """Return what followers with *encode* are sent for *event*; None for nothing."""
        try:
            return self._hub.encoder.encode(encode, self.name, event, key=key, previous=previous)
        except Exception:
            self._complain(encode, event)
            return None

    def _complain(self, encode: Encode | None, event: Event) -> None:
        # It is the user's function: the others' deliveries must not suffer.
        self._hub.stats.failed += 1
        self._hub.encoder.complaints.failed(
            encode,
            "encode() has failed for %r: its subscribers are not sent this event; hub.stats.failed counts",
            event,
        )


class _Held(deque[Publication]):
    """What a room holds back."""

    lost: Position | None = None
    """That of the newest that was let go, since somebody has looked. A broker need not say what a publication follows,
    so its absence could not be seen from those that are left."""

    def hold(self, publication: Publication) -> None:
        if len(self) == _MAX_HELD:
            self.lost = self.popleft().position
        self.append(publication)

    def keep(self, wanted: Callable[[Publication], bool]) -> None:
        """Let go of all that are not *wanted*."""
        kept = [publication for publication in self if wanted(publication)]
        self.clear()
        self.extend(kept)
