"""Cancels a responder that still runs some time after its client has left.

Owns the timeout. Knows nothing of a connection except when it is lost.
"""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType

from .options import WebSocketOptions
from .timeouts import Timeout
from .websocket import WebSocket

__all__ = ("DisconnectGrace",)


class DisconnectGrace:
    """A block that is cancelled, with a line in the log, when it still runs some time after the peer has left.

    A responder that waits for the WebSocket learns of the disconnect by itself. One that waits for anything else could
    wait for ever, and would hold all its resources. asyncio has no gentler way to end it.

    Args:
        ws: The connection. Its loss counts, whatever the cause, unless the application itself has closed it.
        options: ``disconnect_grace_s`` says how long the block may go on.
    """

    __slots__ = ("_expired", "_options", "_seconds", "_task", "_timeout", "_ws")

    def __init__(self, ws: WebSocket, options: WebSocketOptions) -> None:
        self._ws = ws
        self._options = options
        self._seconds = options.disconnect_grace_s
        self._task: asyncio.Task[object] | None = None
        self._timeout: Timeout | None = None
        self._expired = False

    def __enter__(self) -> None:
        if self._seconds is not None:
            self._task = asyncio.current_task()
            self._ws.when_lost(self._lost)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if self._timeout is not None:
            self._timeout.cancel()
        if not self._expired or self._task is None or self._task.uncancel():
            return False
        # A responder may also have caught the cancellation and returned.
        return kind is None or issubclass(kind, asyncio.CancelledError)

    def _lost(self) -> None:
        assert self._seconds is not None
        self._timeout = Timeout(asyncio.get_running_loop(), self._seconds, self._expire)

    def _expire(self) -> None:
        assert self._task is not None
        self._expired = True
        self._options.log_throttle.log_repeated(
            logging.WARNING,
            "The responder of WebSocket client %s was cancelled: it still ran %g s after the client had left "
            "(ws_options.disconnect_grace_s)",
            self._ws.client,
            self._seconds,
        )
        self._task.cancel()
