"""Sharded pub/sub with one Redis server: one connection, many channels, each message delivered as it arrives.

Knows neither rooms nor other servers.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

from .resp import MOVED, RespConnection, explain, is_permission_error

__all__ = ("PubSub",)

_CHUNK = 500
"""How many channels are requested at once."""


class PubSub:
    """One connection in subscriber mode.

    Args:
        connection: A connection of redis-py that speaks RESP2 and has no read timeout.
        timeout_s: The interval between pings, and the time within which each must be answered.
        on_message: Called with channel and data; must not raise.
    """

    def __init__(self, connection: Any, timeout_s: float, on_message: Callable[[bytes, bytes], None]) -> None:
        self._connection = RespConnection(connection, timeout_s, self._take_response)
        self._timeout_s = timeout_s
        self._on_message = on_message
        self._subscribing: deque[bytes] = deque()
        """The channels that were requested and not answered yet, in order."""
        self.refused: dict[bytes, str] = {}
        """The channels that the server refuses to deliver, each with the reason."""
        self._unsubscribing: Counter[bytes] = Counter()
        self._pings: deque[asyncio.Future[None]] = deque()
        self._ended: str | None = None
        """Why the connection has ended."""

    async def open(self) -> None:
        """Connect."""
        await self._connection.open()

    async def subscribe(self, channels: Sequence[bytes]) -> None:
        """Return when the server delivers the messages of *channels*, except those in ``refused``.

        Raises:
            ConnectionError: The connection has ended.
            TimeoutError: The server did not answer.
        """
        for first in range(0, len(channels), _CHUNK):
            for channel in channels[first : first + _CHUNK]:
                self._subscribing.append(channel)
                self.refused.pop(channel, None)
                self._connection.send("SSUBSCRIBE", channel)
            async with asyncio.timeout(self._timeout_s):
                await self._round_trip()

    def unsubscribe(self, channel: bytes) -> None:
        """Request no more messages of *channel*."""
        self._unsubscribing[channel] += 1
        self._connection.send("SUNSUBSCRIBE", channel)

    async def run(self) -> str:
        """Take messages until the connection ends; return the reason."""
        tasks = [asyncio.create_task(part) for part in (self._connection.run(), self._watch())]
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
        await self._connection.close()

    async def _round_trip(self) -> None:
        """Return when the server has processed everything that was sent before."""
        if self._ended is not None:
            raise ConnectionError(self._ended)
        ping = asyncio.get_running_loop().create_future()
        self._pings.append(ping)
        self._connection.send("PING")
        await ping

    async def _watch(self) -> str:
        while True:
            await asyncio.sleep(self._timeout_s)
            received = self._connection.received
            try:
                async with asyncio.timeout(self._timeout_s):
                    await self._round_trip()
            except TimeoutError:
                # While messages arrive, the answer may be behind a thousand of them.
                if self._connection.received == received:
                    return f"silent for {self._timeout_s:g} s"

    def _take_response(self, response: Any) -> None:
        if isinstance(response, Exception):
            if not (self._subscribing and is_permission_error(response)):
                raise ConnectionError(explain(response))
            self.refused[self._subscribing.popleft()] = explain(response)
            return
        # While no channel is subscribed, the server answers a ping as outside of subscriber mode.
        kind = response[0] if isinstance(response, list) else b"pong"
        if kind == b"smessage":
            self._on_message(response[1], response[2])
        elif kind == b"ssubscribe":
            self._subscribing.popleft()
        elif kind == b"pong":
            ping = self._pings.popleft()
            if not ping.done():
                ping.set_result(None)
        elif kind == b"sunsubscribe":
            channel = response[1]
            if channel not in self._unsubscribing:
                # Not requested: another server has the slot now.
                raise ConnectionError(MOVED)
            self._unsubscribing[channel] -= 1
            if not self._unsubscribing[channel]:
                del self._unsubscribing[channel]
