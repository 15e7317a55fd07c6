"""One room as this process follows it: which of its messages follows which. Pure.

The stream says of each message which one was before it on the subject. That may be an anchor, which nobody is told of,
or a message that the stream has let go of since. Here it becomes what the hub has seen of the room.
"""

from __future__ import annotations

from typing import Any

from falconws.hub.broker import Publication
from falconws.hub.position import Position

from .message import ANCHOR_HEADER, Headers, decode, number
from .stream import Stored

__all__ = ("FollowedRoom",)


class FollowedRoom:
    """See the module's docstring."""

    __slots__ = ("epoch", "followed", "name", "offset", "stamp", "streams", "subscription")

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

    def stands_at(self, top: int) -> None:
        """Know that the room's newest message is *top*, unless a newer one has been delivered."""
        if self.followed < top:
            self.followed = self.offset = top
            self.stamp = ""

    def lacks(self, top: int) -> bool:
        """Whether the message *top* of the room has not been delivered, though the one before may have been."""
        return 0 < max(self.followed, self.offset) < top

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
        self.followed = offset
        if ANCHOR_HEADER in headers:
            if not follows:
                self.followed = 0
            return None
        previous = self.offset if follows else before
        self.offset, self.stamp = offset, headers.get("Nats-Time-Stamp", "")
        return decode(self.name, Position(epoch, offset), previous, headers, data)

    def is_another(self, stored: Stored, offset: int) -> bool:
        """Whether *stored*, at *offset*, is not the publication that was delivered here with that number."""
        known = self.stamp and self.offset == offset == stored.sequence
        return bool(known) and stored.stamp != self.stamp

    def remember(self, stored: Stored) -> None:
        """Know that the hub stands at *stored*, unless it is further."""
        if stored.sequence > self.offset:
            self.offset, self.stamp = stored.sequence, stored.stamp
