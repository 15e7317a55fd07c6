"""Publishing from code without an event loop: scripts, cron jobs, Celery tasks, Django views.

A thread with an event loop of its own runs a hub. A process that was forked starts its own thread when it publishes.
Must not know applications and servers.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from falcon import WebSocketPayloadType

from .checks import check_seconds
from .hub import Hub
from .limits import HubLimits
from .position import Position

__all__ = ("Publisher",)

_START_S = 10.0
"""How long the thread may take to start beyond the timeout of calls."""

_T = TypeVar("_T")


class Publisher:
    """Publishes to the rooms of a hub, and blocks until the broker has the message.

    It may be a module's global: it connects with the first message, several threads may use it, and a forked process
    connects by itself. ``close()``, or a ``with`` block, disconnects; the next message connects again::

        publisher = falconws.Publisher("redis://localhost:6379/0")
        publisher.publish("orders", {"id": 17})

    Args:
        url: The hub's URL; not ``memory://``, which other processes do not share.
        timeout_s: Seconds after which a call fails with ``BrokerUnavailable``.
        media_handlers: As in ``Hub()``.

    Raises:
        TypeError, ValueError: There is no broker for *url*, or a package that it needs is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 5.0,
        media_handlers: Mapping[WebSocketPayloadType, Any] | None = None,
    ) -> None:
        check_seconds("Publisher", "timeout_s", timeout_s)
        if isinstance(url, str) and url.startswith("memory:"):
            raise ValueError("Publisher needs the URL of a broker that processes share, not memory://.")
        # The names of its rooms come from the program, not from clients.
        limits = HubLimits(rooms=None)
        self._make_hub: Callable[[], Hub] = lambda: Hub(
            url, timeout_s=timeout_s, limits=limits, media_handlers=media_handlers
        )
        # Checks the arguments.
        self._make_hub()
        self._timeout_s = timeout_s
        self._threads: dict[int, _Thread] = {}
        """By process: a fork has no threads, and a lock that was held then is never released."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Disconnect."""
        self.close()

    def publish(
        self,
        room: str,
        media: object,
        payload_type: WebSocketPayloadType = WebSocketPayloadType.TEXT,
        *,
        key: str | None = None,
        exclude: str | None = None,
        keep: bool = True,
    ) -> Position | None:
        """Send a message to all followers of *room*; the arguments, result and errors are those of ``Hub.publish()``.

        Raises:
            RuntimeError: Called in an event loop, which it would block: use a ``Hub`` there.
        """

        async def work(hub: Hub) -> Position | None:
            if keep:
                return await hub.publish(room, media, payload_type, key=key, exclude=exclude)
            await hub.publish(room, media, payload_type, key=key, exclude=exclude, keep=False)
            return None

        return self._run(work)

    def publish_many(
        self,
        room: str,
        messages: Iterable[object],
        payload_type: WebSocketPayloadType = WebSocketPayloadType.TEXT,
        *,
        key: Callable[[Any], str | None] | None = None,
        exclude: str | None = None,
    ) -> list[Position]:
        """Send several messages with one round trip; see ``Hub.publish_many()``."""
        return self._run(lambda hub: hub.publish_many(room, messages, payload_type, key=key, exclude=exclude))

    def close(self) -> None:
        """Disconnect. Does nothing if no message was published."""
        thread = self._threads.get(os.getpid())
        if thread is not None:
            with thread.lock:
                runner, thread.runner = thread.runner, None
            if runner is not None:
                runner.stop()

    def _run(self, work: Callable[[Hub], Coroutine[Any, Any, _T]]) -> _T:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise RuntimeError("Publisher would block this event loop: use `await hub.publish(...)` of a Hub here.")
        # One step, so that of several callers the first one decides.
        thread = self._threads.setdefault(os.getpid(), _Thread())
        with thread.lock:
            if thread.runner is None:
                thread.runner = _Runner(self._make_hub(), self._timeout_s + _START_S)
            runner = thread.runner
        return asyncio.run_coroutine_threadsafe(work(runner.hub), runner.loop).result()


class _Thread:
    """The thread of one process, if it runs."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.runner: _Runner | None = None


class _Runner:
    """A thread in which a hub runs."""

    def __init__(self, hub: Hub, start_s: float) -> None:
        self.hub = hub
        self.loop = asyncio.new_event_loop()
        # A daemon, so that a script that does not close its publisher ends.
        self._thread = threading.Thread(target=self.loop.run_forever, name="falconws publisher", daemon=True)
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(hub.start(), self.loop).result(start_s)
        except BaseException:
            self._end_loop()
            raise

    def stop(self) -> None:
        try:
            asyncio.run_coroutine_threadsafe(self.hub.stop(), self.loop).result()
        finally:
            self._end_loop()

    def _end_loop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
