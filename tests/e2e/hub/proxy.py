"""A TCP proxy on loopback that can cut its connections, or stop passing on what the server sends."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self

_KEPT_BYTES = 4096


class Proxy:
    """Stands between a hub and its broker for the length of an `async with` block.

    Args:
        port: The broker's.
        delay_s: By which it delays what it passes on, in both directions.
    """

    def __init__(self, port: int, *, delay_s: float = 0.0) -> None:
        self._target = port
        self._delay_s = delay_s
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.port = 0
        self.sent = b""
        """The first of what clients have sent."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Drop all connections, both ways."""
        for writer in self._writers:
            writer.transport.abort()

    def hold(self) -> None:
        """Read nothing of what the server sends from now on."""
        self._flowing.clear()

    def release(self) -> None:
        """Go on."""
        self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self._target, limit=1024)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(upstream)
        both = [
            asyncio.create_task(self._pump(reader, upstream)),
            asyncio.create_task(self._pump(upstream_reader, writer, held=True)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in both:
                pump.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            for end in (writer, upstream):
                end.transport.abort()
                self._writers.discard(end)
            self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, held: bool = False) -> None:
        with contextlib.suppress(OSError):
            while True:
                data = await reader.read(65536)
                if not data:
                    return
                if held:
                    await self._flowing.wait()
                elif len(self.sent) < _KEPT_BYTES:
                    self.sent += data
                if self._delay_s:
                    asyncio.get_running_loop().call_later(self._delay_s, writer.write, data)
                    continue
                writer.write(data)
                await writer.drain()
