"""A server's side of a connection, under the test's control: with the extension or without it."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from falconws import WebSocketDisconnected


class ScriptedConnection:
    """The extension "falconws.connection": takes messages while it is writable, and remembers them."""

    def __init__(self, *, largest: int = 1_000_000) -> None:
        self.taken: list[str | bytes] = []
        self.prepared = 0
        self.max_buffered_bytes: int | None = None
        self.closed = False
        self._largest = largest
        self._writable = True
        self._on_writable: list[Callable[[], object]] = []
        self._on_disconnect: list[Callable[[], object]] = []

    def prepare(self, payload: str | bytes) -> object:
        self.prepared += 1
        return (payload,)

    def try_send_prepared(self, prepared: Any) -> bool:
        if not self._writable or self.closed or len(prepared[0]) > self._largest:
            return False
        self.taken.append(prepared[0])
        return True

    @staticmethod
    def broadcast(connections: Iterable["ScriptedConnection"], prepared: Any) -> list["ScriptedConnection"]:
        return [connection for connection in connections if not connection.try_send_prepared(prepared)]

    def cork(self) -> None:
        pass

    def limit_buffering(self, max_bytes: int) -> None:
        self.max_buffered_bytes = max_bytes

    def stall(self) -> None:
        self._writable = False

    def resume(self) -> None:
        self._writable = True
        callbacks, self._on_writable = self._on_writable, []
        for callback in callbacks:
            callback()

    def disconnect(self) -> None:
        self.closed = True
        callbacks, self._on_disconnect = self._on_disconnect, []
        for callback in callbacks:
            callback()

    def add_writable_callback(self, callback: Callable[[], object]) -> None:
        self._on_writable.append(callback)
        if self._writable:
            asyncio.get_running_loop().call_soon(self.resume_if_writable)

    def resume_if_writable(self) -> None:
        if self._writable:
            self.resume()

    def remove_writable_callback(self, callback: Callable[[], object]) -> None:
        if callback in self._on_writable:
            self._on_writable.remove(callback)

    def add_disconnect_callback(self, callback: Callable[[], object]) -> None:
        if self.closed:
            callback()
        else:
            self._on_disconnect.append(callback)

    def remove_disconnect_callback(self, callback: Callable[[], object]) -> None:
        if callback in self._on_disconnect:
            self._on_disconnect.remove(callback)


class ScriptedSocket:
    """A WebSocket on a server with the extension."""

    unaccepted = False
    client = "test:1"

    def __init__(self, connection: ScriptedConnection | None = None) -> None:
        self.connection = connection
        self.sent: list[str | bytes] = []
        self.close_code: int | None = None
        self.close_reason: str | None = None

    async def send_text(self, payload: str) -> None:
        await self._send(payload)

    async def send_data(self, payload: bytes) -> None:
        await self._send(payload)

    async def _send(self, payload: str | bytes) -> None:
        self.sent.append(payload)

    async def close(self, code: int | None = None, reason: str | None = None) -> None:
        self.close_code, self.close_reason = code, reason


class HeldSocket(ScriptedSocket):
    """A WebSocket that reports its first use, when the test says so."""

    on_used: Callable[[], object]

    def when_first_used(self, callback: Callable[[], object]) -> None:
        self.on_used = callback


class SlowSocket(ScriptedSocket):
    """A WebSocket on a server without the extension, whose client takes messages when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self._permits = asyncio.Semaphore(0)
        self.gone = False

    def take(self, count: int) -> None:
        for _ in range(count):
            self._permits.release()

    async def _send(self, payload: str | bytes) -> None:
        await self._permits.acquire()
        if self.gone:
            raise WebSocketDisconnected(1006)
        self.sent.append(payload)


async def settle() -> None:
    """Let everything run that can run without time passing."""
    for _ in range(50):
        await asyncio.sleep(0)


async def eventually(condition: Callable[[], object]) -> None:
    """Wait until *condition* is true."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)
