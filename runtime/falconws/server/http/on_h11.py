"""The HTTP protocol on h11: the head guard around uvicorn's class. Knows nothing of httptools."""

from __future__ import annotations

import sys

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from falconws.server.http.head_guard import MAX_HEAD_BYTES, HeadGuard


class HttpProtocol(HeadGuard, H11Protocol):
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
            self._prepare_response()
        else:
            self._restart_keep_alive()
        if self.scope is not before:
            self._stop_deadline()
            self._head_bytes = 0

    def _has_partial_request(self) -> bool:
        return self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])

    def _end_keep_alive(self) -> None:
        super()._end_keep_alive()
        # h11 would close without saying so.
        self.cycle.default_headers = [*self.cycle.default_headers, (b"connection", b"close")]

    def _head_size(self, data: bytes) -> int:
        """Return the size of the head, or of the part of it that has arrived with *data*."""
        received = self.conn.trailing_data[0] + data
        end = received.find(b"\r\n\r\n")
        return len(received) if end < 0 else end

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        if self._is_too_large(event.target, self.headers, upgrade=True):
            self._reject()
        else:
            super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        # Called in the handler of h11's error: a head that arrived while another request was served.
        if getattr(sys.exception(), "error_status_hint", 400) == 431:
            self._reject()
        else:
            super().send_400_response(msg)
