"""uvicorn's HTTP protocol with a deadline and a limit for the head of a request.

A client that opens a connection and says nothing, or drips its request byte by byte, is cut off; a
head that is too large is answered with 431. Knows nothing of WebSockets but that engines other than
ours choke on a long header line.
"""

from __future__ import annotations

import asyncio
from typing import Any

from falconws.server.handshake import plain_denial
from falconws.server.lingering import linger

MAX_HEAD_BYTES = 65_536
_MAX_LINE_BYTES = 8190
_MAX_LINES = 128
"""What the websockets package takes of a handshake; it neither answers nor closes above that."""


class _HeadDeadline:
    """Mixed into one of uvicorn's HTTP protocol classes: the deadline for a request's head."""

    loop: asyncio.AbstractEventLoop
    transport: Any
    config: Any
    head_due: float | None = None
    """When the first head is due, for a connection that has been waited for elsewhere. Time of the loop."""
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)  # type: ignore[misc]
        self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_deadline()
        super().connection_lost(exc)  # type: ignore[misc]

    def handle_websocket_upgrade(self, *event: Any) -> None:
        self._stop_deadline()
        super().handle_websocket_upgrade(*event)  # type: ignore[misc]

    def _start_deadline(self) -> None:
        seconds = self.config.connection_settings.handshake_timeout_s
        if self._deadline is None and seconds is not None:
            due, self.head_due = self.head_due, None
            self._deadline = self.loop.call_at(due or self.loop.time() + seconds, self._cut_off)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _cut_off(self) -> None:
        self._deadline = cut_off(self.transport, self.loop)


def cut_off(transport: Any, loop: asyncio.AbstractEventLoop) -> asyncio.TimerHandle | None:
    """Answer a request that does not come with 408 and close; return the timer of the abort that follows."""
    if transport.is_closing():
        return None
    transport.write(plain_denial(408, "The request did not come in time."))
    transport.close()
    return loop.call_later(1.0, transport.abort)


def http_protocol_class() -> type[asyncio.Protocol]:
    """Return the HTTP protocol class to serve with: on httptools where it is there, on h11 elsewhere."""
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:
        return _on_h11()
    return _on_httptools(HttpToolsProtocol)


def _on_httptools(base: Any) -> type[asyncio.Protocol]:
    class HttpProtocol(_HeadDeadline, base):  # type: ignore[misc]
        parser: Any
        _head_bytes = 0
        _in_head = True
        _rejected = False

        def data_received(self, data: bytes) -> None:
            if self._rejected:
                return
            if self._in_head:
                self._head_bytes += len(data)
            super().data_received(data)
            if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self._reject()

        def on_message_begin(self) -> None:
            self._start_deadline()
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._in_head = False
            self._stop_deadline()
            sizes = [len(name) + len(value) for name, value in self.headers]
            total = sum(sizes) + len(self.url)
            if total > MAX_HEAD_BYTES or (
                not self.config.engine_is_fast
                and self.parser.should_upgrade()
                and (max(sizes, default=0) + 4 > _MAX_LINE_BYTES or len(sizes) > _MAX_LINES)
            ):
                self._reject()
            else:
                super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            if not self._rejected:
                super().on_body(body)

        def on_message_complete(self) -> None:
            self._in_head = True
            self._head_bytes = 0
            if not self._rejected:
                super().on_message_complete()

        def handle_websocket_upgrade(self, *event: Any) -> None:
            if not self._rejected:
                super().handle_websocket_upgrade(*event)
                # Parser and protocol hold each other, and nobody parts them after an upgrade.
                self.parser = None

        def _reject(self) -> None:
            self._rejected = True
            self._stop_deadline()
            self.logger.warning("Request head over its limit refused with 431.")
            self.transport.write(plain_denial(431, "The head of the request is too large."))
            linger(self.transport, self.loop, 2.0, lambda: self.connection_lost(None))

    return HttpProtocol


def _on_h11() -> type[asyncio.Protocol]:
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class HttpProtocol(_HeadDeadline, H11Protocol):
        # h11 itself refuses a head over 64 kB.
        def data_received(self, data: bytes) -> None:
            before = self.scope
            if before is not None:
                self._start_deadline()
            super().data_received(data)
            if self.scope is not before:
                self._stop_deadline()

    return HttpProtocol
