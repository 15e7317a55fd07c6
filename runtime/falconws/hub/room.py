"""One room in this process: its followers, and the order and completeness of what they receive.

Theory of operation. The broker delivers publications one by one, and may lose or repeat some. Each names the
publication before it (``previous``). While that is the last one delivered here, the room *flows*. Anything else, or the
broker's report that its connection was lost, makes the room *recover*: publications are held back, the history since
the last delivery is requested and delivered, and then those of the held publications that are newer. If the history
does not reach back far enough, all followers receive a ``Gap``. So each follower sees every publication once and in
order, or knows that it does not.

    OPENING     being subscribed at the broker; publications are held back until the position is known
    FLOWING     publications are delivered as they arrive
    RECOVERING  publications are held back until the history has arrived
    CLOSING     has no followers; being unsubscribed at the broker

Knows nothing of connections; a follower is any object with the members of ``Follower``.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from falconws.log_throttle import definition_of

from .broadcast import AS_EVENT, Broadcaster, BroadcastGroup, Encode, EncodedEvent, Encoder, group_followers
from .broker import BrokerRefused, History, Publication
from .events import Ephemeral, Event, Gap, Message
from .position import Position
from .smallset import SmallSet
from .stats import Stats

__all__ = ("CLOSING", "FLOWING", "OPENING", "RECOVERING", "Follower", "Room", "RoomHost")

OPENING, FLOWING, RECOVERING, CLOSING = range(4)

_MAX_HELD = 1024
"""The most publications that are held back. The oldest are discarded: the history has them, or a ``Gap`` is sent."""

_MANY_GROUPS = 8
"""If a room has this many different ``encode`` functions, one is probably made for each connection."""

_logger = logging.getLogger("falconws.hub")


class Follower(Protocol):
    """A subscriber as the room sees it."""

    encode: Encode | None
    direct: Broadcaster | None
    """The connection on which an event may be sent at once; None if the event has to be offered."""

    def offer(self, encoded: EncodedEvent, *, recovered: bool) -> None:
        """Take an event that could not be sent at once; *recovered*: it is late because the broker was away."""

    def miss(self, gap: Gap, *, notified: bool) -> None:
        """Called when messages of a room are lost; *notified*: the client is sent the ``Gap``."""

    def refuse(self, error: BrokerRefused) -> None:
        """End the subscription because the broker refuses a room of it."""

    def end(self) -> None:
        """End the subscription because the hub stops or the subscriber has failed."""


class RoomHost(Protocol):
    """What a room needs of the hub."""

    encoder: Encoder
    stats: Stats

    def message(self, publication: Publication) -> Message: ...
    def follower(self, subscription: str | None) -> Follower | None:
        """Return the follower with the id *subscription*, if it is in this process."""

    def request_history(self, room: Room) -> None:
        """Have ``take_history()`` called soon."""


class Room:
    """See the module's docstring. A process may have a hundred thousand: what few of them need is created on demand."""

    __slots__ = (
        "_groups",
        "_held",
        "_host",
        "_settled",
        "epoch",
        "followers",
        "name",
        "offset",
        "reports_members",
        "state",
    )

    def __init__(self, host: RoomHost, name: str) -> None:
        self._host = host
        self.name = name
        self.state = OPENING
        self.epoch = ""
        self.offset = 0
        """The offset of the last publication that was delivered here."""
        self._settled: asyncio.Future[None] | None = None
        """Completed when the present state ends, if anything waits for that."""
        self.followers: SmallSet[Follower] = SmallSet()
        self.reports_members = False
        """Whether a follower has, or had, an ``encode`` function that may report members; the others never do."""
        self._held: _Held | None = None
        self._groups: list[BroadcastGroup[Follower]] | None = None

    @property
    def position(self) -> Position:
        """The position of the last publication that was delivered here."""
        return Position(self.epoch, self.offset)

    # Followers

    def add(self, follower: Follower) -> None:
        """Deliver to *follower*, beginning with the next publication."""
        self.followers.add(follower)
        self.reports_members = self.reports_members or follower.encode not in (None, AS_EVENT)
        self._groups = None

    def remove(self, follower: Follower) -> None:
        """Stop delivering to *follower*, which was added before."""
        self.followers.discard(follower)
        self._groups = None

    def regroup(self) -> None:
        """Group the followers again: called when ``direct`` of one of them has changed."""
        self._groups = None

    # Continuity

    def opened(self, position: Position) -> None:
        """Begin to deliver what follows *position*."""
        self.epoch, self.offset = position
        self.state = FLOWING
        if not self._release():
            self.recover()
        self.settle()

    def receive(self, publication: Publication) -> None:
        """Deliver *publication*, or hold it back."""
        if self.state != FLOWING:
            self._hold(publication)
        elif self._continues(publication):
            self._deliver(publication)
        else:
            self._hold(publication)
            self.recover()

    def recover(self) -> None:
        """Request the history, because publications may have been missed."""
        if self.state == FLOWING:
            self.state = RECOVERING
            self._host.request_history(self)

    async def wait(self) -> None:
        """Return when the room is opened, closed, or has recovered; raise the error if it could not be opened."""
        if self._settled is None:
            self._settled = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._settled)

    def settle(self, error: Exception | None = None) -> None:
        """Make ``wait()`` return, or raise *error*."""
        settled, self._settled = self._settled, None
        if settled is not None and not settled.done():
            if error is None:
                settled.set_result(None)
            else:
                settled.set_exception(error)
                # Marks the error as retrieved, since perhaps no task waits for it any more.
                settled.exception()

    @property
    def held(self) -> tuple[Publication, ...]:
        """The publications that are held back."""
        return tuple(self._held or ())

    def take_history(self, history: History, held_before: tuple[Publication, ...]) -> bool:
        """Deliver what was missed, and return whether the room flows again; if not, request the history once more.

        *held_before* are the publications that were held back before the history was requested.
        """
        if self.state != RECOVERING:
            return True
        # The history is newer than these. Those of another epoch are void, and so are those beyond the top of a broker
        # that has lost its latest data.
        void = {
            id(publication)
            for publication in held_before
            if publication.position.epoch != history.top.epoch
            or (not history.complete and publication.position.offset > history.top.offset)
        }
        if void and self._held:
            self._held.keep(lambda publication: id(publication) not in void)
        publications = list(history.publications)
        if not history.complete:
            offset = history.top.offset
            if publications:
                first = publications[0]
                offset = first.position.offset - 1 if first.previous is None else first.previous
            self._jump(Position(history.top.epoch, offset), history)
        for publication in publications:
            if publication.position.offset > self.offset:
                self._deliver(publication, recovered=True)
        self.state = FLOWING
        if self._release():
            self.settle()
            return True
        self.state = RECOVERING
        return False

    def _jump(self, position: Position, history: History) -> None:
        stats = self._host.stats
        if history.top.epoch != self.epoch:
            reason = "the broker has started without its data"
        elif history.top.offset < self.offset:
            reason = "the broker has lost its latest data"
        else:
            reason = "the history does not reach back far enough"
        stats.gaps += 1
        log_throttle = self._host.encoder.log_throttle
        log_throttle.log_repeated(
            logging.WARNING, "Messages of room %r are missing after %s: %s", self.name, self.position, reason
        )
        disconnected = stats.disconnected
        # Before the position moves: a subscriber that is disconnected for the gap keeps its position before it.
        self.send(Gap(self.name, position, reason))
        if disconnected != stats.disconnected:
            log_throttle.log_repeated(
                logging.WARNING,
                "%d subscribers of room %r cannot be sent a Gap and are disconnected",
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
        """Deliver what was held back; return False if a publication is missing before or between."""
        held = self._held
        if held is not None and held.lost is not None:
            lost, held.lost = held.lost, None
            if lost.epoch != self.epoch or lost.offset > self.offset:
                return False
        while held:
            publication = held[0]
            if self._continues(publication):
                self._deliver(publication, recovered=True)
            elif publication.position.epoch != self.epoch or publication.position.offset > self.offset:
                return False
            held.popleft()
        self._held = None
        return True

    # Delivery

    def _deliver(self, publication: Publication, *, recovered: bool = False) -> None:
        self.epoch, self.offset = publication.position
        if self.followers:
            self.send(
                self._host.message(publication),
                key=publication.key,
                previous=publication.previous,
                excluded=self._host.follower(publication.exclude),
                recovered=recovered,
            )

    def send(
        self,
        event: Event,
        *,
        key: str | None = None,
        previous: int | None = None,
        excluded: Follower | None = None,
        recovered: bool = False,
    ) -> None:
        """Send *event* to all followers but *excluded*: each receives it at once, or has it in its backlog."""
        groups = self._groups_without(excluded)
        encoder, stats = self._host.encoder, self._host.stats
        is_message = isinstance(event, Message | Ephemeral)
        waiting: list[tuple[EncodedEvent, Sequence[Follower]]] = []
        for group in groups:
            notified = group.encode is not None
            encoded = None
            try:
                encoded = encoder.encode(group.encode, self.name, event, key=key, previous=previous)
            except BaseException:  # sys.exit() in an encode function must not end the server.
                notified = False
                self._log_failure(group.encode, event, len(group))
                if not isinstance(event, Gap):
                    continue
            if isinstance(event, Gap):
                for follower in group.followers:
                    try:
                        follower.miss(event, notified=notified)
                    except Exception:
                        self._end(follower)
            unsent: Sequence[Follower] = () if encoded is None else group.send(encoded)
            if is_message:
                stats.delivered += len(group) - len(unsent)
            if encoded is not None and unsent:
                waiting.append((encoded, unsent))
        for encoded, followers in waiting:
            for follower in followers:
                try:
                    follower.offer(encoded, recovered=recovered)
                except Exception:
                    self._end(follower)

    def _groups_without(self, excluded: Follower | None) -> list[BroadcastGroup[Follower]]:
        groups = self._groups
        if groups is None:
            groups = group_followers(self.followers)
            if len(groups) >= _MANY_GROUPS:
                self._warn_of_equal_functions(groups)
            if len(self.followers) > 1:
                # Most rooms have one follower, and are many.
                self._groups = groups
        if excluded is not None:
            groups = [group.without(excluded) if group.encode == excluded.encode else group for group in groups]
        return groups

    def _warn_of_equal_functions(self, groups: Sequence[BroadcastGroup[Follower]]) -> None:
        definitions = {definition_of(group.encode) for group in groups}
        if len(definitions) <= len(groups) // 2:
            self._host.encoder.log_throttle.log_once(
                "Room %r encodes each event %d times for %d encode functions: define the function once, outside of the "
                "responder, instead of making one (a lambda, partial or method) for each connection",
                self.name,
                len(groups),
                len(definitions),
            )

    def _end(self, follower: Follower) -> None:
        # The failure of one subscriber must not affect the others.
        _logger.exception("A subscriber of room %r has failed; its subscription ends", self.name)
        follower.end()

    def encode(
        self, encode: Encode | None, event: Event, *, key: str | None = None, previous: int | None = None
    ) -> EncodedEvent | None:
        """Return what followers with *encode* are sent for *event*; None for nothing."""
        try:
            return self._host.encoder.encode(encode, self.name, event, key=key, previous=previous)
        except BaseException:
            self._log_failure(encode, event, 1)
            return None

    def _log_failure(self, encode: Encode | None, event: Event, subscribers: int) -> None:
        # An error in the application's function must not affect other deliveries.
        self._host.stats.failed += subscribers
        self._host.encoder.log_throttle.log_failure(
            encode,
            "encode() has failed for %r: its subscribers are not sent this event (hub.stats.failed counts)",
            event,
        )


class _Held(deque[Publication]):
    """The publications that a room holds back."""

    lost: Position | None = None
    """The position of the newest publication that was discarded since the last check. A broker need not name previous
    publications, so the hole could not be seen in those that are left."""

    def hold(self, publication: Publication) -> None:
        if len(self) == _MAX_HELD:
            self.lost = self.popleft().position
        self.append(publication)

    def keep(self, wanted: Callable[[Publication], bool]) -> None:
        """Discard all that are not *wanted*."""
        kept = [publication for publication in self if wanted(publication)]
        self.clear()
        self.extend(kept)
