"""One HTTP request to the application under test, with a limit on the wait for its response.

Owns what Falcon's conductor lacks: the lifespan's state in the scope, the time limit, and errors that are raised before
a streamed response has begun (the conductor would wait for ever). Knows nothing of WebSockets.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from falcon.testing import StreamedResult

from .asgi import ASGIApp, Receive, Scope, Send, suspended_at

__all__ = ("Exchange",)

T = TypeVar("T")


class Exchange:
    """The application during one request."""

    def __init__(self, app: ASGIApp, state: dict[str, Any]) -> None:
        self._app = app
        self._state = state
        self._task: asyncio.Task[Any] | None = None
        self._target = "the request"
        self._error: Exception | None = None
        self._failed = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application with the lifespan's state."""
        self._task = asyncio.current_task()
        self._target = f"{scope.get('method', '')} {scope.get('path', '')}"
        try:
            await self._app({"state": self._state, **scope}, receive, send)
        except Exception as error:
            self._error = error
            self._failed.set()
            raise

    async def within(self, timeout: float, request: Coroutine[Any, Any, T]) -> T:
        """Return the result of *request*, which calls this object.

        Raises:
            TimeoutError: It took more than *timeout* seconds.
            Exception: The error that escaped from the application.
        """
        response = asyncio.create_task(request)
        failed = asyncio.create_task(self._failed.wait())
        try:
            await asyncio.wait({response, failed}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if response.done():
                return response.result()
            if self._error is not None:
                raise self._error
            raise TimeoutError(f"No response to {self._target} within {timeout:g} s{suspended_at(self._task)}.")
        finally:
            failed.cancel()
            if not response.done():
                response.cancel()
                if self._task is not None:
                    # The conductor does not end it while a stream has not begun.
                    self._task.cancel()
                tasks = {response} if self._task is None else {response, self._task}
                await asyncio.wait(tasks, timeout=timeout)
                for task in tasks:
                    if task.done() and not task.cancelled():
                        task.exception()

    @contextlib.asynccontextmanager
    async def stream(
        self, timeout: float, request: AbstractAsyncContextManager[StreamedResult]
    ) -> AsyncIterator[StreamedResult]:
        """Enter *request*, which calls this object, and leave it. Each raises like :meth:`within`."""
        result = await self.within(timeout, request.__aenter__())
        try:
            yield result
        finally:
            try:
                async with asyncio.timeout(timeout):
                    # Shielded, so that the error can say where the responder waits.
                    await asyncio.shield(leaving := asyncio.ensure_future(request.__aexit__(None, None, None)))
            except TimeoutError:
                where = suspended_at(self._task)
                leaving.cancel()
                await asyncio.wait({leaving}, timeout=timeout)
                raise TimeoutError(
                    f"{self._target}: the responder has not ended within {timeout:g} s after the client "
                    f"disconnected{where}."
                ) from None
