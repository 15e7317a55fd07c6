"""One WebSocket connection as an ASGI server handles it, without a network.

Owns the application's task, the order of events, flow control, and how the connection was closed. Knows nothing of
media, time limits or Falcon.

Source: ASGI "HTTP & WebSocket ASGI Message Format", version 2.5, and its extension "Websocket Denial Response".
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple, NoReturn

from falconws.closecodes import CloseCode, check_close
from falconws.stream import Close

from .asgi import ASGIApp, Event, Scope, suspended_at

__all__ = ("Accepted", "ClientGoneError", "Connection", "Denied")

_MAX_DENIAL_BYTES = 16 * 2**20
"""A denial's body is kept whole; an application that streams without end must not fill the memory."""

HeaderList = list[tuple[bytes, bytes]]


class Accepted(NamedTuple):
    """The application's answer to the handshake: 101."""

    subprotocol: str | None
    headers: HeaderList


class Denied(NamedTuple):
    """The application's answer to the handshake: any other HTTP response."""

    status: int
    headers: HeaderList
    body: bytes


class ClientGoneError(OSError):
    """Raised by ``send`` once the connection has ended (ASGI "Disconnected Client - send exception")."""


class _State(Enum):
    CONNECTING = "it had not received 'websocket.connect'"
    HANDSHAKE = "the responder had neither accepted nor denied the handshake"
    DENYING = "it had begun a denial response whose body was not complete"
    OPEN = "the connection was open"
    CLOSED = "the connection had ended"


class Connection:
    """Runs the application for one WebSocket scope.

    Args:
        app: Any ASGI application.
        scope: The connection scope.
        backlog: How many messages wait in each direction before the sender has to wait for the receiver.
    """

    def __init__(self, app: ASGIApp, scope: Scope, backlog: int) -> None:
        self.answer: Accepted | Denied | None = None
        """``None`` until the handshake is over."""
        self.ended: Close | None = None
        """``None`` while the connection is open, and for one that was never accepted."""
        self.messages: deque[str | bytes] = deque()
        """Messages that the application has sent, and the client has not received yet."""
        self.failure: BaseException | None = None
        """The exception that the application raised, or how it broke the protocol (even if it caught that error)."""
        self.failure_raised = False
        """Whether the test has seen :attr:`failure`."""
        self._app = app
        self._scope = scope
        self._backlog = backlog
        self._state = _State.CONNECTING
        self._incoming: deque[Event] = deque()
        self._disconnect_delivered = False
        self._denial: tuple[int, HeaderList, list[bytes]] = (0, [], [])
        self._receivers = 0
        self._blocked_senders = 0
        self._waiters: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None

    # The client's side.

    def start(self) -> None:
        """Call the application in a new task."""
        self._task = asyncio.create_task(self._run(), name=f"responder of {self.path}")

    @property
    def path(self) -> str:
        """The path of the handshake, for messages."""
        return str(self._scope["path"])

    @property
    def finished(self) -> bool:
        """Whether the application has returned or raised."""
        return self._task is not None and self._task.done()

    @property
    def has_capacity(self) -> bool:
        """Whether a message to the application need not wait. True after the end, when no message arrives any more."""
        return len(self._incoming) < self._backlog or self._state is _State.CLOSED

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until *condition* is true. It is called again whenever something has happened."""
        while not condition():
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def deliver(self, message: str | bytes) -> None:
        """Let the application receive *message* from the client."""
        self._incoming.append({"type": "websocket.receive", "text" if isinstance(message, str) else "bytes": message})
        self._changed()

    def take(self) -> str | bytes:
        """Return the application's next message, and let it send another."""
        message = self.messages.popleft()
        self._changed()
        return message

    def leave(self, code: int, reason: str = "") -> None:
        """End the connection from the client's side. Does nothing when it has ended."""
        if self._state is not _State.CLOSED:
            if self._state is _State.OPEN:
                self.ended = Close(code, reason)
            self.messages.clear()
            self._end(code, reason)

    async def end(self, timeout: float) -> None:
        """Wait at most *timeout* seconds for the application to return, cancel it, and wait as long again."""
        if self._task is not None and not self._task.done():
            await asyncio.wait({self._task}, timeout=timeout)
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=timeout)

    def raise_failure(self) -> NoReturn:
        """Raise :attr:`failure`, and set :attr:`failure_raised`."""
        assert self.failure is not None
        self.failure_raised = True
        raise self.failure

    def doing(self) -> str:
        """Return what the application is doing, as the end of a sentence."""
        if self.finished:
            return "the app has returned"
        parts = [self._state.value]
        if self._receivers:
            parts.append("it waits for an event from the client")
        if self._blocked_senders:
            parts.append(f"it waits in send, because {len(self.messages)} messages have not been received")
        return f"the app is still running ({', and '.join(parts)}{suspended_at(self._task)})"

    # The application's side.

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
        except ClientGoneError:
            # To a server, this is the normal end of an application that only sends.
            pass
        except (asyncio.CancelledError, KeyboardInterrupt):
            if self._state is not _State.CLOSED:
                self._fail(RuntimeError(f"The app's task for {self.path} was cancelled."))
            raise
        except BaseException as error:
            # What pytest.fail() and sys.exit() raise belongs in the test too, and not in the event loop.
            self._fail(error)
        finally:
            if self._state is _State.OPEN:
                # Servers close the transport; no close frame is sent.
                self.ended = Close(CloseCode.ABNORMAL, "")
            elif self._state is not _State.CLOSED:
                self._fail(RuntimeError(f"The app returned for {self.path}, and {self._state.value}."))
            self._state = _State.CLOSED
            self._changed()

    async def _receive(self) -> Event:
        if self._state is _State.CONNECTING:
            self._state = _State.HANDSHAKE
            return {"type": "websocket.connect"}
        if self._disconnect_delivered:
            await self._violation("called receive() after 'websocket.disconnect'; on a server it would wait for ever")
        self._receivers += 1
        try:
            await self.until(lambda: self._incoming)
        finally:
            self._receivers -= 1
        event = self._incoming.popleft()
        self._disconnect_delivered = event["type"] == "websocket.disconnect"
        self._changed()
        return event

    async def _send(self, event: Event) -> None:
        kind = event["type"]
        match self._state, kind:
            case _State.CLOSED, _:
                # An application that ignores the error and goes on must not starve the event loop.
                await asyncio.sleep(0)
                raise ClientGoneError(f"The connection to {self.path} has ended.")
            case _State.HANDSHAKE, "websocket.accept":
                await self._accept(event)
            case _State.HANDSHAKE, "websocket.close":
                self._deny(403, [], b"")
            case _State.HANDSHAKE, "websocket.http.response.start":
                await self._start_denial(event)
            case _State.DENYING, "websocket.http.response.body":
                await self._continue_denial(event)
            case _State.OPEN, "websocket.send":
                await self._send_message(event)
            case _State.OPEN, "websocket.close":
                await self._close(event)
            case _:
                await self._violation(f"sent {kind!r} when {self._state.value}")

    async def _accept(self, event: Event) -> None:
        subprotocol = event.get("subprotocol")
        offered = self._scope["subprotocols"]
        if subprotocol is not None and subprotocol not in offered:
            # RFC 6455 section 4.1: the client must fail the connection.
            await self._violation(
                f"accepted the subprotocol {subprotocol!r}, but the client offered {offered or 'none'}"
            )
        headers = await self._headers(event)
        if any(name.lower() == b"sec-websocket-protocol" for name, _ in headers):
            await self._violation("put sec-websocket-protocol among the headers of 'websocket.accept'")
        self.answer = Accepted(subprotocol, headers)
        self._state = _State.OPEN
        self._changed()

    async def _start_denial(self, event: Event) -> None:
        status = event.get("status")
        if not isinstance(status, int) or not 200 <= status <= 599:
            await self._violation(f"denied the handshake with the status {status!r}, which is not 200-599")
        self._denial = (status, await self._headers(event), [])
        self._state = _State.DENYING

    async def _continue_denial(self, event: Event) -> None:
        status, headers, chunks = self._denial
        chunk = event.get("body", b"")
        if not isinstance(chunk, bytes):
            await self._violation(f"sent a denial's body as {type(chunk).__name__} instead of bytes")
        chunks.append(chunk)
        if sum(map(len, chunks)) > _MAX_DENIAL_BYTES:
            await self._violation(f"sent a denial's body of more than {_MAX_DENIAL_BYTES} bytes")
        if event.get("more_body", False):
            await asyncio.sleep(0)
        else:
            self._deny(status, headers, b"".join(chunks))

    def _deny(self, status: int, headers: HeaderList, body: bytes) -> None:
        self.answer = Denied(status, headers, body)
        self._end(CloseCode.ABNORMAL, "")

    async def _send_message(self, event: Event) -> None:
        text, data = event.get("text"), event.get("bytes")
        if (text is None) == (data is None):
            await self._violation("sent 'websocket.send' that has not exactly one of 'text' and 'bytes'")
        message = data if text is None else text
        if not isinstance(message, bytes if text is None else str):
            wanted = "'bytes' is bytes" if text is None else "'text' is str"
            await self._violation(f"sent 'websocket.send' with a {type(message).__name__}, but {wanted}")
        self._blocked_senders += 1
        try:
            await self.until(lambda: len(self.messages) < self._backlog or self._state is not _State.OPEN)
        finally:
            self._blocked_senders -= 1
        if self._state is not _State.OPEN:
            raise ClientGoneError(f"The connection to {self.path} ended while the app waited in send.")
        self.messages.append(message)
        self._changed()

    async def _close(self, event: Event) -> None:
        code, reason = event.get("code", CloseCode.NORMAL), event.get("reason") or ""
        try:
            check_close(code, reason)
        except ValueError as error:
            await self._violation(f"sent a 'websocket.close' that cannot be sent. {error}")
        self.ended = Close(code, reason)
        self._end(code, reason)

    async def _headers(self, event: Event) -> HeaderList:
        headers = [(name, value) for name, value in event.get("headers", ())]
        for pair in headers:
            if not all(isinstance(part, bytes) and not set(part) & set(b"\r\n\0") for part in pair):
                await self._violation(f"sent the header {pair!r}; names and values are bytes without line breaks")
        return headers

    async def _violation(self, what: str) -> NoReturn:
        error = RuntimeError(f"The app broke the ASGI protocol on {self.path}: it {what}.")
        self._fail(error)
        # As for sends after the end: an application that catches this must stay cancellable.
        await asyncio.sleep(0)
        raise error

    # What both sides do.

    def _end(self, code: int, reason: str) -> None:
        self._state = _State.CLOSED
        self._incoming.append({"type": "websocket.disconnect", "code": code, "reason": reason})
        self._changed()

    def _fail(self, error: BaseException) -> None:
        if self.failure is None:
            self.failure = error
        self._changed()

    def _changed(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
