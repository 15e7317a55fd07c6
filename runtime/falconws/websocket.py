"""One WebSocket connection as the responder sees it.

Owns the states of a connection (handshake, open, closed) and what is allowed in each. Must not know how messages
arrive (``stream.py``), how objects become payloads (the media handlers) or who may connect (``app.py``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from enum import Enum
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Generic, Self, TypeVar, cast

import falcon
import falcon.asgi
from falcon import WebSocketPayloadType

from .closecodes import CloseCode, check_close, http_status_to_close_code
from .direct_stream import DirectStream
from .errors import OperationNotAllowed, PayloadTypeError, WebSocketDisconnected
from .extension import CONNECTION_KEY, GOING_AWAY_KEY, ConnectionExtension
from .first_use import FirstUseStream
from .headers import check_headers
from .log_text import escape_for_log
from .media import BinaryBaseHandlerWS, TextBaseHandlerWS
from .options import WebSocketOptions
from .rate_limited_stream import RateLimitedStream
from .stream import AsgiStream, Payload, Receive, Send, Stream
from .tasks import TaskScope

__all__ = ("Headers", "WebSocket")

Headers = Mapping[str, str] | Iterable[tuple[str, str]]

_T = TypeVar("_T")

_logger = logging.getLogger("falconws")


class _State(Enum):
    HANDSHAKE = "handshake"
    OPEN = "open"
    CLOSED = "closed"


_YIELDS_BEFORE_CLOSE = 3

_FIRST_LIBRARY_CODE = 3000

# Looked up once a message: a module's global costs half as much as an attribute of an Enum class.
_HANDSHAKE, _OPEN, _CLOSED = _State


class WebSocket(falcon.asgi.WebSocket):
    """A WebSocket connection, passed to ``on_websocket()`` responders, middleware, sinks and error handlers.

    ``falconws.App`` creates it; responders never do.

    Source: the proposal; ASGI "WebSocket", versions 2.0 to 2.5.
    """

    __slots__ = (
        "__weakref__",
        "_accepted_subprotocol",
        "_asgi",
        "_binary",
        "_binary_decoded",
        "_bypass",
        "_client",
        "_denial",
        "_direct",
        "_going_away",
        "_media",
        "_on_lost",
        "_options",
        "_phase",
        "_spec_version",
        "_stream",
        "_text",
        "_text_decoded",
        "undecodable",
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
        self.undecodable: Exception | None = None
        """The error of the last payload that ``receive_media()`` could not decode, or None."""
        self._media: Any = None
        """What ``receive_media()`` has returned last, until it is called again."""
        self._text_decoded = self._binary_decoded = False
        """Whether ``receive_media()`` has decoded a message of this type."""
        self._asgi = send
        self._options = options
        self._phase = _HANDSHAKE
        self._accepted_subprotocol: str | None = None
        self._spec_version = spec_version
        extensions = scope.get("extensions") or {}
        self._on_lost: Callable[[], object] | None = None
        self._denial = "websocket.http.response" in extensions
        self._going_away: asyncio.Event | None = extensions.get(GOING_AWAY_KEY)
        connection: ConnectionExtension | None = extensions.get(CONNECTION_KEY)
        self._stream: Stream
        self._bypass: AsgiStream | None = None
        """The stream, where its callables may be awaited without a coroutine of its own in between."""
        self._direct: ConnectionExtension | None = None
        """The server's connection, where messages may be taken from it and given to it without the stream."""
        # Where ASGI middleware has wrapped one of the two, every message must pass through it.
        if connection is None or connection.receive != receive or connection.send != send:
            self._stream = self._bypass = AsgiStream(
                receive,
                send,
                options.max_receive_queue,
                options.max_read_ahead,
                cancellable=cancellable,
                reason_given=_version(spec_version) >= (2, 4),
            )
        else:
            self._stream = DirectStream(connection)
            self._direct = connection
        if options.rate_limit is not None:
            self._stream = RateLimitedStream(self._stream, options.rate_limit, self._close_for_rate)
            self._bypass = self._direct = None
        # The option's type cannot say which kind of handler goes with which key.
        self._text = cast("TextBaseHandlerWS", options.media_handlers[WebSocketPayloadType.TEXT])
        self._binary = cast("BinaryBaseHandlerWS", options.media_handlers[WebSocketPayloadType.BINARY])

    # State

    @property
    def client(self) -> str:
        """The peer's address and port as one string, for logs; ``"unknown"`` on a Unix socket."""
        return describe_client(self._client)

    @property
    def unaccepted(self) -> bool:
        """True while the handshake has been neither accepted nor refused."""
        return self._phase is _HANDSHAKE

    @property
    def closed(self) -> bool:
        """True once either side has closed the connection, or it was lost, or the handshake was refused."""
        if self._phase is _CLOSED or self._stream.closed is not None:
            return True
        self._stream.watch_for_disconnect()
        return False

    @property
    def ready(self) -> bool:
        """True from ``accept()`` until the connection is closed or lost."""
        return self._phase is _OPEN and not self.closed

    @property
    def supports_accept_headers(self) -> bool:
        """True when the ASGI server supports ``accept(headers=...)``."""
        return self._spec_version != "2.0"

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
        return self._stream.connection

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
        return None if self._stream.closed is None else self._stream.closed.code

    @property
    def close_reason(self) -> str | None:
        """The close reason once the connection is closed (an empty string when there was none), None before."""
        return None if self._stream.closed is None else self._stream.closed.reason

    # Handshake

    async def accept(self, subprotocol: str | None = None, headers: Headers | None = None) -> None:
        """Complete the handshake.

        Args:
            subprotocol: One of ``subprotocols``, or None to choose none.
            headers: Headers to add to the response: a mapping, or pairs of name and value; ASCII only.

        Raises:
            WebSocketDisconnected: The client is gone.
            OperationNotAllowed: The handshake is over already, or the server cannot send headers.
            ValueError: The client does not offer *subprotocol*; a header has a name that is not a token, or a line
                break or NUL in its value; *headers* have a subprotocol.
        """
        if self._phase is _OPEN and not self.closed:
            raise OperationNotAllowed("accept() may only be called once on an open WebSocket connection")
        if self._phase is not _HANDSHAKE:
            raise OperationNotAllowed("accept() may not be called on a closed WebSocket connection")
        if self._stream.closed is not None:
            raise self._disconnected()
        event: dict[str, Any] = {"type": "websocket.accept"}
        if subprotocol is not None:
            if not isinstance(subprotocol, str):
                raise ValueError("WebSocket subprotocol must be a string")
            if subprotocol not in self.subprotocols:
                # RFC 6455 section 4.1: the client would fail the connection.
                raise ValueError(
                    f"The client does not offer the subprotocol {subprotocol!r}; "
                    f"it offers {', '.join(self.subprotocols) or 'none'}."
                )
            event["subprotocol"] = subprotocol
        if headers:
            event["headers"] = self._accept_headers(headers)
        try:
            await self._asgi(event)
        except OSError as error:
            raise WebSocketDisconnected(*self._stream.record_close(CloseCode.ABNORMAL, "")) from error
        self._phase = _OPEN
        self._accepted_subprotocol = subprotocol

    def _accept_headers(self, headers: Headers) -> list[tuple[bytes, bytes]]:
        encoded = _encode_headers(headers, "ascii")
        check_headers(encoded)
        if any(name == b"sec-websocket-protocol" for name, _ in encoded):
            raise ValueError("Pass the accepted subprotocol as subprotocol=, not as a sec-websocket-protocol header.")
        if not self.supports_accept_headers:
            raise OperationNotAllowed("The ASGI server that runs this app does not support accept headers.")
        return encoded

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
                not a token, or a line break or NUL in its value.

        Source: ASGI "WebSocket Denial Response".
        """
        code = falcon.http_status_to_code(status)
        if not 300 <= code <= 599:
            raise ValueError(f"Status {code} cannot refuse a handshake: use 300 to 599.")
        if sum(body is not None for body in (text, data, media)) > 1:
            raise ValueError("Give at most one of text, data and media.")
        encoded = _encode_headers(headers or (), "latin-1")
        content_type = b"text/plain; charset=utf-8"
        body = data or b""
        if text is not None:
            body = text.encode()
        elif media is not None:
            serialized = self._text.serialize(media)
            body = serialized.encode() if isinstance(serialized, str) else bytes(serialized)
            content_type = b"application/json"
        if body and not any(name == b"content-type" for name, _ in encoded):
            encoded.append((b"content-type", content_type))
        await self.send_denial(code, encoded, body)

    async def send_denial(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Refuse the handshake with an encoded HTTP response. ``App`` calls it; responders use ``deny()``."""
        if self._phase is not _HANDSHAKE:
            raise OperationNotAllowed("The handshake is over; close() ends an accepted connection")
        check_headers(headers)
        self._phase = _CLOSED
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
        self._stream.record_close(CloseCode.ABNORMAL, "")
        if not any(name == b"content-length" for name, _ in headers):
            headers = [*headers, (b"content-length", str(len(body)).encode())]
        try:
            await self._asgi({"type": "websocket.http.response.start", "status": status, "headers": headers})
            await self._asgi({"type": "websocket.http.response.body", "body": body, "more_body": False})
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
        if code is None:
            code = CloseCode.NORMAL
        check_close(code, reason)
        if self._phase is _CLOSED:
            return
        if self._phase is _OPEN and self._stream.connection is None:
            # Falcon's close() lets other tasks run first. Tests with Falcon's client rely on that: a WebSocket that is
            # closed at once must be open when they look.
            for _ in range(_YIELDS_BEFORE_CLOSE):
                await asyncio.sleep(0)
        # Another task may have closed it in the meantime.
        if self._phase is not _CLOSED:
            self._phase = _CLOSED
            self._stream.stop()
            if self._stream.closed is None:
                await self._send_close(code, reason)

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
        self._stream.record_close(code, reason)
        # daphne wants a plain int.
        event: dict[str, Any] = {"type": "websocket.close", "code": int(code)}
        if reason and supports_reason(self._spec_version):
            event["reason"] = reason
        try:
            await self._asgi(event)
        except OSError:
            return  # The peer closed first.
        except Exception:
            if CloseCode.NORMAL < code < _FIRST_LIBRARY_CODE:
                await self._send_stand_in(event)
            else:
                _logger.debug("WebSocket client %s left before it could be closed", self.client, exc_info=True)

    async def _send_stand_in(self, event: dict[str, Any]) -> None:
        """Close with 3001 for 1001 and so on: of the codes below 3000, daphne sends only 1000."""
        event["code"] += _FIRST_LIBRARY_CODE - CloseCode.NORMAL
        try:
            await self._asgi(event)
        except Exception:
            # The code was not the reason. uvicorn's websockets engine raises RuntimeError when the peer is gone.
            _logger.debug("WebSocket client %s could not be closed", self.client, exc_info=True)
        else:
            _logger.debug(
                "The ASGI server refuses a close code; WebSocket client %s gets %d", self.client, event["code"]
            )

    async def wait_disconnected(self) -> None:
        """Return once either side has closed the connection; ``close_code`` and ``close_reason`` then say how.

        Other tasks may receive and send in the meantime. Works before ``accept()`` too.
        """
        await self._stream.wait_closed()

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

        self._on_lost = callback
        self._stream.on_closed = self._closed
        if self._stream.closed is not None:
            self._closed()

    def _closed(self) -> None:
        if self._phase is not _CLOSED and self._on_lost is not None:
            self._on_lost()

    def when_first_used(self, callback: Callable[[], object]) -> None:
        """Call *callback* when the next send has returned, or before the next receive or wait. The hub calls it."""
        if isinstance(self._stream, FirstUseStream):
            self._stream.callbacks.append(callback)
            return
        stream, bypass, direct = self._stream, self._bypass, self._direct

        def on_used() -> None:
            self._stream, self._bypass, self._direct = stream, bypass, direct

        first_use = FirstUseStream(stream, on_used)
        first_use.callbacks.append(callback)
        # It passes on all other attributes.
        self._stream, self._bypass, self._direct = cast("Stream", first_use), None, None

    def release(self) -> None:
        """Stop what still runs in the background. Called by ``App`` when the responder has ended."""
        self._stream.stop()
        # The WebSocket and its stream would otherwise refer to each other until the garbage collector runs.
        self._stream.on_closed = self._on_lost = None

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
        if self._phase is not _OPEN:
            raise self._not_open()
        direct = self._direct
        if direct is not None and direct.try_send_text(payload):
            return
        bypass = self._bypass
        if bypass is None or not bypass.may_bypass_send:
            await self._stream.send(payload)
            return
        if bypass.closed is not None:
            raise self._disconnected()
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
        if self._phase is not _OPEN:
            raise self._not_open()
        # bytes() returns bytes as they are, and copies the others, so that the caller may reuse its buffer.
        await self._stream.send(bytes(payload))

    async def send_media(self, media: object, payload_type: WebSocketPayloadType = WebSocketPayloadType.TEXT) -> None:
        """Send *media* as one message of *payload_type*, serialized by the handler configured for that type.

        Handlers are configured in ``app.ws_options.media_handlers``. Raises the errors of ``send_text()`` and of the
        handler.
        """
        if self._phase is not _OPEN:
            raise self._not_open()
        if payload_type is WebSocketPayloadType.TEXT:
            await self._stream.send(self._text.serialize(media))
        else:
            await self._stream.send(bytes(self._binary.serialize(media)))

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
        if self._phase is not _OPEN:
            raise self._not_open()
        direct, bypass = self._direct, self._bypass
        if bypass is not None and bypass.may_bypass_receive and timeout is None and not bypass.receiving:
            bypass.receiving = True
            try:
                event = await bypass.asgi_receive()
            except BaseException:
                bypass.abandon()
                raise
            payload = bypass.received(event)
        elif direct is None or (payload := direct.try_receive()) is None:
            payload = await self._stream.receive(timeout)
        if payload is None:
            raise self._disconnected()
        return payload if type(payload) is str else self._as_text(payload)

    async def receive_data(self, timeout: float | None = None) -> bytes:
        """Return the payload of the next BINARY message. Otherwise like ``receive_text()``."""
        return self._as_data(await self.receive_payload(timeout))

    async def receive_media(self, timeout: float | None = None) -> Any:
        """Return the object in the next message, deserialized by the handler configured for its payload type.

        Raises:
            ValueError: The handler cannot decode the payload, which has been consumed. The default TEXT handler raises
                ``json.JSONDecodeError``. Left unhandled, it closes the connection with 1007.

        Also raises the errors of ``receive_text()``.
        """
        self._media = None
        return self._as_media(await self.receive_payload(timeout))

    async def receive_payload(self, timeout: float | None = None) -> Payload:
        """Return the payload of the next message: TEXT as ``str``, BINARY as ``bytes``.

        Everything else is as for ``receive_text()``, except PayloadTypeError, which is never raised.
        """
        if self._phase is not _OPEN:
            raise self._not_open()
        direct = self._direct
        if direct is None or (payload := direct.try_receive()) is None:
            payload = await self._stream.receive(timeout)
        if payload is None:
            raise self._disconnected()
        return payload

    def _as_text(self, payload: Payload) -> str:
        if isinstance(payload, str):
            return payload
        raise PayloadTypeError("Expected TEXT payload but got BINARY instead")

    def _as_data(self, payload: Payload) -> bytes:
        if isinstance(payload, str):
            raise PayloadTypeError("Expected BINARY payload but got TEXT instead")
        return payload

    def _as_media(self, payload: Payload) -> Any:
        handler: Any
        if isinstance(payload, str):
            handler, self._text_decoded = self._text, True
        else:
            handler, self._binary_decoded = self._binary, True
        try:
            self._media = media = handler.deserialize(payload)
        except (ValueError, ArithmeticError, RecursionError) as error:
            self.undecodable = error
            raise
        return media

    def inexpressible(self, error: BaseException) -> bool:
        """Return whether *error* comes from a media handler that cannot express what the client has sent.

        For example, MessagePack has bytes, and JSON does not. ``App`` calls this for an error that nobody has handled.
        """
        traceback = error.__traceback__
        while traceback is not None:
            code, variables = traceback.tb_frame.f_code, traceback.tb_frame.f_locals
            handler = variables.get("self")
            if code.co_name == "serialize" and isinstance(handler, (TextBaseHandlerWS, BinaryBaseHandlerWS)):
                if not _can_serialize(handler, self._media):
                    return True
                # Another task may have received more since. What only the handler of the client's messages can express
                # has come in one of them.
                text = isinstance(handler, TextBaseHandlerWS)
                other, decoded = (self._binary, self._binary_decoded) if text else (self._text, self._text_decoded)
                return decoded and _can_serialize(other, variables.get(code.co_varnames[1]))
            traceback = traceback.tb_next
        return False

    def __aiter__(self) -> AsyncIterator[Any]:
        """Iterate over the objects that ``receive_media()`` returns, until the peer leaves."""
        return _Messages(self, self._as_media)

    def iter_text(self) -> AsyncIterator[str]:
        """Iterate over the payloads of incoming TEXT messages until the peer leaves.

        ``close_code`` then says how. Raises the errors of ``receive_text()`` except WebSocketDisconnected.
        """
        return _Messages(self, self._as_text, str)

    def iter_data(self) -> AsyncIterator[bytes]:
        """Iterate over the payloads of incoming BINARY messages until the peer leaves; see ``iter_text()``."""
        return _Messages(self, self._as_data, bytes)

    def iter_payloads(self) -> AsyncIterator[Payload]:
        """Iterate over the payloads of incoming messages, of both types, until the peer leaves; see ``iter_text()``."""
        return _Messages(self, _unchanged, str)

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
        return _Messages(self, decode, refuse=refuse)  # type: ignore[arg-type]

    # Errors

    def _not_open(self) -> Exception:
        if self._phase is _HANDSHAKE:
            return OperationNotAllowed("WebSocket connection has not yet been accepted")
        return self._disconnected()

    def _disconnected(self) -> WebSocketDisconnected:
        closed = self._stream.closed
        return WebSocketDisconnected() if closed is None else WebSocketDisconnected(*closed)


class _Messages(Generic[_T]):
    """An asynchronous iterator over messages, until the connection is closed.

    Args:
        ws: The connection.
        convert: Converts a payload to what the iterator yields.
        kind: The type of payload that *convert* returns unchanged.
        refuse: Awaited with a payload that *convert* raises an error for; it then gets TEXT payloads only.
    """

    __slots__ = ("_convert", "_kind", "_refuse", "_ws")

    def __init__(
        self,
        ws: WebSocket,
        convert: Callable[[Payload], _T],
        kind: type[str | bytes] | None = None,
        refuse: Callable[[Payload, Exception, int], Awaitable[None]] | None = None,
    ) -> None:
        self._ws = ws
        self._convert = convert
        self._kind = kind
        self._refuse = refuse

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _T:
        ws = self._ws
        if self._kind is None:
            ws._media = None
        refused = 0
        while True:
            # What `receive_text()` does, without its coroutine.
            direct, bypass = ws._direct, ws._bypass
            payload: Payload | None
            if ws._phase is not _OPEN or (direct is None and bypass is None):
                try:
                    payload = await ws.receive_payload()
                except WebSocketDisconnected:
                    raise StopAsyncIteration from None
            elif bypass is not None and bypass.may_bypass_receive and not bypass.receiving:
                bypass.receiving = True
                try:
                    event = await bypass.asgi_receive()
                except BaseException:
                    bypass.abandon()
                    raise
                payload = bypass.received(event)
            elif direct is None or (payload := direct.try_receive()) is None:
                payload = await ws._stream.receive()
            if payload is None:
                raise StopAsyncIteration
            if self._refuse is None:
                return payload if type(payload) is self._kind else self._convert(payload)  # type: ignore[return-value]
            try:
                if type(payload) is str:
                    return self._convert(payload)
                raise PayloadTypeError("Expected TEXT payload but got BINARY instead")
            except Exception as error:
                refused += 1
                try:
                    await self._refuse(payload, error, refused)
                except WebSocketDisconnected:
                    raise StopAsyncIteration from None


def _unchanged(payload: Payload) -> Payload:
    return payload


def _encode_headers(headers: Headers, encoding: str) -> list[tuple[bytes, bytes]]:
    pairs = headers.items() if isinstance(headers, Mapping) or hasattr(headers, "items") else headers
    return [(name.lower().encode("ascii"), value.encode(encoding)) for name, value in pairs]


def _can_serialize(handler: TextBaseHandlerWS | BinaryBaseHandlerWS, media: object) -> bool:
    try:
        handler.serialize(media)
    except Exception:
        return False
    return True


def describe_client(client: Any) -> str:
    # A Unix socket has no peer address. A proxy's header may have set the address to any text.
    return f"{escape_for_log(client[0], 64)}:{client[1]}" if client else "unknown"


def supports_reason(spec_version: str) -> bool:
    """Return whether ``websocket.close`` may have a reason, as of ASGI's WebSocket specification 2.3."""
    return _version(spec_version) >= (2, 3)


@lru_cache(maxsize=8)
def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))
