"""One connection to a Redis server for commands: they need not wait for each other, answers come in the same order.

Knows no command, and makes no second attempt.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from .wire import Argument, Wire

__all__ = ("Line",)


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
