"""One connection to a Redis server, from its beginning to its end: commands go out together, responses come one by one.

redis-py's clients reconnect without a word, and take a connection for each command that is under way. Here a connection
lives once, so that whoever uses it learns of its end; and what is sent in one turn of the event loop leaves in one
write. Knows no command.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from falconws.hub.brokers.url import describe

from .url import load_redis

__all__ = ("Argument", "Line", "MOVED", "Wire", "explain")

MOVED = "rooms have moved to another server of the cluster"

Argument = bytes | str | int
"""What a command may consist of."""


class Wire:
    """Reads and writes on one connection.

    Args:
        connection: One of redis-py's, not opened yet.
        timeout_s: Bounds opening it.
        on_response: Takes each response; an error that the server answers with is an exception of redis-py's. What it
            raises ends the connection.
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
        """How many responses have come."""

    async def open(self) -> None:
        """Connect, authenticate, and choose the protocol."""
        async with asyncio.timeout(self._timeout_s):
            await self._connection.connect()
        writer = getattr(self._connection, "_writer", None)
        self._transport = getattr(writer, "transport", None)

    def send(self, *command: Argument) -> None:
        """Write *command* in this turn of the event loop."""
        self._outgoing.append(_pack(command))
        self._wake.set()

    async def run(self) -> str:
        """Read and write until the connection ends; return why it did."""
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
        """Cut the connection, and let go of what was not sent."""
        self._outgoing.clear()
        with suppress(Exception):
            await self._connection.disconnect(nowait=True)
        # Otherwise what was written stays in memory until the server takes it, and one that hangs never does.
        if self._transport is not None:
            self._transport.abort()

    async def _read(self) -> None:
        read, on_response = self._connection.read_response, self._on_response
        while True:
            try:
                # Does not let the event loop turn as long as there is a response in its buffer.
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
    """Return in one line what has gone wrong; redis-py keeps only numbers of a redirection."""
    return MOVED if isinstance(error, load_redis().exceptions.AskError) else describe(error)


def _pack(command: tuple[Argument, ...]) -> bytes:
    # redis-py's own takes three times as long.
    parts = [b"*%d\r\n" % len(command)]
    for argument in command:
        data = argument if isinstance(argument, bytes) else str(argument).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


class Line:
    """Connects at once; ends when the connection does, and with it all that is under way.

    Args:
        connection: One of redis-py's, not opened yet.
        timeout_s: Bounds opening it. How long an answer may take is up to those who ask; see ``silent``.
    """

    def __init__(self, connection: Any, timeout_s: float) -> None:
        self._wire = Wire(connection, timeout_s, self._take)
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._answers: deque[asyncio.Future[Any] | None] = deque()
        self.ended = False
        """Whether another line is needed."""
        self._task = asyncio.create_task(self._run())

    @property
    def silent(self) -> bool:
        """Whether there was no answer for the timeout, though somebody had asked.

        It is for those who would ask next to end it then: who had asked may have gone, and what is not sent piles up.
        """
        return bool(self._answers) and self._loop.time() - self._heard > self._timeout_s

    def execute(self, *command: Argument, asking: bool = False) -> asyncio.Future[Any]:
        """Send *command*, and return what becomes its answer: a value, an error of redis-py's, or why the line ended.

        Args:
            command: Its name and arguments.
            asking: Tell the server to carry it out though it is only about to become responsible for the slot.
        """
        if not self._answers:
            self._heard = self._loop.time()
        if asking:
            self._wire.send("ASKING")
            self._answers.append(None)
        # First: what cannot be sent is not answered.
        self._wire.send(*command)
        answer = self._loop.create_future()
        self._answers.append(answer)
        return answer

    def close(self) -> asyncio.Task[None]:
        """End the line now; return the task that is done when it has ended."""
        self._end(ConnectionError("the connection was closed"))
        self._task.cancel()
        return self._task

    async def _run(self) -> None:
        reason: Exception = ConnectionError("the connection was closed")
        try:
            await self._wire.open()
            reason = ConnectionError(await self._wire.run())
        except Exception as error:
            reason = error
        finally:
            self._end(reason)
            await self._wire.close()

    def _end(self, reason: Exception) -> None:
        self.ended = True
        for answer in self._answers:
            if answer is not None and not answer.done():
                answer.set_exception(reason)

    def _take(self, response: Any) -> None:
        self._heard = self._loop.time()
        answer = self._answers.popleft()
        if answer is None or answer.done():
            return
        if isinstance(response, Exception):
            answer.set_exception(response)
        else:
            answer.set_result(response)
