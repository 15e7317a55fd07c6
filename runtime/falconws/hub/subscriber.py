"""What all subscribers have in common: their rooms, their progress in each, and a backlog.

Subclasses consume the backlog: for a connection (``connection_subscriber.py``) or a loop (``listener.py``). This module
must not know either.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

from .backlog import Backlog, make_backlog
from .broadcast import Broadcaster, Encode, EncodedEvent, Encoder
from .broker import BrokerRefused, BrokerUnavailable, History, Publication
from .events import Gap, Message
from .limits import HubLimits
from .policy import Policy
from .position import Position
from .progress import NO_PROGRESS, Progress
from .replay import NOTHING, Recent, ReplayCache
from .room import Room
from .smallset import SmallSet
from .stats import Dropped, Stats

__all__ = ("Subscriber", "SubscriberHost")

_TOO_SLOW = "client too slow"
_MISSING = "messages are missing"
_REFUSED = "the room is refused"
"""Why a subscriber is disconnected; the reason in the close frame."""

_READS = 5
"""How often the history is read for a client that resumes while the broker begins new epochs."""

_logger = logging.getLogger("falconws.hub")


class SubscriberHost(Protocol):
    """What a subscriber needs of the hub."""

    encoder: Encoder
    replay_cache: ReplayCache
    stats: Stats
    limits: HubLimits
    lagging: set[Subscriber]
    """The subscribers for which something waits."""
    subscribers: dict[str, Subscriber]
    """The subscribers that have an id, by id."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...
    def note_drop(self, dropped: Dropped) -> None: ...
    async def open(self, name: str) -> Room: ...
    async def recover(self, room: Room) -> None: ...
    def release(self, room: Room) -> None: ...


class Subscriber(ABC):
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
        "_id",
        "_joining",
        "_judging",
        "_lag_timer",
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
        self._progress = NO_PROGRESS
        # Most subscribers never need these.
        self._backlog: Backlog[EncodedEvent] | None = None
        self._dropped: Counter[str] | None = None
        self._id: str | None = None
        self._judging = False
        """Whether ``_judge()`` is about to run."""
        self._lag_timer: asyncio.TimerHandle | None = None

    def _own_progress(self) -> Progress:
        if self._progress is NO_PROGRESS:
            self._progress = Progress()
        return self._progress

    @property
    def id(self) -> str:
        """The id of the subscription in all processes. Most never need one, and it is made on demand."""
        if self._id is None:
            self._id = secrets.token_hex(8)
            if not self.is_over:
                self._host.subscribers[self._id] = self
        return self._id

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

    @property
    def lag_s(self) -> float:
        """For how many seconds the next event has waited."""
        return self._backlog.lag(self._host.loop.time()) if self._backlog else 0.0

    @property
    def waiting(self) -> int:
        """How many messages wait."""
        return _messages(self._backlog or ())

    # Rooms

    async def join(self, name: str, since: Position | None, recent: Recent = NOTHING) -> Room | None:
        """Follow a room, from *since* or from now on; return None if the subscriber is over or follows it already.

        Without *since*, *recent* messages are replayed first.
        """
        room = await self._host.open(name)
        if self.is_over or room in self.rooms:
            self._own_progress().joined_too_late(name, since or room.position)
            self._host.release(room)
            return None
        start = room.position
        if since == start or (since is None and recent == NOTHING):
            room.add(self)
            self.rooms.add(room)
            return room
        self._joining += 1
        self._go_direct(None)
        room.add(self)
        self.rooms.add(room)
        # A copy that is unique: the room may be left and joined again meanwhile.
        mark = self._own_progress().record(name).resumes_from = Position(*(since or start))
        try:
            if since is not None:
                await self._catch_up(room, mark)
            else:
                await self._replay_recent(room, mark, recent)
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

    async def _read_history(
        self, room: Room, mark: Position, since: Position | None
    ) -> tuple[History, Position] | None:
        """Return what was published after *since*, and where the room stands; what follows that waits in the backlog.

        Everything up to there has been delivered in this process, so the history has it. None: the room was left.
        """
        record = self._own_progress().record(room.name)
        for _ in range(_READS):
            start, record.has_jumped = room.position, False
            if since is not None and since.epoch == start.epoch and since.offset > start.offset:
                record.seen_up_to = since
            history = await self._host.replay_cache.history(room.name, since, start)
            is_current = history.top.epoch == start.epoch
            if not is_current and not record.has_jumped and self._resumes_from(room, mark):
                # The broker has lost its data, and this process has yet to learn that.
                await self._host.recover(room)
            if not self._resumes_from(room, mark):
                return None
            if is_current and not record.has_jumped:
                record.resumes_from = None
                return history, start
            # The room has moved beyond what is lost. The history says what is lost for this client, and has the rest.
            if self._backlog is not None:
                self._backlog.discard(lambda item: item.room == room.name and isinstance(item.event, Message | Gap))
        raise BrokerUnavailable(f"the history of room {room.name!r} has another epoch than its messages")

    async def _catch_up(self, room: Room, since: Position) -> None:
        """Replay what was published after *since*."""
        found = await self._read_history(room, since, since)
        if found is None:
            return
        history, start = found
        record = self._own_progress().record(room.name)
        publications = [p for p in history.publications if p.position.offset <= start.offset]
        kept = self._within_limit(publications)
        reason = "the broker does not know the position given, or not any more"
        if len(kept) < len(publications) and history.complete:
            reason = "more was missed than HubLimits(replay_bytes=...) allows"
        encoded_gap = None
        if not history.complete or len(kept) < len(publications):
            if not kept and publications:
                start = publications[-1].position
            publications = kept
            if record.seen_up_to is not None:
                # The broker has lost what the client has seen, and new messages were taken for those.
                record.seen_up_to = None
                start, publications = room.position, []
            if publications:
                start = Position(start.epoch, _previous(publications[0]))
            gap = Gap(room.name, start, reason)
            record.has_gap = True
            self._host.stats.gaps += 1
            self._host.encoder.log_throttle.log_repeated(
                logging.INFO, "%s resumes room %r at %s: %s", self.client, room.name, since, gap.reason
            )
            encoded_gap = room.encode(self.encode, gap)
        self._replay(room, publications, encoded_gap)

    async def _replay_recent(self, room: Room, mark: Position, recent: Recent) -> None:
        """Replay *recent* messages."""
        found = await self._read_history(room, mark, None)
        if found is not None:
            history, start = found
            kept = [p for p in history.publications if p.position.offset <= start.offset]
            self._replay(room, self._within_limit(list(recent.select(kept))))

    def _within_limit(self, publications: list[Publication]) -> list[Publication]:
        """Return the newest of *publications* that may be replayed."""
        limit = self._replay_bytes
        if limit is None:
            return publications
        for index in range(len(publications) - 1, -1, -1):
            limit -= len(publications[index].payload)
            if limit < 0:
                return publications[index + 1 :]
        return publications

    def _replay(self, room: Room, publications: Sequence[Publication], gap: EncodedEvent | None = None) -> None:
        stats = self._host.stats
        failed = stats.failed
        publications = [p for p in publications if not self._is_excluded(p)]
        replay = [self._host.replay_cache.encode(room, self.encode, publication) for publication in publications]
        # What an ``encode`` function has made nothing of counts as delivered.
        stats.delivered += replay.count(None) - (stats.failed - failed)
        items = [encoded for encoded in (gap, *replay) if encoded is not None]
        if items:
            self._make_backlog().replay(items, self._host.loop.time())

    def leave(self, room: Room) -> None:
        """Stop following *room*; nothing of it is sent from now on. Does nothing if it is not followed."""
        if room in self.rooms:
            self.rooms.discard(room)
            room.remove(self)
            self._progress.leave(room.name)
            if self._backlog is not None:
                self._host.stats.discarded += _messages(self._backlog.discard(lambda item: item.room == room.name))
            self._host.release(room)

    def detach(self) -> None:
        """End the subscriber: it leaves its rooms and its backlog is discarded."""
        self._own_progress().finish(self.rooms, self._backlog or ())
        self.is_over = True
        self._go_direct(None)
        self._host.stats.discarded += self.waiting
        self._drop_backlog()
        if self._lag_timer is not None:
            self._lag_timer.cancel()
        if self._id is not None:
            self._host.subscribers.pop(self._id, None)
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
    @abstractmethod
    def client(self) -> str:
        """The name of the client in logs."""

    @property
    def _replay_bytes(self) -> int | None:
        """How many bytes of a room's history are replayed at most; None: all."""
        return None

    def _is_excluded(self, publication: Publication) -> bool:
        """Whether *publication* is for all others."""
        return False

    def offer(self, encoded: EncodedEvent, *, recovered: bool = False) -> None:
        """Take an event that could not be sent at once: keep it as the policy allows."""
        if self.is_over:
            self._host.stats.discarded += encoded.is_message
            return
        if self._progress.has_seen(encoded.event):
            self._host.stats.delivered += encoded.is_message
            return
        backlog = self._make_backlog()
        replaced = backlog.add(encoded, self._host.loop.time(), joining=self._joining > 0, exempt=recovered)
        if replaced is not None:
            self._count_dropped([replaced])
        self._flush()
        if backlog.is_over_limit and not self._judging:
            # Not now: a burst of messages alone makes no client slow. What waits is sent first, as far as possible.
            self._judging = True
            self._host.loop.call_soon(self._judge)

    def _judge(self) -> None:
        self._judging = False
        if self._backlog is None or not self._backlog.is_over_limit:
            return
        if self._policy.drops:
            self._count_dropped(self._backlog.trim())
        else:
            self._disconnect(_TOO_SLOW)

    def _check_lag(self) -> None:
        timer, self._lag_timer = self._lag_timer, None
        if self._backlog and timer is not None:
            limit_s = self._policy.max_lag_s
            assert limit_s is not None
            now = self._host.loop.time()
            # If the timer is late, this process did not run, and could send nothing: that time does not count.
            late_s = now - timer.when()
            lag_s = 0.0 if self._joining else self._backlog.lag(now) - late_s
            if lag_s < limit_s - 0.001:
                self._set_lag_timer(limit_s - lag_s)
            elif late_s > limit_s / 10:
                self._set_lag_timer(min(late_s, limit_s))
            else:
                self._disconnect(_TOO_SLOW)

    def _set_lag_timer(self, delay_s: float) -> None:
        self._lag_timer = self._host.loop.call_later(delay_s, self._check_lag)

    def miss(self, gap: Gap, *, notified: bool) -> None:
        """Called when messages of a room are lost.

        A client that cannot be *notified*, because it has no ``encode`` function or its function has failed, and that
        must not miss messages, is disconnected: it reloads when it reconnects.
        """
        if self._progress.has_seen(gap):
            return
        record = self._own_progress().record(gap.room)
        if record.resumes_from is not None:
            record.has_jumped = True
            return
        record.has_gap = True
        if not notified and not self._policy.drops:
            self._disconnect(_MISSING)

    def _disconnect(self, reason: str) -> None:
        self._own_progress().finish(self.rooms, self._backlog or ())
        self._count_dropped(self._backlog or ())
        self._drop_backlog()
        self._host.stats.disconnected += 1
        self.detach()
        self._evict(reason)

    def _make_backlog(self) -> Backlog[EncodedEvent]:
        if self._backlog is None:
            self._go_direct(None)
            self._backlog = make_backlog(self._policy)
            self._host.lagging.add(self)
        if self._policy.max_lag_s is not None and self._lag_timer is None:
            self._set_lag_timer(self._policy.max_lag_s)
        return self._backlog

    def _drop_backlog(self) -> None:
        self._backlog = None
        self._host.lagging.discard(self)

    def _count_dropped(self, items: Iterable[EncodedEvent]) -> None:
        for room, count in Counter(item.room for item in items if item.is_message).items():
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

    def refuse(self, error: BrokerRefused) -> None:
        """End the subscriber because the broker refuses a room of it."""
        self.detach()
        self._evict(_REFUSED, error)

    def end(self) -> None:
        """End the subscriber because the hub stops, or because it has failed."""
        self.detach()

    @abstractmethod
    def _flush(self) -> None:
        """Begin to send what waits, unless that is in progress."""

    @abstractmethod
    def _evict(self, reason: str, error: BrokerRefused | None = None) -> None:
        """Tell the consumer why the subscription has ended, perhaps because of *error*; it is detached already."""


def _messages(events: Iterable[EncodedEvent]) -> int:
    return sum(event.is_message for event in events)


def _previous(publication: Publication) -> int:
    return publication.position.offset - 1 if publication.previous is None else publication.previous
