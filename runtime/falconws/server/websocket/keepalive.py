"""Noticing that a client is gone: by pings, by a message that it does not complete, and by looking at its socket.

Owns the timers; a connection sends the pings and disconnects the client. Knows a connection by the port below.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from falconws.closecodes import CloseCode
from falconws.server.minimum_rate import MinimumRate, Pace
from falconws.server.socket_state import client_has_left, delivered_bytes, received_bytes, undelivered_bytes
from falconws.server.websocket.connection_state import ConnectionState
from falconws.server.websocket.settings import ConnectionSettings
from falconws.timeouts import Timeout

_LOOK_INTERVAL_S = 1.0
_LOOKS_PER_PROBE = 5
_CHECKS_PER_TIMEOUT = 10
"""A message times out late by at most a fifth of its timeout: its beginning is noticed at the first check."""


class WatchedInbox(Protocol):
    """What keepalive asks of a connection's inbox."""

    @property
    def is_reading(self) -> bool: ...
    @property
    def is_receiving_frame(self) -> bool: ...
    def message_progress(self) -> tuple[int, int] | None: ...


class WatchedConnection(Protocol):
    """What keepalive asks of a connection."""

    transport: Any
    state: ConnectionState

    @property
    def inbox(self) -> WatchedInbox: ...
    def send_ping(self, payload: bytes) -> bool: ...
    def send_pong(self, payload: bytes) -> None: ...


class Keepalive:
    """Sends pings, and disconnects a client that does not answer in time.

    A client that sends but never answers is disconnected too: it does not read. A client that cannot answer yet has
    more time as long as it makes progress at `min_bytes_per_s`:

    - the ping waits behind messages that the client is taking; from its arrival on the client has `ping_timeout_s`;
    - the client is in the middle of a large frame, and can send its answer only after that. If it sends too slowly, the
      connection fails with 1008.

    While reading is paused (the application is behind), answers are not seen: that the client's machine acknowledges
    the ping counts as one.
    """

    __slots__ = (
        "_connection",
        "_delivered",
        "_loop",
        "_number",
        "_payload",
        "_ping_at",
        "_received",
        "_settings",
        "_timeout",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, settings: ConnectionSettings, connection: WatchedConnection
    ) -> None:
        assert settings.ping_interval_s is not None
        self._loop = loop
        self._settings = settings
        self._connection = connection
        self._number = 0
        self._payload: bytes | None = None
        self._delivered = 0
        self._ping_at: int | None = None
        self._received: int | None = None
        self._timeout = Timeout(loop, settings.ping_interval_s, self._ping)

    def _ping(self) -> None:
        connection, settings = self._connection, self._settings
        assert settings.ping_interval_s is not None
        self._number += 1
        self._payload = self._number.to_bytes(4, "big")
        if settings.ping_timeout_s is None:
            self._timeout = Timeout(self._loop, settings.ping_interval_s, self._ping)
        else:
            self._timeout = Timeout(self._loop, settings.ping_timeout_s, self._check)
            waiting = undelivered_bytes(connection.transport)
            self._delivered = delivered_bytes(connection.transport)
            self._ping_at = self._delivered + waiting if waiting else None
            self._received = received_bytes(connection.transport) if connection.inbox.is_receiving_frame else None
        if not connection.send_ping(self._payload):
            self._payload = None

    def _check(self) -> None:
        interval_s, timeout_s = self._settings.ping_interval_s, self._settings.ping_timeout_s
        assert interval_s is not None
        assert timeout_s is not None
        if self._payload is None or self._is_acknowledged():
            self._timeout = Timeout(self._loop, max(0.0, interval_s - timeout_s), self._ping)
        elif self._makes_progress(self._settings.min_bytes_per_s * timeout_s):
            self._timeout = Timeout(self._loop, timeout_s, self._check)
        elif self._connection.inbox.is_receiving_frame and not undelivered_bytes(self._connection.transport):
            # It still takes what is sent, so it can read why.
            self._connection.state.fail(CloseCode.POLICY_VIOLATION, f"a message came too slowly for {timeout_s:g} s")
        else:
            self._connection.state.evict(f"no answer to a ping within {timeout_s:g} s")

    def _is_acknowledged(self) -> bool:
        if self._connection.inbox.is_reading:
            return False
        transport = self._connection.transport
        return not undelivered_bytes(transport) or delivered_bytes(transport) > self._delivered

    def _makes_progress(self, min_bytes: float) -> bool:
        """Return whether the client could not answer yet, and has taken or sent *min_bytes* since the last check."""
        transport = self._connection.transport
        if self._ping_at is not None:
            delivered = delivered_bytes(transport)
            if delivered >= self._ping_at:
                self._ping_at = None
                return True
            if delivered - self._delivered >= min_bytes:
                self._delivered = delivered
                return True
        if self._received is not None and (received := received_bytes(transport)) is not None:
            enough = received - self._received >= min_bytes
            self._received = received if self._connection.inbox.is_receiving_frame else None
            return enough
        return False

    def pong(self, payload: bytes) -> None:
        """Called when a pong has come; only the one that answers the last ping counts."""
        if payload == self._payload:
            self._payload = None

    def stop(self) -> None:
        """Send no more pings."""
        self._timeout.cancel()


class PausedReading:
    """Notices that a client has left while its socket is not read; exists only while reading is paused.

    The end of stream of a client that has closed waits behind its unread messages, where nobody sees it. So the
    connection sends it something from time to time.

    Attributes:
        for_memory: Whether the memory of the process is the reason, and not the application.
    """

    __slots__ = ("_connection", "_timer", "for_memory")

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: WatchedConnection, *, for_memory: bool) -> None:
        self._connection = connection
        self.for_memory = for_memory
        self._timer = loop.call_later(_LOOK_INTERVAL_S, self._look, loop, 0)

    def _look(self, loop: asyncio.AbstractEventLoop, number: int) -> None:
        connection = self._connection
        if client_has_left(connection.transport):
            connection.state.evict("the client has left")
            return
        if number % _LOOKS_PER_PROBE == _LOOKS_PER_PROBE - 1 and not undelivered_bytes(connection.transport):
            # RFC 6455 section 5.5.3 allows a pong that no ping has asked for. The client ignores it, and its machine
            # answers with a reset if the client is gone.
            connection.send_pong(b"")
        self._timer = loop.call_later(_LOOK_INTERVAL_S, self._look, loop, number + 1)

    def stop(self) -> None:
        """Called when reading resumes."""
        self._timer.cancel()


class MessageTimeout:
    """Fails the connection when a message that has begun makes no progress.

    Something of it has to come in every `message_timeout_s`, and the client has to send `min_bytes_per_s` on average
    where the operating system tells. Exists only while a message comes in fragments, or for as long as the connection
    if pings do not tell: a client in the middle of a frame cannot answer them.
    """

    __slots__ = ("_connection", "_progress", "_rate", "_since", "_timer")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, settings: ConnectionSettings, connection: WatchedConnection
    ) -> None:
        assert settings.message_timeout_s is not None
        self._connection = connection
        self._progress: tuple[int, int] | None = None
        self._since = loop.time()
        self._rate = self._measure(loop, settings)
        self._look_later(loop, settings)

    def _measure(self, loop: asyncio.AbstractEventLoop, settings: ConnectionSettings) -> MinimumRate | None:
        received = received_bytes(self._connection.transport)
        if received is None:
            return None
        assert settings.message_timeout_s is not None
        return MinimumRate(settings.message_timeout_s, settings.min_bytes_per_s, loop.time(), received)

    def _look_later(self, loop: asyncio.AbstractEventLoop, settings: ConnectionSettings) -> None:
        assert settings.message_timeout_s is not None
        self._timer = loop.call_later(settings.message_timeout_s / _CHECKS_PER_TIMEOUT, self._check, loop, settings)

    def _check(self, loop: asyncio.AbstractEventLoop, settings: ConnectionSettings) -> None:
        connection, now, timeout_s = self._connection, loop.time(), settings.message_timeout_s
        assert timeout_s is not None
        progress = connection.inbox.message_progress()
        if progress is None or not connection.inbox.is_reading:
            self._progress, self._since, self._rate = progress, now, self._measure(loop, settings)
        else:
            if progress != self._progress:
                self._progress, self._since = progress, now
                if self._is_slow(now):
                    connection.state.fail(CloseCode.POLICY_VIOLATION, f"a message came too slowly for {timeout_s:g} s")
                    return
            elif now - self._since >= timeout_s:
                connection.state.fail(CloseCode.POLICY_VIOLATION, f"nothing of a message came for {timeout_s:g} s")
                return
        self._look_later(loop, settings)

    def _is_slow(self, now: float) -> bool:
        received = received_bytes(self._connection.transport)
        if self._rate is None or received is None:
            return False
        return self._rate.judge(now, received) is Pace.SLOW

    def stop(self) -> None:
        """Called when the message is complete, or the connection ends."""
        self._timer.cancel()
