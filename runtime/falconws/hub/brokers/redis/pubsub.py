"""The subscriber's side of one Redis server: one connection, many sharded channels, each message handed on as it comes.

Knows nothing of rooms, nor which other servers there are.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

from .connection import MOVED, Wire, explain

__all__ = ("Feed",)

_CHUNK = 500
"""Channels that are asked for at once."""


class Feed:
    """One connection in subscriber mode.

    Args:
        connection: A connection of redis-py's that speaks RESP2 and has no timeout for reads.
        timeout_s: Within which a ping must be answered; also how often one is sent.
        on_message: Takes channel and data. Must not raise.
    """

    def __init__(self, connection: Any, timeout_s: float, on_message: Callable[[bytes, bytes], None]) -> None:
        self._wire = Wire(connection, timeout_s, self._take)
        self._timeout_s = timeout_s
        self._on_message = on_message
        self._unsubscribing: Counter[bytes] = Counter()
        self._pings: deque[asyncio.Future[None]] = deque()
        self._ended: str | None = None
        """Why the connection has ended, when it has."""

    async def open(self) -> None:
        """Connect."""
        await self._wire.open()

    async def subscribe(self, channels: Sequence[bytes]) -> None:
        """Return when the server has begun to deliver *channels*.

        Raises:
            ConnectionError: The connection has ended.
            TimeoutError: There was no answer.
        """
        for first in range(0, len(channels), _CHUNK):
            for channel in channels[first : first + _CHUNK]:
                self._wire.send("SSUBSCRIBE", channel)
            async with asyncio.timeout(self._timeout_s):
                await self._round_trip()

    def unsubscribe(self, channel: bytes) -> None:
        """Ask for no more of *channel*."""
        self._unsubscribing[channel] += 1
        self._wire.send("SUNSUBSCRIBE", channel)

    async def run(self) -> str:
        """Take messages until the connection ends; return why it did."""
        tasks = [asyncio.create_task(part) for part in (self._wire.run(), self._watch())]
        reason = "the session has ended"
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            reason = next(iter(done)).result()
            return reason
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._ended = reason
            for ping in self._pings:
                if not ping.done():
                    ping.set_exception(ConnectionError(reason))

    async def close(self) -> None:
        """Cut the connection."""
        await self._wire.close()

    async def _round_trip(self) -> None:
        """Return when the server has dealt with everything that was sent."""
        if self._ended is not None:
            raise ConnectionError(self._ended)
        ping = asyncio.get_running_loop().create_future()
        self._pings.append(ping)
        self._wire.send("PING")
        await ping

    async def _watch(self) -> str:
        while True:
            await asyncio.sleep(self._timeout_s)
            received = self._wire.received
            try:
                async with asyncio.timeout(self._timeout_s):
                    await self._round_trip()
            except TimeoutError:
                # While messages come, the answer may be behind a thousand of them.
                if self._wire.received == received:
                    return f"silent for {self._timeout_s:g} s"

    def _take(self, response: Any) -> None:
        if isinstance(response, Exception):
            raise ConnectionError(explain(response))
        # Without a channel the server answers a ping as it does outside of subscriber mode.
        kind = response[0] if isinstance(response, list) else b"pong"
        if kind == b"smessage":
            self._on_message(response[1], response[2])
        elif kind == b"pong":
            ping = self._pings.popleft()
            if not ping.done():
                ping.set_result(None)
        elif kind == b"sunsubscribe":
            channel = response[1]
            if channel not in self._unsubscribing:
                # Not asked for: the slot is another server's now.
                raise ConnectionError(MOVED)
            self._unsubscribing[channel] -= 1
            if not self._unsubscribing[channel]:
                del self._unsubscribing[channel]
