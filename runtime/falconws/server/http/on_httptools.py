"""The HTTP protocol on httptools: the head guard around uvicorn's class. Knows nothing of h11."""

from __future__ import annotations

from collections import deque
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from falconws.server.http.head_guard import MAX_HEAD_BYTES, HeadGuard


class HttpProtocol(HeadGuard, HttpToolsProtocol):
    parser: Any
    pipeline: deque[Any]
    """Requests that wait for the present one, each with its application."""
    _has_begun = False
    _served: Any = None
    """The present request; `cycle` may be a later one that waits."""

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._served = cycle
        super()._start_asgi_task(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.pipeline:
            # uvicorn tells only the last request; and the waiting ones refer to this protocol, which refers to them.
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
            self._prepare_response()
        else:
            self._restart_keep_alive()
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._reject()

    def _has_partial_request(self) -> bool:
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
            # Parser and protocol refer to each other; break the cycle.
            self.parser = None
