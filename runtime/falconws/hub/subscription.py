"""The subscription of a connection, as the responder holds it: joins and leaves rooms, for the client and its member.

How events reach the connection is not known here; see ``connection_subscriber.py``.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self

import falcon

from .broadcast import Encode
from .checks import check_count
from .concurrency import gather_limited
from .connection_subscriber import ConnectionHost, ConnectionSubscriber, Socket
from .control import Control
from .limits import HubLimitReached
from .policy import Policy
from .position import Position, check_position
from .presence import Membership, Presence, encode_info
from .replay import Recent
from .subscriber_view import SubscriberView, since_by_room

__all__ = ("Subscription",)


class SubscriptionHost(ConnectionHost, Protocol):
    """What a subscription needs of the hub."""

    presence: Presence
    control: Control


_JOINS_AT_A_TIME = 128


class Subscription(SubscriberView):
    """The subscription of a connection to one or several rooms; made by ``Hub.subscribe()``, used with ``async with``.

    While the block lasts, events of the rooms are sent to the client in the background, and the responder can receive.
    The subscription ends with the block or with the connection, whichever ends first; what still waits is discarded.
    """

    __slots__ = ("_grace_s", "_host", "_info", "_joining", "_member", "_memberships", "_recent", "_since", "_ws")

    _subscriber: ConnectionSubscriber

    def __init__(
        self,
        host: SubscriptionHost,
        ws: Socket,
        rooms: tuple[str, ...],
        *,
        policy: Policy,
        since: Position | Mapping[str, Position] | None,
        member: str | None,
        info: bytes,
        grace_s: float,
        encode: Encode | None,
        previous_id: str | None,
        recent: Recent,
    ) -> None:
        self._host = host
        self._ws = ws
        self._subscriber = ConnectionSubscriber(host, ws, policy, encode, previous_id)
        self._since: dict[str, Position | None] | None = since_by_room(rooms, since)
        self._member = member
        self._info = info
        self._joining = 0
        """How many rooms are being joined."""
        self._grace_s = grace_s
        self._recent = recent
        self._memberships: dict[str, Membership] | None = None

    def __del__(self) -> None:
        """Warn if the block was never entered, as Python warns of a coroutine that was never awaited."""
        if getattr(self, "_since", None) is not None:
            warnings.warn(
                "hub.subscribe() was never entered, and has joined no room: write `async with hub.subscribe(...):`.",
                RuntimeWarning,
                stacklevel=2,
                source=self,
            )

    @property
    def id(self) -> str:
        """Names this subscription for ``publish(exclude=...)``, in all processes.

        A client may know it, and send it when it resumes; see ``subscribe(previous_id=...)``.
        """
        return self._subscriber.id

    async def __aenter__(self) -> Self:
        """Join the rooms.

        No event of the rooms is sent before the responder has sent something, receives, waits for the disconnect, or
        calls ``start()``. So a welcome with ``position``, or a snapshot, reaches the client first. Connections that are
        not of ``falconws.WebSocket`` do not report their use: there, events are sent at once.

        Raises:
            BrokerUnavailable: The broker cannot be reached; no room is joined.
            RuntimeError: The subscription was entered before, or the hub does not run.
            ValueError: The WebSocket is not open.
        """
        since, self._since = self._since, None
        if since is None:
            raise RuntimeError("A subscription is entered once: call hub.subscribe() again.")
        if getattr(self._ws, "unaccepted", False):
            raise falcon.OperationNotAllowed("Accept the WebSocket before hub.subscribe()")
        # Only a member has to leave when the connection ends.
        self._subscriber.open(None if self._member is None else self._connection_ended)
        try:
            if self._member is not None:
                await self._host.control.add(self._member, self._subscriber)
            if len(since) > 1:
                # One round trip after the other would take seconds for a client with hundreds of rooms.
                await gather_limited(self._join_first, since.items(), limit=_JOINS_AT_A_TIME)
            else:
                for item in since.items():
                    await self._join_first(item)
        except BaseException:
            await self._close()
            raise
        self._subscriber.start_when_used()
        return self

    async def start(self) -> None:
        """Begin to send events of the rooms, if that has not begun; see ``async with``."""
        self._subscriber.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave the rooms."""
        await self._close()

    async def join(self, room: str, *, since: Position | None = None, history: int = 0, latest: bool = False) -> None:
        """Follow one more room, with the arguments of ``hub.subscribe()``. Does nothing if it is followed already.

        Raises:
            BrokerUnavailable: The broker cannot be reached; the room is not joined.
            TypeError, ValueError: *room*, *since* or *history* cannot be used.
        """
        if since is not None:
            check_position("since is a Position", since)
        check_count("join", "history", history, least=0)
        await self._join(room, since, Recent(history, latest))

    async def _join_first(self, item: tuple[str, Position | None]) -> None:
        await self._join(*item, self._recent)

    async def _join(self, room: str, since: Position | None, recent: Recent) -> None:
        limit = self._host.limits.rooms_per_connection
        if limit is not None and len(self._subscriber.rooms) + self._joining >= limit:
            self._host.stats.refused += 1
            raise HubLimitReached(
                f"Room {room!r} is not joined: HubLimits(rooms_per_connection={limit}) allows the client no more."
            )
        self._joining += 1
        try:
            await self._join_allowed(room, since, recent)
        finally:
            self._joining -= 1

    async def _join_allowed(self, room: str, since: Position | None, recent: Recent) -> None:
        joined = await self._subscriber.join(room, since, recent)
        if joined is None or self._member is None:
            return
        try:
            membership = await self._host.presence.join(room, self._member, self._info, self._grace_s)
        except BaseException:
            self._subscriber.leave(joined)
            raise
        if self._subscriber.is_over or joined not in self._subscriber.rooms:
            await self._host.presence.leave([membership], at_once=not self._subscriber.is_over)
            return
        if self._memberships is None:
            self._memberships = {}
        replaced, self._memberships[room] = self._memberships.get(room), membership
        if replaced is not None:
            # The room was left and joined again during this call.
            await self._host.presence.leave([replaced], at_once=True)

    async def leave(self, room: str) -> None:
        """Stop following *room*. Does nothing if it is not followed."""
        for joined in self._subscriber.rooms:
            if joined.name == room:
                self._subscriber.leave(joined)
        membership = (self._memberships or {}).pop(room, None)
        if membership is not None:
            await self._host.presence.leave([membership], at_once=True)

    async def update_info(self, info: object) -> None:
        """Replace what others see of this member, in all rooms of the subscription. Others are told ``Updated``.

        The info belongs to this connection: while the member has several, that of the last one to join or update shows.

        Raises:
            BrokerUnavailable: The broker cannot be reached; the info is replaced when it is back.
            TypeError, ValueError: JSON cannot express *info*, or the subscription has no member.
        """
        if self._member is None:
            raise ValueError("update_info() describes a member: give hub.subscribe() one.")
        self._info = encode_info(info)
        for membership in list((self._memberships or {}).values()):
            await self._host.presence.update(membership, self._info)

    async def _close(self) -> None:
        self._subscriber.close()
        self._forget()
        memberships, self._memberships = self._memberships, None
        if memberships:
            await self._host.presence.leave(memberships.values())

    def _forget(self) -> None:
        if self._member is not None:
            self._host.control.remove(self._member, self._subscriber)

    def _connection_ended(self) -> None:
        """Called when the connection has ended: the member leaves now, however long the responder takes."""
        self._forget()
        memberships, self._memberships = self._memberships, None
        if memberships:
            self._host.spawn(self._host.presence.leave(memberships.values()))
