"""The state of a connection, and everything that ends it.

Theory of operation. A connection moves through four states and never back:

    CONNECTING  the application has neither accepted nor denied (protocol.py owns this state)
    OPEN        messages flow
    CLOSING     our close frame is sent; the client has close_timeout_s to answer, and its messages are dropped
    CLOSED      nothing is sent or received any more; the transport closes or is closed

`closed` is set when CLOSING or CLOSED begins. It is what the application is told, once. Messages that came before it
can still be received. The end comes within a bounded time: see `CloseTimeout`. Knows its connection by the port below,
and neither frames nor ASGI.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

from falconws.closecodes import CloseCode, is_sendable
from falconws.server.errors import DisconnectedError
from falconws.server.lingering_close import lingering_close
from falconws.server.socket_state import delivered_bytes, undelivered_bytes
from falconws.server.websocket.settings import ConnectionSettings
from falconws.timeouts import Timeout

CONNECTING, OPEN, CLOSING, CLOSED = range(4)

_logger = logging.getLogger("falconws.server")


class EndingInbox(Protocol):
    """What the state asks of the connection's inbox."""

    def call_when_answered(self, callback: Callable[[], object], grace_s: float) -> None: ...
    def end(self, *, closed: bool) -> None: ...
    def detach(self) -> None: ...


class EndingConnection(Protocol):
    """What the state asks of its connection."""

    peer: str
    transport: Any

    @property
    def inbox(self) -> EndingInbox: ...
    def send_close(self, code: int, reason: str) -> tuple[int, str]: ...
    def stop_sending(self) -> None: ...


class ConnectionState:
    """The state of one connection.

    Attributes:
        closed: Close code and reason; None while the end has not begun.
    """

    __slots__ = (
        "_close_timeout",
        "_connection",
        "_disconnect_callbacks",
        "_loop",
        "_on_lost",
        "_settings",
        "_state",
        "closed",
    )

    def __init__(
        self, settings: ConnectionSettings, loop: asyncio.AbstractEventLoop, connection: EndingConnection
    ) -> None:
        self._settings = settings
        self._loop = loop
        self._connection = connection
        self._state = CONNECTING
        self._close_timeout: CloseTimeout | None = None
        self._disconnect_callbacks: list[Callable[[], object]] = []
        self._on_lost: Callable[[], object] | None = None
        self.closed: tuple[int, str] | None = None

    @property
    def is_connecting(self) -> bool:
        """Whether the handshake is not answered yet."""
        return self._state == CONNECTING

    @property
    def is_open(self) -> bool:
        """Whether the handshake was accepted, and the end has not begun."""
        return self._state == OPEN

    @property
    def close_code_and_reason(self) -> tuple[int, str]:
        """Close code and reason; 1006 while the end has not begun."""
        return self.closed or (int(CloseCode.ABNORMAL), "")

    def disconnected(self) -> DisconnectedError:
        """Return what is raised for a message that cannot be sent any more."""
        code, reason = self.close_code_and_reason
        return DisconnectedError(f"The connection has ended: {code} {reason}".rstrip())

    def add_disconnect_callback(self, callback: Callable[[], object]) -> None:
        """Call *callback* once, when the end begins."""
        if self.closed is None:
            self._disconnect_callbacks.append(callback)
        else:
            callback()

    def remove_disconnect_callback(self, callback: Callable[[], object]) -> None:
        """Remove *callback*; do nothing if it was called or never added."""
        if callback in self._disconnect_callbacks:
            self._disconnect_callbacks.remove(callback)

    # Beginning.

    def opened(self, on_lost: Callable[[], object]) -> None:
        """Enter OPEN; *on_lost* is called when the transport is closed."""
        self._state = OPEN
        self._on_lost = on_lost

    def denied(self) -> None:
        """Enter CLOSED; called when the handshake was refused, or ended without an answer."""
        if self._state == CONNECTING:
            self._finish(CLOSED, CloseCode.ABNORMAL, "")
            self._detach()

    # Ending.

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake; do nothing when the connection is ending already."""
        if self._state != OPEN:
            return
        if not is_sendable(code):
            raise ValueError(f"{code} is not a close code that may be sent")
        self._connection.send_close(code, reason)
        self._finish(CLOSING, code, reason)
        self._start_close_timeout()

    def close_when_idle(self, code: int, reason: str, grace_s: float) -> None:
        """Close as soon as the application has answered what was received; see `Inbox.call_when_answered`."""
        if self._state == OPEN:
            self._connection.inbox.call_when_answered(lambda: self.close(code, reason), grace_s)

    def client_closed(self, code: int, reason: str) -> None:
        """Complete the closing handshake; called when the client's close frame has come."""
        if self._state == OPEN:
            self._connection.send_close(code, reason)
        if self._state in (OPEN, CLOSING):
            self._shut_down(code, reason)

    def end_of_stream(self) -> None:
        """Called when the client has closed its sending side: it cannot complete a closing handshake any more."""
        if self._state in (OPEN, CLOSING):
            self._shut_down(CloseCode.ABNORMAL, "")

    def fail(self, code: int, reason: str) -> None:
        """Fail the connection: the client violated the protocol or a limit (RFC 6455 section 7.1.7)."""
        self.failed(*self._connection.send_close(code, reason))

    def failed(self, code: int, reason: str) -> None:
        """End the connection; called when the close frame that says why was sent."""
        _logger.info("%s - WebSocket failed with %d: %s", self._connection.peer, code, reason)
        self._finish(CLOSED, code, reason)
        lingering_close(self._connection.transport, self._loop, self._settings.close_timeout_s, self.lost)

    def evict(self, why: str) -> None:
        """Disconnect a client that does not keep up."""
        _logger.info("%s - WebSocket disconnected: %s", self._connection.peer, why)
        self._finish(CLOSED, CloseCode.ABNORMAL, "")
        self._connection.transport.abort()

    def lost(self) -> None:
        """Called when the transport is closed, for whatever reason."""
        if self._on_lost is not None:
            on_lost, self._on_lost = self._on_lost, None
            self._finish(CLOSED, CloseCode.ABNORMAL, "")
            self._stop_close_timeout()
            self._detach()
            on_lost()

    def _shut_down(self, code: int, reason: str) -> None:
        """Close the transport: the server does it first (RFC 6455 section 7.1.1)."""
        self._finish(CLOSED, code, reason)
        transport = self._connection.transport
        transport.close()
        if transport.get_write_buffer_size() or transport.get_extra_info("sslcontext") is not None:
            # It is not closed at once: data waits for the client, or TLS for the client's answer.
            self._start_close_timeout()

    def _start_close_timeout(self) -> None:
        self._stop_close_timeout()
        self._close_timeout = CloseTimeout(self._loop, self._settings, self._connection.transport)

    def _stop_close_timeout(self) -> None:
        if self._close_timeout is not None:
            self._close_timeout.stop()
            self._close_timeout = None

    def _finish(self, state: int, code: int, reason: str) -> None:
        """Enter *state*, CLOSING or CLOSED, and wake everything that waits; the first code and reason are told."""
        if self._state == CLOSED:
            return
        self._state = state
        self._connection.stop_sending()
        if self.closed is None:
            self.closed = (int(code), reason)
            callbacks, self._disconnect_callbacks = self._disconnect_callbacks, []
            for callback in callbacks:
                callback()
        self._connection.inbox.end(closed=state == CLOSED)

    def _detach(self) -> None:
        """Break the cycles with the connection, so that it does not wait for the garbage collector."""
        self._connection.inbox.detach()
        del self._connection


class CloseTimeout:
    """Aborts a transport whose client does not complete the closing handshake in `close_timeout_s`.

    The close frame may wait behind messages. The time starts again while the client takes these at `min_bytes_per_s`,
    and once more when it has taken them all.
    """

    __slots__ = ("_delivered", "_loop", "_settings", "_timeout", "_transport", "_was_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop, settings: ConnectionSettings, transport: Any) -> None:
        self._loop = loop
        self._settings = settings
        self._transport = transport
        self._was_waiting = transport.get_write_buffer_size() > 0
        self._delivered = delivered_bytes(transport) if self._was_waiting else None
        self._timeout = Timeout(loop, settings.close_timeout_s, self._check)

    def _check(self) -> None:
        timeout_s = self._settings.close_timeout_s
        delivered = delivered_bytes(self._transport)
        if undelivered_bytes(self._transport):
            # The first time, it is not known yet what the client has taken before.
            min_bytes = self._settings.min_bytes_per_s * timeout_s
            alive = self._delivered is None or delivered - self._delivered >= min_bytes
            self._was_waiting = True
        else:
            alive, self._was_waiting = self._was_waiting, False
        if alive:
            self._delivered = delivered
            self._timeout = Timeout(self._loop, timeout_s, self._check)
        else:
            self._transport.abort()

    def stop(self) -> None:
        """Called when the transport is closed."""
        self._timeout.cancel()
