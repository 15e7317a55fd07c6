"""Connections to a Redis server: RESP responses read one by one, commands written together, and a pipeline on top.

redis-py's clients reconnect silently, and use a connection for each command in flight. A connection here lives once, so
that its user learns of its end; and all commands sent in one iteration of the event loop leave in one write. Knows no
command.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from falconws.hub.brokers.url import describe

from .url import load_redis

__all__ = ("MOVED", "Argument", "Pipeline", "RespConnection", "concerns_room", "explain", "is_permission_error")

MOVED = "rooms have moved to another server of the cluster"

Argument = bytes | str | int
"""What a command may consist of."""


class RespConnection:
    """Reads and writes on one connection.

    Args:
        connection: A connection of redis-py that is not open yet.
        timeout_s: Bounds opening the connection.
        on_response: Called with each response; an error response is an exception of redis-py. If it raises, the
            connection ends.
    """

    def __init__(self, connection: Any, timeout_s: float, on_response: Callable[[Any], None]) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._on_response = on_response
        self._error = load_redis().exceptions.ResponseError
        self._outgoing: list[bytes] = []
        self._wake = asyncio.Event()
        self._transport: Any = None
        self.received = 0
        """How many responses have arrived."""

    async def open(self) -> None:
        """Connect, authenticate, and choose the protocol."""
        async with asyncio.timeout(self._timeout_s):
            await self._connection.connect()
        writer = getattr(self._connection, "_writer", None)
        self._transport = getattr(writer, "transport", None)

    def send(self, *command: Argument) -> None:
        """Write *command* in this iteration of the event loop."""
        self._outgoing.append(_pack(command))
        self._wake.set()

    async def run(self) -> str:
        """Read and write until the connection ends; return the reason."""
        tasks = [asyncio.create_task(part()) for part in (self._read, self._write)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            error = next(iter(done)).exception()
            return "the connection was closed" if error is None else describe(error)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.close()

    async def close(self) -> None:
        """Cut the connection, and discard what was not sent."""
        self._outgoing.clear()
        with suppress(Exception):
            await self._connection.disconnect(nowait=True)
        # Without this, written data stays in memory until the server reads it, and a server that hangs never does.
        if self._transport is not None:
            self._transport.abort()

    async def _read(self) -> None:
        read, on_response = self._connection.read_response, self._on_response
        while True:
            try:
                # Does not yield to the event loop while its buffer has a response.
                response = await read(disconnect_on_error=False)
            except self._error as error:
                response = error
            self.received += 1
            on_response(response)

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            data = b"".join(self._outgoing)
            self._outgoing.clear()
            await self._connection.send_packed_command(data, check_health=False)


def explain(error: Exception) -> str:
    """Return in one line what went wrong; redis-py keeps only the numbers of a redirection."""
    return MOVED if isinstance(error, load_redis().exceptions.AskError) else describe(error)


def is_permission_error(error: Exception) -> bool:
    """Whether *error* says that the user may not use a command, a key or a channel."""
    # Redis distinguishes those that are raised in scripts by their text only.
    return isinstance(error, load_redis().exceptions.NoPermissionError) or "No permissions" in str(error)


def concerns_room(error: Exception) -> bool:
    """Whether *error* says that the keys or the channel of a room cannot be used, by this user or at all."""
    return is_permission_error(error) or "WRONGTYPE" in str(error)


def _pack(command: tuple[Argument, ...]) -> bytes:
    # PERF: redis-py's own function takes three times as long.
    parts = [b"*%d\r\n" % len(command)]
    for argument in command:
        data = argument if isinstance(argument, bytes) else str(argument).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


class Pipeline:
    """Commands in flight on one connection. It connects at once, and ends with its connection.

    Args:
        connection: A connection of redis-py that is not open yet.
        timeout_s: Bounds opening the connection. How long to wait for an answer is up to the callers; see ``silent``.
    """

    def __init__(self, connection: Any, timeout_s: float) -> None:
        self._connection = RespConnection(connection, timeout_s, self._take_response)
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._last_response = self._loop.time()
        self._answers: deque[asyncio.Future[Any] | None] = deque()
        self.ended = False
        """Whether another pipeline is needed."""
        self._task = asyncio.create_task(self._run())

    @property
    def silent(self) -> bool:
        """Whether no answer has arrived for the timeout although one was expected.

        The next caller closes the pipeline then: the caller that waited may be gone, and unsent commands pile up.
        """
        return bool(self._answers) and self._loop.time() - self._last_response > self._timeout_s

    def execute(self, *command: Argument, asking: bool = False) -> asyncio.Future[Any]:
        """Send *command*, and return a future of its answer: a value, redis-py's error, or why the pipeline ended.

        Args:
            command: Its name and arguments.
            asking: Send ASKING first: the server is about to become responsible for the slot.
        """
        if not self._answers:
            self._last_response = self._loop.time()
        if asking:
            self._connection.send("ASKING")
            self._answers.append(None)
        # Send first: a command that cannot be sent gets no answer.
        self._connection.send(*command)
        answer = self._loop.create_future()
        self._answers.append(answer)
        return answer

    def close(self) -> asyncio.Task[None]:
        """End the pipeline now; return the task that is done when it has ended."""
        self._end(ConnectionError("the connection was closed"))
        self._task.cancel()
        return self._task

    async def _run(self) -> None:
        reason: Exception = ConnectionError("the connection was closed")
        try:
            await self._connection.open()
            reason = ConnectionError(await self._connection.run())
        except Exception as error:
            reason = error
        finally:
            self._end(reason)
            await self._connection.close()

    def _end(self, reason: Exception) -> None:
        self.ended = True
        for answer in self._answers:
            if answer is not None and not answer.done():
                answer.set_exception(reason)

    def _take_response(self, response: Any) -> None:
        self._last_response = self._loop.time()
        answer = self._answers.popleft()
        if answer is None or answer.done():
            return
        if isinstance(response, Exception):
            answer.set_exception(response)
        else:
            answer.set_result(response)
