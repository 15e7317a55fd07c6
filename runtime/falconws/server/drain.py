"""The drain: close all connections evenly within a bounded time. Knows connections by a small protocol only.

Timeline, where D is the drain time in seconds:

    0         the listener is closed, /readyz fails, `going_away` is set, idle HTTP connections are closed
    .. 1 s    a client that was just answered over HTTP can send one more request
    .. D / 10 a client that has connected but not sent a whole request can finish its TLS handshake and its request:
              HTTP is served, WebSocket handshakes are refused with 503
    0.1 .. D  WebSockets are closed with 1012 at even intervals, each after it has answered what it had received;
              handshakes in progress are refused with 503
    D         the remaining connections are closed with 1012, whether they have answered or not
    D + 1 s   connections that are still open are aborted, and responders that still run are cancelled

The drain ends as soon as everything is closed. A second signal goes on with the last line at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Any

from falconws.closecodes import CloseCode

CLOSING_S = 1.0
"""The time for closing handshakes, and again for cancelled tasks to end."""
_NOTICE_S = 0.1
"""The time between `going_away` and the first close, for responders that have a last message to send."""
_TICK_S = 0.02
_REASON = "server is restarting"

_logger = logging.getLogger("falconws.server")


class Drain:
    """One drain of the connections and tasks of one uvicorn server.

    Args:
        connections: uvicorn's set of protocol objects, which shrinks as they close.
        tasks: uvicorn's set of application tasks.
        has_pending: Whether accepted connections are still in their TLS handshake.
        websocket_class: The WebSocket engine's protocol class, ours or one of uvicorn's.
        drain_s: How long the drain may take. Seconds.
        forced: Set by a second signal, to abort everything at once.
    """

    def __init__(
        self,
        connections: Collection[Any],
        tasks: Collection[asyncio.Task[Any]],
        *,
        has_pending: Callable[[], bool],
        websocket_class: type[asyncio.Protocol] | None,
        drain_s: float,
        forced: asyncio.Event,
    ) -> None:
        self._connections = connections
        self._tasks = tasks
        self._has_pending = has_pending
        self._websocket_class = websocket_class
        self._drain_s = drain_s
        self._forced = forced
        self._loop = asyncio.get_running_loop()
        self._pending_until = self._loop.time() + drain_s / 10

    async def run(self) -> None:
        """Close everything and return when all of it has ended, or was aborted."""
        await self._close_all()
        if self._forced.is_set():
            _logger.warning("Second signal: aborting %d connection(s)", len(self._connections))
        elif self._connections:
            _logger.info("Aborting %d connection(s) that did not close", len(self._connections))
        for connection in list(self._connections):
            self._guard(getattr(connection, "abort", None) or connection.transport.abort)
        # No client is left to answer; responders have a moment to notice. They have it after a second signal, too: the
        # lifespan must not shut down while they still use what it has started.
        await self._wait_for_tasks(CLOSING_S / 2)
        if self._tasks:
            _logger.info("Cancelling %d task(s) that still run", len(self._tasks))
        for task in self._tasks:
            task.cancel("the server is shutting down")
        await self._wait_for_tasks(CLOSING_S)
        for task in self._tasks:
            _logger.error("A task did not end within %g s when it was cancelled: %r", CLOSING_S, task)

    async def _close_all(self) -> None:
        """Close everything in good order, and return when it is closed, when the time is over, or when forced to."""
        end = self._loop.time() + self._drain_s
        websockets = [c for c in self._connections if self._is_websocket(c)]
        for connection in list(self._connections):
            if not self._is_websocket(connection):
                self._guard(connection.shutdown)
        await self._close_evenly(websockets, end)
        await self._wait_until(self._all_closed, end)
        if self._forced.is_set():
            return
        for connection in list(self._connections):
            self._guard(connection.shutdown)
        await self._wait_until(self._all_closed, self._loop.time() + CLOSING_S)

    def _is_websocket(self, connection: Any) -> bool:
        return self._websocket_class is not None and isinstance(connection, self._websocket_class)

    async def _close_evenly(self, websockets: list[Any], end: float) -> None:
        start = self._loop.time()
        await self._wait_until(self._all_closed, start + min(_NOTICE_S, self._drain_s / 10))
        total = len(websockets)
        closed = 0
        while closed < total and not self._forced.is_set():
            now = self._loop.time()
            share = 1.0 if end <= now else (now - start) / (end - start)
            due = min(total, int(share * total) + 1)
            for connection in websockets[closed:due]:
                if connection in self._connections:
                    self._close_when_idle(connection, end - self._loop.time())
            closed = due
            if closed < total:
                await self._wait_until(self._all_closed, min(end, now + max(_TICK_S, self._drain_s / total)))

    def _all_closed(self) -> bool:
        return not self._connections and (self._loop.time() >= self._pending_until or not self._has_pending())

    def _close_when_idle(self, connection: Any, remaining_s: float) -> None:
        # uvicorn's own engines can only close at once.
        close_when_idle = getattr(connection, "close_when_idle", None)
        if close_when_idle is not None and connection.is_open:
            timeout_s = min(1.0, max(0.0, remaining_s / 10))
            self._guard(close_when_idle, CloseCode.SERVICE_RESTART, _REASON, timeout_s)
        else:
            self._guard(connection.shutdown)

    async def _wait_until(self, condition: Callable[[], bool], deadline: float) -> None:
        while not condition() and self._loop.time() < deadline and not self._forced.is_set():
            try:
                async with asyncio.timeout(_TICK_S):
                    await self._forced.wait()
            except TimeoutError:
                pass

    async def _wait_for_tasks(self, timeout_s: float) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)

    def _guard(self, action: Any, *arguments: Any) -> None:
        """Call *action*; one connection that cannot be closed must not keep the others open."""
        try:
            action(*arguments)
        except Exception:
            _logger.debug("A connection could not be closed", exc_info=True)
