"""Keeps one session with a broker's server: connects, and reconnects with jittered back-off.

Owns when to connect, and tells the hub. What a session consists of (connections, subscriptions, streams) is the
adapter's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

from falconws.hub.broker import BrokerRefused, BrokerUnavailable, Sink
from falconws.hub.brokers.url import describe
from falconws.hub.concurrency import backoff

__all__ = ("ReconnectLoop",)

_LONGEST_PAUSE_S = 3.0
_START_S = 2.0
"""How long start() waits for the first session; after that it continues in the background."""
_STOP_S = 1.0
_LASTING_S = 5.0
"""A session that lasted for so long resets the back-off. A shorter one may have been refused."""


class ReconnectLoop:
    """Runs sessions with a server, one after the other, until it is stopped.

    Args:
        name: The server without credentials, for messages.
        session: Sets up a session, calls its argument when the session is ready, and returns the reason or raises when
            the session is lost; BrokerRefused if the server refuses it. ``stop()`` cancels it.
    """

    def __init__(self, name: str, session: Callable[[Callable[[], None]], Awaitable[str]]) -> None:
        self.name = name
        self._session = session
        self._sink: Sink | None = None
        self._task: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()
        self._decided = asyncio.Event()
        """Set while there is a session, or the server refuses one."""
        self._attempted = asyncio.Event()
        self._was_lost = False
        self._pauses = _pauses()
        self._ready_at: float | None = None
        self._is_refused = False
        self.problem: str | None = "not started"
        """Why there is no session, in one line; None while there is one."""

    @property
    def connected(self) -> bool:
        return self._connected.is_set()

    async def start(self, sink: Sink) -> None:
        """Begin to connect, and wait briefly for the first session. A caller that is cancelled must call ``stop()``."""
        self._sink = sink
        # The previous run may have been in another event loop.
        self._connected, self._decided, self._attempted = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._is_refused = False
        self._was_lost = False
        self._pauses = _pauses()
        self._task = asyncio.create_task(self._run(sink), name=f"hub connection {self.name}")
        with suppress(TimeoutError):
            async with asyncio.timeout(_START_S):
                await self._attempted.wait()
        if not self.connected and not self._was_lost:
            self._session_lost("no answer yet")

    async def stop(self) -> None:
        """End the session without waiting for a server that does not answer."""
        task, self._task, self._sink = self._task, None, None
        self.problem = "stopped"
        # Wake those who wait for a session.
        decided, self._decided = self._decided, asyncio.Event()
        self._connected = asyncio.Event()
        self._is_refused = False
        decided.set()
        if task is not None:
            # A client library may swallow the first cancellation: asyncio.wait_for() does, before Python 3.12.
            for _ in range(2):
                task.cancel()
                await asyncio.wait({task}, timeout=_STOP_S)
                if task.done():
                    return

    async def wait_connected(self, deadline: float) -> None:
        """Return when there is a session.

        Raises:
            BrokerRefused: The server has refused the last one.
            BrokerUnavailable: There is none at *deadline* (the event loop's clock), or the loop is stopped.
        """
        if self._connected.is_set():
            return
        if self._task is None:
            raise BrokerUnavailable(f"{self.name}: {self.problem}")
        try:
            async with asyncio.timeout_at(deadline):
                await self._decided.wait()
        except TimeoutError:
            raise BrokerUnavailable(f"{self.name}: {self.problem or 'no answer in time'}") from None
        if self._is_refused:
            raise BrokerRefused(f"{self.name}: {self.problem}")
        if self._task is None:
            raise BrokerUnavailable(f"{self.name}: {self.problem}")

    async def _run(self, sink: Sink) -> None:
        def ready() -> None:
            # This session may have survived its cancellation.
            if self._sink is not sink:
                raise ConnectionError("stopped")
            self._session_ready()

        while True:
            refused = False
            try:
                reason = await self._session(ready)
            except Exception as error:
                refused = isinstance(error, BrokerRefused)
                reason = describe(error)
            if self._sink is not sink:
                return
            if self._ready_at is not None and asyncio.get_running_loop().time() - self._ready_at >= _LASTING_S:
                self._pauses = _pauses()
            self._ready_at = None
            self._is_refused = refused
            self._session_lost(reason)
            self._attempted.set()
            await asyncio.sleep(next(self._pauses))

    def _session_ready(self) -> None:
        self._ready_at = asyncio.get_running_loop().time()
        self.problem = None
        self._is_refused = False
        self._connected.set()
        self._decided.set()
        self._attempted.set()
        if self._was_lost and self._sink is not None:
            self._was_lost = False
            self._sink.restored()

    def _session_lost(self, reason: str) -> None:
        self._connected.clear()
        if self._is_refused:
            self._decided.set()
        else:
            self._decided.clear()
        self.problem = reason
        if not self._was_lost and self._sink is not None:
            self._was_lost = True
            self._sink.interrupted(f"{self.name}: {reason}")


def _pauses() -> Iterator[float]:
    return backoff(longest_s=_LONGEST_PAUSE_S)
