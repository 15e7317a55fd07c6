"""Where one subscriber stands in each of its rooms.

Most subscribers stand where their rooms stand. There is a record for a room only while a subscriber differs from it:
while it resumes, while it is ahead of this process, or after it has missed messages. Knows rooms by name and position;
sends nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from .broadcast import EncodedEvent
from .events import Event, Gap, Message
from .position import Position
from .room import Room

__all__ = ("NO_PROGRESS", "Progress", "RoomProgress")


class RoomProgress:
    """How a subscriber differs from one of its rooms."""

    __slots__ = ("has_gap", "has_jumped", "resumes_from", "seen_up_to")

    def __init__(self) -> None:
        self.has_gap = False
        """Messages are missing for good."""
        self.resumes_from: Position | None = None
        """The position behind which the history was requested, until it has arrived."""
        self.has_jumped = False
        """The room has lost messages since the history was requested."""
        self.seen_up_to: Position | None = None
        """The client has these messages from a process that is ahead of this one."""


class Progress:
    """The positions of one subscriber."""

    __slots__ = ("_final", "_records")

    def __init__(self) -> None:
        self._records: dict[str, RoomProgress] | None = None
        self._final: dict[str, Position] | None = None
        """The positions at the end of the subscription."""

    def record(self, room: str) -> RoomProgress:
        """Return the record for *room*, which is made if there is none."""
        if self._records is None:
            self._records = {}
        return self._records.setdefault(room, RoomProgress())

    def find(self, room: str) -> RoomProgress | None:
        """Return the record for *room*; None if the subscriber stands where the room stands."""
        return None if self._records is None else self._records.get(room)

    def leave(self, room: str) -> None:
        """Discard the record for *room*. After the end of the subscription, its gaps remain."""
        record = self.find(room)
        if record is None or self._records is None:
            return
        if self._final is not None and record.has_gap:
            record.resumes_from = record.seen_up_to = None
        else:
            del self._records[room]

    @property
    def gaps(self) -> frozenset[str]:
        """The rooms of which messages are missing."""
        return frozenset(room for room, record in (self._records or {}).items() if record.has_gap)

    @property
    def is_ahead(self) -> bool:
        """Whether the client has messages that are still to come in this process."""
        return self._records is not None and any(record.seen_up_to for record in self._records.values())

    def has_seen(self, event: Event) -> bool:
        """Return whether the client has the message *event*, or all that a gap is about, from another process."""
        record = self.find(event.room)
        if record is None or record.seen_up_to is None or not isinstance(event, Message | Gap):
            return False
        epoch, offset = record.seen_up_to
        if event.position.epoch == epoch and event.position.offset <= offset:
            return True
        record.seen_up_to = None
        return False

    def positions(self, rooms: Iterable[Room], waiting: Iterable[EncodedEvent]) -> dict[str, Position]:
        """Return the position in each of *rooms* of a subscriber for which *waiting* waits; the final ones at the end.

        What was published up to a position has been sent to the client, or dropped.
        """
        if self._final is not None:
            return self._final.copy()
        positions = {room.name: room.position for room in rooms}
        for name, position in positions.items():
            record = self.find(name)
            seen = None if record is None else record.seen_up_to
            if seen is not None and seen.epoch == position.epoch and seen.offset > position.offset:
                positions[name] = seen
        first: dict[str, Position] = {}
        for encoded in waiting:
            if encoded.position is not None and encoded.room in positions:
                epoch, offset = encoded.position
                before = offset - 1 if encoded.previous is None else encoded.previous
                known = first.get(encoded.room)
                # The lowest of the first epoch: the messages of a room need not wait in order.
                if known is None or (known.epoch == epoch and before < known.offset):
                    first[encoded.room] = Position(epoch, before)
        positions |= first
        for name in positions:
            record = self.find(name)
            if record is not None and record.resumes_from is not None:
                positions[name] = record.resumes_from
        return positions

    def finish(self, rooms: Iterable[Room], waiting: Iterable[EncodedEvent]) -> None:
        """Keep the positions as they are now: the subscription ends."""
        if self._final is None:
            self._final = self.positions(rooms, waiting)

    def joined_too_late(self, room: str, position: Position) -> None:
        """Keep *position* for *room*, which was joined while the subscription ended."""
        if self._final is not None:
            self._final.setdefault(room, position)


NO_PROGRESS = Progress()
"""Shared by all subscribers that stand where their rooms stand; it never changes."""
