"""``memory://``: the default broker, for a single process. Nothing leaves the process, and nothing outlives it."""

from __future__ import annotations

import math
import secrets
from collections import deque
from collections.abc import Iterable, Sequence
from time import monotonic

from falconws.hub.broker import Entry, EphemeralPublication, Health, History, HistoryLimits, Payload, Publication, Sink
from falconws.hub.history_rules import HistoryRules, RoomHistory
from falconws.hub.position import Position

__all__ = ("Leases", "HistoryLog", "MemoryBroker")


class HistoryLog:
    """The newest offset of a room, and its newest publications.

    Args:
        offset: Where the room begins; its first publication gets the next offset.
    """

    __slots__ = ("_complete_since", "_kept", "offset")

    def __init__(self, offset: int) -> None:
        self.offset = offset
        """The offset of the newest publication."""
        self._complete_since = offset
        # Most of many rooms are quiet, and an empty deque takes 0.7 kB.
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
        while len(self._kept) > limits.messages:
            self._drop_oldest()
        self.expire(now, limits)

    def expire(self, now: float, limits: HistoryLimits) -> bool:
        """Remove publications that are too old at *now*; return whether none is left."""
        while self._kept and self._kept[0][0] <= now - limits.age_s:
            self._drop_oldest()
        if not self._kept:
            self._kept = None
        return self._kept is None

    def _drop_oldest(self) -> None:
        assert self._kept is not None
        _, publication = self._kept.popleft()
        self._complete_since = publication.position.offset

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


class _Member:
    __slots__ = ("devices", "info")

    def __init__(self, info: bytes) -> None:
        self.info = info
        self.devices: dict[str, float] = {}


class Leases:
    """The members of one room, their devices, and until when each device counts. False when there are none."""

    __slots__ = ("_members", "_none_before")

    def __init__(self) -> None:
        self._members: dict[str, _Member] = {}
        self._none_before = math.inf
        """Until then no lease runs out. Everybody who comes or asks looks for those that have."""

    def __bool__(self) -> bool:
        return bool(self._members)

    def join(self, member: str, device: str, info: bytes, deadline: float) -> bool:
        """Add a device, or renew it; return whether *member* is new. *info* replaces that of earlier devices."""
        present = self._members.get(member)
        new = present is None
        if present is None:
            present = self._members[member] = _Member(info)
        present.info = info
        present.devices[device] = deadline
        self._none_before = min(self._none_before, deadline)
        return new

    def renew(self, member: str, device: str, deadline: float) -> bool:
        """Prolong a lease; return whether the device is there. One that nobody has removed yet is."""
        present = self._members.get(member)
        if present is None or device not in present.devices:
            return False
        present.devices[device] = deadline
        self._none_before = min(self._none_before, deadline)
        return True

    def leave(self, member: str, device: str) -> bool:
        """Remove a device; return whether it was the member's last."""
        present = self._members.get(member)
        if present is None or present.devices.pop(device, None) is None or present.devices:
            return False
        del self._members[member]
        return True

    def members(self, now: float) -> dict[str, bytes]:
        """Return the members with a device whose lease runs at *now*, each with its info."""
        if now < self._none_before:
            return {member: present.info for member, present in self._members.items()}
        return {
            member: present.info
            for member, present in self._members.items()
            if any(deadline > now for deadline in present.devices.values())
        }

    def expire(self, now: float) -> list[str]:
        """Remove the devices whose lease has run out at *now*; return the members who are gone by that."""
        if now < self._none_before:
            return []
        gone = []
        self._none_before = math.inf
        for member, present in list(self._members.items()):
            for device in [device for device, deadline in present.devices.items() if deadline <= now]:
                del present.devices[device]
            if not present.devices:
                del self._members[member]
                gone.append(member)
            else:
                self._none_before = min(self._none_before, *present.devices.values())
        return gone


class _Store:
    """The state that brokers share which stand for several processes on one server."""

    __slots__ = ("brokers", "dormant", "epoch", "forgotten", "presence", "rooms")

    def __init__(self) -> None:
        self.epoch = secrets.token_hex(4)
        self.rooms: dict[str, HistoryLog] = {}
        self.dormant: dict[str, float] = {}
        """When each room with kept messages got its newest one, the oldest first."""
        self.forgotten = 0
        """The highest offset of a room that was forgotten. New rooms begin there, so that a position in the forgotten
        room is never taken for one in its successor, unless it was the room's end."""
        self.presence: dict[str, Leases] = {}
        self.brokers: list[MemoryBroker] = []

    def log(self, room: str) -> HistoryLog:
        log = self.rooms.get(room)
        if log is None:
            log = self.rooms[room] = HistoryLog(self.forgotten)
        return log

    def followed(self, room: str) -> bool:
        return any(room in broker.subscribed for broker in self.brokers)

    def forget(self, room: str) -> None:
        log = self.rooms.pop(room)
        self.forgotten = max(self.forgotten, log.offset)


class MemoryBroker:
    """A broker in this process's memory; see ``falconws.hub.Broker`` for its methods.

    Args:
        url: ``memory://``, without anything after it.
        history: How much of each room is kept.
        timeout_s: Has no effect: nothing here waits.
        shares: Another broker whose rooms it shares, as two processes share one server. For tests.
    """

    def __init__(
        self,
        url: str = "memory://",
        *,
        history: RoomHistory | None = None,
        timeout_s: float = 5.0,
        shares: MemoryBroker | None = None,
    ) -> None:
        if url != "memory://":
            raise ValueError(f"{url!r}: the memory broker's URL is just 'memory://'.")
        self._history = HistoryRules(history)
        self._store: _Store = _Store() if shares is None else shares._store
        self._sink: Sink | None = None
        self.subscribed: set[str] = set()
        """The rooms whose publications are delivered."""

    async def start(self, sink: Sink) -> None:
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
        return Health(True, "memory: shared by nothing outside of this process")

    async def publish(
        self, room: str, payload: Payload, *, key: str | None = None, exclude: str | None = None
    ) -> Position:
        store = self._store
        log = store.log(room)
        position = Position(store.epoch, log.offset + 1)
        publication = Publication(room, payload, position, log.offset, key, exclude)
        now = monotonic()
        log.append(publication, now, self._history.limits(room))
        store.dormant.pop(room, None)
        store.dormant[room] = now
        self._forget_dormant(now)
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
            log.expire(now, self._history.limits(room))
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
            self._store.rooms[room].expire(now, self._history.limits(room))
            self._forget_if_unused(room)

    def _forget_if_unused(self, room: str) -> None:
        store = self._store
        if room not in store.dormant and room in store.rooms and not store.followed(room):
            store.forget(room)

    # Presence

    async def join(self, room: str, member: str, device: str, info: bytes, lease_s: float) -> bool:
        leases = self._store.presence.setdefault(room, Leases())
        now = monotonic()
        self._tell_left(room, leases.expire(now))
        first = leases.join(member, device, info, now + lease_s)
        # The last leases may just have run out, and the room's entry with them.
        self._store.presence[room] = leases
        if first:
            for sink in self._sinks(room):
                sink.joined(room, member, info)
        return first

    async def leave(self, room: str, member: str, device: str) -> bool:
        leases = self._store.presence.get(room)
        if leases is None:
            return False
        last = leases.leave(member, device)
        if last:
            self._tell_left(room, [member])
        return last

    async def renew(self, entries: Sequence[Entry], lease_s: float) -> Sequence[Entry]:
        deadline = monotonic() + lease_s
        lost = []
        for entry in entries:
            leases = self._store.presence.get(entry.room)
            if leases is None or not leases.renew(entry.member, entry.device, deadline):
                lost.append(entry)
        return lost

    async def members(self, room: str) -> dict[str, bytes]:
        leases = self._store.presence.get(room)
        return {} if leases is None else leases.members(monotonic())

    async def expire(self, rooms: Iterable[str]) -> Sequence[tuple[str, str]]:
        now = monotonic()
        gone = []
        for room in rooms:
            leases = self._store.presence.get(room)
            if leases is not None:
                members = leases.expire(now)
                gone += [(room, member) for member in members]
                self._tell_left(room, members)
        return gone

    def _sinks(self, room: str) -> list[Sink]:
        return [
            broker._sink for broker in self._store.brokers if room in broker.subscribed and broker._sink is not None
        ]

    def _tell_left(self, room: str, members: Sequence[str]) -> None:
        for member in members:
            for sink in self._sinks(room):
                sink.left(room, member)
        if not self._store.presence[room]:
            del self._store.presence[room]
