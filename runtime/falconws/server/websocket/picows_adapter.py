"""picows' protocol on a transport that has spoken HTTP so far. Everything that is peculiar to picows is here.

picows expects to read the handshake itself from a TCP socket of its own. Here the request that it reads is a stand-in,
its response is replaced by ours, and so is the transport: `Connection` decides when to close it, and TCP options are
not set on what may be a Unix socket. It must not know ASGI.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

from picows import WSAutoPingStrategy, WSUpgradeResponseWithListener
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from falconws.closecodes import CloseCode, is_sendable

if TYPE_CHECKING:
    from falconws.server.websocket.connection import Connection
    from falconws.server.websocket.inbox import Inbox

_READ_BUFFER_BYTES = 2048
_FIRST_BUFFER_BYTES = 1792
"""The part of a buffer of that size that picows fills at first."""
_MAX_READ_BYTES = 65_536
"""picows doubles its buffer when a read fills it. Limiting a read limits the buffer, and the number of tiny messages
that one read can bring."""


class _ParserLog:
    """The logger that picows is given: it logs nothing, and reports what picows reports in no other way.

    picows answers a frame that it cannot parse with a close frame of its own, and its only other trace of that is a log
    message. It parses one frame ahead, so the frame before may still come.
    """

    __slots__ = ("protocol",)

    def __init__(self) -> None:
        self.protocol: FrameProtocol | None = None

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name of logging.Logger's method
        return False

    def info(self, *_: Any) -> None:
        pass

    debug = log = warning = info

    def error(self, message: str, *arguments: Any) -> None:
        code, reason = arguments[0]
        if self.protocol is not None and self.protocol.parser_failed(int(code), str(reason)):
            raise _AnsweredError

    def exception(self, message: str, *_: Any) -> None:
        # Our own callbacks have raised it, or memory is short: it must be seen.
        logging.getLogger("falconws.server").exception("%s", message)
        if self.protocol is not None:
            self.protocol.parser_failed(CloseCode.INTERNAL_ERROR, "")


class _AnsweredError(Exception):
    """Raised to leave picows before it sends a close frame after ours."""


class _SocketShim:
    """The number of the socket, without the TCP options that picows would set and log.

    picows asks for six options of each connection. A builtin function answers faster than a method.
    """

    __slots__ = ("_number",)

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        return self._number

    setsockopt = getsockopt = max


class _TransportShim:
    """The transport as picows sees it: picows writes to it, and cannot close it."""

    __slots__ = ("_is_tls", "_socket", "get_write_buffer_size", "write", "writelines")

    def __init__(self, transport: Any) -> None:
        self._socket = _SocketShim(transport.get_extra_info("socket").fileno())
        self._is_tls = transport.get_extra_info("ssl_object")
        self.write = transport.write
        self.writelines = transport.writelines
        self.get_write_buffer_size = transport.get_write_buffer_size

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        # Looking up the addresses costs time, and picows only logs them.
        return self._socket if name == "socket" else self._is_tls if name == "ssl_object" else default

    def close(self) -> None:
        pass

    abort = close


class _Response:
    """The 101 response, already rendered."""

    __slots__ = ("_rendered",)

    status = HTTPStatus.SWITCHING_PROTOCOLS
    headers: ClassVar[dict[str, str]] = {}
    """picows writes its answer to the key of the stand-in here, always the same one; it is never read."""

    def __init__(self, rendered: bytes) -> None:
        self._rendered = rendered

    def to_bytes(self) -> bytearray:
        rendered, self._rendered = self._rendered, b""
        return bytearray(rendered)


class FrameProtocol(WSProtocol):  # type: ignore[misc]
    """picows' parser and writer for one accepted connection."""

    __slots__ = ("_buffer_bytes", "_empty", "connection", "log")

    connection: Connection
    log: _ParserLog
    _buffer_bytes: int
    _empty: memoryview | None
    """The buffer, if it was empty before the read."""

    def get_buffer(self, size_hint: int) -> memoryview:
        view: memoryview = _get_buffer(self, size_hint)
        free = len(view)
        if free == self._buffer_bytes <= _MAX_READ_BYTES:
            # It is empty, as nearly always.
            self._empty = view
            return view
        self._empty = None
        if free > self._buffer_bytes:
            self._buffer_bytes *= 2
        # One byte stays free: picows doubles a full buffer, whose size would then no longer be known.
        return view[: free - 1 if free <= _MAX_READ_BYTES else _MAX_READ_BYTES]

    def buffer_updated(self, nbytes: int) -> None:
        inbox: Inbox = self.listener
        buffer_bytes = self._buffer_bytes
        if nbytes <= buffer_bytes >> 1:
            # picows parses it where it is, because the buffer need not grow.
            inbox.read, inbox.read_bytes, inbox.frame_at = self._empty, nbytes, 0
        else:
            inbox.read = None
            if nbytes == buffer_bytes:
                # picows is about to double it.
                self._buffer_bytes *= 2
        try:
            _buffer_updated(self, nbytes)
        except _AnsweredError:
            # The parser cannot continue, and nothing more is expected.
            self._discard_input()
            return
        # The memory may move with the next read, and an idle connection needs no view of it.
        inbox.read = self._empty = None
        inbox.uncounted_bytes -= nbytes
        if inbox.uncounted_bytes < 0:
            inbox.count()

    @property
    def partial_bytes(self) -> int:
        """How many bytes of an incomplete frame are in the buffer.

        picows does not tell. It tells what is free, and doubles the buffer when it is nearly full.
        """
        free = len(_get_buffer(self, -1))
        return (2 * self._buffer_bytes if free > self._buffer_bytes else self._buffer_bytes) - free

    def parser_failed(self, code: int, reason: str) -> bool:
        """Called when picows cannot parse the next frame, before it sends a close frame that says so.

        Return whether it must not send that, because the client had closed before and was answered.
        """
        state, handshake = self.connection.state, self.transport.close_handshake
        if handshake is None or handshake.recv is None:
            # The frame before has not been delivered yet, and is still good. picows would resume with
            # a frame that is too large where it stopped, and deliver it after all.
            self._discard_input()
            asyncio.get_running_loop().call_soon(self._fail, code, reason)
            return False
        # The client's close frame is parsed, if not delivered.
        theirs = int(handshake.recv.code)
        if theirs and state.is_open and not is_sendable(theirs):
            state.fail(CloseCode.PROTOCOL_ERROR, f"close code {theirs} must not be sent")
        else:
            state.client_closed(theirs or CloseCode.NO_STATUS, handshake.recv.reason or "")
        return True

    def _fail(self, code: int, reason: str) -> None:
        if self.connection.state.is_open:
            self.connection.state.failed(code, reason)
        else:
            self.connection.state.client_closed(CloseCode.NO_STATUS, "")

    def _discard_input(self) -> None:
        transport = self.connection.transport
        if not transport.is_closing():
            transport.pause_reading()

    def pause_writing(self) -> None:
        self.connection.pause_writing()

    def resume_writing(self) -> None:
        self.connection.resume_writing()

    def eof_received(self) -> bool:
        self.connection.state.end_of_stream()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        _connection_lost(self, exc)
        self.connection.state.lost()
        # It refers to this object, and picows refers to it: break the cycle.
        self.log.protocol = None


_get_buffer = WSProtocol.get_buffer
_buffer_updated = WSProtocol.buffer_updated
_connection_lost = WSProtocol.connection_lost


_STAND_IN = b"GET / HTTP/1.1\r\n\r\n"
_STAND_IN_HEADERS = {
    "upgrade": "websocket",
    "connection": "upgrade",
    "sec-websocket-version": "13",
    "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
}
"""picows parses a request before it asks for the listener, and checks it after. So the request that it parses is empty,
and the headers that it checks are set in between."""


def switch_protocols(transport: Any, connection: Connection, response: bytes, max_frame_bytes: int) -> None:
    """Send *response* on *transport*, and let picows feed *connection* with everything that comes from now on."""

    def listen(request: Any) -> WSUpgradeResponseWithListener:
        request.headers = _STAND_IN_HEADERS
        rendered: Any = _Response(response)
        return WSUpgradeResponseWithListener(rendered, connection.inbox)

    log = _ParserLog()
    protocol = FrameProtocol(
        None,
        None,
        False,
        listen,
        log,
        True,
        None,
        False,
        0,
        0,
        WSAutoPingStrategy.PING_WHEN_IDLE,
        False,
        max_frame_bytes,
        None,
        _READ_BUFFER_BYTES,
    )
    protocol.log = log
    protocol.connection = connection
    protocol._empty = None
    protocol._buffer_bytes = _FIRST_BUFFER_BYTES
    log.protocol = protocol
    protocol.connection_made(_TransportShim(transport))
    _get_buffer(protocol, -1)[: len(_STAND_IN)] = _STAND_IN
    _buffer_updated(protocol, len(_STAND_IN))
    connection.connected(protocol.transport)
    transport.set_protocol(protocol)


def feed(protocol: Any, data: bytes | bytearray) -> None:
    """Feed *data* to *protocol* as if it had been read, up to the end of the conversation."""
    view = memoryview(data)
    while view and not protocol.transport.is_close_frame_sent:
        buffer = protocol.get_buffer(len(view))
        size = min(len(buffer), len(view))
        buffer[:size] = view[:size]
        protocol.buffer_updated(size)
        view = view[size:]
