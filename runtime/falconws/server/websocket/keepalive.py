"""Keepalive pings. Owns the timers; a connection sends the pings and disconnects the client."""

from __future__ import annotations

import asyncio
from typing import Protocol


class PingedConnection(Protocol):
    """What keepalive asks of a connection."""

    @property
    def is_reading(self) -> bool: ...
    def send_ping(self, payload: bytes) -> bool: ...
    def evict(self, why: str) -> None: ...


class Keepalive:
    """Sends a ping every *interval_s*, and disconnects a client that does not answer within *timeout_s*.

    A client that sends but never answers is disconnected too: it does not read. While reading is paused (the
    application is behind), a missing answer proves nothing, and the client has more time.
    """

    __slots__ = ("_connection", "_interval_s", "_payload", "_timeout_s", "_timer")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, interval_s: float, timeout_s: float | None, connection: PingedConnection
    ) -> None:
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._connection = connection
        self._payload: bytes | None = None
        self._timer = loop.call_later(interval_s, self._ping, loop, 1)

    def _ping(self, loop: asyncio.AbstractEventLoop, number: int) -> None:
        self._payload = number.to_bytes(4, "big")
        if self._timeout_s is None:
            self._timer = loop.call_later(self._interval_s, self._ping, loop, number + 1)
        else:
            self._timer = loop.call_later(self._timeout_s, self._check, loop, number)
        if not self._connection.send_ping(self._payload):
            self._payload = None

    def _check(self, loop: asyncio.AbstractEventLoop, number: int) -> None:
        assert self._timeout_s is not None
        if self._payload is None:
            self._timer = loop.call_later(max(0.0, self._interval_s - self._timeout_s), self._ping, loop, number + 1)
        elif self._connection.is_reading:
            self._connection.evict(f"no answer to a ping within {self._timeout_s:g} s")
        else:
            self._timer = loop.call_later(self._timeout_s, self._check, loop, number)

    def pong(self, payload: bytes) -> None:
        """Called when a pong has come; only the one that answers the last ping counts."""
        if payload == self._payload:
            self._payload = None

    def stop(self) -> None:
        """Send no more pings."""
        self._timer.cancel()
