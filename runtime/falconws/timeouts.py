"""Timeouts that every connection has: one timer of the event loop serves all of the same length.

Timeouts of one length expire in the order in which they began, so they wait in a queue, and only the first one needs a
timer. A timer of uvloop for each connection would take 0.5 kB, and each connection starts and stops four. Timeouts
that few connections have are timers of the event loop. Knows no connection.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable


class Timeout:
    """Calls *callback* once after *timeout_s*, one of the few lengths that settings give, unless it is cancelled."""

    __slots__ = ("_callback", "_due_s", "_queue")

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout_s: float, callback: Callable[[], object]) -> None:
        queues = _queues
        if queues.loop is not loop:
            queues.loop, queues.by_timeout_s = loop, {}
        queue = queues.by_timeout_s.get(timeout_s)
        if queue is None:
            queue = queues.by_timeout_s[timeout_s] = _Queue(loop)
        self._queue = queue
        self._due_s = loop.time() + timeout_s
        self._callback: Callable[[], object] | None = callback
        queue[self] = None
        if not queue.has_timer:
            queue.start_timer()

    def when(self) -> float:
        """Return when it expires, by the clock of the event loop."""
        return self._due_s

    def cancel(self) -> None:
        """Do not call the function; do nothing if it was called already."""
        self._queue.pop(self, None)
        # It refers to the connection, which refers to this.
        self._callback = None

    def expire(self) -> None:
        """Call the function. The queue calls this."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class _Queue(dict[Timeout, None]):
    """The timeouts of one length that have begun, in that order; the values mean nothing."""

    __slots__ = ("_loop", "has_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.has_timer = False

    def start_timer(self) -> None:
        self.has_timer = True
        self._loop.call_at(next(iter(self)).when(), self._expire)

    def _expire(self) -> None:
        self.has_timer = False
        now = self._loop.time()
        try:
            while self:
                first = next(iter(self))
                if first.when() > now:
                    break
                del self[first]
                first.expire()
        finally:
            # Also when a callback has raised, which the event loop logs.
            if self and not self.has_timer:
                self.start_timer()


class _Queues(threading.local):
    """The queues of one event loop, which is that of the thread."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.by_timeout_s: dict[float, _Queue] = {}


_queues = _Queues()
