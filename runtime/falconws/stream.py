"""One connection's messages, in both directions, and how it was closed: on any ASGI server.

Owns the ``Stream`` protocol, and ``AsgiStream``, which implements it with the two callables that every ASGI server
passes. ``direct_stream.py`` implements it with our own server's extension. Knows nothing of media, handshakes or the
application.

An ASGI server reports a disconnect only through ``receive()``, after all messages that arrived before it. To learn of a
disconnect, something must be receiving. One of two things does:

- **The responder**, when it awaits a message. Its coroutine awaits the server's ``receive()`` itself, without a task
  or a future. This is the hot path; see ``AsgiStream.may_bypass_receive``.
- **The watch**, a task that receives while the responder does something else, and holds what arrives until the
  responder asks for it. It starts when nothing has received for ``_IDLE_S``, so that a responder that answers one
  message after the other never pays for it.

A receiver can be cancelled: by a timeout, a task scope, the user. Where ``receive()`` is a coroutine, it then ends
without having taken a message. Where it returns a future (granian), a cancelled one may take a message with it. There
the watch does all the receiving, and is not cancelled while the connection lasts.

The watch holds at most ``max_receive_queue`` messages. Then it stops, so that the server stops reading and TCP slows
the peer down. A responder that only sends would never learn of a disconnect behind its unread messages. Therefore the
watch may hold ``max_read_ahead`` bytes more while somebody watches for a disconnect: a send, a look at ``closed``, or
a call of ``wait_closed()``.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, NamedTuple, Protocol

import falcon

from .closecodes import CloseCode
from .errors import OperationNotAllowed, PayloadTypeError, WebSocketDisconnected
from .extension import ConnectionExtension

__all__ = ("AsgiStream", "Close", "Event", "Payload", "Receive", "Send", "Stream", "payload_of")

Event = Mapping[str, Any]
Payload = str | bytes
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_logger = logging.getLogger("falconws")

_IDLE_S = 0.02
"""Seconds without a receiver before the watch starts: too short for people to notice, and long compared with the time
between two messages of a busy connection."""

_DISCOVER_CLOSE_S = 1.0
"""Seconds to wait, after a failed send, for the server to report how the connection was closed."""

_PAYLOAD_OVERHEAD_BYTES = 64
"""Added to the size of each held payload, so that empty messages count too."""

SECOND_RECEIVER = (
    "Another task is already receiving from this WebSocket. "
    "Let one task receive, and pass the messages on to the others."
)


class Close(NamedTuple):
    """How a connection was closed."""

    code: int
    reason: str


class Stream(Protocol):
    """The messages of one connection, and how it was closed."""

    closed: Close | None
    """How the connection was closed; None while it is open, or until that is known."""

    on_closed: Callable[[], object] | None
    """Called once, when ``closed`` is set. ``MessagePath`` clears it when this side closes."""

    @property
    def connection(self) -> ConnectionExtension | None:
        """The server's extension, or None where the stream does without it."""

    @property
    def bypass(self) -> AsgiStream | None:
        """The stream itself if it is an ``AsgiStream``, whose callables may be awaited directly, else None."""

    def receive(self, timeout: float | None = None) -> Coroutine[Any, Any, Payload | None]:
        """Return the payload of the next message, or None when the connection is closed and none is left.

        When *timeout* (seconds) runs out, raise TimeoutError. The message that it waited for stays for the next call,
        as it does when the caller is cancelled.

        Raises:
            OperationNotAllowed: Another task is receiving already.
            PayloadTypeError: The server's event has no payload.
        """

    async def send(self, payload: Payload) -> None:
        """Send *payload* as one message, TEXT or BINARY by its type, after those of tasks that called before.

        Raises:
            WebSocketDisconnected: The connection is closed; ``code`` and ``reason`` say how.
        """

    def watch_for_disconnect(self) -> None:
        """Find out that the connection is closed even behind unread messages, until the next ``receive()``."""

    async def wait_closed(self) -> Close:
        """Return how the connection was closed, once it is."""

    def record_close(self, code: int, reason: str) -> Close:
        """Set ``closed`` unless it is set, wake everything that waits for it, and return it."""

    def stop(self) -> None:
        """Stop what runs in the background. Messages that are held can still be received."""


class AsgiStream:
    """The stream of any ASGI server; implements ``Stream``.

    Args:
        receive: The server's ``receive``.
        send: The server's ``send``.
        max_queue: How many messages the watch may hold. With 0 there is no watch, and only receiving shows a
            disconnect.
        max_read_ahead: How many bytes it may hold beyond that while somebody watches for a disconnect.
        cancellable: Whether a cancelled ``receive()`` takes no message with it.
        reason_given: Whether the server passes on the reason of every close frame, even an empty one. A disconnect
            without a reason then means that there was no close frame.
    """

    __slots__ = (
        "_cancellable",
        "_close_waiters",
        "_closed_event",
        "_held",
        "_held_bytes",
        "_loop",
        "_max_queue",
        "_max_read_ahead",
        "_reason_given",
        "_receiver",
        "_senders",
        "_watch",
        "_watch_stays",
        "asgi_receive",
        "asgi_send",
        "closed",
        "idle_timer",
        "may_bypass_receive",
        "may_bypass_send",
        "on_closed",
        "receiving",
        "watching",
    )

    connection = None

    def __init__(
        self,
        receive: Receive,
        send: Send,
        max_queue: int,
        max_read_ahead: int,
        *,
        cancellable: bool,
        reason_given: bool,
    ) -> None:
        self._cancellable = cancellable
        self._reason_given = reason_given
        self._max_queue = max_queue
        self._max_read_ahead = max_read_ahead
        self._loop = asyncio.get_running_loop()
        self._held: deque[Payload] = deque()
        self._held_bytes = 0
        self._receiver: asyncio.Future[None] | None = None
        self._senders: deque[asyncio.Future[None]] | None = None
        self._watch_stays = False
        self._watch: asyncio.Task[None] | None = None
        self._close_waiters = 0
        self._closed_event: asyncio.Event | None = None
        self.closed: Close | None = None
        self.on_closed: Callable[[], object] | None = None
        self.asgi_receive = receive
        """The server's ``receive``; only callers that ``may_bypass_receive`` admits await it."""
        self.asgi_send = send
        """The server's ``send``; only callers that ``may_bypass_send`` admits await it."""
        self.receiving = False
        """Whether a call of ``receive()``, or its bypass, is under way."""
        self.may_bypass_receive = cancellable
        """Whether the next message comes from ``asgi_receive()``, and not from the watch or from what it holds.

        Then, while nobody receives, a caller may set ``receiving``, await ``asgi_receive()``, and pass the event to
        ``received()``, or call ``abandon()`` if there was none. ``receive()`` does the same with one more coroutine,
        which costs 900 instructions a message, as much as everything else that happens to a message here.
        """
        self.may_bypass_send = True
        """Whether nobody sends.

        Then, while the connection is open, a caller may clear it, await ``asgi_send()``, raise what ``explain()``
        returns for an OSError or a RuntimeError, and finally call ``sent()``. ``send()`` does the same with one more
        coroutine.
        """
        self.idle_timer: asyncio.TimerHandle | None = None
        """Starts the watch unless somebody receives by then; None when it must be armed first."""
        self.watching = False
        """Whether the watch may read past unread messages; see ``watch_for_disconnect()``."""
        self._arm()

    @property
    def bypass(self) -> AsgiStream:
        return self

    # Receiving

    async def receive(self, timeout: float | None = None) -> Payload | None:
        if self.receiving:
            raise OperationNotAllowed(SECOND_RECEIVER)
        self.watching = False
        if self._held:
            return self._take()
        if self.closed is not None:
            return None
        self.receiving = True
        try:
            if not self.may_bypass_receive or timeout is not None:
                return await self._receive_from_watch(timeout)
            event = await self.asgi_receive()
        finally:
            self.abandon()
        return self.received(event)

    def received(self, event: Event) -> Payload | None:
        """Stop receiving, and return the payload of *event*, or None when it is the disconnect."""
        self.receiving = False
        self.watching = False
        if self.idle_timer is None:
            self._arm()
        if event["type"] == "websocket.receive":
            text: str | None = event.get("text")
            return payload_of(event) if text is None else text
        self._record_disconnect(event)
        return None

    def abandon(self) -> None:
        """Stop receiving, without an event."""
        self.receiving = False
        if self.idle_timer is None:
            self._arm()

    async def _receive_from_watch(self, timeout: float | None) -> Payload | None:
        self._receiver = self._loop.create_future()
        self._watch_stays = timeout is not None or not self._cancellable
        self._start_watch()
        try:
            async with asyncio.timeout(timeout):
                await self._receiver
        except TimeoutError:
            raise TimeoutError(f"No message within {timeout} s") from None
        finally:
            self._receiver = None
        if self._held:
            return self._take()
        if self.closed is None:
            self.record_close(CloseCode.ABNORMAL, "")
        return None

    def _take(self) -> Payload:
        payload = self._held.popleft()
        self._held_bytes -= _PAYLOAD_OVERHEAD_BYTES + len(payload)
        self._update_may_bypass_receive()
        if self.idle_timer is None:
            self._arm()
        return payload

    # The watch

    def watch_for_disconnect(self) -> None:
        self.watching = True
        if self.idle_timer is None:
            self._arm()

    def _arm(self) -> None:
        if self.closed is None and (self._max_queue or self._close_waiters):
            self.idle_timer = self._loop.call_later(_IDLE_S, self._idle)

    def _idle(self) -> None:
        self.idle_timer = None
        if not self.receiving:
            self._start_watch()

    def _start_watch(self) -> None:
        if self._watch is None and self.closed is None and self._has_capacity():
            self.may_bypass_receive = False
            # Not made by the loop's task factory: an eager task could end before it is assigned.
            self._watch = asyncio.Task(self._run_watch(), loop=self._loop)

    def _update_may_bypass_receive(self) -> None:
        self.may_bypass_receive = self._cancellable and self._watch is None and not self._held and self.closed is None

    def _has_capacity(self) -> bool:
        if len(self._held) < self._max_queue or (self._receiver is not None and not self._receiver.done()):
            return True
        if (self.watching and self._max_queue) or self._close_waiters:
            return self._held_bytes < self._max_read_ahead
        return False

    async def _run_watch(self) -> None:
        try:
            while self._has_capacity():
                event = await self.asgi_receive()
                if event["type"] != "websocket.receive":
                    self._record_disconnect(event)
                    return
                payload = payload_of(event)
                self._held.append(payload)
                self._held_bytes += _PAYLOAD_OVERHEAD_BYTES + len(payload)
                if self._wake_receiver() and not self._watch_stays:
                    # The responder receives again, and takes its next message from the server itself.
                    return
        except Exception:
            _logger.exception("The ASGI server's receive() failed; the WebSocket counts as lost")
            self.record_close(CloseCode.ABNORMAL, "")
        finally:
            self._watch = None
            self._update_may_bypass_receive()
            # The watch may have been stopped, and nothing else would wake the receiver.
            self._wake_receiver()

    def _wake_receiver(self) -> bool:
        """Wake the task that waits in ``receive()``. Return whether there was one."""
        if self._receiver is None or self._receiver.done():
            return False
        self._receiver.set_result(None)
        return True

    def stop(self) -> None:
        if self.idle_timer is not None:
            self.idle_timer.cancel()
            self.idle_timer = None
        if self._watch is not None:
            self._watch.cancel()

    # How it was closed

    async def wait_closed(self) -> Close:
        self._close_waiters += 1
        try:
            while self.closed is None:
                if not self.receiving:
                    self._start_watch()
                if self._closed_event is None:
                    self._closed_event = asyncio.Event()
                await self._closed_event.wait()
            return self.closed
        finally:
            self._close_waiters -= 1

    async def discover_close(self) -> Close | None:
        """Return how the connection was closed, after a failed send has shown that it was; None if the server is
        silent.
        """
        # The disconnect may be behind any number of unread messages. No more will follow them.
        read_ahead, self._max_read_ahead = self._max_read_ahead, sys.maxsize
        try:
            async with asyncio.timeout(_DISCOVER_CLOSE_S):
                return await self.wait_closed()
        except TimeoutError:
            return None
        finally:
            self._max_read_ahead = read_ahead

    def record_close(self, code: int, reason: str) -> Close:
        # A receiver in `asgi_receive()` is woken by the server: it owes a `websocket.disconnect` event even when this
        # side has closed.
        if self.closed is None:
            self.closed = Close(code, reason)
            self.may_bypass_receive = False
            if self.on_closed is not None:
                self.on_closed()
        if self._closed_event is not None:
            self._closed_event.set()
        self._wake_receiver()
        return self.closed

    def _record_disconnect(self, event: Event) -> None:
        code, reason = event.get("code"), event.get("reason")
        if code == CloseCode.NO_STATUS and reason is None and self._reason_given:
            # uvicorn reports 1005 for a lost connection too, but gives a reason only when there was a close frame.
            code = CloseCode.ABNORMAL
        elif code is None:
            # ASGI, "Disconnect - receive event".
            code = CloseCode.NO_STATUS
        self.record_close(code, reason or "")

    # Sending

    async def send(self, payload: Payload) -> None:
        self.watch_for_disconnect()
        # A lock by hand: asyncio.Lock costs 0.7 us a message, this 0.1.
        if not self.may_bypass_send:
            await self._wait_to_send()
        self.may_bypass_send = False
        try:
            if self.closed is not None:
                raise WebSocketDisconnected(*self.closed)
            if payload.__class__ is bytes:
                await self.asgi_send({"type": "websocket.send", "bytes": payload})
            else:
                await self.asgi_send({"type": "websocket.send", "text": payload})
        except WebSocketDisconnected:
            raise
        except (OSError, RuntimeError) as error:
            # ASGI asks for OSError; uvicorn's websockets engine raises RuntimeError.
            raise await self.explain(error) from error
        finally:
            self.sent()

    def sent(self) -> None:
        """Let the next sender in. ``may_bypass_send`` stays False then, so that no other task gets ahead of it."""
        while self._senders:
            sender = self._senders.popleft()
            if not sender.done():
                sender.set_result(None)
                return
        self.may_bypass_send = True

    async def explain(self, error: Exception) -> Exception:
        """Return what to raise for a send that failed with *error*: how the connection was closed, if it was."""
        if isinstance(error, falcon.WebSocketDisconnected):
            # Falcon's test client raises its own.
            return WebSocketDisconnected(*self.record_close(error.code, ""))
        closed = await self.discover_close()
        if closed is None:
            if not isinstance(error, OSError):
                return error
            closed = self.record_close(CloseCode.ABNORMAL, "")
        return WebSocketDisconnected(*closed)

    async def _wait_to_send(self) -> None:
        sender: asyncio.Future[None] = self._loop.create_future()
        if self._senders is None:
            self._senders = deque()
        self._senders.append(sender)
        try:
            await sender
        except asyncio.CancelledError:
            if not sender.cancelled():
                # It was woken and cancelled at once: wake the next one.
                self.sent()
            raise


def payload_of(event: Event) -> Payload:
    """Return the payload of a ``websocket.receive`` event.

    Source: ASGI "Receive - receive event": one of the two keys holds it, the other is absent or None.
    """
    text: str | None = event.get("text")
    if text is not None:
        return text
    data: bytes | None = event.get("bytes")
    if data is None:
        raise PayloadTypeError("Message did not contain either a TEXT (0x01) or BINARY (0x02) payload")
    return data
