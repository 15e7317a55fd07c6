"""``memory://``: the default broker, for a single process. Nothing leaves the process, and nothing outlives it.

Knows nothing of subscriptions: it delivers the rooms that the process follows to the hub.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Sequence
from time import monotonic

from falconws.hub.broker import (
    Entry,
    EphemeralPublication,
    Health,
    History,
    HistoryLimits,
    Member,
    Payload,
    Publication,
    Sink,
)
from falconws.hub.history_rules import HistoryRules, RoomHistory
from falconws.hub.limits import DEFAULT_LIMITS, HubLimits
from falconws.hub.position import Position

__all__ = ("HistoryLog", "MemoryBroker", "PresenceTable")


_MAX_CLAIMS = 100_000
_MESSAGE_BYTES = 256
"""What a message counts for in addition to its payload."""


class HistoryLog:
    """The newest offset of a room, and its newest publications.

    Args:
        offset: Where the room begins; its first publication gets the next offset.
    """

    __slots__ = ("_complete_since", "_kept", "bytes", "offset")

    def __init__(self, offset: int) -> None:
        self.offset = offset
        """The offset of the newest publication."""
        self.bytes = 0
        """What is kept."""
        self._complete_since = offset
        # Where there are many rooms, most are quiet, and an empty deque takes 0.7 kB.
        self._kept: deque[tuple[float, Publication]] | None = None

    def append(self, publication: Publication, now: float, limits: HistoryLimits) -> None:
        """Append the room's newest publication, made at *now* (seconds)."""
        self.offset = publication.position.offset
        if not limits.messages:
            self._complete_since = self.offset
            return
        if self._kept is None:
            self._kept = deque()
        self._kept.append((now, publication))
        self.bytes += _size(publication)
        while len(self._kept) > limits.messages:
            self.drop_oldest()
        self.expire(now, limits)

    def expire(self, now: float, limits: HistoryLimits) -> bool:
        """Remove publications that are too old at *now*; return whether none is left."""
        while self._kept and self._kept[0][0] <= now - limits.age_s:
            self.drop_oldest()
        return self._kept is None

    def drop_oldest(self) -> bool:
        """Remove the oldest publication, if there is one; return whether none is left."""
        if self._kept:
            _, publication = self._kept.popleft()
            self.bytes -= _size(publication)
            self._complete_since = publication.position.offset
        if not self._kept:
            self._kept = None
        return self._kept is None

    def after(self, offset: int) -> tuple[list[Publication], bool]:
        """Return the kept publications after *offset*, in order, and whether they are complete."""
        complete = self._complete_since <= offset <= self.offset
        if offset > self.offset:
            # A position in the future: the caller's past is not this room's.
            offset = -1
        if self._kept is None:
            return [], complete
        # The offsets of a room have no holes.
        skip = max(0, offset - self._kept[0][1].position.offset + 1)
        return [self._kept[index][1] for index in range(skip, len(self._kept))], complete


def _size(publication: Publication) -> int:
    return len(publication.payload) + _MESSAGE_BYTES


_Device = tuple[str, str]
"""A process, and its name for the device."""


class PresenceTable:
    """The devices of all members in all rooms, and the processes that hold them."""

    __slots__ = ("_of_member", "_of_process", "leases", "rooms")

    def __init__(self) -> None:
        self.leases: dict[str, float] = {}
        """When the lease of each process ends."""
        self.rooms: dict[str, dict[str, dict[_Device, bytes]]] = {}
        """The info of each device, by room and member; the device that was updated last comes last."""
        self._of_process: dict[str, set[Entry]] = {}
        self._of_member: dict[str, set[str]] = {}

    def join(self, process: str, entry: Entry, info: bytes) -> bool:
        """Add a device, or replace its info; return whether the member is new."""
        room, member, device = entry
        devices = self.rooms.setdefault(room, {}).setdefault(member, {})
        new = not devices
        devices.pop((process, device), None)
        devices[process, device] = info
        self._of_process.setdefault(process, set()).add(entry)
        self._of_member.setdefault(member, set()).add(room)
        return new

    def leave(self, process: str, entry: Entry) -> bool:
        """Remove a device; return whether it was there."""
        room, member, device = entry
        mine = self._of_process.get(process, set())
        if entry not in mine:
            return False
        mine.discard(entry)
        members = self.rooms[room]
        del members[member][process, device]
        if not members[member]:
            del members[member]
            self._of_member[member].discard(room)
            if not self._of_member[member]:
                del self._of_member[member]
            if not members:
                del self.rooms[room]
        return True

    def devices(self, room: str, member: str) -> dict[_Device, bytes]:
        return self.rooms.get(room, {}).get(member, {})

    def rooms_of(self, member: str) -> set[str]:
        return self._of_member.get(member, set())

    def pop_process(self, process: str) -> set[Entry]:
        """End the lease of *process*, and return its devices, which the caller removes."""
        self.leases.pop(process, None)
        return set(self._of_process.get(process, ()))

    def members(self, room: str, now: float) -> dict[str, Member]:
        """Return the members that have a device whose process is alive."""
        found = {}
        for member, devices in self.rooms.get(room, {}).items():
            live = [info for (process, _), info in devices.items() if self.leases.get(process, 0.0) > now]
            if live:
                found[member] = Member(live[-1], len(live))
        return found


class _Store:
    """The state that brokers share which stand for several processes on one server."""

    __slots__ = ("brokers", "bytes", "claims", "dormant", "epoch", "evicted", "forgotten", "presence", "rooms")

    def __init__(self) -> None:
        self.epoch = ""
        """Made when the first broker starts: processes that are forked later have others."""
        self.rooms: dict[str, HistoryLog] = {}
        self.dormant: dict[str, float] = {}
        """When each room with kept messages got its newest one, the oldest first."""
        self.forgotten = 0
        """The highest offset of a room that was forgotten. New rooms begin there, so that a position in the forgotten
        room is never taken for one in its successor, unless it was the room's end."""
        self.bytes = 0
        """What all rooms keep."""
        self.evicted = 0
        """How many messages were removed because all rooms together kept too much."""
        self.presence = PresenceTable()
        self.brokers: list[MemoryBroker] = []
        self.claims: dict[tuple[str, str, Position], str] = {}
        """The claimant of each message, by room, group and position; the oldest claims come first."""

    def log(self, room: str) -> HistoryLog:
        log = self.rooms.get(room)
        if log is None:
            log = self.rooms[room] = HistoryLog(self.forgotten)
        return log

    def followed(self, room: str) -> bool:
        return any(room in broker.subscribed for broker in self.brokers)

    def forget(self, room: str) -> None:
        log = self.rooms.pop(room)
        self.bytes -= log.bytes
        self.forgotten = max(self.forgotten, log.offset)


class MemoryBroker:
    """A broker in this process's memory; see ``falconws.hub.Broker`` for its methods.

    Args:
        url: ``memory://``, without anything after it.
        history: How much of each room is kept.
        timeout_s: Has no effect: nothing here waits.
        limits: How many bytes are kept. ``room_ttl_s`` has no effect: a room that nobody follows is forgotten with its
            last message, and positions in it stay valid.
        shares: Another broker whose rooms it shares, as two processes share one server. For tests.
    """

    def __init__(
        self,
        url: str = "memory://",
        *,
        history: RoomHistory | None = None,
        timeout_s: float = 5.0,
        limits: HubLimits = DEFAULT_LIMITS,
        shares: MemoryBroker | None = None,
    ) -> None:
        if url != "memory://":
            raise ValueError(f"{url!r}: the memory broker's URL is just 'memory://'.")
        self._history = HistoryRules(history)
        self._max_bytes = limits.history_bytes
        self._store: _Store = _Store() if shares is None else shares._store
        self._sink: Sink | None = None
        self._process = ""
        self.subscribed: set[str] = set()
        """The rooms whose publications are delivered."""

    async def start(self, sink: Sink) -> None:
        self._process = secrets.token_hex(8)
        self._store.epoch = self._store.epoch or secrets.token_hex(4)
        self._sink = sink
        self._store.brokers.append(self)

    async def stop(self) -> None:
        if self._sink is not None:
            self._sink = None
            self._store.brokers.remove(self)
            rooms, self.subscribed = self.subscribed, set()
            for room in rooms:
                self._forget_if_unused(room)

    async def health(self) -> Health:
        detail = "memory: for one process; several workers need the URL of Redis or NATS"
        if self._store.evicted:
            detail += f"; {self._store.evicted} messages were removed early: HubLimits(history_bytes={self._max_bytes})"
        return Health(True, detail)

    async def publish(
        self, room: str, payload: Payload, *, key: str | None = None, exclude: str | None = None
    ) -> Position:
        store = self._store
        log = store.log(room)
        position = Position(store.epoch, log.offset + 1)
        publication = Publication(room, payload, position, log.offset, key, exclude)
        now = monotonic()
        before = log.bytes
        log.append(publication, now, self._history.limits(room))
        store.bytes += log.bytes - before
        store.dormant.pop(room, None)
        store.dormant[room] = now
        self._forget_dormant(now)
        if self._max_bytes is not None and store.bytes > self._max_bytes:
            self._evict(self._max_bytes)
        for broker in store.brokers:
            if room in broker.subscribed and broker._sink is not None:
                broker._sink.deliver(publication)
        return position

    async def publish_many(
        self, room: str, messages: Sequence[tuple[Payload, str | None]], *, exclude: str | None = None
    ) -> list[Position]:
        return [await self.publish(room, payload, key=key, exclude=exclude) for payload, key in messages]

    async def broadcast(
        self, room: str, payload: Payload, *, key: str | None = None, exclude: str | None = None
    ) -> None:
        message = EphemeralPublication(room, payload, key, exclude)
        for sink in self._sinks(room):
            sink.deliver_ephemeral(message)

    async def subscribe(self, room: str) -> Position:
        self.subscribed.add(room)
        return Position(self._store.epoch, self._store.log(room).offset)

    async def unsubscribe(self, room: str) -> None:
        if room in self.subscribed:
            self.subscribed.remove(room)
            self._forget_if_unused(room)

    async def history(self, room: str, since: Position) -> History:
        store = self._store
        now = monotonic()
        self._forget_dormant(now)
        log = store.rooms.get(room)
        if log is None:
            log = HistoryLog(store.forgotten)
        else:
            self._expire(log, room, now)
        same_epoch = since.epoch == store.epoch
        publications, complete = log.after(since.offset if same_epoch else -1)
        return History(publications, Position(store.epoch, log.offset), complete and same_epoch)

    def _forget_dormant(self, now: float) -> None:
        """Forget rooms in which nothing was published for as long as messages are kept."""
        dormant = self._store.dormant
        while dormant:
            room, quiet_since = next(iter(dormant.items()))
            if quiet_since > now - self._history.largest.age_s:
                return
            del dormant[room]
            self._expire(self._store.rooms[room], room, now)
            self._forget_if_unused(room)

    def _expire(self, log: HistoryLog, room: str, now: float) -> None:
        before = log.bytes
        log.expire(now, self._history.limits(room))
        self._store.bytes += log.bytes - before

    def _evict(self, max_bytes: int) -> None:
        store = self._store
        while store.bytes > max_bytes and store.dormant:
            room = next(iter(store.dormant))
            log = store.rooms[room]
            before = log.bytes
            is_empty = log.drop_oldest()
            store.bytes += log.bytes - before
            store.evicted += before != log.bytes
            if is_empty:
                del store.dormant[room]
                self._forget_if_unused(room)

    def _forget_if_unused(self, room: str) -> None:
        store = self._store
        if room not in store.dormant and room in store.rooms and not store.followed(room):
            store.forget(room)

    async def claim(self, room: str, group: str, position: Position, claimant: str) -> bool:
        claims = self._store.claims
        if len(claims) > _MAX_CLAIMS:
            del claims[next(iter(claims))]
        return claims.setdefault((room, group, position), claimant) == claimant

    # Presence

    async def renew(self, lease_s: float) -> bool:
        known = self._process in self._store.presence.leases
        self._store.presence.leases[self._process] = monotonic() + lease_s
        return known

    async def join(self, entry: Entry, info: bytes) -> None:
        room, member, _ = entry
        new = self._store.presence.join(self._process, entry, info)
        devices = len(self._store.presence.devices(room, member))
        for sink in self._sinks(room):
            (sink.joined if new else sink.updated)(room, member, info, devices)

    async def leave(self, entry: Entry) -> None:
        self._leave(self._process, entry)

    def _leave(self, process: str, entry: Entry) -> None:
        room, member, _ = entry
        if not self._store.presence.leave(process, entry):
            return
        remaining = list(self._store.presence.devices(room, member).values())
        for sink in self._sinks(room):
            if remaining:
                sink.updated(room, member, remaining[-1], len(remaining))
            else:
                sink.left(room, member)

    async def members(self, room: str) -> dict[str, Member]:
        return self._store.presence.members(room, monotonic())

    async def count_members(self, rooms: Sequence[str]) -> list[int]:
        return [len(await self.members(room)) for room in rooms]

    async def rooms_of(self, member: str) -> list[str]:
        rooms = self._store.presence.rooms_of(member)
        return [room for room in rooms if member in await self.members(room)]

    async def expire(self) -> None:
        now = monotonic()
        for process in [process for process, until in self._store.presence.leases.items() if until <= now]:
            self._remove_process(process)

    async def release(self, after_s: float = 0.0) -> None:
        if after_s:
            await self.renew(after_s)
        else:
            self._remove_process(self._process)

    def _remove_process(self, process: str) -> None:
        for entry in self._store.presence.pop_process(process):
            self._leave(process, entry)

    def _sinks(self, room: str) -> list[Sink]:
        return [
            broker._sink for broker in self._store.brokers if room in broker.subscribed and broker._sink is not None
        ]
