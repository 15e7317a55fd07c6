"""The WebSocket protocol class for uvicorn's `ws=` option: from the upgrade request to the accept.

It runs the application, answers the handshake as the application says, and gives the transport to picows once the
application has accepted. From then on `Connection` owns the conversation; this object remains as what the server asks
to shut down. It must not know how connections are admitted or drained.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from typing import Any, cast
from urllib.parse import quote

from falconws.closecodes import CloseCode
from falconws.extension import CONNECTION_KEY
from falconws.server.addresses import endpoint
from falconws.server.errors import DisconnectedError
from falconws.server.handshake import (
    HandshakeRequest,
    denial_head,
    parse_request,
    plain_denial,
    upgrade_response,
)
from falconws.server.lingering_close import lingering_close
from falconws.server.request_head import RequestError
from falconws.server.tls import tls_extension
from falconws.server.websocket.connection import Connection
from falconws.server.websocket.deflate import Agreement, PerMessageDeflate, negotiate
from falconws.server.websocket.picows_adapter import feed, switch_protocols
from falconws.server.websocket.settings import settings_of
from falconws.timeouts import Timeout

_MAX_EARLY_BYTES = 65_536
_NO_SCOPE: dict[str, Any] = {}
"""After an accept, when nothing is denied any more and nothing writes to it."""

_logger = logging.getLogger("uvicorn.error")


class WebSocketProtocol(asyncio.Protocol):
    """Serves one WebSocket connection of any ASGI app: `uvicorn demo:app --ws falconws.server:WebSocketProtocol`."""

    __slots__ = (
        "_accept_timer",
        "_agreement",
        "_app_state",
        "_config",
        "_connection",
        "_denial",
        "_early",
        "_loop",
        "_peer",
        "_request",
        "_scope",
        "_server_state",
        "_settings",
        "_task",
        "_transport",
    )

    def __init__(
        self, config: Any, server_state: Any, app_state: dict[str, Any], _loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        if not config.loaded:
            config.load()
        self._config = config
        self._settings = settings_of(config)
        self._server_state = server_state
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._transport: Any = None
        self._connection: Connection | None = None
        self._request: HandshakeRequest | None = None
        self._scope: dict[str, Any] = {}
        self._peer = ""
        self._agreement: Agreement | None = None
        self._denial: list[bytes] | None = None
        self._early = b""
        """What has come behind the handshake, before it is answered."""
        self._accept_timer: asyncio.TimerHandle | Timeout | None = None
        self._task: asyncio.Task[None] | None = None

    # asyncio, until the accept.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._server_state.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._request is None:
            self._begin(data)
        else:
            # A client must wait for the response before it sends frames. One that does not is
            # served anyway, within a limit.
            self._keep_early(data)

    def _keep_early(self, data: bytes) -> None:
        self._early += data
        if len(self._early) > _MAX_EARLY_BYTES:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        # The client has left, and will not read the response to its handshake.
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_accept_timer()
        self._server_state.connections.discard(self)
        if self._connection is not None and self._connection.state.is_connecting:
            self._connection.state.denied()
        self._forget()

    # uvicorn.

    def shutdown(self) -> None:
        """Close with 1012 now, or refuse the handshake with 503; called when the server shuts down."""
        if self._connection is None or self._connection.state.is_connecting:
            self._refuse(503, "The server is restarting.", [(b"retry-after", b"1")])
        else:
            self._connection.state.close(CloseCode.SERVICE_RESTART, "server is restarting")

    @property
    def is_open(self) -> bool:
        """Whether the handshake was accepted, and the end has not begun."""
        return self._connection is not None and self._connection.state.is_open

    def close_when_idle(self, code: int, reason: str, grace_s: float) -> None:
        """Close an open connection when the application has answered what was received."""
        assert self._connection is not None
        self._connection.state.close_when_idle(code, reason, grace_s)

    def abort(self) -> None:
        """Disconnect now, in any state."""
        self._transport.abort()

    # The request.

    def _begin(self, data: bytes) -> None:
        head, separator, rest = data.partition(b"\r\n\r\n")
        try:
            request = parse_request(head + separator)
        except RequestError as refusal:
            self._refuse(refusal.status, refusal.message, refusal.headers)
        else:
            self.begin(request, rest)

    def begin(self, request: HandshakeRequest, early: bytes) -> None:
        """Run the application for *request*; *early* is what the client has sent after it."""
        self._request = request
        if early:
            self._keep_early(early)
        if self._settings.deflate is not None and request.extensions:
            self._agreement = negotiate(request.extensions, self._settings.deflate)
        tls = tls_extension(self._transport)
        self._scope = scope = self._make_scope(request, "ws" if tls is None else "wss")
        if (prepare := getattr(self._config, "prepare_scope", None)) is not None:
            prepare(scope)
        self._peer = _address(scope["client"])
        self._connection = connection = Connection(self._settings, self._loop, self._peer, self._answer)
        scope["extensions"] = {"websocket.http.response": {}, CONNECTION_KEY: connection}
        if tls is not None:
            scope["extensions"]["tls"] = tls
        if self._settings.handshake_timeout_s is not None:
            self._accept_timer = Timeout(self._loop, self._settings.handshake_timeout_s, self._accept_timed_out)
        # Not create_task(): a task factory may run the application at once, but uvicorn sets this protocol on the
        # transport only after it has passed the handshake, and would undo an accept.
        self._task = asyncio.Task(
            self._run(connection, scope), loop=self._loop, name=self._peer or None, context=self._make_context()
        )
        self._server_state.tasks.add(self._task)
        self._task.add_done_callback(self._server_state.tasks.discard)

    def _make_context(self) -> contextvars.Context:
        if self._config.reset_contextvars:
            return contextvars.Context()
        # Without our server, whose configuration it is, the present context may be that of an earlier request.
        request_context = getattr(self._config, "request_context", contextvars.copy_context)
        context: contextvars.Context = request_context()
        return context

    def _make_scope(self, request: HandshakeRequest, scheme: str) -> dict[str, Any]:
        root_path = self._config.root_path
        return {
            "type": "websocket",
            "asgi": {"version": self._config.asgi_version, "spec_version": "2.5"},
            "http_version": "1.1",
            "scheme": scheme,
            "server": endpoint(self._transport.get_extra_info("sockname")),
            "client": endpoint(self._transport.get_extra_info("peername")),
            "root_path": root_path,
            "path": root_path + request.path,
            "raw_path": root_path.encode() + request.raw_path,
            "query_string": request.query_string,
            "headers": request.headers,
            "subprotocols": request.subprotocols,
            "state": self._app_state.copy(),
        }

    async def _run(self, connection: Connection, scope: dict[str, Any]) -> None:
        try:
            result = await self._config.loaded_app(scope, connection.receive, connection.send)
        except DisconnectedError:
            # The application was told that the connection has ended, and did not catch it.
            self._app_ended(connection, failed=False)
        except asyncio.CancelledError:
            assert self._task is not None
            if not self._task.cancelling():
                _logger.exception("Exception in ASGI application: it raised a CancelledError of its own\n")
            self._app_ended(connection, failed=True)
            raise
        except BaseException:
            # SystemExit too: it would end the server.
            _logger.exception("Exception in ASGI application\n")
            self._app_ended(connection, failed=True)
        else:
            if result is not None:
                _logger.error("ASGI callable should return None, but returned '%s'.", result)
            if connection.state.is_connecting and self._transport is not None and not self._transport.is_closing():
                _logger.error("ASGI callable returned without completing handshake.")
            self._app_ended(connection, failed=False)

    def _app_ended(self, connection: Connection, *, failed: bool) -> None:
        if connection.state.is_connecting:
            self._refuse(500, "Internal Server Error")
        else:
            connection.state.close(CloseCode.INTERNAL_ERROR if failed else CloseCode.NORMAL, "")
            connection.inbox.clear()

    # The answer.

    async def _answer(self, event: dict[str, Any]) -> None:
        """Handle an event that the application sends before the handshake is answered."""
        kind = event["type"]
        if self._transport.is_closing():
            raise DisconnectedError("The client has left during the handshake.")
        if self._denial is not None:
            if kind != "websocket.http.response.body":
                raise RuntimeError(f"Expected 'websocket.http.response.body', but got {kind!r}.")
            await self._continue_denial(event)
        elif kind == "websocket.accept":
            self._accept(event)
        elif kind == "websocket.close":
            self._log(403)
            self._respond(plain_denial(403, "", default_headers=self._default_headers))
        elif kind == "websocket.http.response.start":
            self._start_denial(event)
        else:
            raise RuntimeError(
                f"Expected 'websocket.accept', 'websocket.close' or 'websocket.http.response.start', but got {kind!r}."
            )

    @property
    def _default_headers(self) -> list[tuple[bytes, bytes]]:
        return cast("list[tuple[bytes, bytes]]", self._server_state.default_headers)

    def _accept(self, event: dict[str, Any]) -> None:
        request, connection, agreement = self._request, self._connection, self._agreement
        assert request is not None
        assert connection is not None
        try:
            response = upgrade_response(
                request.key,
                default_headers=self._default_headers,
                headers=event.get("headers") or (),
                subprotocol=event.get("subprotocol"),
                extensions=None if agreement is None else agreement.header,
            )
        except ValueError as error:
            raise RuntimeError(str(error)) from error
        self._stop_accept_timer()
        if self._config.access_log and _logger.isEnabledFor(logging.INFO):
            _logger.info('%s - "WebSocket %s" [accepted]', self._peer, self._shown_path())
        deflate = None
        if agreement is not None:
            assert self._settings.deflate is not None
            deflate = PerMessageDeflate(agreement, self._settings.deflate)
        connection.opened(self._transport, deflate, self._lost)
        switch_protocols(self._transport, connection, response, self._settings.max_message_bytes)
        early, self._early = self._early, b""
        # What these refer to belongs to the application now, which may release it.
        self._scope = _NO_SCOPE
        self._request = self._agreement = None
        if early:
            feed(self._transport.get_protocol(), early)
            if len(early) > _MAX_EARLY_BYTES and connection.state.is_open and connection.inbox.is_reading:
                self._transport.resume_reading()

    def _lost(self) -> None:
        self._forget()
        self._server_state.connections.discard(self)
        self._server_state.total_requests += 1

    def _forget(self) -> None:
        """Break the cycle with the connection, so that neither waits for the garbage collector."""
        self._connection = None
        self._scope = _NO_SCOPE

    def _start_denial(self, event: dict[str, Any]) -> None:
        try:
            # Checked now, so that the application learns of a mistake where it makes it.
            denial_head(event["status"], headers=event.get("headers") or ())
        except ValueError as error:
            raise RuntimeError(str(error)) from error
        self._scope["denial"] = event
        self._denial = []

    async def _continue_denial(self, event: dict[str, Any]) -> None:
        body = event.get("body", b"")
        more = event.get("more_body", False)
        start = self._scope.pop("denial", None)
        if start is not None:
            self._log(start["status"])
            head = denial_head(
                start["status"],
                default_headers=self._default_headers,
                headers=start.get("headers") or (),
                content_length=None if more else len(body),
            )
            self._stop_accept_timer()
            self._transport.write(head + body)
        elif body:
            self._transport.write(body)
        if not more:
            self._finish_refusal()

    def _accept_timed_out(self) -> None:
        _logger.warning('%s - "WebSocket %s" neither accepted nor denied in time', self._peer, self._shown_path())
        self._refuse(503, "The application did not answer the handshake in time.", [(b"retry-after", b"1")])

    def _refuse(self, status: int, message: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._denial is not None and "denial" not in self._scope:
            # The head of another response is written already, which can only be cut off.
            self._finish_refusal()
            return
        self._log(status)
        self._respond(plain_denial(status, message, default_headers=self._default_headers, headers=headers or ()))

    def _respond(self, response: bytes) -> None:
        self._transport.write(response)
        self._finish_refusal()

    def _finish_refusal(self) -> None:
        self._stop_accept_timer()
        timeout_s = self._settings.close_timeout_s
        if self._early:
            # The client sends already, and would be answered with a reset before it has read the response.
            lingering_close(self._transport, self._loop, timeout_s, lambda: self.connection_lost(None))
        else:
            self._transport.close()
            # A client that does not read the response must not keep the connection.
            self._accept_timer = self._loop.call_later(timeout_s, self._transport.abort)
        if self._connection is not None:
            self._connection.state.denied()

    def _stop_accept_timer(self) -> None:
        if self._accept_timer is not None:
            self._accept_timer.cancel()
            self._accept_timer = None

    def _log(self, status: int) -> None:
        if self._config.access_log:
            _logger.info('%s - "WebSocket %s" %d', self._peer, self._shown_path(), status)

    def _shown_path(self) -> str:
        if self._request is None:
            return "?"
        query = self._request.query_string.decode("latin-1")
        return quote(self._request.path) + (f"?{query}" if query else "")


def _address(client: tuple[str, int | None] | None) -> str:
    return f"{client[0]}:{client[1]}" if client and client[1] is not None else ""
