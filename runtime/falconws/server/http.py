"""uvicorn's HTTP protocol with a deadline and a limit for the head of a request.

A client that opens a connection and says nothing, or drips its request byte by byte, is cut off; a
head that is too large is answered with 431; a request that crosses the end of the server is answered.
Knows nothing of WebSockets but that engines other than ours choke on a long header line.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import Any

from falconws.server.handshake import plain_denial
from falconws.server.lingering import linger, part

MAX_HEAD_BYTES = 65_536
_MAX_LINE_BYTES = 8190
_MAX_LINES = 128
"""What the websockets package takes of a handshake; it neither answers nor closes above that."""
_LINGER_S = 2.0
_UPLOAD_LINGER_S = 10.0
"""For a client to notice that it was answered before it had sent the whole body."""
_BUSY_S = 1.0
"""Who was answered less than this ago may have asked again already."""


class _GuardedHead:
    """Mixed into one of uvicorn's HTTP protocol classes: the deadline and the limit for a request's head."""

    loop: asyncio.AbstractEventLoop
    transport: Any
    config: Any
    server_state: Any
    logger: logging.Logger
    cycle: Any
    """The request that was last begun, and its response."""
    timeout_keep_alive: int
    timeout_keep_alive_task: asyncio.TimerHandle | None
    """Runs from an answer to the next request."""
    _head_bytes = 0
    """Received since a head, or the trailers behind a body, are awaited, and perhaps more."""
    _rejected = False
    _lingers = False
    """Whether all was said, and the client is still sending."""
    head_due: float | None = None
    """When the first head is due, for a connection that has been waited for elsewhere. Time of the loop."""
    _deadline: asyncio.TimerHandle | None = None
    _leaving = False
    """Whether the server ends: the request that is under way, or about to be, is the last one."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)  # type: ignore[misc]
        self._start_deadline()
        if self.config.going_away:
            self.shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_deadline()
        if self.cycle is not None:
            # Protocol and request hold each other, and nobody else parts them.
            self.cycle.transport = self.transport
        super().connection_lost(exc)  # type: ignore[misc]

    def handle_websocket_upgrade(self, *event: Any) -> None:
        self._stop_deadline()
        super().handle_websocket_upgrade(*event)  # type: ignore[misc]

    def shutdown(self) -> None:
        """Let the request that has begun be the last one, or the one that is about to come; else close.

        What a client has sent and nobody has read would make the kernel reset a connection that is closed
        before, and the client could not tell whether it was served. Who has just been answered is likely to
        be about to ask again.
        """
        left_before, self._leaving = self._leaving, True
        if self._lingers and not left_before:
            return
        if left_before or self.transport.is_closing():
            self._end()
        elif self.cycle is None or self._is_asking():
            self._wait(self.config.drain_s / 10)
        elif not self.cycle.response_complete:
            # One that has begun does not say that it is the last: the client may ask again, see below.
            if not self.cycle.response_started:
                self._keep_no_longer()
        elif self._was_answered_within(_BUSY_S):
            self._wait_for_another()
        else:
            self._end()

    def on_response_complete(self) -> None:
        if self._lingers:
            self.server_state.total_requests += 1
            return
        super().on_response_complete()  # type: ignore[misc]
        if not self._leaving:
            return
        if self.transport.is_closing():
            part(self.transport, self.loop)
        elif self.cycle.response_complete:
            self._wait_for_another()
        else:
            self._keep_no_longer()

    def _wait_for_another(self) -> None:
        self._wait(min(self.config.drain_s / 10, _BUSY_S))

    def _wait(self, seconds: float) -> None:
        self._deadline = hurry(self._deadline, seconds, self.loop, self._give_up)

    def _give_up(self) -> None:
        if self.cycle is None or self._is_asking():
            self._cut_off()
        else:
            self._end()

    def _end(self) -> None:
        super().shutdown()  # type: ignore[misc]
        if self.transport.is_closing():
            part(self.transport, self.loop)

    def _was_answered_within(self, seconds: float) -> bool:
        timer = self.timeout_keep_alive_task
        return timer is not None and timer.when() - self.timeout_keep_alive > self.loop.time() - seconds

    def _is_asking(self) -> bool:
        """Return whether a part of a request's head is here, and nothing else is under way."""
        raise NotImplementedError

    def _keep_no_longer(self) -> None:
        """Let the request that was last begun be the last one, and its answer say so."""
        self.cycle.keep_alive = False

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

    def _linger(self, seconds: float, *, patient: bool = False) -> None:
        self._lingers = True
        linger(self.transport, self.loop, seconds, lambda: self.connection_lost(None), patient=patient)

    def _begin_request(self) -> None:
        """Prepare for the answer to the request that has just begun."""
        if self._leaving:
            self._keep_no_longer()
        if self.cycle.more_body:
            self.cycle.transport = _AnsweringTransport(self.transport, self.close_behind_answer)

    def close_behind_answer(self) -> None:
        """Close; when the client is still sending its body, in a way that lets it read the answer."""
        if self.cycle.more_body:
            self._linger(_UPLOAD_LINGER_S, patient=True)
        else:
            self.transport.close()


class _AnsweringTransport:
    """The transport as the answer to a request sees it that is not here yet as a whole."""

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, transport: Any, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


def cut_off(transport: Any, loop: asyncio.AbstractEventLoop) -> asyncio.TimerHandle | None:
    """Answer a request that does not come with 408 and close; return the timer of the abort that follows."""
    if transport.is_closing():
        return None
    transport.write(plain_denial(408, "The request did not come in time."))
    transport.close()
    return loop.call_later(1.0, transport.abort)


def hurry(
    deadline: asyncio.TimerHandle | None, seconds: float, loop: asyncio.AbstractEventLoop, action: Callable[[], object]
) -> asyncio.TimerHandle:
    """Return the timer of *action* for a request that is awaited while the server drains, in place of *deadline*."""
    due = loop.time() + seconds
    if deadline is not None:
        deadline.cancel()
        due = min(due, deadline.when())
    return loop.call_at(due, action)


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
        _has_begun = False

        def data_received(self, data: bytes) -> None:
            if self._rejected:
                return
            self._head_bytes += len(data)
            before = self.cycle
            super().data_received(data)
            if self.cycle is not before:
                self._begin_request()
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
