"""A connection that follows rooms: what the responder holds while ``async with hub.subscribe(...)`` lasts.

Messages go out without a task while the server's extension takes them at once. What it refuses waits in the backlog
until the extension says that the connection is writable again; on servers without the extension, and for messages too
large for it, a task sends what waits, and lives only as long as something does.

Of a WebSocket it needs what ``Socket`` says.
"""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, Self
from weakref import WeakKeyDictionary

import falcon

from falconws.closecodes import CloseCode

from .broadcast import Encode, Outgoing
from .broker import Payload
from .policy import Policy
from .position import Position, check_position
from .presence import Membership, Presence
from .subscriber import HubSide, Subscriber, since_for

__all__ = ("ConnectionHandle", "Socket", "Subscription", "check_socket")

_logger = logging.getLogger("falconws.hub")


class ConnectionHandle(Protocol):
    """What of the ASGI extension "falconws.connection" is used here."""

    @property
    def closed(self) -> bool: ...
    def prepare(self, payload: str | bytes) -> object: ...
    def try_send_prepared(self, prepared: Any) -> bool: ...
    def cork(self) -> None: ...
    def broadcast(self, connections: Iterable[Any], prepared: Any) -> Sequence[Any]: ...
    def add_writable_callback(self, callback: Callable[[], object]) -> None: ...
    def remove_writable_callback(self, callback: Callable[[], object]) -> None: ...
    def add_disconnect_callback(self, callback: Callable[[], object]) -> None: ...
    def remove_disconnect_callback(self, callback: Callable[[], object]) -> None: ...


class Socket(Protocol):
    """What a WebSocket must have. ``falconws.WebSocket`` also has ``connection``, ``client`` and ``unaccepted``.

    ``check_socket()`` holds objects to it.
    """

    async def send_text(self, payload: str) -> None: ...
    async def send_data(self, payload: bytes) -> None: ...
    async def close(self, code: int | None = None, reason: str | None = None) -> None: ...


def check_socket(ws: object) -> None:
    """Raise TypeError unless *ws* is what ``Socket`` says."""
    for method in ("send_text", "send_data", "close"):
        if not callable(getattr(ws, method, None)):
            raise TypeError(f"hub.subscribe(ws, *rooms) takes a WebSocket first: {ws!r} has no {method}().")


_turns: WeakKeyDictionary[Socket, asyncio.Lock] = WeakKeyDictionary()
"""Whose turn it is to send, of the subscriptions of one connection, where that takes waiting."""


class SubscriptionHub(HubSide, Protocol):
    """What a subscription needs of the hub."""

    presence: Presence

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]: ...


class Subscription(Subscriber):
    """One connection's part in one or several rooms; made by ``Hub.subscribe()``, used with ``async with``.

    While the block lasts, events of the rooms reach the client by themselves, and the responder goes on receiving. The
    subscription ends with the block or with the connection, whichever comes first; what still waits then is let go.
    """

    __slots__ = ("_armed", "_connection", "_info", "_member", "_memberships", "_sending", "_since", "_ws")

    _hub: SubscriptionHub

    def __init__(
        self,
        hub: SubscriptionHub,
        ws: Socket,
        rooms: tuple[str, ...],
        *,
        policy: Policy,
        since: Position | Mapping[str, Position] | None,
        member: str | None,
        info: bytes,
        encode: Encode | None,
    ) -> None:
        super().__init__(hub, policy, encode)
        self._ws = ws
        self._since: dict[str, Position | None] | None = since_for(rooms, since)
        self._member = member
        self._info = info
        self._memberships: dict[str, Membership] | None = None
        self._armed = False
        self._sending: asyncio.Task[None] | None = None
        connection: ConnectionHandle | None = getattr(ws, "connection", None)
        if connection is not None and not hasattr(connection, "broadcast"):
            # Another server's, which offers an older form of the extension.
            connection = None
        self._connection = connection

    def __del__(self) -> None:
        """Warn, as of a coroutine that was never awaited: without the block nobody has joined anything."""
        if getattr(self, "_since", None) is not None:
            warnings.warn(
                "hub.subscribe() was never entered, and has joined no room: write `async with hub.subscribe(...):`.",
                RuntimeWarning,
                stacklevel=2,
                source=self,
            )

    @property
    def client(self) -> str:
        """The peer's address and port."""
        client: str = getattr(self._ws, "client", "unknown")
        return client

    async def __aenter__(self) -> Self:
        """Join the rooms.

        What the responder sends right afterwards, before it awaits anything else, reaches the client before anything
        of the rooms does: the place for a welcome with ``position`` and ``gap``.

        Raises:
            BrokerUnavailable: The broker cannot be reached; nothing is joined.
            RuntimeError: The subscription was entered before, or the hub does not run.
            ValueError: The WebSocket is not open.
        """
        since, self._since = self._since, None
        if since is None:
            raise RuntimeError("A subscription is entered once: call hub.subscribe() again.")
        if getattr(self._ws, "unaccepted", False):
            raise falcon.OperationNotAllowed("Accept the WebSocket before hub.subscribe()")
        connection = self._connection
        if connection is not None:
            self._hub.encoder.prepare = connection.prepare
            connection.add_disconnect_callback(self._ended)
        # Nothing goes out before the block has begun: what the responder says first, the client hears first.
        self._joining += 1
        try:
            for room, position in since.items():
                await self.join(room, since=position)
        except BaseException:
            await self._close()
            raise
        finally:
            self._joining -= 1
        self._flush()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave the rooms."""
        await self._close()

    async def join(self, room: str, *, since: Position | None = None) -> None:
        """Follow one more room, as ``hub.subscribe()`` does; nothing happens when it is followed already.

        Raises:
            BrokerUnavailable: The broker cannot be reached; the room is not joined.
            TypeError, ValueError: *room* or *since* cannot be used.
        """
        if since is not None:
            check_position("since is a Position", since)
        joined = await self._join(room, since)
        if joined is None or self._member is None:
            return
        try:
            membership = await self._hub.presence.join(room, self._member, self._info)
        except BaseException:
            self._leave(joined)
            raise
        if self._over or joined not in self._rooms:
            await self._hub.presence.leave([membership])
            return
        if self._memberships is None:
            self._memberships = {}
        replaced, self._memberships[room] = self._memberships.get(room), membership
        if replaced is not None:
            # It has left and joined again while it was joining.
            await self._hub.presence.leave([replaced])

    async def leave(self, room: str) -> None:
        """Follow *room* no longer; nothing happens when it is not followed."""
        for joined in self._rooms:
            if joined.name == room:
                self._leave(joined)
        membership = (self._memberships or {}).pop(room, None)
        if membership is not None:
            await self._hub.presence.leave([membership])

    async def _close(self) -> None:
        if self._connection is not None:
            self._connection.remove_disconnect_callback(self._ended)
        self._detach()
        memberships, self._memberships = self._memberships, None
        if memberships:
            await self._hub.presence.leave(memberships.values())

    # Deliveries

    @property
    def watches(self) -> bool:
        """Whether it wants to be told who leaves, or is one of those who may."""
        return self._member is not None or super().watches

    def _ended(self) -> None:
        """The connection is over. The responder may take its time; the others learn of it now."""
        self._detach()
        memberships, self._memberships = self._memberships, None
        if memberships:
            self._hub.spawn(self._hub.presence.leave(memberships.values()))

    def _detach(self) -> None:
        super()._detach()
        if self._armed and self._connection is not None:
            self._connection.remove_writable_callback(self._writable)
            self._armed = False

    def _flush(self) -> None:
        if self._joining or self._over or self._armed or self._sending is not None:
            return
        if not self._backlog:
            self._caught_up()
        elif self._connection is None:
            self._sending = self._hub.spawn(self._send_waiting())
        else:
            self._armed = True
            self._connection.add_writable_callback(self._writable)

    def _writable(self) -> None:
        self._armed = False
        connection, backlog = self._connection, self._backlog
        assert connection is not None
        if self._over or self._joining:
            return
        if backlog and len(backlog) > 1:
            connection.cork()
        sent = False
        while backlog:
            outgoing = backlog.peek()
            if not connection.try_send_prepared(self._prepared(outgoing)):
                if connection.closed:
                    return  # _ended() comes, or has come.
                if sent:
                    self._armed = True
                    connection.add_writable_callback(self._writable)
                else:
                    # What is refused first, on a writable connection, is too large for it.
                    self._sending = self._hub.spawn(self._send_waiting())
                return
            backlog.pop()
            sent = True
        self._caught_up()

    def _caught_up(self) -> None:
        """Nothing waits any more: back to the fast path."""
        self._backlog = None
        if self._connection is not None and not self._seen:
            self._go_direct(self._connection)

    def _prepared(self, outgoing: Outgoing) -> object:
        if outgoing.prepared is None:
            assert self._connection is not None
            outgoing.prepared = self._connection.prepare(outgoing.payload)
        return outgoing.prepared

    async def _send_waiting(self) -> None:
        try:
            turn = _turn_of(self._ws)
            while self._backlog and not self._joining:
                # What waits in the backlogs of a connection's subscriptions must not meet in the server's line.
                async with turn:
                    if not self._backlog:
                        break
                    payload = self._backlog.pop().payload
                    await self._send(payload)
                if self._connection is not None:
                    # One message was too large for the extension; the next may not be.
                    break
        except falcon.WebSocketDisconnected:
            self._ended()
        except Exception:
            _logger.exception("%s cannot be sent to any more; its subscription ends", self.client)
            self._ended()
        finally:
            self._sending = None
        self._flush()

    async def _send(self, payload: Payload) -> None:
        if isinstance(payload, str):
            await self._ws.send_text(payload)
        else:
            await self._ws.send_data(payload)

    def _evict(self, reason: str) -> None:
        self._hub.spawn(self._ws.close(CloseCode.TRY_AGAIN_LATER, reason))
        memberships, self._memberships = self._memberships, None
        if memberships:
            self._hub.spawn(self._hub.presence.leave(memberships.values()))


def _turn_of(ws: Socket) -> asyncio.Lock:
    try:
        turn = _turns.get(ws)
        if turn is None:
            turn = _turns[ws] = asyncio.Lock()
    except TypeError:
        # It cannot be referred to weakly, as Falcon's own cannot: its subscriptions know nothing of each other.
        turn = asyncio.Lock()
    return turn
