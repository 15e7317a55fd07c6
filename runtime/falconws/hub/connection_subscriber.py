"""Sends the events of rooms to a WebSocket connection.

Events are sent without a task as long as the server's extension takes them at once. What it refuses waits in the
backlog until the extension reports that the connection is writable again. On servers without the extension, and for
messages that are too large for it, a task sends what waits; it lives only as long as something waits.

Knows nothing of members; of a WebSocket it needs the members of ``Socket``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import falcon

from falconws.closecodes import CloseCode

from .broadcast import Encode, EncodedEvent
from .broker import BrokerRefused, Publication
from .policy import Policy
from .subscriber import Subscriber, SubscriberHost

__all__ = ("ConnectionHost", "ConnectionSubscriber", "Socket", "check_socket")

_FRESH_BYTES = 4096
"""Buffered by the server and by the kernel, each, for subscribers that drop messages: buffered data becomes stale."""

_HOLD_WARNING_S = 10.0

_logger = logging.getLogger("falconws.hub")


class ConnectionHandle(Protocol):
    """The part of the ASGI extension "falconws.connection" that is used here."""

    @property
    def closed(self) -> bool: ...
    def prepare(self, payload: str | bytes) -> object: ...
    def try_send_prepared(self, prepared: Any) -> bool: ...
    def cork(self) -> None: ...
    def limit_buffering(self, max_bytes: int) -> None: ...
    def broadcast(self, connections: Iterable[Any], prepared: Any) -> Sequence[Any]: ...
    def add_writable_callback(self, callback: Callable[[], object]) -> None: ...
    def remove_writable_callback(self, callback: Callable[[], object]) -> None: ...
    def add_disconnect_callback(self, callback: Callable[[], object]) -> None: ...
    def remove_disconnect_callback(self, callback: Callable[[], object]) -> None: ...


class Socket(Protocol):
    """What a WebSocket needs. ``falconws.WebSocket`` also has ``connection``, ``client`` and ``unaccepted``."""

    async def send_text(self, payload: str) -> None: ...
    async def send_data(self, payload: bytes) -> None: ...
    async def close(self, code: int | None = None, reason: str | None = None) -> None: ...


def check_socket(ws: object) -> None:
    """Raise TypeError unless *ws* has the members of ``Socket``."""
    for method in ("send_text", "send_data", "close"):
        if not callable(getattr(ws, method, None)):
            raise TypeError(f"hub.subscribe(ws, *rooms) takes a WebSocket first: {ws!r} has no {method}().")


_send_locks: WeakKeyDictionary[Socket, asyncio.Lock] = WeakKeyDictionary()
"""One for each connection whose subscriptions send through tasks."""


class ConnectionHost(SubscriberHost, Protocol):
    """What a subscriber with a connection needs of the hub."""

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]: ...


class ConnectionSubscriber(Subscriber):
    """A subscriber that sends to a connection.

    Args:
        host: The hub.
        ws: The connection.
        policy: What happens when the client does not keep up.
        encode: Encodes its events.
        previous_id: The id of the subscriber that the client had before, if it resumes.
    """

    __slots__ = ("_armed", "_connection", "_held", "_hold_timer", "_on_end", "_previous_id", "_sending", "_ws")

    _host: ConnectionHost

    def __init__(
        self, host: ConnectionHost, ws: Socket, policy: Policy, encode: Encode | None, previous_id: str | None
    ) -> None:
        super().__init__(host, policy, encode)
        self._previous_id = previous_id
        self._ws = ws
        self._on_end: Callable[[], object] | None = None
        self._held = False
        """Whether nothing is sent yet, because the responder goes first."""
        self._hold_timer: asyncio.TimerHandle | None = None
        self._armed = False
        self._sending: asyncio.Task[None] | None = None
        connection: ConnectionHandle | None = getattr(ws, "connection", None)
        if connection is not None and not hasattr(connection, "limit_buffering"):
            # Another server, with an older form of the extension.
            connection = None
        self._connection = connection

    @property
    def client(self) -> str:
        """The address and port of the peer."""
        client: str = getattr(self._ws, "client", "unknown")
        return client

    @property
    def _replay_bytes(self) -> int | None:
        return self._host.limits.replay_bytes

    def _is_excluded(self, publication: Publication) -> bool:
        return publication.exclude is not None and publication.exclude in (self._id, self._previous_id)

    def open(self, on_end: Callable[[], object] | None) -> None:
        """Begin; nothing is sent before ``start()``, which the first use of the connection calls too.

        Args:
            on_end: Called once when the connection ends or the policy disconnects the client.
        """
        self._on_end = on_end
        self._held = True
        self._joining += 1
        if self._connection is not None:
            self._host.encoder.prepare = self._connection.prepare
            self._connection.add_disconnect_callback(self._connection_ended)
            if self._policy.drops:
                self._connection.limit_buffering(_FRESH_BYTES)

    def start(self) -> None:
        """Send what waits, and what comes from now on. Does nothing the second time."""
        if not self._held:
            return
        self._held = False
        if self._hold_timer is not None:
            self._hold_timer.cancel()
            self._hold_timer = None
        self._joining -= 1
        self._flush()

    def start_when_used(self) -> None:
        """Call ``start()`` when the responder sends or receives for the first time; now, if that cannot be known."""
        when_first_used: Callable[[Callable[[], object]], None] | None = getattr(self._ws, "when_first_used", None)
        if when_first_used is None:
            self.start()
        elif self._held:
            when_first_used(self.start)
            self._hold_timer = self._host.loop.call_later(_HOLD_WARNING_S, self._warn_held)

    def _warn_held(self) -> None:
        self._hold_timer = None
        _logger.warning(
            "%s is sent nothing of its rooms before its responder sends or receives, or calls subscription.start(); "
            "it has done neither for %g s",
            self.client,
            _HOLD_WARNING_S,
        )

    @property
    def connection_id(self) -> int:
        """The same for all subscriptions of a connection."""
        return id(self._ws)

    def follows(self, room: str) -> bool:
        """Whether it follows the room of that name."""
        return any(followed.name == room for followed in self.rooms)

    def disconnect(self, code: int, reason: str | None) -> None:
        """Close the connection; the subscription ends at once."""
        self.detach()
        self._host.spawn(self._ws.close(code, reason))
        self._report_end()

    def close(self) -> None:
        """End the subscriber because its block has ended."""
        self._on_end = None
        if self._connection is not None:
            self._connection.remove_disconnect_callback(self._connection_ended)
        self.detach()

    def _connection_ended(self) -> None:
        # The responder may need some time to notice; other members are notified now.
        self.detach()
        self._report_end()

    def _report_end(self) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end()

    def detach(self) -> None:
        super().detach()
        if self._hold_timer is not None:
            self._hold_timer.cancel()
            self._hold_timer = None
        if self._armed and self._connection is not None:
            self._connection.remove_writable_callback(self._writable)
            self._armed = False

    def _flush(self) -> None:
        if self._joining or self.is_over or self._armed or self._sending is not None:
            return
        if not self._backlog:
            self._caught_up()
        elif self._connection is None:
            self._sending = self._host.spawn(self._send_waiting())
        else:
            self._armed = True
            self._connection.add_writable_callback(self._writable)

    def _writable(self) -> None:
        self._armed = False
        connection, backlog = self._connection, self._backlog
        assert connection is not None
        if self.is_over or self._joining:
            return
        if backlog and len(backlog) > 1 and not self._policy.drops:
            connection.cork()
        sent = False
        now = self._host.loop.time()
        while backlog:
            if not connection.try_send_prepared(self._prepared(backlog.peek())):
                if connection.closed:
                    return  # _connection_ended() is called soon, or was called.
                if sent:
                    self._armed = True
                    connection.add_writable_callback(self._writable)
                else:
                    # A message that is refused first, on a writable connection, is too large for it.
                    self._sending = self._host.spawn(self._send_waiting())
                return
            self._host.stats.delivered += backlog.pop(now).is_message
            sent = True
        self._caught_up()

    def _caught_up(self) -> None:
        """Send events directly again; called when nothing waits any more."""
        self._drop_backlog()
        if self._connection is not None and not self._progress.is_ahead:
            self._go_direct(self._connection)

    def _prepared(self, encoded: EncodedEvent) -> object:
        if encoded.prepared is None:
            assert self._connection is not None
            encoded.prepared = self._connection.prepare(encoded.payload)
        return encoded.prepared

    async def _send_waiting(self) -> None:
        try:
            lock = _send_lock(self._ws)
            while self._backlog and not self._joining:
                # One message at a time for all subscriptions of a connection: what waits stays in the backlogs.
                async with lock:
                    if not self._backlog:
                        break
                    await self._send(self._backlog.pop(self._host.loop.time()))
                if self._connection is not None:
                    # One message was too large for the extension; the next one may not be.
                    break
        except falcon.WebSocketDisconnected:
            self._connection_ended()
        except Exception:
            _logger.exception("Sending to %s has failed; its subscription ends", self.client)
            self._connection_ended()
        finally:
            self._sending = None
        self._flush()

    async def _send(self, encoded: EncodedEvent) -> None:
        payload, stats = encoded.payload, self._host.stats
        try:
            if isinstance(payload, str):
                await self._ws.send_text(payload)
            else:
                await self._ws.send_data(payload)
        except BaseException:
            stats.discarded += encoded.is_message
            raise
        stats.delivered += encoded.is_message

    def _evict(self, reason: str, error: BrokerRefused | None = None) -> None:
        self._host.spawn(self._ws.close(CloseCode.TRY_AGAIN_LATER, reason))
        self._report_end()


def _send_lock(ws: Socket) -> asyncio.Lock:
    try:
        lock = _send_locks.get(ws)
        if lock is None:
            lock = _send_locks[ws] = asyncio.Lock()
    except TypeError:
        # Falcon's own WebSocket cannot be referenced weakly: its subscriptions do not share a lock.
        lock = asyncio.Lock()
    return lock
