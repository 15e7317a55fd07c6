"""Keeps one line to a broker's server up: session after session, with jittered pauses between the attempts.

Owns when to try, and tells the hub. What a session is (connections, subscriptions, streams) is the adapter's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

from falconws.hub.broker import BrokerUnavailable, Sink
from falconws.hub.brokers.url import describe
from falconws.hub.concurrency import backoff

__all__ = ("Link", "describe")

_LONGEST_PAUSE_S = 3.0
_START_S = 2.0
"""How long start() waits for the first session; it goes on in the background then."""
_STOP_S = 1.0


class Link:
    """Runs sessions with a server until it is stopped.

    Args:
        name: The server, for messages; without credentials.
        session: Sets up a session, calls its argument when everything is in place, and returns or raises when the
            session is lost. It is cancelled by ``stop()``.
    """

    def __init__(self, name: str, session: Callable[[Callable[[], None]], Awaitable[str]]) -> None:
        self.name = name
        self._session = session
        self._sink: Sink | None = None
        self._task: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self._tried = asyncio.Event()
        self._was_down = False
        self._pauses = _pauses()
        self.problem: str | None = "not started"
        """Why there is no session, in one line; None when there is one."""

    @property
    def up(self) -> bool:
        return self._up.is_set()

    async def start(self, sink: Sink) -> None:
        """Begin; wait a moment for the first session. Who does not wait that long has to stop it."""
        self._sink = sink
        # Another run may be in another event loop.
        self._up, self._tried = asyncio.Event(), asyncio.Event()
        self._was_down = False
        self._pauses = _pauses()
        self._task = asyncio.create_task(self._run(sink), name=f"hub link {self.name}")
        with suppress(TimeoutError):
            async with asyncio.timeout(_START_S):
                await self._tried.wait()
        if not self.up and not self._was_down:
            self._is_down("no answer yet")

    async def stop(self) -> None:
        """End the session, and do not wait for a server that does not answer."""
        task, self._task, self._sink = self._task, None, None
        self.problem = "stopped"
        # Those who wait for a session need not wait any longer.
        up, self._up = self._up, asyncio.Event()
        up.set()
        if task is not None:
            # A client library may lose the first: asyncio.wait_for() does, before Python 3.12.
            for _ in range(2):
                task.cancel()
                await asyncio.wait({task}, timeout=_STOP_S)
                if task.done():
                    return

    async def wait_up(self, deadline: float) -> None:
        """Return when there is a session.

        Raises:
            BrokerUnavailable: There is none at *deadline* (the event loop's clock), or the link is stopped.
        """
        if self._up.is_set():
            return
        if self._task is None:
            raise BrokerUnavailable(f"{self.name}: {self.problem}")
        try:
            async with asyncio.timeout_at(deadline):
                await self._up.wait()
        except TimeoutError:
            raise BrokerUnavailable(f"{self.name}: {self.problem or 'no answer in time'}") from None
        if self._task is None:
            raise BrokerUnavailable(f"{self.name}: {self.problem}")

    async def _run(self, sink: Sink) -> None:
        def is_up() -> None:
            # It may have survived its cancellation.
            if self._sink is not sink:
                raise ConnectionError("stopped")
            self._is_up()

        while True:
            try:
                reason = await self._session(is_up)
            except Exception as error:
                reason = describe(error)
            if self._sink is not sink:
                return
            self._is_down(reason)
            self._tried.set()
            await asyncio.sleep(next(self._pauses))

    def _is_up(self) -> None:
        self._pauses = _pauses()
        self.problem = None
        self._up.set()
        self._tried.set()
        if self._was_down and self._sink is not None:
            self._was_down = False
            self._sink.restored()

    def _is_down(self, reason: str) -> None:
        self._up.clear()
        self.problem = reason
        if not self._was_down and self._sink is not None:
            self._was_down = True
            self._sink.interrupted(f"{self.name}: {reason}")


def _pauses() -> Iterator[float]:
    return backoff(longest_s=_LONGEST_PAUSE_S)
