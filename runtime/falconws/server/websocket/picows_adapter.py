"""picows' protocol, put on a transport that has spoken HTTP so far. All that is peculiar to picows is here.

picows expects to read the handshake itself from a TCP socket of its own. Here the request that it reads is a
stand-in, its response is replaced by ours, and so is the transport: `close` is ours to decide, and TCP
options are not set on what may be a Unix socket.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, cast

from picows import WSAutoPingStrategy, WSUpgradeRequest, WSUpgradeResponseWithListener
from picows.picows import WSProtocol  # type: ignore[attr-defined]

if TYPE_CHECKING:
    from falconws.server.websocket.connection import Connection

_READ_BUFFER_BYTES = 2048
_MAX_READ_BYTES = 65_536
"""picows doubles its buffer when a read fills it. A bound on the read bounds the buffer, and the
number of tiny messages that one read can bring."""


class _ParserLog:
    """The logger that picows is given: it says nothing, and passes on what picows tells nobody else.

    picows answers a frame that it cannot parse with a close frame of its own, and its only other
    trace of that is a log message. It parses one frame ahead, so the frame before may still come.
    """

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection: Connection | None = connection

    def forget(self) -> None:
        """Let go of the connection, which holds this log by way of picows' transport."""
        self._connection = None

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name of logging.Logger's method
        return False

    def info(self, *_: Any) -> None:
        pass

    debug = log = warning = info

    def error(self, message: str, *arguments: Any) -> None:
        code, reason = arguments[0]
        if self._connection is not None and self._connection.parser_refuses(int(code), str(reason)):
            raise _AnsweredError

    def exception(self, message: str, *_: Any) -> None:
        # Raised by our own callbacks, or for want of memory: it must be seen.
        logging.getLogger("falconws.server").exception("%s", message)
        if self._connection is not None:
            self._connection.parser_refuses(1011, "")


class _AnsweredError(Exception):
    """Breaks out of picows before it sends a close frame behind ours."""


class _Socket:
    """The socket's number, without the TCP options that picows would set and read."""

    __slots__ = ("_number",)

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        return self._number

    def setsockopt(self, *_: Any) -> None:
        pass

    def getsockopt(self, *_: Any) -> int:
        return 0


class _Carrier:
    """The transport as picows sees it: it writes, and cannot close."""

    __slots__ = ("_is_tls", "_socket", "get_write_buffer_size", "write", "writelines")

    def __init__(self, transport: Any) -> None:
        self._socket = _Socket(transport.get_extra_info("socket").fileno())
        self._is_tls = transport.get_extra_info("ssl_object")
        self.write = transport.write
        self.writelines = transport.writelines
        self.get_write_buffer_size = transport.get_write_buffer_size

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        # The addresses, which picows only logs, are not worth finding out.
        return self._socket if name == "socket" else self._is_tls if name == "ssl_object" else default

    def close(self) -> None:
        pass

    abort = close


class _Response:
    """The 101 response, already rendered."""

    __slots__ = ("_rendered",)

    status = HTTPStatus.SWITCHING_PROTOCOLS
    headers: ClassVar[dict[str, str]] = {}
    """picows writes its answer to the stand-in's key here, always the same one; nobody reads it."""

    def __init__(self, rendered: bytes) -> None:
        self._rendered = rendered

    def to_bytes(self) -> bytearray:
        rendered, self._rendered = self._rendered, b""
        return bytearray(rendered)


class FrameProtocol(WSProtocol):  # type: ignore[misc]
    """picows' parser and writer for one accepted connection."""

    __slots__ = ("log",)

    log: _ParserLog

    def get_buffer(self, size_hint: int) -> memoryview:
        view: memoryview = _get_buffer(self, size_hint)
        return view[:_MAX_READ_BYTES]

    def buffer_updated(self, nbytes: int) -> None:
        try:
            _buffer_updated(self, nbytes)
        except _AnsweredError:
            # Its parser is in no state to go on, and nothing is to come.
            self.listener.discard_input()

    def eof_received(self) -> bool:
        self.listener.end_of_stream()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        _connection_lost(self, exc)
        self.log.forget()


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
"""picows parses a request before it asks for the listener, and judges it after: so what it parses is
empty, and what it judges is given to it in between."""


def switch_protocols(transport: Any, connection: Connection, response: bytes, max_frame_bytes: int) -> None:
    """Send *response* on *transport* and let picows feed *connection* with what comes from now on."""

    def listen(request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        request.headers = cast(Any, _STAND_IN_HEADERS)
        return WSUpgradeResponseWithListener(cast(Any, _Response(response)), connection)

    log = _ParserLog(connection)
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
    protocol.connection_made(_Carrier(transport))
    _get_buffer(protocol, -1)[: len(_STAND_IN)] = _STAND_IN
    _buffer_updated(protocol, len(_STAND_IN))
    transport.set_protocol(protocol)


def feed(protocol: Any, data: bytes) -> None:
    """Give *data* to *protocol* as if it had been read, up to where the conversation ends."""
    view = memoryview(data)
    while view and not protocol.transport.is_close_frame_sent:
        buffer = protocol.get_buffer(len(view))
        size = min(len(buffer), len(view))
        buffer[:size] = view[:size]
        protocol.buffer_updated(size)
        view = view[size:]
