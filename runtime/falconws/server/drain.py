"""Closing what is open, one after the other, in a bounded time. Knows connections by a small protocol only.

Timeline, with D the seconds to drain:

    0         nothing new is accepted, /readyz fails, `going_away` is set, idle HTTP connections close
    .. 1 s    who has just been answered over HTTP can ask once more
    .. D / 10 who has connected and not asked yet, is in the TLS handshake, or has sent a part of the
              request, can; HTTP is served, handshakes are refused with 503
    0.1 .. D  WebSockets are asked to close with 1012 at even distances, each when it has answered
              what it had received; handshakes under way are refused with 503
    D         the rest is closed with 1012 whether it has answered or not
    D + 1 s   what has not closed is cut off, and responders that still run are cancelled

It ends earlier when everything has closed earlier.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Any

CLOSING_S = 1.0
"""For closing handshakes, and again for cancelled tasks to end."""
_GOODBYE_S = 0.1
"""Between `going_away` and the first close, for responders that have something to say before."""
_TICK_S = 0.02
_REASON = "server is restarting"

_logger = logging.getLogger("falconws.server")


class Drain:
    """One drain of the connections and tasks of one uvicorn server.

    Args:
        connections: uvicorn's set of protocol objects, which shrinks as they close.
        tasks: uvicorn's set of application tasks.
        is_coming: Whether more connections will be there in a moment.
        websocket_class: The protocol class of the engine, ours or one of uvicorn's.
        seconds: How long it may take.
        forced: Set when somebody is in a hurry: everything is cut off at once.
    """

    def __init__(
        self,
        connections: Collection[Any],
        tasks: Collection[asyncio.Task[Any]],
        *,
        is_coming: Callable[[], bool],
        websocket_class: type[asyncio.Protocol] | None,
        seconds: float,
        forced: asyncio.Event,
    ) -> None:
        self._connections = connections
        self._tasks = tasks
        self._is_coming = is_coming
        self._websocket_class = websocket_class
        self._seconds = seconds
        self._forced = forced
        self._loop = asyncio.get_running_loop()
        self._no_longer_coming = self._loop.time() + seconds / 10

    async def run(self) -> None:
        """Return when everything has ended, or was made to."""
        end = self._loop.time() + self._seconds
        websockets = [c for c in self._connections if self._is_websocket(c)]
        for connection in list(self._connections):
            if not self._is_websocket(connection):
                self._guard(connection.shutdown)
        await self._spread(websockets, end)
        await self._until(self._all_closed, end)
        for connection in list(self._connections):
            self._guard(connection.shutdown)
        await self._until(self._all_closed, self._loop.time() + CLOSING_S)
        if self._connections:
            _logger.info("Cutting off %d connection(s) that did not close", len(self._connections))
        for connection in list(self._connections):
            self._guard(getattr(connection, "abort", None) or connection.transport.abort)
        # Nobody is left to answer; a responder has a moment to notice.
        await self._until(lambda: not self._tasks, self._loop.time() + CLOSING_S / 2)
        if self._tasks:
            _logger.info("Cancelling %d task(s) that still run", len(self._tasks))
        for task in list(self._tasks):
            task.cancel("the server is shutting down")
        await self._until(lambda: not self._tasks, self._loop.time() + CLOSING_S)
        for task in list(self._tasks):
            _logger.error("A task does not end when it is cancelled: %r", task)

    def _is_websocket(self, connection: Any) -> bool:
        return self._websocket_class is not None and isinstance(connection, self._websocket_class)

    async def _spread(self, websockets: list[Any], end: float) -> None:
        start = self._loop.time()
        await self._until(self._all_closed, start + min(_GOODBYE_S, self._seconds / 10))
        total = len(websockets)
        closed = 0
        while closed < total and not self._forced.is_set():
            now = self._loop.time()
            share = 1.0 if end <= now else (now - start) / (end - start)
            due = min(total, int(share * total) + 1)
            for connection in websockets[closed:due]:
                if connection in self._connections:
                    self._ask(connection, end - self._loop.time())
            closed = due
            if closed < total:
                await self._until(self._all_closed, min(end, now + max(_TICK_S, self._seconds / total)))

    def _all_closed(self) -> bool:
        return not self._connections and (self._loop.time() >= self._no_longer_coming or not self._is_coming())

    def _ask(self, connection: Any, remaining_s: float) -> None:
        # uvicorn's own engines can only close at once.
        patient = getattr(connection, "close_when_idle", None)
        if patient is not None and connection.is_open:
            self._guard(patient, 1012, _REASON, min(1.0, max(0.0, remaining_s / 10)))
        else:
            self._guard(connection.shutdown)

    async def _until(self, condition: Any, deadline: float) -> None:
        while not condition() and self._loop.time() < deadline and not self._forced.is_set():
            await self._pause(_TICK_S)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._forced.wait()
        except TimeoutError:
            pass

    def _guard(self, action: Any, *arguments: Any) -> None:
        """One connection that cannot be closed must not keep the others open."""
        try:
            action(*arguments)
        except Exception:
            _logger.debug("A connection could not be closed", exc_info=True)
