"""Fair shares of the event loop: a connection with many messages gives way to the others.

Theory of operation. An application that finds a message whenever it asks for one never suspends, and no other task
runs meanwhile. So a connection hands out messages in time slices: at most 64 of them, and no more once 5 ms are over or
the next one would take longer, judged by those before. Then `receive()` suspends, and the connection waits in a queue
of its event loop. Each iteration of the loop resumes one connection of that queue, so that everything else waits for
one slice at most, however many connections are busy. Connections whose first message has just come do not wait in the
queue, and any number of them may begin in one iteration: while others wait, a slice is 1 ms.

Asking the clock for each message costs 5 % of an echo. So a slice grants several at a time, fewer when they are slow.
Knows no connection.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from time import perf_counter

_SLICE_S = 0.005
_CONTENDED_SLICE_S = 0.001
_SLICE_MESSAGES = 64
_GRANTED = 16


class _RunQueue(threading.local):
    """The connections of one event loop, which is that of the thread, that have given way."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()

    def add(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        if self._loop is not loop:
            self._loop, self._waiting = loop, deque()
        if not self._waiting:
            loop.call_soon(self._resume_next)
        future = loop.create_future()
        self._waiting.append(future)
        return future

    @property
    def slice_s(self) -> float:
        return _CONTENDED_SLICE_S if self._waiting else _SLICE_S

    def _resume_next(self) -> None:
        waiting = self._waiting
        future = waiting.popleft()
        while future.done() and waiting:
            # Its task was cancelled.
            future = waiting.popleft()
        if waiting:
            assert self._loop is not None
            self._loop.call_soon(self._resume_next)
        if not future.done():
            future.set_result(None)


_run_queue = _RunQueue()


def give_way(loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
    """Return a future that is done when its connection may go on."""
    return _run_queue.add(loop)


def grant(start_s: float, taken: int) -> int:
    """Return how many more messages may be taken before the clock is asked again; 0 when the slice is over.

    Args:
        start_s: When the slice began, by `time.perf_counter()`.
        taken: How many messages were taken since; at least one.
    """
    elapsed_s, slice_s = perf_counter() - start_s, _run_queue.slice_s
    each_s = elapsed_s / taken
    if taken >= _SLICE_MESSAGES or elapsed_s + each_s > slice_s:
        return 0
    affordable = int((slice_s - elapsed_s) / each_s) if each_s else _GRANTED
    return min(_GRANTED, _SLICE_MESSAGES - taken, affordable or 1)
