"""How the messages of one connection pass between the responder and the server, from ``accept()`` to the end.

Owns the phase of the connection, and the choice of the shortest path that it allows. Must not know media, handshakes or
the application.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from enum import Enum
from typing import Any

from .errors import OperationNotAllowed, WebSocketDisconnected
from .extension import ConnectionExtension
from .rate_limiter import RateLimiter
from .stream import AsgiStream, Close, Payload, Stream

__all__ = ("CLOSED", "HANDSHAKE", "OPEN", "MessagePath", "Phase")


class Phase(Enum):
    """What this side has done with the connection."""

    HANDSHAKE = "handshake"
    OPEN = "open"
    CLOSED = "closed"


# Used for every message: a module's global costs half as much as an attribute of an Enum class.
HANDSHAKE, OPEN, CLOSED = Phase


class MessagePath:
    """Passes messages through the stream of a connection, or offers a shortcut around it.

    ``direct`` and ``bypass`` are the shortcuts. They are None unless the connection is open and nothing must see every
    message on its way. A caller that cannot use one calls ``send()`` or ``receive()``.

    Args:
        stream: The stream of the connection.
        limiter: Receives from the stream in place of the caller; None where there is no rate limit.
    """

    __slots__ = ("_first_use_callbacks", "_limiter", "bypass", "direct", "phase", "stream")

    def __init__(self, stream: Stream, limiter: RateLimiter | None) -> None:
        self.stream = stream
        self.phase = HANDSHAKE
        self.direct: ConnectionExtension | None = None
        """The server's connection, where messages may be taken from it and given to it without awaiting."""
        self.bypass: AsgiStream | None = None
        """The stream, where its callables may be awaited directly, without another coroutine in between."""
        self._limiter = limiter
        self._first_use_callbacks: list[Callable[[], object]] | None = None

    def open(self) -> None:
        """Let messages pass. Called when the handshake was accepted."""
        self.phase = OPEN
        self._choose_shortcut()

    def close(self) -> None:
        """Let no further message pass, and stop what runs in the background. Called when this side closes."""
        self.phase = CLOSED
        self.stream.on_closed = None
        self._choose_shortcut()
        self.stop()

    def stop(self) -> None:
        """Stop what runs in the background."""
        if self._limiter is not None:
            self._limiter.stop()
        self.stream.stop()

    def _choose_shortcut(self) -> None:
        if self.phase is OPEN and self._limiter is None and not self._first_use_callbacks:
            self.direct, self.bypass = self.stream.connection, self.stream.bypass
        else:
            self.direct = self.bypass = None

    def receive(self, timeout: float | None = None) -> Coroutine[Any, Any, Payload | None]:
        """Return the payload of the next message, or None when the connection is closed; see ``Stream.receive()``."""
        if self.phase is not OPEN:
            if self.phase is HANDSHAKE:
                raise self.not_open()
            return _nothing()
        if self._first_use_callbacks:
            self._used()
        return self.stream.receive(timeout) if self._limiter is None else self._limiter.receive(self.stream, timeout)

    def send(self, payload: Payload) -> Coroutine[Any, Any, None]:
        """Send *payload*; see ``Stream.send()``."""
        if self.phase is not OPEN:
            raise self.not_open()
        return self._send_first(payload) if self._first_use_callbacks else self.stream.send(payload)

    def wait_closed(self) -> Coroutine[Any, Any, Close]:
        """Return how the connection was closed, once it is."""
        if self._first_use_callbacks:
            self._used()
        return self.stream.wait_closed()

    # The first use

    def when_first_used(self, callback: Callable[[], object]) -> None:
        """Call *callback* when the next send has returned, or before the next receive or wait."""
        self._first_use_callbacks = [*(self._first_use_callbacks or ()), callback]
        self._choose_shortcut()

    async def _send_first(self, payload: Payload) -> None:
        try:
            await self.stream.send(payload)
        finally:
            self._used()

    def _used(self) -> None:
        callbacks, self._first_use_callbacks = self._first_use_callbacks, None
        self._choose_shortcut()
        for callback in callbacks or ():
            callback()

    # Errors

    def not_open(self) -> Exception:
        """Return what to raise for an operation that needs an open connection."""
        if self.phase is HANDSHAKE:
            return OperationNotAllowed("WebSocket connection has not yet been accepted")
        return self.disconnected()

    def disconnected(self) -> WebSocketDisconnected:
        """Return what to raise when the connection is closed."""
        closed = self.stream.closed
        return WebSocketDisconnected() if closed is None else WebSocketDisconnected(*closed)


async def _nothing() -> None:
    return None
