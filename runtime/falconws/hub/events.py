"""What a subscriber receives: messages, gaps, members that joined or left. Plain values; nothing here sends them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .broker import EphemeralPublication, Payload, Publication
from .position import Position

__all__ = ("Ephemeral", "Event", "Gap", "Joined", "Left", "Message", "Updated")

_UNSET: Any = object()


class _Published:
    __slots__ = ("_decode", "_media", "key", "payload", "room")

    room: str
    payload: Payload
    """As it was published: ``str`` for TEXT, ``bytes`` for BINARY."""
    key: str | None
    """What ``publish(key=...)`` was given."""

    def __init__(self, publication: Publication | EphemeralPublication, decode: Callable[[Payload], Any]) -> None:
        self.room = publication.room
        self.payload = publication.payload
        self.key = publication.key
        self._decode = decode
        self._media = _UNSET

    @property
    def media(self) -> Any:
        """The object in the payload, decoded once, by the hub's media handler for its type.

        Raises:
            ValueError: The payload cannot be decoded.
        """
        if self._media is _UNSET:
            self._media = self._decode(self.payload)
        return self._media


class Message(_Published):
    """A message of a room."""

    __slots__ = ("position",)

    position: Position
    """Its position; ``since=`` with it resumes after this message."""

    def __init__(self, publication: Publication, decode: Callable[[Payload], Any]) -> None:
        super().__init__(publication, decode)
        self.position = publication.position

    def __repr__(self) -> str:
        return f"Message(room={self.room!r}, payload={self.payload!r}, position='{self.position}', key={self.key!r})"


class Ephemeral(_Published):
    """A message that was published with ``keep=False``: it has no position, and is not in the history."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Ephemeral(room={self.room!r}, payload={self.payload!r}, key={self.key!r})"


class Gap:
    """Messages of a room are missing here and are lost: reload what depends on them."""

    __slots__ = ("position", "reason", "room")

    room: str
    position: Position
    """The position at which the room continues: the next message comes after it."""
    reason: str
    """The reason, one line for the log."""

    def __init__(self, room: str, position: Position, reason: str) -> None:
        self.room = room
        self.position = position
        self.reason = reason

    def __repr__(self) -> str:
        return f"Gap(room={self.room!r}, position='{self.position}', reason={self.reason!r})"


class _MemberEvent:
    __slots__ = ("devices", "info", "member", "room")

    room: str
    member: str
    info: Any
    """The ``info`` of ``subscribe()``, serialized as JSON and parsed; ``None`` by default."""
    devices: int
    """How many devices the member has in the room."""

    def __init__(self, room: str, member: str, info: Any, devices: int = 1) -> None:
        self.room = room
        self.member = member
        self.info = info
        self.devices = devices

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}(room={self.room!r}, member={self.member!r}, info={self.info!r}, devices={self.devices})"


class Joined(_MemberEvent):
    """A member is present in a room that was not before."""

    __slots__ = ()


class Updated(_MemberEvent):
    """The info of a present member has changed, or the number of its devices.

    The info is that of the device that joined or was updated last; when that one leaves, that of the one before.
    """

    __slots__ = ()


class Left:
    """The last device of a member has left a room, or its process has died."""

    __slots__ = ("member", "room")

    room: str
    member: str

    devices = 0
    """How many devices the member has left in the room: none."""

    def __init__(self, room: str, member: str) -> None:
        self.room = room
        self.member = member

    def __repr__(self) -> str:
        return f"Left(room={self.room!r}, member={self.member!r})"


Event = Message | Ephemeral | Gap | Joined | Updated | Left
"""What an ``encode`` function takes; each has a ``room``."""
