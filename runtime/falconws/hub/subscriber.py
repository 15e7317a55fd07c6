"""What all subscribers have in common: their rooms, their progress in each, and a backlog.

What consumes the backlog is a subclass: a connection (``connection_subscriber.py``) or a loop (``listener.py``).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

from .backlog import Backlog, make_backlog
from .broadcast import Broadcaster, Encode, EncodedEvent, Encoder
from .broker import Publication
from .events import Gap
from .policy import Policy
from .position import Position, check_position
from .progress import Progress
from .replay import ReplayCache
from .room import Room
from .smallset import SmallSet
from .stats import Dropped, Stats

__all__ = ("Subscriber", "SubscriberHost", "SubscriberView", "since_by_room")

_TOO_SLOW = "client too slow"
_MISSING = "messages are missing"
"""Why a subscriber is disconnected; the reason in the close frame."""

_logger = logging.getLogger("falconws.hub")


class SubscriberHost(Protocol):
    """What a subscriber needs of the hub."""

    encoder: Encoder
    replay_cache: ReplayCache
    stats: Stats

    def note_drop(self, dropped: Dropped) -> None: ...
    async def open(self, name: str) -> Room: ...
    def release(self, room: Room) -> None: ...


class Subscriber:
    """A follower of rooms with a backlog.

    Args:
        host: The hub.
        policy: What happens when the subscriber does not keep up.
        encode: Encodes its events.
    """

    __slots__ = (
        "_backlog",
        "_dropped",
        "_host",
        "_joining",
        "_policy",
        "_progress",
        "direct",
        "encode",
        "is_over",
        "rooms",
    )

    def __init__(self, host: SubscriberHost, policy: Policy, encode: Encode | None) -> None:
        self._host = host
        self._policy = policy
        self.encode = encode
        self.direct: Broadcaster | None = None
        self.rooms: SmallSet[Room] = SmallSet()
        self.is_over = False
        self._joining = 0
        """While it is not 0, nothing is sent: what is replayed goes first."""
        self._progress = Progress()
        # Most subscribers never need these.
        self._backlog: Backlog[EncodedEvent] | None = None
        self._dropped: Counter[str] | None = None

    @property
    def positions(self) -> dict[str, Position]:
        """The position in each room, see ``SubscriberView.positions``."""
        return self._progress.positions(self.rooms, self._backlog or ())

    @property
    def gaps(self) -> frozenset[str]:
        """The rooms of which messages are missing."""
        return self._progress.gaps

    @property
    def dropped(self) -> Counter[str]:
        """How many messages of each room the policy has dropped."""
        return Counter() if self._dropped is None else self._dropped.copy()

    # Rooms

    async def join(self, name: str, since: Position | None) -> Room | None:
        """Follow a room, from *since* or from now on; return None if the subscriber is over or follows it already."""
        room = await self._host.open(name)
        if self.is_over or room in self.rooms:
            self._progress.joined_too_late(name, since or room.position)
            self._host.release(room)
            return None
        start = room.position
        if since is None or since == start:
            room.add(self)
            self.rooms.add(room)
            return room
        self._joining += 1
        self._go_direct(None)
        record = self._progress.record(name)
        if since.epoch == start.epoch and since.offset > start.offset:
            record.seen_up_to = since
        room.add(self)
        self.rooms.add(room)
        # A copy that is unique: the room may be left and joined again meanwhile.
        mark = record.resumes_from = Position(*since)
        try:
            await self._catch_up(room, mark, start)
        except BaseException:
            if self._resumes_from(room, mark):
                self.leave(room)
            raise
        finally:
            self._joining -= 1
            self._flush()
        return room

    def _resumes_from(self, room: Room, mark: Position) -> bool:
        record = self._progress.find(room.name)
        return not self.is_over and record is not None and record.resumes_from is mark

    async def _catch_up(self, room: Room, since: Position, start: Position) -> None:
        """Replay what was published after *since*, up to *start*; what follows *start* waits in the backlog.

        Everything up to *start* has been delivered in this process, so the history has it.
        """
        history = await self._host.replay_cache.history(room.name, since, start)
        if not self._resumes_from(room, since):
            return
        record = self._progress.record(room.name)
        record.resumes_from = None
        same_epoch = history.top.epoch == start.epoch
        publications = [p for p in history.publications if same_epoch and p.position.offset <= start.offset]
        replay: list[EncodedEvent | None] = []
        if not history.complete:
            if record.seen_up_to is not None:
                # The broker has lost what the client has seen, and new messages were taken for those.
                record.seen_up_to = None
                start, publications = room.position, []
            if publications:
                start = Position(start.epoch, _previous(publications[0]))
            gap = Gap(room.name, start, "the broker does not know the position given, or not any more")
            record.has_gap = True
            self._host.stats.gaps += 1
            self._host.encoder.log_throttle.log_repeated(
                logging.INFO, "%s resumes room %r at %s: %s", self.client, room.name, since, gap.reason
            )
            replay.append(room.encode(self.encode, gap))
        replay += [self._host.replay_cache.encode(room, self.encode, publication) for publication in publications]
        self._host.stats.delivered += len(publications)
        self._make_backlog().replay(encoded for encoded in replay if encoded is not None)

    def leave(self, room: Room) -> None:
        """Stop following *room*; nothing of it is sent from now on. Does nothing if it is not followed."""
        if room in self.rooms:
            self.rooms.discard(room)
            room.remove(self)
            self._progress.leave(room.name)
            if self._backlog is not None:
                self._backlog.discard(room.name)
            self._host.release(room)

    def detach(self) -> None:
        """End the subscriber: it leaves its rooms and its backlog is discarded."""
        self._progress.finish(self.rooms, self._backlog or ())
        self.is_over = True
        self._go_direct(None)
        self._backlog = None
        for room in self.rooms:
            self.leave(room)

    # Deliveries

    def _go_direct(self, connection: Broadcaster | None) -> None:
        """Have events sent on *connection* at once; with None, have them offered."""
        if self.direct is not connection:
            self.direct = connection
            for room in self.rooms:
                room.regroup()

    @property
    def client(self) -> str:
        """The name of the client in logs."""
        raise NotImplementedError

    def offer(self, encoded: EncodedEvent) -> None:
        """Take an event that could not be sent at once: keep it as the policy allows."""
        if self.is_over or self._progress.has_seen(encoded):
            return
        backlog = self._make_backlog()
        dropped = backlog.add(encoded, joining=self._joining > 0)
        if dropped is None:
            self._count_dropped(encoded.room, 1)
            self._progress.finish(self.rooms, [*backlog, encoded])
            self._disconnect(_TOO_SLOW)
            return
        for item in dropped:
            self._count_dropped(item.room, 1)
        self._flush()

    def miss(self, room: Room, *, told: bool) -> None:
        """Called when messages of *room* are lost.

        If the client cannot be *told*, because it has no ``encode`` function or its function has failed, and it must
        not miss messages, it is disconnected: it reloads when it reconnects.
        """
        self._progress.record(room.name).has_gap = True
        if not told and not self._policy.drops:
            self._disconnect(_MISSING)

    def _disconnect(self, reason: str) -> None:
        for waiting in self._backlog or ():
            self._count_dropped(waiting.room, 1)
        self._host.stats.disconnected += 1
        self.detach()
        self._evict(reason)

    def _make_backlog(self) -> Backlog[EncodedEvent]:
        if self._backlog is None:
            self._go_direct(None)
            self._backlog = make_backlog(self._policy)
        return self._backlog

    def _count_dropped(self, room: str, count: int) -> None:
        if self._dropped is None:
            self._dropped = Counter()
            _logger.warning(
                "%s does not keep up with room %r: policy %s%s (logged once; subscription.dropped counts)",
                self.client,
                room,
                self._policy.name,
                "" if self._policy.drops else ", it is disconnected",
            )
        self._dropped[room] += count
        self._host.stats.dropped += count
        self._host.note_drop(Dropped(self.client, room, count, self._policy.name))

    def end(self) -> None:
        """End the subscriber because the hub stops, or because it has failed."""
        self.detach()

    def _flush(self) -> None:
        """Begin to send what waits, unless that is in progress."""
        raise NotImplementedError

    def _evict(self, reason: str) -> None:
        """Tell the consumer why the subscription has ended; it is detached already."""
        raise NotImplementedError


class SubscriberView:
    """What applications see of a subscriber: its progress."""

    __slots__ = ("_subscriber",)

    _subscriber: Subscriber

    @property
    def positions(self) -> dict[str, Position]:
        """The position in each room: everything up to it was sent to the client, or dropped.

        After the end, the positions at the end.
        """
        return self._subscriber.positions

    @property
    def position(self) -> Position:
        """The position in the only room; for several rooms see ``positions``.

        Raises:
            RuntimeError: There is no room, or there are several.
        """
        positions = self.positions
        if not positions:
            raise RuntimeError("This subscription has no room yet, or none any more: there is no position.")
        if len(positions) != 1:
            raise RuntimeError(f"This subscription has {len(positions)} rooms: use positions[room].")
        (position,) = positions.values()
        return position

    @property
    def gap(self) -> bool:
        """Whether messages of any room are missing and the client should reload: the history does not reach back to
        ``since=``, or the broker has lost messages since."""
        return bool(self.gaps)

    @property
    def gaps(self) -> frozenset[str]:
        """The rooms for which ``gap`` is true."""
        return self._subscriber.gaps

    @property
    def dropped(self) -> Mapping[str, int]:
        """How many messages of each room the policy has dropped; 0 for other rooms."""
        return self._subscriber.dropped


def _previous(publication: Publication) -> int:
    return publication.position.offset - 1 if publication.previous is None else publication.previous


def since_by_room(rooms: Sequence[str], since: Position | Mapping[str, Position] | None) -> dict[str, Position | None]:
    """Return the position for each room.

    Raises:
        TypeError, ValueError: *since* does not fit the rooms.
    """
    if since is None:
        return dict.fromkeys(rooms)
    if isinstance(since, Position):
        check_position("since is a Position", since)
        if len(rooms) != 1:
            raise ValueError("One position is for one room: with several rooms, use since={room: position}.")
        return {rooms[0]: since}
    if not isinstance(since, Mapping):
        raise TypeError(f"since is a Position or a mapping of room to Position, not {type(since).__name__}.")
    for position in since.values():
        check_position("since has Positions", position)
    unknown = sorted(map(str, set(since) - set(rooms)))
    if unknown:
        raise ValueError(f"since names rooms that are not subscribed: {', '.join(unknown)}.")
    return {room: since.get(room) for room in rooms}
