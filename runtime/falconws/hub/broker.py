"""The port between the hub and what carries its messages: memory, Redis, NATS, or a broker of your own.

A broker does four things: it appends a message to a room and says where it stands, passes on what is appended to the
rooms that this process follows, keeps a bounded history, and keeps the list of who is present. It is asked to be no
better than at-most-once: it may lose a delivery, or make one twice, as long as publications say what they follow
(``Publication.previous``). Continuity, replay and slow consumers are the hub's business. A broker knows neither
connections nor subscriptions.

``falconws.testing.check_broker`` holds a broker to all that is promised here.

What holds for every method: it is called in the event loop in which ``start()`` was awaited; a cancelled call leaves
the broker usable; an error of the network is raised as ``BrokerUnavailable``, never as the client library's own.
Names of rooms, members and devices are any ``str`` of 1 to 255 bytes of UTF-8 (the hub sees to that); whatever a
broker's server cannot take as a name (NATS: dots, spaces, wildcards) the broker has to escape.

The brokers that come with falconws are made as ``RedisBroker(url, history=HistoryLimits(...), timeout_s=5.0)``: the
timeout bounds every call. The hub makes them from its URL; one of your own is given to it: ``Hub(MyBroker(...))``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from falconws.errors import TemporarilyUnavailable

from .checks import check_count, check_seconds
from .position import Position

__all__ = (
    "Broker",
    "BrokerUnavailable",
    "Entry",
    "Health",
    "History",
    "HistoryLimits",
    "Payload",
    "Publication",
    "Sink",
)

_MOST_MESSAGES = 1_000_000_000

Payload = str | bytes
"""TEXT or BINARY, by its type. A broker gives back the type that it was given."""


class BrokerUnavailable(TemporarilyUnavailable):
    """The broker cannot be reached, or has not answered in time; the message says which one, and why.

    Whether what was asked for has happened is not known: a publication may have been made, and only its answer lost.
    Where nobody handles it, clients are answered with 503, and accepted WebSockets are closed with 1013.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLimits:
    """How much of each room the broker keeps for those who come back."""

    messages: int = 100
    """At most so many messages a room, a billion of them at most; 0 keeps none, and whoever has missed one is told
    ``Gap``, or disconnected."""

    age_s: float = 300.0
    """Seconds for which a message is kept at most; ten years of them at most. A room in which nothing was published for
    so long may be forgotten altogether."""

    def __post_init__(self) -> None:
        check_count("HistoryLimits", "messages", self.messages, least=0, most=_MOST_MESSAGES)
        check_seconds("HistoryLimits", "age_s", self.age_s)


class Publication(NamedTuple):
    """One message of a room, as the broker passes it on."""

    room: str
    payload: Payload
    position: Position
    previous: int | None
    """The offset of the room's publication before this one, 0 for the first; ``None`` when the broker cannot tell.
    Brokers that count each room by itself give ``position.offset - 1``. By this the hub sees that it missed one."""
    key: str | None = None
    """What the message is about, for subscribers that need only the newest for each key; ``None``: nothing."""


class History(NamedTuple):
    """What of a room's past is left."""

    publications: Sequence[Publication]
    """In order: what is kept of those after the position asked for. When that position is of another epoch or lies in
    the future, all that is kept."""
    top: Position
    """The newest position of the room; that of the last of *publications* if there are any."""
    complete: bool
    """Whether *publications* are all that was published after the position asked for. False: some are not kept any
    more, or that position is of another epoch, or lies in the future."""


class Entry(NamedTuple):
    """One device of one member of one room."""

    room: str
    member: str
    device: str


class Health(NamedTuple):
    """Whether the broker works, and what is wrong if not."""

    ok: bool
    detail: str
    """One line for a person."""


class Sink(Protocol):
    """What the hub offers to its broker. Called in the event loop; returns at once and does not raise."""

    def deliver(self, publication: Publication) -> None:
        """Take a publication of a room that is subscribed. One of another room is ignored."""

    def interrupted(self, reason: str) -> None:
        """Know that deliveries may be missing from now on, for all rooms; *reason* is one line for the log."""

    def restored(self) -> None:
        """Know that deliveries come again, for all subscribed rooms: look for what was missed.

        Called once whatever was lost with the connection (subscriptions above all) has been set up again.
        """

    def joined(self, room: str, member: str, info: bytes) -> None:
        """Know that *member* is present in *room* now and was not before."""

    def left(self, room: str, member: str) -> None:
        """Know that *member* was present in *room* and is not any more."""


@runtime_checkable
class Broker(Protocol):
    """See the module's docstring."""

    async def start(self, sink: Sink) -> None:
        """Begin; deliver to *sink* from now on.

        A server that is away is no error: the broker keeps trying in the background, with jittered backoff, and tells
        *sink* ``interrupted()`` at once and ``restored()`` when it has got through. Returns within a few seconds in
        any case. What can never work (a malformed URL, a missing package) is a ``ValueError`` of the constructor.
        """

    async def stop(self) -> None:
        """End everything that runs in the background, whatever state the server is in. Never hangs, never raises.

        Does nothing when it is not started. It can be started again afterwards, with another sink and in another
        event loop; nothing is subscribed then.
        """

    async def publish(self, room: str, payload: Payload, *, key: str | None = None) -> Position:
        """Append a message to *room*, have it delivered to every process that follows it, and return its position.

        Publications of one task to one room keep their order.

        Raises:
            BrokerUnavailable: Within the timeout that the broker was made with.
        """

    async def subscribe(self, room: str) -> Position:
        """Begin to deliver what is published to *room*, and return the room's newest position.

        Everything after that position is delivered, without a hole; it may begin before this returns. The hub
        subscribes a room once, however many clients follow it.

        Raises:
            BrokerUnavailable: The room is not subscribed then, also not after a reconnect.
        """

    async def unsubscribe(self, room: str) -> None:
        """End the deliveries of *room*; does nothing when it is not subscribed. Never raises for a lost server."""

    async def history(self, room: str, since: Position) -> History:
        """Return what was published to *room* after *since*.

        Sees every publication whose ``publish()`` has returned, and every one that was delivered.

        Raises:
            BrokerUnavailable: Within the timeout that the broker was made with.
        """

    # Presence. A member is present while at least one device is, and a device for lease_s seconds after its last
    # renewal. Each change is told to the sinks of all processes that follow the room, in the order of the changes.

    async def join(self, room: str, member: str, device: str, info: bytes, lease_s: float) -> bool:
        """Add a device, or renew it; return whether *member* was not present before, and tell ``joined()`` then.

        *info* is what others are shown of the member; that of the latest device to join counts.
        """

    async def leave(self, room: str, member: str, device: str) -> bool:
        """Remove a device; return whether it was the member's last, and tell ``left()`` then."""

    async def renew(self, entries: Sequence[Entry], lease_s: float) -> Sequence[Entry]:
        """Renew devices; return those that were not there any more. They are not added: the hub lets them join."""

    async def members(self, room: str) -> dict[str, bytes]:
        """Return the members who are present, each with its info. One whose leases have all run out is not."""

    async def expire(self, rooms: Iterable[str]) -> Sequence[tuple[str, str]]:
        """Remove devices of *rooms* whose lease has run out; return room and member for those who are gone by that.

        ``left()`` is told for each. Called in every process now and then; each member who is gone is returned, and
        told, exactly once among all of them.
        """

    async def health(self) -> Health:
        """Return within the timeout whether the server answers; never raises."""
