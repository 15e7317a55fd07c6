"""Background tasks, and scopes of tasks that end together.

Knows nothing of WebSockets: a scope gets a coroutine function that waits for the disconnect.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from .errors import disconnect_in

__all__ = ("TaskScope", "create_task")

_T = TypeVar("_T")

_logger = logging.getLogger("falconws")

_background: set[asyncio.Task[Any]] = set()
"""The event loop keeps only weak references: a task that nothing else refers to may be collected while it runs."""


def create_task(coro: Coroutine[Any, Any, _T], *, name: str | None = None) -> asyncio.Task[_T]:
    """Return a task that runs *coro* in the background. It is kept until it is done, and its error is logged.

    For the tasks of one connection, prefer ``ws.task_scope()``: it also ends them with the connection.

    Source: the proposal's ``falcon.create_task``.
    """
    task = _start(coro, name)
    _background.add(task)
    task.add_done_callback(_background_done)
    return task


def _start(coro: Coroutine[Any, Any, _T], name: str | None) -> asyncio.Task[_T]:
    task = asyncio.get_running_loop().create_task(_contain(coro), name=name)
    # One that is cancelled before it has begun would leave *coro* unawaited, with a warning.
    task.add_done_callback(lambda _: coro.close())
    return task


async def _contain(coro: Coroutine[Any, Any, _T]) -> _T:
    """Return what *coro* returns. Raises RuntimeError in place of what would end the event loop and the server."""
    try:
        return await coro
    except (SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"A task raised {type(error).__name__}") from error


def _background_done(task: asyncio.Task[Any]) -> None:
    _background.discard(task)
    if task.cancelled():
        return
    error = task.exception()
    if error is not None and disconnect_in(error) is None:
        _logger.error("Task %s failed", task.get_name(), exc_info=error)


class TaskScope:
    """Runs coroutines concurrently until the first of them ends or the peer leaves; then cancels the others.

    ``ws.task_scope()`` returns one::

        async with ws.task_scope() as scope:
            scope.create_task(receive_loop(ws))
            scope.create_task(send_loop(ws))

    The block is left when all tasks have ended. It raises the first error of a task or of its own body, and logs the
    others. WebSocketDisconnected is not raised: the end of the connection is what the scope waits for. A peer that
    leaves also cancels the body of the block.
    """

    def __init__(self, wait_disconnected: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._wait_disconnected = wait_disconnected
        self._tasks: set[asyncio.Task[Any]] = set()
        self._errors: list[BaseException] = []
        self._ending = asyncio.Event()
        self._body: asyncio.Task[Any] | None = None
        self._in_body = False
        self._body_cancelled = False
        self._cancelling_before = 0
        self._started = False

    async def __aenter__(self) -> Self:
        if self._body is not None:
            raise RuntimeError("A task scope can be entered only once.")
        self._body = asyncio.current_task()
        assert self._body is not None
        self._in_body = True
        self._cancelling_before = self._body.cancelling()
        self._run(self._wait_disconnected(), "wait_disconnected")
        return self

    def create_task(self, coro: Coroutine[Any, Any, _T], *, name: str | None = None) -> asyncio.Task[_T]:
        """Return a task that runs *coro* within the scope.

        Raises:
            RuntimeError: The scope was not entered, or is ending already; *coro* is closed unstarted.
        """
        if self._body is None or self._ending.is_set():
            coro.close()
            raise RuntimeError("The task scope is not entered, or is ending; no task can be started in it.")
        self._started = True
        return self._run(coro, name)

    def _run(self, coro: Coroutine[Any, Any, _T], name: str | None) -> asyncio.Task[_T]:
        task = _start(coro, name)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and disconnect_in(error) is None:
            self._errors.append(error)
        if not self._ending.is_set():
            self._ending.set()
            if self._in_body:
                assert self._body is not None
                self._body_cancelled = True
                self._body.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        assert self._body is not None
        self._in_body = False
        if self._body_cancelled:
            cancelled_from_outside = self._body.uncancel() > self._cancelling_before
            if isinstance(error, asyncio.CancelledError) and not cancelled_from_outside:
                error = None
        if error is None and self._started:
            try:
                await self._ending.wait()
            except asyncio.CancelledError as outer:
                error = outer
        self._ending.set()
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            try:
                await asyncio.wait(self._tasks)
            except asyncio.CancelledError as outer:
                error = outer
        if isinstance(error, asyncio.CancelledError):
            raise error
        quiet = error is None or disconnect_in(error) is not None
        first = self._errors.pop(0) if quiet and self._errors else None
        for further in self._errors:
            _logger.error("Another task of the scope failed as well", exc_info=further)
        if first is not None:
            raise first
        return quiet
