"""The reading side of an HTTP connection: who may pause it, and whether the client is still there meanwhile.

Nobody sees the end of a stream that is not read. An application that waits for the client to leave, as behind
server-sent events, would wait for good if the client had sent more than the server reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl

_LOOK_INTERVAL_S = 2.0


class HttpReading(FlowControl):
    """uvicorn's flow control of a connection, whose reading the guard can hold up as well.

    Args:
        transport: The transport of the connection.
        loop: The event loop.
        look: Called every two seconds while reading is paused.

    Attributes:
        held: Whether the guard holds reading up.
    """

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop, look: Callable[[], None]) -> None:
        super().__init__(transport)
        self.held = False
        self._loop = loop
        self._look: Callable[[], None] | None = look
        self._timer: asyncio.TimerHandle | None = None

    def hold(self) -> None:
        """Pause reading until `release()`, whatever else asks to resume it."""
        self.held = True
        self.pause_reading()

    def release(self, *, resume: bool) -> None:
        """End `hold()`; with *resume*, also resume reading."""
        self.held = False
        if resume:
            self.resume_reading()

    def pause_reading(self) -> None:
        super().pause_reading()
        # The timer outlives short pauses: a large upload has thousands.
        if self._timer is None and self._look is not None:
            self._timer = self._loop.call_later(_LOOK_INTERVAL_S, self._check)

    def resume_reading(self) -> None:
        if not self.held:
            super().resume_reading()

    def stop(self) -> None:
        """Called when the connection is lost, or is a WebSocket now."""
        self._look = None
        if self._timer is not None:
            self._timer.cancel()

    def _check(self) -> None:
        self._timer = None
        if self.read_paused and self._look is not None:
            self._timer = self._loop.call_later(_LOOK_INTERVAL_S, self._check)
            self._look()
