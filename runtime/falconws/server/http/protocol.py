"""uvicorn's HTTP protocol with a deadline and a limit for the head of a request.

A client that opens a connection and says nothing, or drips its request byte by byte, is cut off; a
head that is too large is answered with 431. Knows nothing of WebSockets but that engines other than
ours choke on a long header line.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import deque
from typing import Any

from falconws.server.handshake import plain_denial
from falconws.server.http.shutdown import PartingHttp

MAX_HEAD_BYTES = 65_536
_MAX_LINE_BYTES = 8190
_MAX_LINES = 128
"""What the websockets package takes of a handshake; it neither answers nor closes above that."""
_LINGER_S = 2.0


class _GuardedHead(PartingHttp):
    """Mixed into one of uvicorn's HTTP protocol classes: the deadline and the limit for a request's head."""

    logger: logging.Logger
    _head_bytes = 0
    """Received since a head, or the trailers behind a body, are awaited, and perhaps more."""
    _rejected = False
    head_due: float | None = None
    """When the first head is due, for a connection that has been waited for elsewhere. Time of the loop."""

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
            due, self.head_due = self.head_due, None
            self._deadline = self.loop.call_at(due or self.loop.time() + seconds, self._cut_off)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _cut_off(self) -> None:
        self._deadline = cut_off(self.transport, self.loop)

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
        self.logger.warning("Request head over its limit refused with 431.")
        if self.cycle is not None and not self.cycle.response_complete:
            # Its trailers are what is too large, or what has come behind it: it is not answered, or no further.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self.transport.abort()
                return
        self.transport.write(plain_denial(431, "The head of the request is too large."))
        self._linger(_LINGER_S)


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
    class HttpProtocol(_GuardedHead, base):  # type: ignore[misc]
        parser: Any
        pipeline: deque[Any]
        """Requests that wait for the one under way, each with its application."""
        _has_begun = False
        _served: Any = None
        """The request under way; `cycle` may wait behind it."""

        def _start_asgi_task(self, cycle: Any, app: Any) -> None:
            self._served = cycle
            super()._start_asgi_task(cycle, app)

        def connection_lost(self, exc: Exception | None) -> None:
            if self.pipeline:
                # uvicorn tells the last request only; and what waits would keep this protocol, which keeps it.
                self._served.disconnected = True
                self._served.message_event.set()
                self._served = None
                self.pipeline.clear()
                self.cycle.on_response = None
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._rejected:
                return
            self._head_bytes += len(data)
            before = self.cycle
            super().data_received(data)
            if self.cycle is not before:
                self._begin_request()
            else:
                self._stay_patient()
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self._reject()

        def _is_asking(self) -> bool:
            return self._has_begun and bool(self.cycle.response_complete)

        def on_message_begin(self) -> None:
            self._has_begun = True
            self._start_deadline()
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._has_begun = False
            self._head_bytes = 0
            self._stop_deadline()
            if self._is_too_large(self.url, self.headers, upgrade=self.parser.should_upgrade()):
                self._reject()
            else:
                super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            self._head_bytes = 0
            if not self._rejected:
                super().on_body(body)

        def on_message_complete(self) -> None:
            self._head_bytes = 0
            if not self._rejected:
                super().on_message_complete()

        def handle_websocket_upgrade(self, *event: Any) -> None:
            if not self._rejected:
                super().handle_websocket_upgrade(*event)
                # Parser and protocol hold each other, and nobody parts them after an upgrade.
                self.parser = None

    return HttpProtocol


def _on_h11() -> type[asyncio.Protocol]:
    import h11
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class HttpProtocol(_GuardedHead, H11Protocol):
        def data_received(self, data: bytes) -> None:
            if self._rejected:
                return
            if self.conn.their_state is h11.IDLE:
                self._head_bytes += len(data)
                if self._head_bytes > MAX_HEAD_BYTES and self._head_size(data) > MAX_HEAD_BYTES:
                    self._reject()
                    return
            before, cycle = self.scope, self.cycle
            if before is not None and self.conn.their_state is h11.IDLE:
                self._start_deadline()
            super().data_received(data)
            if self.cycle is not cycle:
                self._begin_request()
            else:
                self._stay_patient()
            if self.scope is not before:
                self._stop_deadline()
                self._head_bytes = 0

        def _is_asking(self) -> bool:
            return self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])

        def _keep_no_longer(self) -> None:
            super()._keep_no_longer()
            # h11 would close without a word.
            self.cycle.default_headers = [*self.cycle.default_headers, (b"connection", b"close")]

        def _head_size(self, data: bytes) -> int:
            """Return how long the head is, or how much of it is there with *data*."""
            received = self.conn.trailing_data[0] + data
            end = received.find(b"\r\n\r\n")
            return len(received) if end < 0 else end

        def handle_websocket_upgrade(self, event: h11.Request) -> None:
            if self._is_too_large(event.target, self.headers, upgrade=True):
                self._reject()
            else:
                super().handle_websocket_upgrade(event)

        def send_400_response(self, msg: str) -> None:
            # Called where h11's error is handled: a head that came while another request was served.
            if getattr(sys.exception(), "error_status_hint", 400) == 431:
                self._reject()
            else:
                super().send_400_response(msg)

    return HttpProtocol
