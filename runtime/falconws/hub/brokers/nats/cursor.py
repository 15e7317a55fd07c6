"""The cursor of one room: which of its messages follows which, as this process sees them. Pure.

With each message, the stream gives the sequence number of the message before it on the subject. That one may be an
anchor, which no subscriber sees, or a message that the stream has removed. The cursor translates it into the
publication that the hub has seen last.

The hub's position is always that of a publication: the offset that an anchor stands for, never the anchor's own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from falconws.hub.broker import Publication
from falconws.hub.position import Position

from .codec import ANCHOR_HEADER, Headers, decode, number, offset_of
from .jetstream import Stored

__all__ = ("RoomCursor", "SubjectPosition")


class SubjectPosition(NamedTuple):
    """The position of a room in the stream."""

    newest: int
    """The sequence number of the newest message on the subject, anchor or not."""
    offset: int
    """The offset of the last publication; for a room that has had none, that of its anchor."""
    stamp: str
    """When the stream stored the newest message, as the server writes it; empty if unknown."""


class RoomCursor:
    """See the module's docstring."""

    __slots__ = ("epoch", "last_sequence", "last_stamp", "name", "offset", "stamp", "streams", "subscription")

    def __init__(self, name: str) -> None:
        self.name = name
        self.streams: object = None
        """The session's streams in which the room is subscribed."""
        self.subscription: Any = None
        self.epoch = ""
        self.last_sequence = 0
        """The sequence number of the last message on the subject, anchor or not; 0 if some may have been missed."""
        self.offset = 0
        """The offset of the last publication: the hub's position."""
        self.stamp = ""
        """When the stream stored that publication, as the server wrote it; empty if it was not delivered here."""
        self.last_stamp = ""
        """When the stream stored the newest known message, anchor or not; empty if there is none."""

    def begin_session(self, epoch: str) -> None:
        """Prepare for a session in which the stream has *epoch*: messages may have been missed before."""
        if epoch != self.epoch:
            self.epoch, self.offset, self.stamp = epoch, 0, ""
        self.last_sequence = 0

    def advance_to(self, epoch: str, position: SubjectPosition) -> None:
        """Move to *position*, unless something newer has been delivered."""
        if epoch != self.epoch:
            self.epoch, self.last_sequence = epoch, 0
        if self.last_sequence < position.newest:
            self.last_sequence, self.offset, self.stamp = position.newest, position.offset, ""
            self.last_stamp = position.stamp or self.last_stamp

    def lacks(self, offset: int) -> bool:
        """Whether the publication at *offset* has not been delivered, though an earlier one may have been."""
        return 0 < max(self.last_sequence, self.offset) < offset

    def accept(self, epoch: str, headers: Headers, data: bytes) -> Publication | None:
        """Return the publication in a message that was delivered; None if the hub need not see the message."""
        sequence, before = number(headers, "Nats-Sequence"), number(headers, "Nats-Last-Sequence")
        if sequence is None:
            # Not from the stream.
            return None
        if epoch != self.epoch:
            self.epoch, self.last_sequence = epoch, 0
        # 0: the stream has removed the message before. That was the last one delivered here, or this one would not be
        # the next.
        follows = self.last_sequence != 0 and before in (0, self.last_sequence)
        self.last_sequence, self.last_stamp = sequence, headers.get("Nats-Time-Stamp", "")
        if ANCHOR_HEADER in headers:
            # An anchor that stands for the last publication proves that nothing was missed.
            if not follows and offset_of(headers, sequence) != self.offset:
                self.last_sequence = 0
            return None
        previous = self.offset if follows else before
        self.offset, self.stamp = sequence, self.last_stamp
        return decode(self.name, Position(epoch, sequence), previous, headers, data)

    def differs_from(self, stored: Stored, offset: int) -> bool:
        """Whether *stored*, at *offset*, is not the publication that was delivered here with that number."""
        known = self.stamp and self.offset == offset == stored.sequence
        return bool(known) and stored.stamp != self.stamp

    def remember(self, stored: Stored) -> None:
        """Move to the publication *stored*, which the hub has read from the history, unless it is further."""
        if stored.sequence > self.offset:
            self.offset, self.stamp = stored.sequence, stored.stamp
