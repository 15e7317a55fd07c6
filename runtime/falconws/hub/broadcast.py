"""What subscribers are sent for one event: made once for all that share an ``encode`` function.

Knows media handlers; knows neither rooms nor connections.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from .broker import Payload
from .codec import Media
from .events import Event, Gap, Message
from .log_throttle import Complaints
from .position import Position

__all__ = ("AS_EVENT", "Broadcaster", "Encode", "Encoder", "Fan", "Media", "Outgoing", "arrange")

Encode = Callable[[Event], Any]
"""Makes what the client is sent of an event: ``str``, ``bytes``, an object for the TEXT media handler, or ``None``
for nothing."""


class Outgoing:
    """One event on its way to subscribers. Its members are read in the innermost loop, and never change."""

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
        """What the server's extension has made of the payload; None where it has none."""
        self.key = key
        self.previous = previous
        self.is_message = isinstance(event, Message)
        self.position: Position | None = event.position if isinstance(event, Message) else None
        self.size = len(payload) if isinstance(payload, bytes) or payload.isascii() else len(payload.encode())
        """Bytes of payload."""


def AS_EVENT(event: Event) -> None:  # noqa: N802 (a constant that happens to be a function)
    """Stand for the wish to get the event itself: ``listen()`` does."""


class Encoder:
    """Makes what subscribers are sent.

    Args:
        media: For ``encode`` functions that return an object.
    """

    def __init__(self, media: Media) -> None:
        self._media = media
        self.complaints = Complaints()
        """Of ``encode`` functions that fail."""
        self.prepare: Callable[[Payload], object] | None = None
        """The server's extension, once a connection with it has subscribed; one process has one kind of server."""

    def encode(
        self, encode: Encode | None, room: str, event: Event, *, key: str | None = None, previous: int | None = None
    ) -> Outgoing | None:
        """Return what subscribers with *encode* are sent for *event*; None for nothing."""
        payload: Payload
        if encode is None:
            if not isinstance(event, Message):
                return None
            payload = event.payload
        elif encode is AS_EVENT:
            # Who comes and who goes, ``listen()`` does not tell.
            if not isinstance(event, Message | Gap):
                return None
            payload = event.payload if isinstance(event, Message) else ""
            return Outgoing(room, event, payload, None, key=key, previous=previous)
        else:
            made = encode(event)
            if made is None:
                return None
            payload = self._media.payload(made)
        prepared = None if self.prepare is None else self.prepare(payload)
        return Outgoing(room, event, payload, prepared, key=key, previous=previous)


class Broadcaster(Protocol):
    """What of the ASGI extension "falconws.connection" is used here."""

    def broadcast(self, connections: Iterable[Any], prepared: Any) -> Sequence[Any]: ...


class Receiver(Protocol):
    """What is asked of a follower."""

    @property
    def encode(self) -> Encode | None:
        """What makes its messages."""

    @property
    def direct(self) -> Broadcaster | None:
        """The connection that a message may be sent on at once; None when something is in the way."""


_R = TypeVar("_R", bound=Receiver)


class Fan(Generic[_R]):
    """The followers that share an ``encode`` function."""

    __slots__ = ("_again", "_connections", "_direct", "_others", "encode")

    def __init__(self, encode: Encode | None) -> None:
        self.encode = encode
        self._connections: list[Broadcaster] = []
        """Those of the followers in `_direct`, in their order."""
        self._direct: list[_R] = []
        self._again: list[tuple[Broadcaster, _R]] = []
        """Further subscriptions of connections that have one: of a broadcast, nobody could tell which was refused."""
        self._others: list[_R] = []

    def add(self, follower: _R, connection: Broadcaster | None, *, again: bool) -> None:
        """Reach *follower*, by its *connection* if there is one, which may be known by another follower."""
        if connection is None:
            self._others.append(follower)
        elif again:
            self._again.append((connection, follower))
        else:
            self._connections.append(connection)
            self._direct.append(follower)

    @property
    def followers(self) -> Sequence[_R]:
        """All of them."""
        return [*self._direct, *(follower for _, follower in self._again), *self._others]

    def send(self, outgoing: Outgoing) -> Sequence[_R]:
        """Send *outgoing* to all who can be sent to at once, and return the others."""
        if not self._connections:
            return self._others
        prepared = outgoing.prepared
        refused = self._connections[0].broadcast(self._connections, prepared)
        if not refused and not self._again:
            return self._others
        left = set(refused)
        pairs = zip(self._connections, self._direct, strict=True)
        return [
            *self._others,
            *(follower for connection, follower in pairs if connection in left),
            *(follower for connection, follower in self._again if connection.broadcast([connection], prepared)),
        ]


def arrange(followers: Iterable[_R]) -> list[Fan[_R]]:
    """Return *followers* as fans, one for each ``encode`` function."""
    fans: dict[Encode | None, tuple[Fan[_R], set[Broadcaster | None]]] = {}
    for follower in followers:
        found = fans.get(follower.encode)
        if found is None:
            found = fans[follower.encode] = Fan(follower.encode), set()
        fan, known = found
        connection = follower.direct
        fan.add(follower, connection, again=connection in known)
        known.add(connection)
    return [fan for fan, _ in fans.values()]
