"""Deadlines of an HTTP request whose client must make progress: sending the body, and taking the response.

Each watches a transfer and calls back when it is stalled or slower than the minimum rate. Knows no parser.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from falconws.server.http_settings import HttpSettings
from falconws.server.minimum_rate import MinimumRate, Pace
from falconws.server.socket_state import delivered_bytes

_CHECKS_PER_TIMEOUT = 10
"""A client is disconnected late by at most this fraction of its timeout."""


class BodyDeadline:
    """Calls *expired* when the body of a request makes no progress.

    Args:
        loop: The event loop.
        settings: The limits of a request, with a `body_timeout_s`.
        is_blameless: Whether the body waits for the application, so that the time does not count.
        expired: Called once.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        settings: HttpSettings,
        is_blameless: Callable[[], bool],
        expired: Callable[[], None],
    ) -> None:
        assert settings.body_timeout_s is not None
        self._loop = loop
        self._is_blameless = is_blameless
        self._expired = expired
        self._received = 0
        self._rate = MinimumRate(settings.body_timeout_s, settings.min_transfer_bytes_per_s, loop.time(), 0)
        self._interval_s = settings.body_timeout_s / _CHECKS_PER_TIMEOUT
        self._timer = loop.call_later(self._interval_s, self._check)

    def received(self, size: int) -> None:
        """Called when *size* more bytes of the body have come."""
        self._received += size

    def stop(self) -> None:
        """Called when the body is complete, or is not waited for any more."""
        self._timer.cancel()

    def _check(self) -> None:
        now = self._loop.time()
        if self._is_blameless():
            self._rate.excuse(now, self._received)
        elif self._rate.judge(now, self._received) is not Pace.FINE:
            self._expired()
            return
        self._timer = self._loop.call_later(self._interval_s, self._check)


class ResponseDeadline:
    """Calls *expired* when a client does not take what waits for it.

    It lives as long as the connection: a response may wait behind one that is complete, or while the connection closes.

    Args:
        loop: The event loop.
        settings: The limits of a request, with a `response_timeout_s`.
        transport: The transport of the connection.
        expired: Called once, with what the client did.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        settings: HttpSettings,
        transport: Any,
        expired: Callable[[str], None],
    ) -> None:
        assert settings.response_timeout_s is not None
        self._loop = loop
        self._timeout_s = settings.response_timeout_s
        self._min_bytes_per_s = settings.min_transfer_bytes_per_s
        self._transport = transport
        self._expired = expired
        self._rate: MinimumRate | None = None
        self._interval_s = self._timeout_s / _CHECKS_PER_TIMEOUT
        self._timer = loop.call_later(self._interval_s, self._check)

    def stop(self) -> None:
        """Called when the connection is lost, or is a WebSocket now."""
        self._timer.cancel()

    def _check(self) -> None:
        waiting = self._transport.get_write_buffer_size()
        if not waiting:
            self._rate = None
        else:
            now, delivered = self._loop.time(), delivered_bytes(self._transport)
            if self._rate is None:
                self._rate = MinimumRate(self._timeout_s, self._min_bytes_per_s, now, delivered)
            elif self._rate.judge(now, delivered) is not Pace.FINE:
                self._expired(f"it took {self._rate.passed} bytes in {self._rate.elapsed_s:.0f} s, and {waiting} wait")
                return
        self._timer = self._loop.call_later(self._interval_s, self._check)
