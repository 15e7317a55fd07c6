"""The port between the hub and its message broker: memory, Redis, NATS, or a broker of your own.

A broker does four things. It appends a message to a room and returns its position; it delivers the messages of the
rooms that this process follows; it keeps a bounded history; and it keeps the presence list. Deliveries need be no
better than at-most-once: a broker may lose one, or repeat one, as long as each publication names the one that it
follows (``Publication.previous``). Continuity, replay and slow consumers are the hub's business. A broker knows neither
connections nor subscriptions.

``falconws.testing.check_broker`` verifies everything that is promised here.

For every method: the hub calls it in the event loop in which ``start()`` was awaited; a cancelled call leaves the
broker usable; a network error is raised as ``BrokerUnavailable``, never as the client library's own exception. Names of
rooms, members and devices are any ``str`` of 1 to 255 bytes of UTF-8, which the hub checks; a broker has to escape the
characters that its server does not accept (NATS: dots, spaces, wildcards).

The hub makes the brokers of falconws from its URL, as ``RedisBroker(url, history=HistoryLimits(...), timeout_s=5.0)``,
where the timeout bounds every call. Pass a broker of your own to it: ``Hub(MyBroker(...))``.
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
    "EphemeralPublication",
    "Health",
    "History",
    "HistoryLimits",
    "Payload",
    "Publication",
    "Sink",
)

_MOST_MESSAGES = 1_000_000_000

Payload = str | bytes
"""TEXT (``str``) or BINARY (``bytes``). A broker preserves the type."""


class BrokerUnavailable(TemporarilyUnavailable):
    """The broker cannot be reached, or has not answered in time; the message names the broker and the reason.

    The call may have succeeded nevertheless: a message may have been published, and only the answer lost. If the
    responder does not handle it, clients get a 503 response, and accepted WebSockets are closed with 1013.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLimits:
    """How much of each room the broker keeps for clients that reconnect."""

    messages: int = 100
    """The maximum number of messages a room, up to one billion. 0 keeps none: a subscriber that has missed one is told
    ``Gap``, or disconnected."""

    age_s: float = 300.0
    """The maximum age of a message in seconds, up to ten years. A room in which nothing was published for so long may
    be forgotten."""

    def __post_init__(self) -> None:
        check_count("HistoryLimits", "messages", self.messages, least=0, most=_MOST_MESSAGES)
        check_seconds("HistoryLimits", "age_s", self.age_s)


class Publication(NamedTuple):
    """One message of a room, as the broker delivers it."""

    room: str
    payload: Payload
    position: Position
    previous: int | None
    """The offset of the room's publication before this one, 0 for the first; ``None`` if the broker cannot tell. By
    this the hub notices that it has missed one. A broker that counts each room by itself uses ``position.offset -
    1``."""
    key: str | None = None
    """What the message is about, for subscribers that need only the newest message of each key."""
    exclude: str | None = None
    """The id of the subscription that does not receive it; None: all do. The history has it too."""


class EphemeralPublication(NamedTuple):
    """A message that is delivered to the followers of a room, but not kept; it has no position."""

    room: str
    payload: Payload
    key: str | None = None
    exclude: str | None = None
    """The id of the subscription that does not receive it; None: all do."""


class History(NamedTuple):
    """The part of a room's past that is kept."""

    publications: Sequence[Publication]
    """The kept publications after the requested position, in order. All that are kept, if that position is of another
    epoch or lies in the future."""
    top: Position
    """The newest position of the room; that of the last publication, if there are any."""
    complete: bool
    """Whether *publications* are all that was published after the requested position. False if some are no longer kept,
    or if that position is of another epoch or lies in the future."""


class Entry(NamedTuple):
    """One device of one member of one room."""

    room: str
    member: str
    device: str


class Health(NamedTuple):
    """Whether the broker works, and the reason if it does not."""

    ok: bool
    detail: str
    """One line for an operator."""


class Sink(Protocol):
    """The callbacks of the hub for its broker. Called in the event loop; they return at once and do not raise."""

    def deliver(self, publication: Publication) -> None:
        """Called with each publication of a subscribed room. Those of other rooms are ignored."""

    def deliver_ephemeral(self, message: EphemeralPublication) -> None:
        """Called with a message that is not kept, of a room that is subscribed. One of another room is ignored."""

    def interrupted(self, reason: str) -> None:
        """Called when deliveries of all rooms may be missing from now on; *reason* is one line for the log."""

    def restored(self) -> None:
        """Called when deliveries of all subscribed rooms work again; the hub looks for what was missed.

        The broker has restored everything that was lost with the connection, above all its subscriptions.
        """

    def joined(self, room: str, member: str, info: bytes) -> None:
        """Called when *member* is present in *room* and was not before."""

    def left(self, room: str, member: str) -> None:
        """Called when *member* is no longer present in *room*."""


@runtime_checkable
class Broker(Protocol):
    """See the module's docstring."""

    async def start(self, sink: Sink) -> None:
        """Connect, and deliver to *sink* from now on.

        A server that is away is not an error: the broker calls ``interrupted()``, keeps trying in the background with
        jittered back-off, and calls ``restored()`` when it has connected. Returns within a few seconds in any case.
        What can never work (a malformed URL, a missing package) is a ``ValueError`` of the constructor.
        """

    async def stop(self) -> None:
        """End everything that runs in the background, whatever state the server is in. Never hangs, never raises.

        Does nothing if the broker is not started. It can be started again, with another sink and in another event loop;
        nothing is subscribed then.
        """

    async def publish(
        self, room: str, payload: Payload, *, key: str | None = None, exclude: str | None = None
    ) -> Position:
        """Append a message to *room*, deliver it to every process that follows the room, and return its position.

        Publications of one task to one room keep their order.

        Raises:
            BrokerUnavailable: Within the broker's timeout.
        """

    async def publish_many(
        self, room: str, messages: Sequence[tuple[Payload, str | None]], *, exclude: str | None = None
    ) -> list[Position]:
        """Append *messages*, each a payload and its key, with one round trip; return their positions, in order.

        Raises:
            BrokerUnavailable: Within the timeout. Some of the messages may have been appended, or all.
        """

    async def broadcast(
        self, room: str, payload: Payload, *, key: str | None = None, exclude: str | None = None
    ) -> None:
        """Deliver a message to every process that follows *room* now, without keeping it.

        It may be lost, or delivered twice. It keeps no order with publications.

        Raises:
            BrokerUnavailable: Within the timeout that the broker was made with.
        """

    async def subscribe(self, room: str) -> Position:
        """Begin to deliver the messages of *room*, and return the room's newest position.

        Everything after that position is delivered, without a hole; deliveries may begin before this returns. The hub
        subscribes a room once, however many clients follow it.

        Raises:
            BrokerUnavailable: The room is not subscribed, and will not be after a reconnect.
        """

    async def unsubscribe(self, room: str) -> None:
        """End the deliveries of *room*; do nothing if it is not subscribed. Never raises because a server is away."""

    async def history(self, room: str, since: Position) -> History:
        """Return what was published to *room* after *since*.

        Includes every publication whose ``publish()`` has returned, and every one that was delivered.

        Raises:
            BrokerUnavailable: Within the broker's timeout.
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
        """Return within the timeout whether the broker works; never raises."""
