"""Encodes an event once for all subscribers that share an ``encode`` function, and broadcasts it to their connections.

Knows media handlers; knows neither rooms nor the connections' state.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from falconws.log_throttle import LogThrottle

from .broker import Payload
from .codec import Media
from .events import Ephemeral, Event, Gap, Message
from .position import Position

__all__ = ("AS_EVENT", "BroadcastGroup", "Broadcaster", "Encode", "EncodedEvent", "Encoder", "group_followers")

Encode = Callable[[Event], Any]
"""Makes what the client is sent for an event: ``str``, ``bytes``, an object for the TEXT media handler, or ``None``
for nothing."""


class EncodedEvent:
    """One event as it is sent to subscribers. Its attributes are read in the innermost loop, and never change."""

    __slots__ = (
        "__weakref__",
        "event",
        "is_message",
        "key",
        "payload",
        "position",
        "prepared",
        "previous",
        "room",
        "size",
    )

    def __init__(
        self,
        room: str,
        event: Event,
        payload: Payload,
        prepared: object,
        *,
        key: str | None = None,
        previous: int | None = None,
    ) -> None:
        self.room = room
        self.event = event
        self.payload = payload
        self.prepared = prepared
        """What ``prepare()`` of the server's extension returned for the payload; None without the extension."""
        self.key = key
        self.previous = previous
        self.is_message = isinstance(event, Message | Ephemeral)
        """Whether it was published, and not made by the hub."""
        self.position: Position | None = event.position if isinstance(event, Message) else None
        self.size = len(payload) if isinstance(payload, bytes) or payload.isascii() else len(payload.encode())
        """Bytes of payload."""


def AS_EVENT(event: Event) -> None:  # noqa: N802 (a constant that happens to be a function)
    """The ``encode`` function of ``listen()``: stands for the event itself, not encoded."""


class Encoder:
    """Makes an EncodedEvent of an event.

    Args:
        media: For ``encode`` functions that return an object.
    """

    def __init__(self, media: Media) -> None:
        self._media = media
        self.log_throttle = LogThrottle(logging.getLogger("falconws.hub"), "hub.stats")
        """For ``encode`` functions that fail."""
        self.prepare: Callable[[Payload], object] | None = None
        """Of the server's extension, once a connection that has it has subscribed; a process has one kind of server."""

    def encode(
        self, encode: Encode | None, room: str, event: Event, *, key: str | None = None, previous: int | None = None
    ) -> EncodedEvent | None:
        """Return what subscribers with *encode* are sent for *event*; None for nothing."""
        payload: Payload
        if encode is None:
            if not isinstance(event, Message | Ephemeral):
                return None
            payload = event.payload
        elif encode is AS_EVENT:
            # ``listen()`` reports neither members that join or leave, nor what is not kept.
            if not isinstance(event, Message | Gap):
                return None
            payload = event.payload if isinstance(event, Message) else ""
            return EncodedEvent(room, event, payload, None, key=key, previous=previous)
        else:
            media = encode(event)
            if media is None:
                return None
            payload = self._media.payload(media)
        prepared = None if self.prepare is None else self.prepare(payload)
        return EncodedEvent(room, event, payload, prepared, key=key, previous=previous)


class Broadcaster(Protocol):
    """The part of the ASGI extension "falconws.connection" that is used here."""

    def broadcast(self, connections: Iterable[Any], prepared: Any) -> Sequence[Any]: ...


class Receiver(Protocol):
    """What a BroadcastGroup needs of a follower."""

    @property
    def encode(self) -> Encode | None:
        """The function that encodes its events."""

    @property
    def direct(self) -> Broadcaster | None:
        """The connection on which an event may be sent at once; None if the event has to be offered."""


_R = TypeVar("_R", bound=Receiver)


class BroadcastGroup(Generic[_R]):
    """The followers that share an ``encode`` function."""

    __slots__ = ("_connections", "_direct", "_indirect", "_repeated", "encode")

    def __init__(self, encode: Encode | None) -> None:
        self.encode = encode
        self._connections: list[Broadcaster] = []
        """The connections of the followers in `_direct`, in the same order."""
        self._direct: list[_R] = []
        self._repeated: list[tuple[Broadcaster, _R]] = []
        """Further followers on the same connections: ``broadcast()`` reports connections, and each must be unique."""
        self._indirect: list[_R] = []

    def add(self, follower: _R, connection: Broadcaster | None, *, repeated: bool) -> None:
        """Add *follower*, reached through *connection* if it has one; *repeated* if another follower has it too."""
        if connection is None:
            self._indirect.append(follower)
        elif repeated:
            self._repeated.append((connection, follower))
        else:
            self._connections.append(connection)
            self._direct.append(follower)

    def __len__(self) -> int:
        return len(self._direct) + len(self._repeated) + len(self._indirect)

    @property
    def followers(self) -> Sequence[_R]:
        """All followers of the group."""
        return [*self._direct, *(follower for _, follower in self._repeated), *self._indirect]

    def without(self, follower: _R) -> BroadcastGroup[_R]:
        """Return the group without *follower*."""
        group = BroadcastGroup[_R](self.encode)
        group._connections, group._direct = self._connections, self._direct
        if follower in self._direct:
            index = self._direct.index(follower)
            group._connections = self._connections[:index] + self._connections[index + 1 :]
            group._direct = self._direct[:index] + self._direct[index + 1 :]
        group._repeated = [pair for pair in self._repeated if pair[1] is not follower]
        group._indirect = [other for other in self._indirect if other is not follower]
        return group

    def send(self, encoded: EncodedEvent) -> Sequence[_R]:
        """Send *encoded* on every connection that takes it at once, and return the followers that still need it."""
        if not self._connections:
            return [*self._indirect, *(f for c, f in self._repeated if c.broadcast([c], encoded.prepared))]
        prepared = encoded.prepared
        refused = self._connections[0].broadcast(self._connections, prepared)
        if not refused and not self._repeated:
            return self._indirect
        refusing = set(refused)
        pairs = zip(self._connections, self._direct, strict=True)
        return [
            *self._indirect,
            *(follower for connection, follower in pairs if connection in refusing),
            *(follower for connection, follower in self._repeated if connection.broadcast([connection], prepared)),
        ]


def group_followers(followers: Iterable[_R]) -> list[BroadcastGroup[_R]]:
    """Return one group of *followers* for each ``encode`` function."""
    groups: dict[Encode | None, tuple[BroadcastGroup[_R], set[Broadcaster | None]]] = {}
    for follower in followers:
        found = groups.get(follower.encode)
        if found is None:
            found = groups[follower.encode] = BroadcastGroup(follower.encode), set()
        group, known = found
        connection = follower.direct
        group.add(follower, connection, repeated=connection in known)
        known.add(connection)
    return [group for group, _ in groups.values()]
