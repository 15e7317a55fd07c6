"""One WebSocket connection as the responder sees it.

Owns what is allowed when: in the handshake, while the connection is open, and after its end. Must not know how messages
arrive (``message_path.py``), what the events of the handshake and of the end contain (``connection_events.py``), how
objects become payloads (``media_codec.py``), or who may connect (``app.py``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Any, TypeVar

import falcon.asgi
from falcon import WebSocketPayloadType

from .closecodes import CloseCode, check_close, http_status_to_close_code
from .connection_events import (
    DenialResponse,
    Headers,
    accept_event,
    close_event,
    denial_events,
    denial_response,
    passes_on_reasons,
    send_close,
    supports_accept_headers,
)
from .direct_stream import DirectStream
from .errors import OperationNotAllowed, WebSocketDisconnected
from .extension import CONNECTION_KEY, GOING_AWAY_KEY, ConnectionExtension
from .headers import clean_headers
from .log_text import describe_client
from .media_codec import MediaCodec, as_data, as_text
from .message_iterator import MessageIterator
from .message_path import CLOSED, HANDSHAKE, OPEN, MessagePath
from .options import WebSocketOptions
from .rate_limiter import RateLimiter
from .stream import AsgiStream, Payload, Receive, Send, Stream
from .tasks import TaskScope

__all__ = ("WebSocket",)

_T = TypeVar("_T")

_YIELDS_BEFORE_CLOSE = 3


class WebSocket(falcon.asgi.WebSocket):
    """A WebSocket connection, passed to ``on_websocket()`` responders, middleware, sinks and error handlers.

    ``falconws.App`` creates it; responders never do.

    Source: the proposal; ASGI "WebSocket", versions 2.0 to 2.5.
    """

    __slots__ = (
        "__weakref__",
        "_accepted_subprotocol",
        "_asgi",
        "_client",
        "_codec",
        "_denial",
        "_going_away",
        "_options",
        "_path",
        "_spec_version",
    )

    def __init__(
        self,
        scope: dict[str, Any],
        receive: Receive,
        send: Send,
        spec_version: str,
        options: WebSocketOptions,
        *,
        cancellable: bool,
    ) -> None:
        self.subprotocols = tuple(scope.get("subprotocols") or ())
        self._client = scope.get("client")
        self._asgi = send
        self._options = options
        self._accepted_subprotocol: str | None = None
        self._spec_version = spec_version
        extensions = scope.get("extensions") or {}
        self._denial = "websocket.http.response" in extensions
        self._going_away: asyncio.Event | None = extensions.get(GOING_AWAY_KEY)
        connection: ConnectionExtension | None = extensions.get(CONNECTION_KEY)
        stream: Stream
        # Where ASGI middleware has wrapped one of the two, every message must pass through it.
        if connection is not None and connection.receive == receive and connection.send == send:
            stream = DirectStream(connection)
        else:
            stream = AsgiStream(
                receive,
                send,
                options.max_receive_queue,
                options.max_read_ahead,
                cancellable=cancellable,
                reason_given=passes_on_reasons(spec_version),
            )
        limit = options.rate_limit
        self._path = MessagePath(stream, None if limit is None else RateLimiter(limit, self._close_for_rate))
        self._codec: MediaCodec | None = None

    # State

    @property
    def client(self) -> str:
        """The peer's address and port as one string, for logs; ``"unknown"`` on a Unix socket."""
        return describe_client(self._client)

    @property
    def unaccepted(self) -> bool:
        """True while the handshake has been neither accepted nor refused."""
        return self._path.phase is HANDSHAKE

    @property
    def closed(self) -> bool:
        """True once either side has closed the connection, or it was lost, or the handshake was refused."""
        if self._path.phase is CLOSED or self._path.stream.closed is not None:
            return True
        self._path.stream.watch_for_disconnect()
        return False

    @property
    def ready(self) -> bool:
        """True from ``accept()`` until the connection is closed or lost."""
        return self._path.phase is OPEN and not self.closed

    @property
    def supports_accept_headers(self) -> bool:
        """True when the ASGI server supports ``accept(headers=...)``."""
        return supports_accept_headers(self._spec_version)

    @property
    def supports_denial(self) -> bool:
        """True when the ASGI server can answer the handshake with an HTTP response other than a bare 403.

        Source: ASGI "WebSocket Denial Response".
        """
        return self._denial

    @property
    def connection(self) -> ConnectionExtension | None:
        """The ASGI server's extension "falconws.connection", for code that sends to many connections.

        None where the server has none, and where ASGI middleware has wrapped ``receive`` or ``send``: it would bypass
        the middleware.

        Source: docs/reference/asgi-extension.md.
        """
        return self._path.stream.connection

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that was accepted, or None."""
        return self._accepted_subprotocol

    @property
    def close_code(self) -> int | None:
        """The close code once the connection is closed, None before.

        1005 means that the peer gave no code, 1006 that there was no closing handshake (or no handshake at all, when
        ``deny()`` refused it).
        """
        return None if self._path.stream.closed is None else self._path.stream.closed.code

    @property
    def close_reason(self) -> str | None:
        """The close reason once the connection is closed (an empty string when there was none), None before."""
        return None if self._path.stream.closed is None else self._path.stream.closed.reason

    # Handshake

    async def accept(self, subprotocol: str | None = None, headers: Headers | None = None) -> None:
        """Complete the handshake.

        Args:
            subprotocol: One of ``subprotocols``, or None to choose none.
            headers: Headers to add to the response: a mapping, or pairs of name and value; ASCII only.

        Raises:
            WebSocketDisconnected: The client is gone.
            OperationNotAllowed: The handshake is over already, or the server cannot send headers.
            ValueError: The client does not offer *subprotocol*; a header has a name that is not a token, or a
                control character in its value; *headers* have a subprotocol.
        """
        if self._path.phase is OPEN and not self.closed:
            raise OperationNotAllowed("accept() may only be called once on an open WebSocket connection")
        if self._path.phase is not HANDSHAKE:
            raise OperationNotAllowed("accept() may not be called on a closed WebSocket connection")
        if self._path.stream.closed is not None:
            raise self._path.disconnected()
        event = accept_event(subprotocol, self.subprotocols, headers, self._spec_version)
        try:
            await self._asgi(event)
        except OSError as error:
            raise WebSocketDisconnected(*self._path.stream.record_close(CloseCode.ABNORMAL, "")) from error
        self._path.open()
        self._accepted_subprotocol = subprotocol

    async def deny(
        self,
        status: int | str | HTTPStatus = 403,
        *,
        headers: Headers | None = None,
        text: str | None = None,
        data: bytes | None = None,
        media: object = None,
    ) -> None:
        """Refuse the handshake with an HTTP response.

        Where the ASGI server lacks the extension (``supports_denial``), the client gets a 403 without headers and body,
        and the log says so.

        Args:
            status: 400 to 599, or any other status but 1xx and 2xx, as a number or a Falcon status line.
            headers: A mapping, or pairs of name and value.
            text: A plain-text body. Give at most one of *text*, *data* and *media*.
            data: A body of bytes; set its type with a ``content-type`` header.
            media: An object for a JSON body; the TEXT media handler serializes it.

        Raises:
            OperationNotAllowed: The handshake is over already.
            ValueError: *status* cannot refuse a handshake, more than one body is given, or a header has a name that is
                not a token, or a control character in its value.

        Source: ASGI "WebSocket Denial Response".
        """
        response = denial_response(
            status, headers, text=text, data=data, media=media, serialize=self._media_codec().serialize
        )
        await self.send_denial(response)

    async def send_denial(self, response: DenialResponse) -> None:
        """Refuse the handshake with an encoded HTTP response. ``App`` calls it; responders use ``deny()``."""
        if self._path.phase is not HANDSHAKE:
            raise OperationNotAllowed("The handshake is over; close() ends an accepted connection")
        status, headers, body = response
        response = status, clean_headers(headers), body
        self._path.close()
        if not self._denial:
            self._options.log_throttle.log_repeated(
                logging.WARNING,
                "WebSocket client %s gets a bare 403 instead of %d: this ASGI server does not offer the extension "
                "'websocket.http.response'",
                self.client,
                status,
            )
            # The server ignores the code; Falcon's test client shows it.
            await self._send_close(http_status_to_close_code(status), None)
            return
        self._path.stream.record_close(CloseCode.ABNORMAL, "")
        try:
            for event in denial_events(response):
                await self._asgi(event)
        except OSError:
            # The client left before the response.
            return

    # Closing

    async def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Close the connection; before ``accept()``, refuse the handshake with a 403.

        Does nothing when the connection is closed or lost already.

        Args:
            code: 1000 to 4999 without the reserved codes (default 1000). Has no effect before ``accept()``.
            reason: At most 123 bytes of UTF-8; the default comes from ``ws_options.default_close_reasons``.

        Raises:
            ValueError: *code* or *reason* cannot be sent. The connection stays open.

        Source: RFC 6455 section 7; ASGI "Close - send event".
        """
        if code is not None or reason is not None:
            check_close(CloseCode.NORMAL if code is None else code, reason)
        path = self._path
        if path.phase is CLOSED:
            return
        if path.phase is OPEN and path.stream.connection is None:
            # Falcon's close() lets other tasks run first. Tests with Falcon's client rely on that: a WebSocket that is
            # closed at once must be open when they look.
            for _ in range(_YIELDS_BEFORE_CLOSE):
                await asyncio.sleep(0)
        # Another task may have closed it in the meantime.
        if path.phase is not CLOSED:
            path.close()
            if path.stream.closed is None:
                await self._send_close(CloseCode.NORMAL if code is None else code, reason)

    async def _close_for_rate(self) -> None:
        self._options.log_throttle.log_repeated(
            logging.WARNING,
            "WebSocket client %s closed with %d: it sends more than ws_options.rate_limit",
            self.client,
            CloseCode.POLICY_VIOLATION,
        )
        await self.close(CloseCode.POLICY_VIOLATION, "rate limit exceeded")

    async def _send_close(self, code: int, reason: str | None) -> None:
        reason = reason or self._options.default_close_reasons.get(code) or ""
        # Recorded before the event is sent, because the server may then report another code to a task that receives.
        self._path.stream.record_close(code, reason)
        await send_close(self._asgi, close_event(code, reason, self._spec_version), self.client)

    async def wait_disconnected(self) -> None:
        """Return once either side has closed the connection; ``close_code`` and ``close_reason`` then say how.

        Other tasks may receive and send in the meantime. Works before ``accept()`` too.
        """
        await self._path.wait_closed()

    def task_scope(self) -> TaskScope:
        """Return a context manager that runs coroutines concurrently until one ends or the peer leaves.

        See ``falconws.TaskScope``.
        """
        return TaskScope(self.wait_disconnected)

    @property
    def going_away(self) -> asyncio.Event:
        """An event that is set when the server begins to shut down, and will soon close its clients with 1012.

        Wait for it to end a long conversation in time. Servers that do not report their shutdown never set it.
        """
        if self._going_away is None:
            self._going_away = asyncio.Event()
        return self._going_away

    def when_lost(self, callback: Callable[[], object]) -> None:
        """Call *callback* once the peer is known to be gone, but not when this side closes. ``App`` calls it."""
        # MessagePath.close() clears it.
        self._path.stream.on_closed = callback
        if self._path.stream.closed is not None:
            callback()

    def when_first_used(self, callback: Callable[[], object]) -> None:
        """Call *callback* when the next send has returned, or before the next receive or wait. The hub calls it."""
        self._path.when_first_used(callback)

    def release(self) -> None:
        """Stop what still runs in the background. Called by ``App`` when the responder has ended."""
        if self._path.phase is not CLOSED:
            self._path.stop()
        # The WebSocket and its stream would otherwise refer to each other until the garbage collector runs.
        self._path.stream.on_closed = None

    # Sending

    async def send_text(self, payload: str) -> None:
        """Send *payload* as one TEXT message.

        Concurrent senders are safe: messages are never interleaved. Waits while the server's write buffer is full.

        Raises:
            WebSocketDisconnected: The connection is closed; ``code`` and ``reason`` say how.
            OperationNotAllowed: The connection was not accepted yet.
            TypeError: *payload* is not a str.
        """
        if type(payload) is not str and not isinstance(payload, str):
            raise TypeError(f"payload must be a string, not {type(payload).__name__}")
        path = self._path
        direct = path.direct
        if direct is not None and direct.try_send_text(payload):
            return
        bypass = path.bypass
        if bypass is None or not bypass.may_bypass_send:
            await path.send(payload)
            return
        if bypass.closed is not None:
            raise path.disconnected()
        bypass.may_bypass_send = False
        bypass.watching = True
        if bypass.idle_timer is None:
            bypass.watch_for_disconnect()
        try:
            await bypass.asgi_send({"type": "websocket.send", "text": payload})
        except (OSError, RuntimeError) as error:
            raise await bypass.explain(error) from error
        finally:
            bypass.sent()

    async def send_data(self, payload: bytes | bytearray | memoryview) -> None:
        """Send *payload* as one BINARY message. Otherwise like ``send_text()``."""
        if not isinstance(payload, (bytes, bytearray, memoryview)):
            raise TypeError(f"payload must be a byte string, not {type(payload).__name__}")
        # bytes() returns bytes as they are, and copies the others, so that the caller may reuse its buffer.
        await self._path.send(bytes(payload))

    async def send_media(self, media: object, payload_type: WebSocketPayloadType = WebSocketPayloadType.TEXT) -> None:
        """Send *media* as one message of *payload_type*, serialized by the handler configured for that type.

        Handlers are configured in ``app.ws_options.media_handlers``. Raises the errors of ``send_text()`` and of the
        handler.
        """
        path = self._path
        if path.phase is not OPEN:
            raise path.not_open()
        payload = (self._codec or self._media_codec()).serialize(media, payload_type)
        direct = path.direct
        if direct is None:
            await path.send(payload)
        elif not (direct.try_send_text(payload) if isinstance(payload, str) else direct.try_send_bytes(payload)):
            await path.stream.send(payload)

    # Receiving

    async def receive_text(self, timeout: float | None = None) -> str:
        """Return the payload of the next TEXT message.

        Args:
            timeout: Seconds to wait at most; None waits without a limit.

        Raises:
            WebSocketDisconnected: The connection is closed; ``code`` and ``reason`` say how.
            PayloadTypeError: The next message is BINARY; it has been consumed.
            TimeoutError: No message came in time. No message is lost: the next call returns it.
            OperationNotAllowed: The connection was not accepted yet, or another task is receiving.

        Source: RFC 6455 section 5.6; ASGI "Receive - receive event".
        """
        path = self._path
        direct, bypass = path.direct, path.bypass
        if bypass is not None and bypass.may_bypass_receive and timeout is None and not bypass.receiving:
            bypass.receiving = True
            try:
                event = await bypass.asgi_receive()
            except BaseException:
                bypass.abandon()
                raise
            payload = bypass.received(event)
        elif direct is None:
            payload = await path.receive(timeout)
        elif (payload := direct.try_receive()) is None:
            payload = await path.stream.receive(timeout)
        if payload is None:
            raise path.disconnected()
        return payload if type(payload) is str else as_text(payload)

    async def receive_data(self, timeout: float | None = None) -> bytes:
        """Return the payload of the next BINARY message. Otherwise like ``receive_text()``."""
        return as_data(await self.receive_payload(timeout))

    async def receive_media(self, timeout: float | None = None) -> Any:
        """Return the object in the next message, deserialized by the handler configured for its payload type.

        Raises:
            ValueError: The handler cannot decode the payload, which has been consumed. The default TEXT handler raises
                ``json.JSONDecodeError``. Left unhandled, it closes the connection with 1007.

        Also raises the errors of ``receive_text()``.
        """
        return (self._codec or self._media_codec()).deserialize(await self.receive_payload(timeout))

    async def receive_payload(self, timeout: float | None = None) -> Payload:
        """Return the payload of the next message: TEXT as ``str``, BINARY as ``bytes``.

        Everything else is as for ``receive_text()``, except PayloadTypeError, which is never raised.
        """
        path = self._path
        direct = path.direct
        if direct is None or (payload := direct.try_receive()) is None:
            payload = await path.receive(timeout)
        if payload is None:
            raise path.disconnected()
        return payload

    def __aiter__(self) -> AsyncIterator[Any]:
        """Iterate over the objects that ``receive_media()`` returns, until the peer leaves."""
        return MessageIterator(self._path, self._media_codec().deserialize)

    def iter_text(self) -> AsyncIterator[str]:
        """Iterate over the payloads of incoming TEXT messages until the peer leaves.

        ``close_code`` then says how. Raises the errors of ``receive_text()`` except WebSocketDisconnected.
        """
        return MessageIterator(self._path, as_text, str)

    def iter_data(self) -> AsyncIterator[bytes]:
        """Iterate over the payloads of incoming BINARY messages until the peer leaves; see ``iter_text()``."""
        return MessageIterator(self._path, as_data, bytes)

    def iter_payloads(self) -> AsyncIterator[Payload]:
        """Iterate over the payloads of incoming messages, of both types, until the peer leaves; see ``iter_text()``."""
        return MessageIterator(self._path, _unchanged, str)

    def iter_decoded(
        self, decode: Callable[[str], _T], refuse: Callable[[Payload, Exception, int], Awaitable[None]]
    ) -> AsyncIterator[_T]:
        """Iterate over what *decode* returns for the payloads of TEXT messages, until the peer leaves.

        Args:
            decode: Called with a payload.
            refuse: Awaited for a payload that *decode* has raised an error for, and for any BINARY payload. Its
                arguments are the payload, the error, and the number of such payloads in a row. What it raises ends the
                iteration, as an error or, if it is WebSocketDisconnected, without one.
        """
        return MessageIterator(self._path, decode, refuse=refuse)

    def client_fault(self, error: BaseException) -> tuple[CloseCode, str] | None:
        """Return how to close the connection if a message of the client has caused *error*, else None.

        ``App`` calls this for an error that nobody has handled.
        """
        return self._media_codec().client_fault(error)

    def _media_codec(self) -> MediaCodec:
        # Many applications serialize their messages themselves.
        if self._codec is None:
            self._codec = MediaCodec(self._options.media_handlers)
        return self._codec


def _unchanged(payload: Payload) -> Payload:
    return payload
