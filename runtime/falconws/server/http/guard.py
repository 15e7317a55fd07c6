"""The guard in front of uvicorn's HTTP protocols: what reaches their parsers is one valid request at a time.

It reads requests with a `RequestFramer`, whichever parser is behind it, and owns everything that a client can do wrong
before the application sees it: limits, deadlines, upgrades, pipelining and half-closed connections. A foreign Upgrade
header is removed; a WebSocket handshake is handed to the engine after the response to the request in front of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT

from falconws.log_throttle import LogThrottle
from falconws.server.addresses import plain_host
from falconws.server.handshake import check_handshake, plain_denial
from falconws.server.http.deadlines import BodyDeadline, ResponseDeadline
from falconws.server.http.framing import END, RequestFramer
from falconws.server.http.reading import HttpReading
from falconws.server.http.shutdown import EarlyResponseTransport, GracefulHttp, restore_methods
from falconws.server.lingering_close import abort_when_flushed
from falconws.server.request_head import RequestError, RequestHead
from falconws.server.socket_state import client_has_left, client_sends_no_more
from falconws.server.tls import tls_extension

_REFUSAL_CLOSE_S = 2.0
"""The time for a client to read why its request was refused."""
_MAX_WAITING_BYTES = 65_536
"""Reading pauses when more than this waits behind the present request."""
_MAX_CHUNKS_AT_A_TIME = 200
"""Chunks of a body that are read before the event loop serves other connections."""
_WEBSOCKETS_MAX_LINE_BYTES = 8190
_WEBSOCKETS_MAX_LINES = 128
"""The limits of the websockets package for a handshake; it neither answers nor closes above them."""


_throttle = LogThrottle(logging.getLogger("uvicorn.error"))


class GuardedHttp(GracefulHttp):
    """A mixin for uvicorn's HTTP protocol classes, which serve what it lets through."""

    flow: HttpReading
    parser: Any
    _chunked: bool
    head_deadline: float | None = None
    """When the first head is due, if the demultiplexer has waited for it already. Time of the loop."""
    _refused = False
    """Whether what the client still sends is discarded."""
    _discarded_bytes = 0
    _advancing = False
    _half_closed = False
    """Whether the client has closed its sending side and waits for its responses."""
    _receives_body = False
    """Whether the body of the present request is not complete."""
    _awaits_disconnect = False
    """Whether the application has the whole request, and waits for the client to leave."""
    _body_deadline: BodyDeadline | None = None
    _response_deadline: ResponseDeadline | None = None

    def __init__(self, config: Any, server_state: Any, app_state: dict[str, Any], _loop: Any = None) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._framer = RequestFramer(config.http_settings)

    # The transport.

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.flow = HttpReading(transport, self.loop, self._look_while_paused)
        if self.client is not None:
            self.client = plain_host(self.client[0]), self.client[1]
        self._start_deadline()
        if self.config.going_away:
            self.shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        self.flow.stop()
        self._stop_deadline()
        self._stop_body_deadline()
        self._stop_response_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._refused:
            self._framer.feed(data)
            self._advance()
        elif self._awaits_disconnect:
            self._discarded_bytes += len(data)
            if self._discarded_bytes > self.config.http_settings.max_body_bytes:
                self.transport.abort()

    def eof_received(self) -> bool:  # type: ignore[override] # uvicorn's returns nothing, and asyncio takes a bool
        """Answer what the client has sent before it closed its side (RFC 9112 section 9.6)."""
        if self._refused or self._awaits_disconnect or self.transport.get_extra_info("sslcontext") is not None:
            # An application may wait for just this; and TLS has no half-closed state.
            return False
        self._half_closed = True
        self._advance()
        return True

    def _look_while_paused(self) -> None:
        """Close if the client has left, or has closed its side and the application waits for just this."""
        if client_has_left(self.transport):
            self.transport.abort()
        elif client_sends_no_more(self.transport) and (self._awaits_disconnect or self.transport.is_closing()):
            if not self.transport.is_closing():
                self.transport.close()
            # TLS would wait for an answer that is behind what is not read.
            abort_when_flushed(self.transport, self.loop)
        elif self._awaits_disconnect and self._is_responding():
            self._serve_no_further_request()

    def _serve_no_further_request(self) -> None:
        """Discard the requests behind the present one, whose application waits for the client to leave.

        The end of the stream may be behind more than the kernel holds. The client has to send these requests again
        (RFC 9112 section 9.3.2).
        """
        self._refused = True
        self._framer.take_rest()
        if not self.cycle.response_started:
            self._end_keep_alive()
        self.cycle.keep_alive = False
        self.cycle.transport = EarlyResponseTransport(
            self.transport, lambda: self._close_lingering(_REFUSAL_CLOSE_S, restart_while_sending=True)
        )
        self.flow.resume_reading()

    # Requests.

    def _advance(self) -> None:
        """Serve what has been received, up to the end of the first request that has no response yet."""
        if self._advancing:
            return
        self._advancing = True
        try:
            self._serve_buffered()
        except RequestError as error:
            self._refuse(error)
        finally:
            self._advancing = False
        if self._refused or self.transport.is_closing() or self not in self.server_state.connections:
            return
        if self._half_closed:
            self._close_when_answered()
        elif self._framer.expects_head and not self._is_responding():
            if self._framer.buffered:
                self._unset_keepalive_if_required()
                self._start_deadline()
            else:
                self._restart_keep_alive()
        elif self._framer.buffered > _MAX_WAITING_BYTES:
            self.flow.pause_reading()

    def _close_when_answered(self) -> None:
        """Close, unless a request of the client, which sends no more, is still to be answered."""
        if self.flow.held or (self._is_responding() and not self.cycle.more_body):
            return
        is_incomplete = self._framer.buffered or not self._framer.expects_head
        if is_incomplete and not (self._is_responding() and self.cycle.response_started):
            self._refuse(RequestError(400, "The connection ended before the request did."))
        else:
            self.transport.close()

    def _serve_buffered(self) -> None:
        framer = self._framer
        while not self.transport.is_closing():
            if framer.expects_head:
                if self._is_responding():
                    return
                head = framer.next_event()
                if head is None:
                    return
                assert isinstance(head, RequestHead)
                self._stop_deadline()
                if head.asks_for_websocket:
                    self._open_websocket(head)
                    return
                self._begin_request(head)
            elif not self._serve_body():
                return

    def _serve_body(self) -> bool:
        """Pass on the part of the body that is here; return whether that is all of it."""
        pieces: list[bytes] = []
        while isinstance(event := self._framer.next_event(), bytes):
            pieces.append(event)
            if len(pieces) == _MAX_CHUNKS_AT_A_TIME:
                break
        if pieces:
            data = b"".join(pieces)
            if self._body_deadline is not None:
                self._body_deadline.received(len(data))
            self._feed(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        if isinstance(event, bytes):
            # Many tiny chunks: other connections come first.
            self.flow.hold()
            self.loop.call_soon(self._go_on)
            return False
        if event is None:
            return False
        assert event is END
        self._receives_body = False
        self._stop_body_deadline()
        if self._chunked:
            self._feed(b"0\r\n\r\n")
        return True

    def _go_on(self) -> None:
        self.flow.release(resume=self.cycle is None or len(self.cycle.body) <= HIGH_WATER_LIMIT)
        if not self._refused and self in self.server_state.connections:
            self._advance()

    def _begin_request(self, head: RequestHead) -> None:
        self._chunked = head.content_length is None
        self._awaits_disconnect = False
        before = self.cycle
        self._feed(head.as_plain_http())
        if self.cycle is before:
            return
        self._receives_body = True
        self._prepare_response()
        if (tls := tls_extension(self.transport)) is not None:
            self.cycle.scope.setdefault("extensions", {})["tls"] = tls
        self.cycle.receive = self._watching(self.cycle, self.cycle.receive)
        if head.version == b"1.0":
            self.cycle.send = _without_chunks(self.cycle, self.cycle.send)
        self._start_deadlines(head)

    def _feed(self, data: bytes) -> None:
        """Give *data* to uvicorn's parser."""
        super().data_received(data)

    def _close_lingering(self, timeout_s: float, *, restart_while_sending: bool = False) -> None:
        self._stop_body_deadline()
        if self._half_closed:
            self.transport.close()
        else:
            super()._close_lingering(timeout_s, restart_while_sending=restart_while_sending)

    def on_response_complete(self) -> None:
        if self.cycle is not None:
            restore_methods(self.cycle)
        super().on_response_complete()
        if self._framer.buffered or self._half_closed:
            self._advance()

    def _watching(
        self, cycle: Any, receive: Callable[[], Awaitable[dict[str, Any]]]
    ) -> Callable[[], Awaitable[dict[str, Any]]]:
        """Return *receive* of *cycle*, which also tells the application that the client has closed its side."""
        complete = False

        async def watching_receive() -> dict[str, Any]:
            nonlocal complete
            if complete:
                self._awaits_disconnect = True
                if self._half_closed:
                    cycle.disconnected = True
                    self.transport.close()
            event = await receive()
            complete = not event.get("more_body", False)
            return event

        return watching_receive

    def _is_responding(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _has_partial_request(self) -> bool:
        return self._framer.expects_head and self._framer.buffered > 0 and not self._is_responding()

    # WebSockets.

    def _open_websocket(self, head: RequestHead) -> None:
        """Hand the connection to the WebSocket engine, with everything that came behind the handshake."""
        request = check_handshake(head)
        if self._half_closed:
            # The client cannot take part in a conversation.
            self.transport.close()
            return
        if not self.config.engine_is_fast:
            self._check_size_for_websockets(head)
        self._unset_keepalive_if_required()
        self.server_state.connections.discard(self)
        self._stop_response_deadline()
        rest = self._framer.take_rest()
        protocol = self.config.ws_protocol_class(
            config=self.config, server_state=self.server_state, app_state=self.app_state
        )
        self.flow.resume_reading()
        self.flow.stop()
        protocol.connection_made(self.transport)
        self.transport.set_protocol(protocol)
        if self.config.engine_is_fast:
            protocol.begin(request, rest)
        else:
            lines = [b"%b: %b\r\n" % header for header in head.headers]
            protocol.data_received(b"GET %b HTTP/1.1\r\n%b\r\n" % (head.target, b"".join(lines)))
            if rest:
                protocol.data_received(rest)
        # Parser, cycle and protocol refer to each other; break the cycle.
        self.parser = self.cycle = None

    def _check_size_for_websockets(self, head: RequestHead) -> None:
        sizes = [len(name) + len(value) + 4 for name, value in head.headers]
        if max(sizes) > _WEBSOCKETS_MAX_LINE_BYTES or len(sizes) > _WEBSOCKETS_MAX_LINES:
            raise RequestError(431, "The head of the request is too large.")

    # Deadlines.

    def _start_deadline(self) -> None:
        timeout_s = self.config.connection_settings.handshake_timeout_s
        if self._deadline is None and timeout_s is not None:
            due, self.head_deadline = self.head_deadline, None
            self._deadline = self.loop.call_at(due or self.loop.time() + timeout_s, self._timed_out)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _timed_out(self) -> None:
        self._deadline = answer_timeout(self.transport, self.loop)

    def _start_deadlines(self, head: RequestHead) -> None:
        """Watch the body of the request that has begun, and the responses of the connection."""
        settings = self.config.http_settings
        if head.content_length != 0 and settings.body_timeout_s is not None:
            self._body_deadline = BodyDeadline(self.loop, settings, self._body_waits_for_app, self._body_timed_out)
        if self._response_deadline is None and settings.response_timeout_s is not None:
            self._response_deadline = ResponseDeadline(self.loop, settings, self.transport, self._response_timed_out)

    def _stop_body_deadline(self) -> None:
        if self._body_deadline is not None:
            self._body_deadline.stop()
            self._body_deadline = None

    def _stop_response_deadline(self) -> None:
        if self._response_deadline is not None:
            self._response_deadline.stop()
            self._response_deadline = None

    def _body_waits_for_app(self) -> bool:
        return bool(self.flow.read_paused) or self._waits_for_continue()

    def _body_timed_out(self) -> None:
        self._refuse(RequestError(408, "The body of the request did not arrive in time."))

    def _response_timed_out(self, why: str) -> None:
        client, request = self._described_request()
        _throttle.log_repeated(logging.WARNING, '%s - "%s" disconnected: %s', client, request, why)
        self.transport.abort()

    def _waits_for_continue(self) -> bool:
        return self.cycle.waiting_for_100_continue and not self.cycle.response_complete

    # The end.

    def _refuse(self, error: RequestError) -> None:
        """Answer *error* in place of the application, and close in a way that lets the client read the answer."""
        self._refused = True
        self._stop_deadline()
        self._stop_body_deadline()
        self._unset_keepalive_if_required()
        if self.transport.is_closing():
            return
        if self._receives_body and not self._is_responding():
            # The request was answered before its body came. The client would take another answer for that to its next
            # request.
            self.close_after_response()
            return
        self._log_refusal(error)
        if self._is_responding():
            # The application gets no more of the request, and its response is not sent.
            self._disconnect_application()
            if self.cycle.response_started:
                self.transport.abort()
                return
        headers = self.server_state.default_headers
        self.transport.write(plain_denial(error.status, error.message, default_headers=headers, headers=error.headers))
        self._close_lingering(_REFUSAL_CLOSE_S)

    def _log_refusal(self, error: RequestError) -> None:
        # The status is part of the message: refusals are throttled by status.
        message = f'%s - "%s" refused with {error.status}: %s'
        _throttle.log_repeated(logging.WARNING, message, *self._described_request(), error.message)

    def _described_request(self) -> tuple[str, str]:
        """Return the client's address, and method and target of the last request, for log lines."""
        head = self._framer.head
        scope: dict[str, Any] = {"type": "http", "client": self.client, "scheme": self.scheme, "headers": []}
        request = "?"
        if head is not None:
            request = f"{head.method.decode()} {head.target.decode()}"
            scope["headers"] = head.headers
            self.config.set_client(scope)
        return "{}:{}".format(*scope["client"]) if scope["client"] else "", request

    def _disconnect_application(self) -> None:
        self.cycle.disconnected = True
        self.cycle.message_event.set()


def _without_chunks(
    cycle: Any, send: Callable[[dict[str, Any]], Awaitable[None]]
) -> Callable[[dict[str, Any]], Awaitable[None]]:
    """Return *send* of *cycle*, whose response of unknown length ends with the connection, as HTTP/1.0 has it.

    uvicorn's protocol on httptools would send chunks (RFC 9112 section 6.1).
    """
    has_length = False

    async def send_without_chunks(event: dict[str, Any]) -> None:
        nonlocal has_length
        if event["type"] == "http.response.start":
            has_length = any(name.lower() == b"content-length" for name, _ in event.get("headers") or ())
            cycle.chunked_encoding = None if has_length else False
        elif not has_length:
            cycle.expected_content_length = len(event.get("body", b""))
        await send(event)

    return send_without_chunks


def answer_timeout(transport: Any, loop: asyncio.AbstractEventLoop) -> asyncio.TimerHandle | None:
    """Answer 408 to a request that has not arrived, and close; return the timer of the abort that follows."""
    if transport.is_closing():
        return None
    transport.write(plain_denial(408, "The request did not arrive in time."))
    transport.close()
    return loop.call_later(1.0, transport.abort)
