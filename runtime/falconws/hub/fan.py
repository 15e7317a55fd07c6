"""How a room reaches its followers: grouped by ``encode`` function, and by whether a message can go out at once.

Made anew when either changes, which is rarer than messages are. Knows nothing of rooms and policies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from .outgoing import Encode, Outgoing

__all__ = ("Broadcaster", "Fan", "arrange")


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
