"""The demultiplexer: the first protocol of every TCP connection, which chooses the protocol that serves it.

A valid WebSocket handshake that arrives whole in the first read goes straight to the engine. Everything else (HTTP, a
head in pieces, an invalid request) goes to the HTTP protocol. Answers only a client that sends nothing, with 408.
Must not know the application.
"""

from __future__ import annotations

import asyncio
from typing import Any

from falconws.server.handshake import HandshakeRequest, parse_request
from falconws.server.http.guard import answer_timeout
from falconws.server.http.shutdown import tighten_deadline
from falconws.server.http_settings import HttpSettings
from falconws.server.request_head import RequestError
from falconws.timeouts import Timeout


def demux_class(http_class: Any) -> type[asyncio.Protocol]:
    """Return a Demux for uvicorn's `http=` option that passes HTTP on to *http_class*."""
    return type("Demux", (Demux,), {"__slots__": (), "http_class": http_class})


class Demux(asyncio.Protocol):
    """Waits for the first bytes of a connection and hands it over to the HTTP protocol or to the engine."""

    __slots__ = (
        "__weakref__",
        "_app_state",
        "_config",
        "_deadline",
        "_draining",
        "_loop",
        "_server_state",
        "transport",
    )

    http_class: Any

    def __init__(
        self, config: Any, server_state: Any, app_state: dict[str, Any], _loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._deadline: asyncio.TimerHandle | Timeout | None = None
        self._draining = False
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._server_state.connections.add(self)
        seconds = self._config.connection_settings.handshake_timeout_s
        if seconds is not None:
            self._deadline = Timeout(self._loop, seconds, self._timed_out)
        if self._config.going_away:
            self.shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        self._detach()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        head, end, early = data.partition(b"\r\n\r\n")
        request = _whole_handshake(head + end, self._config.http_settings) if end else None
        deadline = self._detach()
        if request is None:
            protocol = self.http_class(self._config, self._server_state, self._app_state, self._loop)
            protocol.head_deadline = deadline
            protocol.connection_made(self.transport)
            self.transport.set_protocol(protocol)
            protocol.data_received(data)
        else:
            protocol = self._config.ws_protocol_class(self._config, self._server_state, self._app_state, self._loop)
            protocol.connection_made(self.transport)
            self.transport.set_protocol(protocol)
            protocol.begin(request, early)

    def shutdown(self) -> None:
        """Shorten the deadline for the request; close at the second call. Called by uvicorn at shutdown."""
        if self._draining:
            self.transport.close()
        elif not self.transport.is_closing():
            self._draining = True
            self._deadline = tighten_deadline(self._deadline, self._config.drain_s / 10, self._loop, self._timed_out)

    def _detach(self) -> float | None:
        """Forget the connection; return when the head of its first request is due."""
        self._server_state.connections.discard(self)
        deadline, self._deadline = self._deadline, None
        if deadline is None:
            return None
        deadline.cancel()
        return deadline.when()

    def _timed_out(self) -> None:
        self._deadline = answer_timeout(self.transport, self._loop)


def _whole_handshake(head: bytes, settings: HttpSettings) -> HandshakeRequest | None:
    if len(head) > settings.max_head_bytes or b"\r\nsec-websocket-key:" not in head.lower():
        return None
    try:
        return parse_request(head, settings)
    except RequestError:
        # The HTTP protocol decides how to answer it.
        return None
