"""The receiving half of one connection: the next message, and the news that the peer is gone.

An ASGI server tells of a disconnect only through ``receive()``, behind all messages that came before it. Someone has to
be receiving, then, for the news to come. Two can be:

- **the responder**, when it awaits a message. Its coroutine awaits the server's ``receive()`` itself: no task, no
  future, no hand-over. This is the hot path, and it begins in ``websocket.py``: see ``Inbox.at_hand``.
- **the watch**, a task that receives while the responder does something else, and holds what comes until the responder
  asks for it. It starts when the responder has not been receiving for a moment (``_IDLE_S``), so that a responder
  that answers one message after the other never pays for it.

A receiver can be cancelled: by a timeout, a task scope, the user. Where ``receive()`` is a coroutine, it ends without
having taken a message. Where it is a foreign future (granian's is), a cancelled one may take a message along; there the
watch does all the receiving, and is never cancelled while the connection lasts.

The watch holds at most ``max_receive_queue`` messages, then stops, so that the server stops reading and the peer feels
it. But a responder that only sends would never learn of a disconnect behind its unread messages; while news is wanted
(a send, a look at ``closed``, a ``wait_end()`` under way) the watch may therefore hold ``max_read_ahead`` bytes more.

Knows nothing of payload types, media or the application.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import falcon

from .closecodes import CloseCode
from .errors import OperationNotAllowed, PayloadTypeError, WebSocketDisconnected

__all__ = ("End", "Event", "Inbox", "Outbox", "Payload", "payload_of")

Event = Mapping[str, Any]
Payload = str | bytes

_logger = logging.getLogger("falconws")

_IDLE_S = 0.02
"""Seconds without a receiver before the watch starts. Short against what people notice, long against the time between
two messages of a busy connection."""

SECOND_RECEIVER = (
    "Another task is already receiving from this WebSocket. "
    "Let one task receive, and pass the messages on to the others."
)

_LEARN_END_S = 1.0
"""Seconds to wait for the server to say how a connection ended, once a send has failed."""

_PAYLOAD_OVERHEAD_BYTES = 64
"""Counted on top of each held payload, so that empty messages are not free."""


class End(NamedTuple):
    """How a connection ended."""

    code: int
    reason: str


class Inbox:
    """Messages of one connection in the order of their arrival, and its end.

    Args:
        receive: The ASGI server's ``receive``.
        max_queue: How many messages the watch may hold; with 0 there is no watch, and only receiving shows the end.
        max_read_ahead: How many bytes it may hold beyond that while news is wanted.
        cancellable: Whether a cancelled ``receive()`` leaves the next message where it is.
        reason_given: Whether the server always passes on the reason of a close frame, be it empty. A disconnect
            without one then means that there was no close frame.
    """

    __slots__ = (
        "_cancellable",
        "_end_seen",
        "_end_waiters",
        "_held",
        "_held_bytes",
        "_loop",
        "_max_queue",
        "_max_read_ahead",
        "_reason_given",
        "_waiter",
        "_watch",
        "_watch_stays",
        "at_hand",
        "end",
        "look_out",
        "news_wanted",
        "on_end",
        "receive",
        "receiving",
    )

    def __init__(
        self,
        receive: Callable[[], Awaitable[Event]],
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
        self._waiter: asyncio.Future[None] | None = None
        self._watch_stays = False
        self._watch: asyncio.Task[None] | None = None
        self._end_waiters = 0
        self._end_seen: asyncio.Event | None = None
        self.receive = receive
        """The server's ``receive``; to be awaited by nobody but whom ``at_hand`` allows to."""
        self.receiving = False
        """Whether somebody receives."""
        self.at_hand = cancellable
        """Whether the next message comes from ``receive()``, and not from the watch or from what it holds.

        Then one who receives while nobody else does may set ``receiving``, await ``receive()``, and tell ``received()``
        what it brought, or ``abandon()`` that it brought nothing. ``get()`` is the same with a coroutine in between,
        which costs 900 instructions a message, as much as all else that is done for it here.
        """
        self.end: End | None = None
        """How the connection ended, or None while it is open or its end is not known yet."""
        self.look_out: asyncio.TimerHandle | None = None
        """The timer that starts the watch when nobody receives by then; None when it must be armed first."""
        self.news_wanted = False
        """Whether the watch may read past unread messages; see ``want_news()``."""
        self.on_end: Callable[[], object] | None = None
        """Called once, when the end becomes known."""

    async def get(self, timeout: float | None = None) -> Payload | None:
        """Return the payload of the next message, or None when the connection is over and all have been returned.

        A *timeout* (seconds) that runs out raises TimeoutError; the message it waited for stays for the next call, as
        it does when the caller is cancelled.

        Raises:
            OperationNotAllowed: Another task is receiving already.
            PayloadTypeError: The server's event carries no payload.
        """
        if self.receiving:
            raise OperationNotAllowed(SECOND_RECEIVER)
        self.news_wanted = False
        if self._held:
            return self._take()
        if self.end is not None:
            return None
        self.receiving = True
        try:
            if not self.at_hand or timeout is not None:
                return await self._get_from_watch(timeout)
            event = await self.receive()
        finally:
            self.abandon()
        return self.received(event)

    def received(self, event: Event) -> Payload | None:
        """End a turn of receiving that brought *event*; return its payload, or None when it is the end."""
        self.receiving = False
        self.news_wanted = False
        if self.look_out is None:
            self._arm()
        if event["type"] == "websocket.receive":
            text: str | None = event.get("text")
            return payload_of(event) if text is None else text
        self._end_by(event)
        return None

    def abandon(self) -> None:
        """End a turn of receiving that brought nothing."""
        self.receiving = False
        if self.look_out is None:
            self._arm()

    def start(self) -> None:
        """Begin to look out for the end."""
        self._arm()

    def want_news(self) -> None:
        """Let the watch, from now until the next ``get()``, read past unread messages in search of the end."""
        self.news_wanted = True
        if self.look_out is None:
            self._arm()

    async def wait_end(self) -> End:
        """Return how the connection ended, once it has."""
        self._end_waiters += 1
        try:
            while self.end is None:
                if not self.receiving:
                    self._start_watch()
                if self._end_seen is None:
                    self._end_seen = asyncio.Event()
                await self._end_seen.wait()
            return self.end
        finally:
            self._end_waiters -= 1

    async def learn_end(self) -> End | None:
        """Return how the connection ended, once a failed send has told that it did; None if the server is silent."""
        # The news may be behind any number of unread messages, none of which will be followed by more.
        read_ahead, self._max_read_ahead = self._max_read_ahead, sys.maxsize
        try:
            async with asyncio.timeout(_LEARN_END_S):
                return await self.wait_end()
        except TimeoutError:
            return None
        finally:
            self._max_read_ahead = read_ahead

    def finish(self, code: int, reason: str) -> End:
        """Record the end, unless it is known already, and return it.

        Wakes those who wait for it. A receiver is woken by the server: it owes a ``websocket.disconnect`` event also
        after a close of ours.
        """
        if self.end is None:
            self.end = End(code, reason)
            self.at_hand = False
            if self.on_end is not None:
                self.on_end()
        if self._end_seen is not None:
            self._end_seen.set()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        return self.end

    def stop(self) -> None:
        """End the watch. What it holds can still be taken."""
        if self.look_out is not None:
            self.look_out.cancel()
            self.look_out = None
        if self._watch is not None:
            self._watch.cancel()

    # The watch

    def _arm(self) -> None:
        if self.end is None and (self._max_queue or self._end_waiters):
            self.look_out = self._loop.call_later(_IDLE_S, self._idle)

    def _idle(self) -> None:
        self.look_out = None
        if not self.receiving:
            self._start_watch()

    def _start_watch(self) -> None:
        if self._watch is None and self.end is None and self._has_room():
            self.at_hand = False
            self._watch = self._loop.create_task(self._run_watch())

    def _judge(self) -> None:
        self.at_hand = self._cancellable and self._watch is None and not self._held and self.end is None

    def _has_room(self) -> bool:
        if len(self._held) < self._max_queue or (self._waiter is not None and not self._waiter.done()):
            return True
        if (self.news_wanted and self._max_queue) or self._end_waiters:
            return self._held_bytes < self._max_read_ahead
        return False

    async def _run_watch(self) -> None:
        try:
            while self._has_room():
                event = await self.receive()
                if event["type"] != "websocket.receive":
                    self._end_by(event)
                    return
                payload = payload_of(event)
                self._held.append(payload)
                self._held_bytes += _PAYLOAD_OVERHEAD_BYTES + len(payload)
                if self._waiter is not None and not self._waiter.done():
                    self._waiter.set_result(None)
                    if not self._watch_stays:
                        # The responder is back: its next message comes without the detour.
                        return
        except Exception:
            _logger.exception("The ASGI server's receive() failed; the WebSocket counts as lost")
            self.finish(CloseCode.ABNORMAL, "")
        finally:
            self._watch = None
            self._judge()
            if self._waiter is not None and not self._waiter.done():
                # The watch was stopped: nobody would wake the receiver any more.
                self._waiter.set_result(None)

    async def _get_from_watch(self, timeout: float | None) -> Payload | None:
        self._waiter = self._loop.create_future()
        self._watch_stays = timeout is not None or not self._cancellable
        self._start_watch()
        try:
            async with asyncio.timeout(timeout):
                await self._waiter
        except TimeoutError:
            raise TimeoutError(f"No message within {timeout} s") from None
        finally:
            self._waiter = None
        if self._held:
            return self._take()
        if self.end is None:
            self.finish(CloseCode.ABNORMAL, "")
        return None

    def _take(self) -> Payload:
        payload = self._held.popleft()
        self._held_bytes -= _PAYLOAD_OVERHEAD_BYTES + len(payload)
        self._judge()
        if self.look_out is None:
            self._arm()
        return payload

    def _end_by(self, event: Event) -> None:
        code, reason = event.get("code"), event.get("reason")
        if code == CloseCode.NO_STATUS and reason is None and self._reason_given:
            # uvicorn says 1005 for a lost connection too, but gives a reason only when there was a close frame.
            code = CloseCode.ABNORMAL
        elif code is None:
            # ASGI, "Disconnect - receive event".
            code = CloseCode.NO_STATUS
        self.finish(code, reason or "")


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


class Outbox:
    """Passes messages on to the ASGI server.

    Args:
        send: The ASGI server's ``send``.
        inbox: The receiving half of the same connection.
    """

    __slots__ = ("_waiting", "at_hand", "inbox", "send")

    def __init__(self, send: Callable[[dict[str, Any]], Awaitable[None]], inbox: Inbox) -> None:
        self.inbox = inbox
        """The receiving half."""
        self.send = send
        """The server's ``send``; to be awaited by nobody but whom ``at_hand`` allows to."""
        self.at_hand = True
        """Whether nobody sends.

        Then a sender on an open connection may clear it, await ``send()``, raise what ``explain()`` makes of an OSError
        or a RuntimeError, and call ``sent()`` in any case. ``put()`` is the same with a coroutine in between.
        """
        self._waiting: deque[asyncio.Future[None]] | None = None

    async def put(self, payload: Payload) -> None:
        """Send *payload* as one message, TEXT or BINARY by its type, after those of other tasks that came first.

        Raises:
            WebSocketDisconnected: The connection is over; ``code`` and ``reason`` say how it ended.
        """
        inbox = self.inbox
        inbox.want_news()
        # A hand-written lock: with asyncio.Lock a message costs 0.7 us more where this costs 0.1.
        if not self.at_hand:
            await self._wait_for_turn()
        self.at_hand = False
        try:
            if inbox.end is not None:
                raise WebSocketDisconnected(*inbox.end)
            if payload.__class__ is bytes:
                await self.send({"type": "websocket.send", "bytes": payload})
            else:
                await self.send({"type": "websocket.send", "text": payload})
        except WebSocketDisconnected:
            raise
        except (OSError, RuntimeError) as error:
            # ASGI asks for OSError; uvicorn's websockets engine raises RuntimeError.
            raise await self.explain(error) from error
        finally:
            self.sent()

    async def explain(self, error: Exception) -> Exception:
        """Return what to raise for a send that has failed with *error*: how the connection ended, if it did."""
        if isinstance(error, falcon.WebSocketDisconnected):
            # Falcon's test client raises its own.
            return WebSocketDisconnected(*self.inbox.finish(error.code, ""))
        end = await self.inbox.learn_end()
        if end is None:
            if not isinstance(error, OSError):
                return error
            end = self.inbox.finish(CloseCode.ABNORMAL, "")
        return WebSocketDisconnected(*end)

    async def _wait_for_turn(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                # The turn came together with the cancellation, and is the next one's.
                self.sent()
            raise

    def sent(self) -> None:
        """End a turn of sending: let the next sender in; ``at_hand`` stays False, so that nobody slips in between."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.at_hand = True
