"""What a new TCP connection meets first: it tells an opening WebSocket handshake from all other HTTP.

Nearly every handshake comes whole in one read, in its plainest form; that one goes straight to the
engine. Whatever is anything else (HTTP, a head in pieces, a request with a fault) goes to uvicorn's
HTTP protocol as if that had been there from the start. Answers nothing itself but silence.
"""

from __future__ import annotations

import asyncio
from typing import Any

from falconws.server.handshake import HandshakeError, HandshakeRequest, parse_request
from falconws.server.http.protocol import cut_off
from falconws.server.http.shutdown import hurry

_MAX_HEAD_BYTES = 16_384


def entrance_class(http_class: Any) -> type[asyncio.Protocol]:
    """Return the protocol class for uvicorn's `http=` option that leaves what is HTTP to *http_class*."""
    return type("Entrance", (_Entrance,), {"__slots__": (), "http_class": http_class})


class _Entrance(asyncio.Protocol):
    __slots__ = ("__weakref__", "_app_state", "_config", "_deadline", "_leaving", "_loop", "_server_state", "transport")

    http_class: Any

    def __init__(
        self, config: Any, server_state: Any, app_state: dict[str, Any], _loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._deadline: asyncio.TimerHandle | None = None
        self._leaving = False
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._server_state.connections.add(self)
        seconds = self._config.connection_settings.handshake_timeout_s
        if seconds is not None:
            self._deadline = self._loop.call_later(seconds, self._cut_off)
        if self._config.going_away:
            self.shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        head, end, rest = data.partition(b"\r\n\r\n")
        request = _plain_handshake(head + end) if end else None
        deadline = self._leave()
        if request is None:
            protocol = self.http_class(self._config, self._server_state, self._app_state, self._loop)
            protocol.head_due = deadline
            protocol.connection_made(self.transport)
            self.transport.set_protocol(protocol)
            protocol.data_received(data)
        else:
            protocol = self._config.ws_protocol_class(self._config, self._server_state, self._app_state, self._loop)
            protocol.connection_made(self.transport)
            self.transport.set_protocol(protocol)
            protocol.begin(request, rest)

    def shutdown(self) -> None:
        """Give who has just connected a moment to ask, or at the second call close; uvicorn calls it at its end."""
        if self._leaving:
            self.transport.close()
        elif not self.transport.is_closing():
            self._leaving = True
            self._deadline = hurry(self._deadline, self._config.drain_s / 10, self._loop, self._cut_off)

    def _leave(self) -> float | None:
        """Let go of the connection, and return when the head of the first request was due."""
        self._server_state.connections.discard(self)
        deadline, self._deadline = self._deadline, None
        if deadline is None:
            return None
        deadline.cancel()
        return deadline.when()

    def _cut_off(self) -> None:
        self._deadline = cut_off(self.transport, self._loop)


def _plain_handshake(head: bytes) -> HandshakeRequest | None:
    if len(head) > _MAX_HEAD_BYTES or b"\r\nsec-websocket-key:" not in head.lower():
        return None
    try:
        return parse_request(head)
    except HandshakeError:
        # Whose answer it is, uvicorn's or ours, is decided where it always is.
        return None
