"""The server's side of ASGI's lifespan protocol, in process.

Owns start-up and shutdown of an application, each within a time limit. Knows nothing of connections.
"""

from __future__ import annotations

import asyncio
from typing import Any

from .asgi import ASGIApp, Event, Scope, suspended_at

__all__ = ("Lifespan", "LifespanError")


class LifespanError(RuntimeError):
    """The application failed to start or to shut down. The message is its own, or says what it did wrong."""


class Lifespan:
    """Starts and stops one application.

    An application that raises or returns before it has received an event does not support the protocol, and is
    served without it, as by every ASGI server. The error of one that fails later is raised; some servers would then
    also conclude that it does not support the protocol.

    Source: ASGI "Lifespan Protocol".
    """

    state: dict[str, Any]
    """Set by the application during start-up; each connection gets a shallow copy."""

    should_exit = False
    """Read by uvicorn. Always False: a failure is raised instead."""

    def __init__(self, app: ASGIApp, timeout: float) -> None:
        self.state = {}
        self._app = app
        self._timeout = timeout
        self._task: asyncio.Task[None] | None = None
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._asked = False
        self._started = False
        self._expected: tuple[str, ...] = ()
        self._answered = asyncio.Event()
        self._failure: Exception | None = None

    async def startup(self) -> None:
        """Return when the application has started, or does not support the protocol.

        Raises:
            LifespanError: It reported a failure.
            TimeoutError: It did neither in time.
            Exception: The error that it raised.
        """
        await self._phase("startup")

    async def shutdown(self) -> None:
        """Return when the application has shut down. Raises like :meth:`startup`."""
        try:
            if self._started:
                await self._phase("shutdown")
        finally:
            await self.cancel()

    async def cancel(self) -> None:
        """Cancel the application's lifespan task."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=self._timeout)

    async def _phase(self, phase: str) -> None:
        self._answered.clear()
        self._expected = (f"lifespan.{phase}.complete", f"lifespan.{phase}.failed")
        self._events.put_nowait({"type": f"lifespan.{phase}"})
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        if self._task.done():
            self._answered.set()
        try:
            async with asyncio.timeout(self._timeout):
                await self._answered.wait()
        except TimeoutError:
            where = suspended_at(self._task)
            await self.cancel()
            raise TimeoutError(
                f"The app has not sent 'lifespan.{phase}.complete' within {self._timeout:g} s{where}."
            ) from None
        except asyncio.CancelledError:
            await self.cancel()
            raise
        if self._failure is not None:
            failure, self._failure = self._failure, None
            await self.cancel()
            raise failure

    async def _run(self) -> None:
        scope: Scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._app(scope, self._receive, self._send)
        except Exception as error:
            if self._asked and self._failure is None:
                self._failure = error
        finally:
            self._answered.set()

    async def _receive(self) -> Event:
        self._asked = True
        return await self._events.get()

    async def _send(self, event: Event) -> None:
        kind = event["type"]
        if kind not in self._expected:
            raise LifespanError(
                f"The app sent {kind!r} out of order in the lifespan scope. An app that does not support "
                "the lifespan protocol must raise an exception when scope['type'] is 'lifespan'."
            )
        self._expected = ()
        if kind.endswith(".failed"):
            self._failure = LifespanError(f"The app sent {kind!r}: {event.get('message') or 'without a message'}")
        else:
            self._started = True
        self._answered.set()
