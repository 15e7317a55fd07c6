"""The port between the hub and its message broker: memory, Redis, NATS, or a broker of your own.

A broker does four things. It appends a message to a room and returns its position; it delivers the messages of the
rooms that this process follows; it keeps a bounded history; and it keeps the presence list. Deliveries need be no
better than at-most-once: a broker may lose one, or repeat one, as long as each publication names the one that it
follows (``Publication.previous``). Continuity, replay and slow consumers are the hub's business. A broker knows neither
connections nor subscriptions.

``falconws.testing.check_broker`` verifies everything that is promised here.

For every method: the hub calls it in the event loop in which ``start()`` was awaited; a cancelled call leaves the
broker usable; an error is raised as ``BrokerUnavailable`` if the broker is away for now, and as ``BrokerRefused`` if it
has answered and refuses, never as the client library's own exception. A room that is refused does not disturb others.
Names of rooms, members and devices are any ``str`` of 1 to 255 bytes of UTF-8, which the hub checks; a broker has to
escape the characters that its server does not accept (NATS: dots, spaces, wildcards).

The hub makes the brokers of falconws from its URL, as ``RedisBroker(url, history=HistoryLimits(...), timeout_s=5.0)``,
where the timeout bounds every call. Pass a broker of your own to it: ``Hub(MyBroker(...))``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from falconws.errors import TemporarilyUnavailable

from .checks import check_count, check_seconds
from .position import Position

__all__ = (
    "Broker",
    "BrokerRefused",
    "BrokerUnavailable",
    "Entry",
    "EphemeralPublication",
    "Health",
    "History",
    "HistoryLimits",
    "MAX_GROUP_LAG_S",
    "MIN_CLAIM_S",
    "Member",
    "Payload",
    "Publication",
    "Sink",
)

_MOST_MESSAGES = 1_000_000_000

MAX_GROUP_LAG_S = 3600.0
"""How long a message may wait for a loop that shares its work with others."""
MIN_CLAIM_S = MAX_GROUP_LAG_S + 300.0

Payload = str | bytes
"""TEXT (``str``) or BINARY (``bytes``). A broker preserves the type."""


class BrokerUnavailable(TemporarilyUnavailable):
    """The broker cannot be reached, or has not answered in time; the message names the broker and the reason.

    The call may have succeeded nevertheless: a message may have been published, and only the answer lost. If the
    responder does not handle it, clients get a 503 response, and accepted WebSockets are closed with 1013.
    """


class BrokerRefused(BrokerUnavailable):
    """The broker has answered, and refuses: a missing permission, a full stream, a limit. A retry would not help.

    Raised at once. What was asked for has not happened.
    """

    room: str | None = None
    """The only room that is refused; ``None``: all of them are."""

    def __init__(self, message: str, *, room: str | None = None) -> None:
        super().__init__(message)
        self.room = room


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLimits:
    """How much of each room the broker keeps for clients that reconnect."""

    messages: int = 100
    """The maximum number of messages of a room, up to one billion. With 0, no message is kept: a subscriber that has
    missed one gets a ``Gap``, or is disconnected."""

    age_s: float = 300.0
    """The maximum age of a message in seconds, up to ten years. A room in which nothing was published for this long may
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
    """One device of one member in one room."""

    room: str
    member: str
    device: str
    """Unique among the devices of its process."""


class Member(NamedTuple):
    """A member that is present in a room."""

    info: bytes
    """The info of the device that joined or was updated last."""
    devices: int
    """The number of its devices in the room."""


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

    def refused(self, room: str, reason: str) -> None:
        """Called when a room that was subscribed is no longer, because the server refuses it now; *reason* is one line.

        The other rooms are untouched.
        """

    def joined(self, room: str, member: str, info: bytes, devices: int) -> None:
        """Called when *member* is present in *room* and was not before."""

    def updated(self, room: str, member: str, info: bytes, devices: int) -> None:
        """Called when the info, or the number of devices, of a present member has changed."""

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

    async def claim(self, room: str, group: str, position: Position, claimant: str) -> bool:
        """Claim the message of *room* at *position* for *claimant*; return whether it has the claim.

        Of all claimants of a *group*, in all processes, the first one gets it, and keeps it: asking again returns True.
        A claim is kept for as long as messages are, and for at least ``MIN_CLAIM_S`` (3,900 seconds): so long, it may
        wait for other claimants.

        Raises:
            BrokerUnavailable: Within the broker's timeout.
        """

    # Presence. A device belongs to the process that has joined it, and a process has one lease. A member is present in
    # a room while it has a device there whose process is alive. Each change is told to the sinks of all processes that
    # follow the room, in the order of the changes: ``joined()`` with a member's first device, ``left()`` with its last,
    # ``updated()`` with every other change.

    async def renew(self, lease_s: float) -> bool:
        """Renew the lease of this process for *lease_s* seconds; return False if its devices were lost.

        The hub calls it before the first ``join()``, and then about once a second, however many devices there are: it
        takes a constant number of commands. The devices are lost if the lease has run out and another process has
        noticed, or if the server has lost its memory. The hub joins all of them again then.

        Raises:
            BrokerUnavailable: Within the broker's timeout.
        """

    async def join(self, entry: Entry, info: bytes) -> None:
        """Add a device to this process, or replace the info of one that is there.

        *info* is what others see of the member; that of the device that joined or was updated last counts.

        Raises:
            BrokerUnavailable: Within the broker's timeout; the device may have been added.
        """

    async def leave(self, entry: Entry) -> None:
        """Remove a device of this process; do nothing if it is not there."""

    async def members(self, room: str) -> dict[str, Member]:
        """Return the members that are present in *room*, by name."""

    async def count_members(self, rooms: Sequence[str]) -> list[int]:
        """Return how many members are present in each room, in the order of *rooms*."""

    async def rooms_of(self, member: str) -> list[str]:
        """Return the rooms in which *member* is present, in any order."""

    async def expire(self) -> None:
        """Remove the devices of processes whose lease has run out.

        Every process calls it about once a second. One of them removes the devices of a dead process; all that follow
        a room are told ``left()`` once for each of its members that is gone.
        """

    async def release(self, after_s: float = 0.0) -> None:
        """End the lease of this process *after_s* seconds from now, and remove its devices. Called before ``stop()``.

        Once the lease has ended, its devices no longer count. Removing them may take longer; if this call is cancelled
        or *after_s* is not 0, the other processes remove them.
        """

    async def health(self) -> Health:
        """Return within the timeout whether the broker works; never raises."""
