"""uvicorn's HTTP protocol with a deadline and a limit for the head of a request.

A client that sends nothing, or drips its request byte by byte, is answered with 408; a head that is too large is
answered with 431. Knows nothing of WebSockets, except that other engines than ours hang on a long header line.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from falconws.server.handshake import plain_denial
from falconws.server.http.shutdown import GracefulHttp

MAX_HEAD_BYTES = 65_536
_MAX_LINE_BYTES = 8190
_MAX_LINES = 128
"""The limits of the websockets package for a handshake; it neither answers nor closes above them."""
_REJECT_CLOSE_S = 2.0


class HeadGuard(GracefulHttp):
    """A mixin for uvicorn's HTTP protocol classes: the deadline and the limit for a request's head."""

    logger: logging.Logger
    _head_bytes = 0
    """The size of the head, or of the trailers after a body, that is being received; perhaps too large."""
    _rejected = False
    head_deadline: float | None = None
    """When the first head is due, if the demultiplexer has waited for it already. Time of the loop."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)  # type: ignore[misc]
        self._start_deadline()
        if self.config.going_away:
            self.shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_deadline()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, *event: Any) -> None:
        self._stop_deadline()
        super().handle_websocket_upgrade(*event)  # type: ignore[misc]

    def _start_deadline(self) -> None:
        seconds = self.config.connection_settings.handshake_timeout_s
        if self._deadline is None and seconds is not None:
            due, self.head_deadline = self.head_deadline, None
            self._deadline = self.loop.call_at(due or self.loop.time() + seconds, self._timed_out)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _timed_out(self) -> None:
        self._deadline = answer_timeout(self.transport, self.loop)

    def _is_too_large(self, target: bytes, headers: list[tuple[bytes, bytes]], *, upgrade: bool) -> bool:
        sizes = [len(name) + len(value) for name, value in headers]
        if sum(sizes) + len(target) > MAX_HEAD_BYTES:
            return True
        return (
            upgrade
            and not self.config.engine_is_fast
            and (max(sizes, default=0) + 4 > _MAX_LINE_BYTES or len(sizes) > _MAX_LINES)
        )

    def _reject(self) -> None:
        self._rejected = True
        self._stop_deadline()
        self.logger.warning("A request was refused with 431: its head is too large.")
        if self.cycle is not None and not self.cycle.response_complete:
            # Its trailers, or the next head, are too large: it gets no response, or no further part of one.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self.transport.abort()
                return
        self.transport.write(plain_denial(431, "The head of the request is too large."))
        self._close_lingering(_REJECT_CLOSE_S)


def answer_timeout(transport: Any, loop: asyncio.AbstractEventLoop) -> asyncio.TimerHandle | None:
    """Answer 408 to a request that has not arrived, and close; return the timer of the abort that follows."""
    if transport.is_closing():
        return None
    transport.write(plain_denial(408, "The request did not arrive in time."))
    transport.close()
    return loop.call_later(1.0, transport.abort)
