"""The subscriber's side of one Redis server: one connection, many sharded channels, each message handed on as it comes.

redis-py's own PubSub reconnects without a word, and a subscriber would not know that it has missed something. Here a
connection lives once: whoever runs the feed learns of its end, and begins another. Knows nothing of rooms.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

__all__ = ("Feed",)

_CHUNK = 500


class Feed:
    """One connection in subscriber mode.

    Args:
        connection: A connection of redis-py's that speaks RESP2 and has no timeout for reads.
        timeout_s: Within which a ping must be answered; also how often one is sent.
        on_message: Takes channel and data. Must not raise.
        on_change: Takes a channel and whether it is subscribed from now on.
    """

    def __init__(
        self,
        connection: Any,
        timeout_s: float,
        on_message: Callable[[bytes, bytes], None],
        on_change: Callable[[bytes, bool], None],
    ) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._on_message = on_message
        self._on_change = on_change
        self._outgoing: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self._heard = 0.0

    async def open(self) -> None:
        """Connect, authenticate, and choose the protocol."""
        async with asyncio.timeout(self._timeout_s):
            await self._connection.connect()

    def subscribe(self, channels: Iterable[bytes]) -> None:
        """Ask for *channels*; ``on_change`` tells when the server has begun."""
        for channel in channels:
            self._outgoing.put_nowait(("SSUBSCRIBE", channel))

    def unsubscribe(self, channel: bytes) -> None:
        """Ask for no more of *channel*."""
        self._outgoing.put_nowait(("SUNSUBSCRIBE", channel))

    async def run(self) -> str:
        """Read and write until the connection ends; return why it did."""
        self._heard = asyncio.get_running_loop().time()
        tasks = [asyncio.create_task(part()) for part in (self._read, self._write, self._ping)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return next(iter(done)).result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.close()

    async def close(self) -> None:
        """Cut the connection."""
        with suppress(Exception):
            await self._connection.disconnect(nowait=True)

    async def _read(self) -> str:
        read = self._connection.read_response
        time = asyncio.get_running_loop().time
        while True:
            response = await read(disconnect_on_error=False)
            self._heard = time()
            kind = response[0]
            if kind == b"smessage":
                self._on_message(response[1], response[2])
            elif kind in (b"ssubscribe", b"sunsubscribe"):
                self._on_change(response[1], kind == b"ssubscribe")

    async def _write(self) -> str:
        while True:
            commands = [await self._outgoing.get()]
            while len(commands) < _CHUNK and not self._outgoing.empty():
                commands.append(self._outgoing.get_nowait())
            await self._send(commands)

    async def _ping(self) -> str:
        time = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(self._timeout_s)
            asked = time()
            await self._send([("PING",)])
            await asyncio.sleep(self._timeout_s)
            if self._heard < asked:
                return f"silent for {self._timeout_s:g} s"

    async def _send(self, commands: Iterable[tuple[Any, ...]]) -> None:
        await self._connection.send_packed_command(self._connection.pack_commands(commands), check_health=False)
