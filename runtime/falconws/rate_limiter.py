"""A stream whose messages are received no faster than a rate limit allows.

Stands around the real stream, so that it costs nothing where there is no limit. Knows nothing of the application.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from .errors import OperationNotAllowed
from .extension import ConnectionExtension
from .rate_limit import Meter, RateLimit
from .stream import SECOND_RECEIVER, Close, Payload, Stream

__all__ = ("RateLimitedStream",)

_LOOK_S = 0.5
"""Seconds between two looks whether a connection that waits is closed."""


class RateLimitedStream:
    """A stream that receives no more than a limit allows; implements ``Stream``.

    Args:
        stream: The stream of the connection.
        limit: The limit.
        close: Closes the connection of a client that exceeds it.
    """

    __slots__ = ("_close", "_limit", "_loop", "_meter", "_receiving", "_stream")

    def __init__(self, stream: Stream, limit: RateLimit, close: Callable[[], Awaitable[None]]) -> None:
        self._stream = stream
        self._limit = limit
        self._close: Callable[[], Awaitable[None]] | None = close
        self._loop = asyncio.get_running_loop()
        self._receiving = False
        self._meter = Meter(limit, self._loop.time())

    async def receive(self, timeout: float | None = None) -> Payload | None:
        if self._receiving:
            raise OperationNotAllowed(SECOND_RECEIVER)
        self._receiving = True
        try:
            if self._limit.policy == "slow_down":
                timeout = await self._wait(timeout)
            payload = await self._stream.receive(timeout)
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

    async def _wait(self, timeout: float | None) -> float | None:
        """Wait until the rate allows another message; return what is left of *timeout*."""
        until = None if timeout is None else self._loop.time() + timeout
        # What has arrived before the connection was closed is received at once.
        while (debt_s := self._meter.debt_s(self._loop.time())) > 0 and self._stream.closed is None:
            if until is None:
                left_s = debt_s
            elif (left_s := min(debt_s, until - self._loop.time())) <= 0:
                raise TimeoutError(f"No message within {timeout} s")
            await asyncio.sleep(min(left_s, _LOOK_S))
        return None if until is None else max(0.0, until - self._loop.time())

    async def send(self, payload: Payload) -> None:
        await self._stream.send(payload)

    @property
    def closed(self) -> Close | None:
        return self._stream.closed

    @closed.setter
    def closed(self, value: Close | None) -> None:
        self._stream.closed = value

    @property
    def on_closed(self) -> Callable[[], object] | None:
        return self._stream.on_closed

    @on_closed.setter
    def on_closed(self, value: Callable[[], object] | None) -> None:
        self._stream.on_closed = value

    @property
    def connection(self) -> ConnectionExtension | None:
        return self._stream.connection

    def watch_for_disconnect(self) -> None:
        self._stream.watch_for_disconnect()

    async def wait_closed(self) -> Close:
        return await self._stream.wait_closed()

    def record_close(self, code: int, reason: str) -> Close:
        return self._stream.record_close(code, reason)

    def stop(self) -> None:
        # The callback refers to the WebSocket, which refers to this stream.
        self._close = None
        self._stream.stop()
