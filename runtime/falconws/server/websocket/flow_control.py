"""Sending to a client that does not take messages as fast as they are sent.

Owns the queue of senders, fragments and the send timeout. A connection has a `FlowControl` only while a message has to
wait. Knows a connection by the port below, and neither ASGI nor picows.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from falconws.closecodes import CloseCode
from falconws.server.minimum_rate import MinimumRate, Pace
from falconws.server.socket_state import delivered_bytes
from falconws.server.websocket.connection_state import ConnectionState
from falconws.server.websocket.frames import CONTINUATION, FIN
from falconws.server.websocket.settings import ConnectionSettings

_CHECKS_PER_TIMEOUT = 10
"""A client is disconnected late by at most this fraction of its timeout."""

_logger = logging.getLogger("falconws.server")


class SlowConnection(Protocol):
    """What flow control asks of a connection."""

    peer: str
    transport: Any
    state: ConnectionState

    @property
    def buffered_amount(self) -> int: ...
    def encode(self, opcode: int, payload: bytes) -> tuple[int, bytes]: ...
    def write_frame(self, first_byte: int, payload: bytes) -> None: ...
    def send_pong(self, payload: bytes) -> None: ...
    def allow_sending(self, allowed: bool) -> None: ...
    def end_flow_control(self) -> None: ...


class FlowControl:
    """Sends the messages of one connection in the order of the calls, as the client takes them.

    Theory of operation. It exists from the first message or callback that has to wait until nothing waits any more. The
    transport calls `pause` at the high-water mark and `resume` at the low-water mark. A sender enters the queue and
    writes when it is first and the transport is not paused. A message above the high-water mark leaves in fragments,
    so that its bytes do not wait all at once (RFC 6455 section 5.4); its sender stays first meanwhile. While the client
    has not read earlier messages, `hold` refuses those that nobody waits to send.

    Attributes:
        late_pong: The answer to the last ping that came while paused.
    """

    __slots__ = (
        "_callbacks",
        "_connection",
        "_held",
        "_largest",
        "_loop",
        "_queue",
        "_queued_bytes",
        "_settings",
        "_timeout",
        "late_pong",
    )

    def __init__(
        self, connection: SlowConnection, settings: ConnectionSettings, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._loop = loop
        self._queue: deque[asyncio.Event] = deque()
        self._queued_bytes = 0
        self._largest = 0
        self._timeout: SendTimeout | None = None
        self._held = False
        self._callbacks: list[Callable[[], object]] = []
        self.late_pong: bytes | None = None

    @property
    def paused(self) -> bool:
        """Whether more than the low-water mark waits for the client."""
        return self._timeout is not None

    @property
    def _may_send_at_once(self) -> bool:
        return self._timeout is None and not self._queue and not self._held

    def pause(self) -> None:
        """Stop sending; called when more than the high-water mark waits for the client."""
        if self._timeout is None:
            self._timeout = SendTimeout(self._loop, self._settings, self._connection)
            self._connection.allow_sending(False)

    def resume(self) -> None:
        """Continue with the first sender; called when no more than the low-water mark waits for the client."""
        self._stop_timeout()
        if self.late_pong is not None:
            pong, self.late_pong = self.late_pong, None
            self._connection.send_pong(pong)
        self._continue()

    def hold(self) -> None:
        """Send only what a task waits to send, until `release` is called."""
        self._held = True
        self._connection.allow_sending(False)

    def release(self) -> None:
        """Send everything again."""
        self._held = False
        self._continue()

    def stop(self) -> None:
        """Wake every sender, and call every callback; called when the connection ends."""
        self._stop_timeout()
        self._held = False
        for wake in self._queue:
            wake.set()
        self._continue()

    def _stop_timeout(self) -> None:
        if self._timeout is not None:
            self._timeout.stop()
            self._timeout = None

    def _continue(self) -> None:
        """Let the first sender go on; if there is none, everyone may send at once."""
        if self._queue:
            self._queue[0].set()
        elif self._may_send_at_once:
            self._connection.allow_sending(True)
            if self._callbacks:
                # Not at once: this may be called while the transport reports that it is writable.
                self._loop.call_soon(self._call_back)
            else:
                self._connection.end_flow_control()

    def add_callback(self, callback: Callable[[], object]) -> None:
        """Call *callback* once, when messages may be sent at once, or the connection has ended."""
        self._callbacks.append(callback)
        if self._may_send_at_once:
            self._loop.call_soon(self._call_back)

    def remove_callback(self, callback: Callable[[], object]) -> None:
        """Remove *callback*; do nothing if it was called or never added."""
        if callback in self._callbacks:
            self._callbacks.remove(callback)
            if self._may_send_at_once and not self._callbacks:
                self._connection.end_flow_control()

    def _call_back(self) -> None:
        if self._callbacks and self._may_send_at_once:
            callbacks, self._callbacks = self._callbacks, []
            for callback in callbacks:
                callback()
            if self._may_send_at_once and not self._callbacks:
                self._connection.end_flow_control()

    async def send(self, opcode: int, payload: bytes) -> None:
        """Send a message after those that wait already.

        Raises:
            DisconnectedError: The connection has ended.
        """
        self._connection.allow_sending(False)
        wake = asyncio.Event()
        self._check_queue(len(payload))
        self._queue.append(wake)
        try:
            await self._wait_to_send(wake, len(payload))
            await self._write(wake, opcode, payload)
        finally:
            self._queue.remove(wake)
            self._continue()

    def _check_queue(self, size: int) -> None:
        """Close the connection when too many bytes wait in the queue.

        The largest message does not count: one alone may exceed the limit, and those behind it are not to blame.
        """
        self._largest = max(self._largest, size) if self._queued_bytes else size
        if self._queued_bytes + size - self._largest > self._settings.max_buffered_bytes:
            code = CloseCode.TRY_AGAIN_LATER
            _logger.info(
                "%s - WebSocket closed with %d: %d bytes wait to be sent",
                self._connection.peer, code, self._queued_bytes,
            )  # fmt: skip
            self._connection.state.close(code, "client too slow")

    async def _wait_to_send(self, wake: asyncio.Event, size: int) -> None:
        self._queued_bytes += size
        try:
            await self._until_writable(wake)
        finally:
            self._queued_bytes -= size

    async def _until_writable(self, wake: asyncio.Event) -> None:
        while self._connection.state.is_open and (self._timeout is not None or self._queue[0] is not wake):
            wake.clear()
            await wake.wait()
        if not self._connection.state.is_open:
            raise self._connection.state.disconnected()

    async def _write(self, wake: asyncio.Event, opcode: int, payload: bytes) -> None:
        step = self._settings.high_water_bytes
        whole = len(payload) <= step
        first_byte, payload = self._connection.encode(opcode, payload)
        if whole:
            self._connection.write_frame(first_byte | FIN, payload)
            return
        view = memoryview(payload)
        try:
            for start in range(0, len(view), step):
                await self._until_writable(wake)
                last = start + step >= len(view)
                self._connection.write_frame(
                    first_byte | FIN if last else first_byte, bytes(view[start : start + step])
                )
                first_byte = CONTINUATION
        except asyncio.CancelledError:
            if first_byte == CONTINUATION:
                # Nothing but a close frame may follow half a message.
                self._connection.state.close(CloseCode.INTERNAL_ERROR, "message cut off")
            raise


class SendTimeout:
    """Disconnects a client that does not take what waits for it.

    It has to take something in every `send_timeout_s`, and `min_bytes_per_s` on average; without a `send_timeout_s` it
    is never disconnected.
    """

    __slots__ = ("_connection", "_loop", "_rate", "_timer")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, settings: ConnectionSettings, connection: SlowConnection
    ) -> None:
        self._loop = loop
        self._connection = connection
        self._timer: asyncio.TimerHandle | None = None
        timeout_s = settings.send_timeout_s
        if timeout_s is not None:
            delivered = delivered_bytes(connection.transport)
            self._rate = MinimumRate(timeout_s, settings.min_bytes_per_s, loop.time(), delivered)
            self._check_later(timeout_s)

    def _check_later(self, timeout_s: float) -> None:
        self._timer = self._loop.call_later(timeout_s / _CHECKS_PER_TIMEOUT, self._check, timeout_s)

    def _check(self, timeout_s: float) -> None:
        rate = self._rate
        pace = rate.judge(self._loop.time(), delivered_bytes(self._connection.transport))
        waiting = self._connection.buffered_amount
        if pace is Pace.STALLED:
            self._connection.state.evict(f"it took none of {waiting} waiting bytes for {timeout_s:g} s")
        elif pace is Pace.SLOW:
            self._connection.state.evict(f"it took {rate.passed} bytes in {rate.elapsed_s:.0f} s, and {waiting} wait")
        else:
            self._check_later(timeout_s)

    def stop(self) -> None:
        """Called when no more than the low-water mark waits."""
        if self._timer is not None:
            self._timer.cancel()
