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
        self._failed: asyncio.Future[Exception] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application with the lifespan's state."""
        self._task = asyncio.current_task()
        self._target = f"{scope.get('method', '')} {scope.get('path', '')}"
        try:
            await self._app({"state": self._state, **scope}, receive, send)
        except Exception as error:
            if self._failed is not None and not self._failed.done():
                self._failed.set_result(error)
            raise

    async def within(self, timeout: float, request: Coroutine[Any, Any, T]) -> T:
        """Return the result of *request*, which calls this object.

        Raises:
            TimeoutError: It took more than *timeout* seconds.
            Exception: The error that escaped from the application.
        """
        # First: an eager task calls the application at once.
        self._failed = asyncio.get_running_loop().create_future()
        response = asyncio.create_task(request)
        try:
            first: set[asyncio.Future[Any]] = {response, self._failed}
            await asyncio.wait(first, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if response.done():
                return response.result()
            if self._failed.done():
                raise self._failed.result()
            raise TimeoutError(f"No response to {self._target} within {timeout:g} s{suspended_at(self._task)}.")
        finally:
            if not response.done():
                # The conductor does not end the application's task while a stream has not begun.
                tasks = [task for task in (response, self._task) if task is not None]
                for task in tasks:
                    task.cancel()
                # gather() retrieves their exceptions, so that asyncio does not log them.
                await asyncio.wait({asyncio.gather(*tasks, return_exceptions=True)}, timeout=timeout)

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
