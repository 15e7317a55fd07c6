"""One room as this process follows it: which of its messages follows which. Pure.

The stream says of each message which one was before it on the subject. That may be an anchor, which nobody is told of,
or a message that the stream has let go of since. Here it becomes what the hub has seen of the room.

The hub stands at publications: at the place that an anchor stands for, never at an anchor behind one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from falconws.hub.broker import Publication
from falconws.hub.position import Position

from .codec import ANCHOR_HEADER, Headers, decode, number, place_of
from .stream import Stored

__all__ = ("FollowedRoom", "Place")


class Place(NamedTuple):
    """Where a room stands."""

    newest: int
    """The number of the newest message on the subject, whatever it is."""
    offset: int
    """That of the last publication; of a room that has had none, that of its anchor."""
    stamp: str
    """When the stream took the newest message, as the server writes it; empty when that is not known."""


class FollowedRoom:
    """See the module's docstring."""

    __slots__ = ("epoch", "followed", "heard", "name", "offset", "stamp", "streams", "subscription")

    def __init__(self, name: str) -> None:
        self.name = name
        self.streams: object = None
        """What it is subscribed in: it lasts as long as a session."""
        self.subscription: Any = None
        self.epoch = ""
        self.followed = 0
        """The number of the last message on the subject, whatever it was; 0 when some may have been missed."""
        self.offset = 0
        """That of the last publication: what the hub stands at."""
        self.stamp = ""
        """When the stream took it, as the server wrote it; empty when it was not delivered here."""
        self.heard = ""
        """When the stream took the newest message that is known of, whatever it was; empty for none."""

    def begin(self, epoch: str) -> None:
        """Know that a session begins, in which the stream has *epoch*: messages may have been missed before."""
        if epoch != self.epoch:
            self.epoch, self.offset, self.stamp = epoch, 0, ""
        self.followed = 0

    def stands_at(self, epoch: str, place: Place) -> None:
        """Know that the room stands at *place*, unless something newer has been delivered."""
        if epoch != self.epoch:
            self.epoch, self.followed = epoch, 0
        if self.followed < place.newest:
            self.followed, self.offset, self.stamp = place.newest, place.offset, ""
            self.heard = place.stamp or self.heard

    def lacks(self, offset: int) -> bool:
        """Whether the publication at *offset* has not been delivered, though the one before may have been."""
        return 0 < max(self.followed, self.offset) < offset

    def take(self, epoch: str, headers: Headers, data: bytes) -> Publication | None:
        """Return what has been delivered; None if it is nothing for the hub."""
        offset, before = number(headers, "Nats-Sequence"), number(headers, "Nats-Last-Sequence")
        if offset is None:
            # Not from the stream, so nobody has to see it.
            return None
        if epoch != self.epoch:
            self.epoch, self.followed = epoch, 0
        # 0: the stream has let go of the one before. It was the last that came here, or this were not the next.
        follows = self.followed != 0 and before in (0, self.followed)
        self.followed, self.heard = offset, headers.get("Nats-Time-Stamp", "")
        if ANCHOR_HEADER in headers:
            # One that stands for what was delivered last says that nothing was missed.
            if not follows and place_of(headers, offset) != self.offset:
                self.followed = 0
            return None
        previous = self.offset if follows else before
        self.offset, self.stamp = offset, self.heard
        return decode(self.name, Position(epoch, offset), previous, headers, data)

    def is_another(self, stored: Stored, offset: int) -> bool:
        """Whether *stored*, at *offset*, is not the publication that was delivered here with that number."""
        known = self.stamp and self.offset == offset == stored.sequence
        return bool(known) and stored.stamp != self.stamp

    def remember(self, stored: Stored) -> None:
        """Know that the hub stands at the publication *stored*, unless it is further."""
        if stored.sequence > self.offset:
            self.offset, self.stamp = stored.sequence, stored.stamp
