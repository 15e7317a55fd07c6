"""Noticing that a client is gone: by pings, by a message that it does not complete, and by looking at its socket.

Owns the timers; a connection sends the pings and disconnects the client. Knows a connection by the port below.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from falconws.closecodes import CloseCode
from falconws.server.websocket.settings import ConnectionSettings

_LOOK_INTERVAL_S = 1.0
_LOOKS_PER_PROBE = 5
_CHECKS_PER_TIMEOUT = 3


class WatchedConnection(Protocol):
    """What keepalive asks of a connection."""

    @property
    def is_reading(self) -> bool: ...
    @property
    def is_receiving_frame(self) -> bool: ...
    def undelivered_bytes(self) -> int: ...
    def delivered_bytes(self) -> int: ...
    def received_bytes(self) -> int | None: ...
    def has_left(self) -> bool: ...
    def probe(self) -> None: ...
    def send_ping(self, payload: bytes) -> bool: ...
    def message_progress(self) -> tuple[int, int] | None: ...
    def fail(self, code: int, reason: str) -> None: ...
    def evict(self, why: str) -> None: ...


class Keepalive:
    """Sends pings, and disconnects a client that does not answer in time.

    A client that sends but never answers is disconnected too: it does not read. A client that cannot answer yet has
    more time as long as it makes progress at `min_bytes_per_s`:

    - the ping waits behind messages that the client is taking; from its arrival on the client has `ping_timeout_s`;
    - the client is in the middle of a large frame, and can send its answer only after that.

    While reading is paused (the application is behind), answers are not seen: that the client's machine acknowledges
    the ping counts as one.
    """

    __slots__ = (
        "_connection",
        "_delivered",
        "_interval_s",
        "_min_bytes",
        "_payload",
        "_ping_at",
        "_received",
        "_timer",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, settings: ConnectionSettings, connection: WatchedConnection
    ) -> None:
        assert settings.ping_interval_s is not None
        self._connection = connection
        self._payload: bytes | None = None
        self._delivered = 0
        self._ping_at: int | None = None
        self._received: int | None = None
        self._timer = loop.call_later(settings.ping_interval_s, self._ping, loop, settings, 1)

    def _ping(self, loop: asyncio.AbstractEventLoop, settings: ConnectionSettings, number: int) -> None:
        connection = self._connection
        interval_s, timeout_s = settings.ping_interval_s, settings.ping_timeout_s
        assert interval_s is not None
        self._payload = number.to_bytes(4, "big")
        if timeout_s is None:
            self._timer = loop.call_later(interval_s, self._ping, loop, settings, number + 1)
        else:
            self._timer = loop.call_later(timeout_s, self._check, loop, settings, number)
            waiting = connection.undelivered_bytes()
            self._delivered = connection.delivered_bytes()
            self._ping_at = self._delivered + waiting if waiting else None
            self._received = connection.received_bytes() if connection.is_receiving_frame else None
        if not connection.send_ping(self._payload):
            self._payload = None

    def _check(self, loop: asyncio.AbstractEventLoop, settings: ConnectionSettings, number: int) -> None:
        interval_s, timeout_s = settings.ping_interval_s, settings.ping_timeout_s
        assert interval_s is not None
        assert timeout_s is not None
        if self._payload is None or self._is_acknowledged():
            self._timer = loop.call_later(max(0.0, interval_s - timeout_s), self._ping, loop, settings, number + 1)
        elif self._makes_progress(settings.min_bytes_per_s * timeout_s):
            self._timer = loop.call_later(timeout_s, self._check, loop, settings, number)
        else:
            self._connection.evict(f"no answer to a ping within {timeout_s:g} s")

    def _is_acknowledged(self) -> bool:
        connection = self._connection
        if connection.is_reading:
            return False
        return not connection.undelivered_bytes() or connection.delivered_bytes() > self._delivered

    def _makes_progress(self, min_bytes: float) -> bool:
        """Return whether the client could not answer yet, and has taken or sent *min_bytes* since the last check."""
        connection = self._connection
        if self._ping_at is not None:
            delivered = connection.delivered_bytes()
            if delivered >= self._ping_at:
                self._ping_at = None
                return True
            if delivered - self._delivered >= min_bytes:
                self._delivered = delivered
                return True
        if self._received is not None and (received := connection.received_bytes()) is not None:
            enough = received - self._received >= min_bytes
            self._received = received if connection.is_receiving_frame else None
            return enough
        return False

    def pong(self, payload: bytes) -> None:
        """Called when a pong has come; only the one that answers the last ping counts."""
        if payload == self._payload:
            self._payload = None

    def stop(self) -> None:
        """Send no more pings."""
        self._timer.cancel()


class PausedReading:
    """Notices that a client has left while its socket is not read; exists only while reading is paused.

    A client that closes behind unread messages cannot tell so, since its end of stream waits behind these. So the
    connection sends it something from time to time.

    Attributes:
        unread_bytes: How many bytes wait for the application, by the count of settings.py.
    """

    __slots__ = ("_connection", "_timer", "unread_bytes")

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: WatchedConnection, unread_bytes: int) -> None:
        self.unread_bytes = unread_bytes
        self._connection = connection
        self._timer = loop.call_later(_LOOK_INTERVAL_S, self._look, loop, 0)

    def _look(self, loop: asyncio.AbstractEventLoop, number: int) -> None:
        if self._connection.has_left():
            self._connection.evict("the client has left")
            return
        if number % _LOOKS_PER_PROBE == _LOOKS_PER_PROBE - 1:
            self._connection.probe()
        self._timer = loop.call_later(_LOOK_INTERVAL_S, self._look, loop, number + 1)

    def stop(self) -> None:
        """Called when reading resumes."""
        self._timer.cancel()


class MessageTimeout:
    """Fails the connection when nothing of a message that has begun comes for `message_timeout_s`.

    Exists only while a message comes in fragments, or for as long as the connection if pings do not tell: a client in
    the middle of a frame cannot answer them.
    """

    __slots__ = ("_connection", "_progress", "_since", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout_s: float, connection: WatchedConnection) -> None:
        self._connection = connection
        self._progress: tuple[int, int] | None = None
        self._since = loop.time()
        self._timer = loop.call_later(timeout_s / _CHECKS_PER_TIMEOUT, self._check, loop, timeout_s)

    def _check(self, loop: asyncio.AbstractEventLoop, timeout_s: float) -> None:
        progress = self._connection.message_progress()
        now = loop.time()
        if progress is None or progress != self._progress or not self._connection.is_reading:
            self._progress = progress
            self._since = now
        elif now - self._since >= timeout_s:
            self._connection.fail(CloseCode.POLICY_VIOLATION, f"nothing of a message came for {timeout_s:g} s")
            return
        self._timer = loop.call_later(timeout_s / _CHECKS_PER_TIMEOUT, self._check, loop, timeout_s)

    def stop(self) -> None:
        """Called when the message is complete, or the connection ends."""
        self._timer.cancel()
