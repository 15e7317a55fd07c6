"""Timeouts that every connection has: one timer of the event loop serves all of the same length.

Timeouts of one length expire in the order in which they began, so they wait in a queue, and only the first one needs a
timer. A timer of uvloop for each connection would take 0.5 kB, and each connection starts and stops three. Timeouts
that few connections have are timers of the event loop. Knows no connection.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable


class Timeout:
    """Calls a function once, after the length that its queue has, unless it is cancelled first."""

    __slots__ = ("_callback", "_due_s", "_queue")

    def __init__(self, queue: TimeoutQueue, due_s: float, callback: Callable[[], object]) -> None:
        self._queue = queue
        self._due_s = due_s
        self._callback: Callable[[], object] | None = callback

    def when(self) -> float:
        """Return when it expires, by the clock of the event loop."""
        return self._due_s

    def cancel(self) -> None:
        """Do not call the function; do nothing if it was called already."""
        self._queue.waiting.pop(self, None)
        # It refers to the connection, which refers to this.
        self._callback = None

    def expire(self) -> None:
        """Call the function. The queue calls this."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class TimeoutQueue:
    """The timeouts of one length.

    Attributes:
        waiting: Those that have begun, in that order; the values mean nothing.
    """

    __slots__ = ("_loop", "_timed", "_timeout_s", "waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout_s: float) -> None:
        self._loop = loop
        self._timeout_s = timeout_s
        self._timed = False
        self.waiting: dict[Timeout, None] = {}

    def start(self, callback: Callable[[], object]) -> Timeout:
        """Return a timeout that calls *callback*."""
        timeout = Timeout(self, self._loop.time() + self._timeout_s, callback)
        self.waiting[timeout] = None
        if not self._timed:
            self._timed = True
            self._loop.call_at(timeout.when(), self._expire)
        return timeout

    def _expire(self) -> None:
        self._timed = False
        now = self._loop.time()
        try:
            while self.waiting:
                first = next(iter(self.waiting))
                if first.when() > now:
                    break
                del self.waiting[first]
                first.expire()
        finally:
            # Also when a callback has raised, which the event loop logs.
            if self.waiting and not self._timed:
                self._timed = True
                self._loop.call_at(next(iter(self.waiting)).when(), self._expire)


class _Queues(threading.local):
    """The queues of one event loop, which is that of the thread."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.by_timeout_s: dict[float, TimeoutQueue] = {}


_queues = _Queues()


def start_timeout(loop: asyncio.AbstractEventLoop, timeout_s: float, callback: Callable[[], object]) -> Timeout:
    """Return a timeout that calls *callback* after *timeout_s*, one of the few lengths that settings give."""
    queues = _queues
    if queues.loop is not loop:
        queues.loop, queues.by_timeout_s = loop, {}
    queue = queues.by_timeout_s.get(timeout_s)
    if queue is None:
        queue = queues.by_timeout_s[timeout_s] = TimeoutQueue(loop, timeout_s)
    return queue.start(callback)
