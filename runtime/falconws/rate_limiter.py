"""Receives the messages of one connection no faster than ``ws_options.rate_limit`` allows.

Exists only for connections with a limit. Knows nothing of media or of the application.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from .errors import OperationNotAllowed
from .rate_limit import Meter, RateLimit
from .stream import SECOND_RECEIVER, Payload, Stream

__all__ = ("RateLimiter",)

_POLL_S = 0.5
"""Seconds between two checks whether the connection was closed during a wait."""


class RateLimiter:
    """Meters what the client of one connection sends, and enforces the limit.

    Args:
        limit: The limit.
        close: Closes the connection of a client that exceeds it.
    """

    __slots__ = ("_close", "_limit", "_loop", "_meter", "_receiving")

    def __init__(self, limit: RateLimit, close: Callable[[], Awaitable[None]]) -> None:
        self._limit = limit
        self._close: Callable[[], Awaitable[None]] | None = close
        self._loop = asyncio.get_running_loop()
        self._receiving = False
        self._meter = Meter(limit, self._loop.time())

    async def receive(self, stream: Stream, timeout: float | None = None) -> Payload | None:
        """Do what ``stream.receive(timeout)`` does, within the limit. Return None too after closing the connection."""
        if self._receiving:
            raise OperationNotAllowed(SECOND_RECEIVER)
        self._receiving = True
        try:
            if self._limit.policy == "slow_down":
                timeout = await self._wait(stream, timeout)
            payload = await stream.receive(timeout)
            if payload is None:
                return None
            self._meter.charge(len(payload), self._loop.time())
            if (
                self._limit.policy == "disconnect"
                and self._meter.debt_s(self._loop.time()) > 0
                and self._close is not None
            ):
                await self._close()
                return None
            return payload
        finally:
            self._receiving = False

    async def _wait(self, stream: Stream, timeout: float | None) -> float | None:
        """Wait until the rate allows another message; return the rest of *timeout*."""
        until = None if timeout is None else self._loop.time() + timeout
        # Messages that arrived before the connection was closed are received at once.
        while (debt_s := self._meter.debt_s(self._loop.time())) > 0 and stream.closed is None:
            if until is None:
                left_s = debt_s
            elif (left_s := min(debt_s, until - self._loop.time())) <= 0:
                raise TimeoutError(f"No message within {timeout} s")
            await asyncio.sleep(min(left_s, _POLL_S))
        return None if until is None else max(0.0, until - self._loop.time())

    def stop(self) -> None:
        """Do not close the connection from now on."""
        # The callback refers to the WebSocket, which refers to this object.
        self._close = None
