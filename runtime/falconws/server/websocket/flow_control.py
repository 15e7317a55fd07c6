"""Sending to a client that does not take messages as fast as they are sent.

Owns the queue of senders, fragments and the send timeout. A connection has a `FlowControl` only while a message has to
wait. Knows a connection by the port below, and neither ASGI nor picows.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Protocol

from falconws.closecodes import CloseCode
from falconws.server.errors import DisconnectedError
from falconws.server.minimum_rate import MinimumRate, Pace
from falconws.server.websocket.frames import CONTINUATION, FIN
from falconws.server.websocket.settings import ConnectionSettings

_CHECKS_PER_TIMEOUT = 10
"""A client is disconnected late by at most this fraction of its timeout."""

_logger = logging.getLogger("falconws.server")


class SlowConnection(Protocol):
    """What flow control asks of a connection."""

    peer: str

    @property
    def is_open(self) -> bool: ...
    @property
    def buffered_amount(self) -> int: ...
    def delivered_bytes(self) -> int: ...
    def describe_close(self) -> str: ...
    def encode(self, opcode: int, payload: bytes) -> tuple[int, bytes]: ...
    def write_frame(self, first_byte: int, payload: bytes) -> None: ...
    def close(self, code: int, reason: str) -> None: ...
    def evict(self, why: str) -> None: ...
    def end_flow_control(self) -> None: ...


class FlowControl:
    """Sends the messages of one connection in the order of the calls, as the client takes them.

    Theory of operation. It exists from the first message or notice that has to wait until nothing waits any more. The
    transport calls `pause` at the high-water mark and `resume` at the low-water mark. A sender enters the queue and
    writes when it is first and the transport is not paused. A message above the high-water mark leaves in fragments,
    so that its bytes do not wait all at once (RFC 6455 section 5.4); its sender stays first meanwhile.

    Attributes:
        paused: Whether more than the low-water mark waits for the client.
        late_pong: The answer to the last ping that came while paused.
    """

    __slots__ = ("_connection", "_largest", "_loop", "_queue", "_queued_bytes", "_settings", "_timeout", "late_pong")

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
        self.late_pong: bytes | None = None

    @property
    def paused(self) -> bool:
        return self._timeout is not None

    def pause(self) -> None:
        """Stop sending; called when more than the high-water mark waits for the client."""
        if self._timeout is None:
            self._timeout = SendTimeout(self._loop, self._settings, self._connection)

    def resume(self) -> None:
        """Continue with the first sender; called when no more than the low-water mark waits for the client."""
        if self._timeout is not None:
            self._timeout.stop()
            self._timeout = None
        self._wake_first()

    def stop(self) -> None:
        """Wake every sender; called when the connection ends."""
        if self._timeout is not None:
            self._timeout.stop()
            self._timeout = None
        for wake in self._queue:
            wake.set()

    async def send(self, opcode: int, payload: bytes) -> None:
        """Send a message after those that wait already.

        Raises:
            DisconnectedError: The connection has ended.
        """
        wake = asyncio.Event()
        self._check_queue(len(payload))
        self._queue.append(wake)
        try:
            await self._wait_to_send(wake, len(payload))
            await self._write(wake, opcode, payload)
        finally:
            self._queue.remove(wake)
            self._wake_first()

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
            self._connection.close(code, "client too slow")

    async def _wait_to_send(self, wake: asyncio.Event, size: int) -> None:
        self._queued_bytes += size
        try:
            await self._until_writable(wake)
        finally:
            self._queued_bytes -= size

    async def _until_writable(self, wake: asyncio.Event) -> None:
        while self._connection.is_open and (self._timeout is not None or self._queue[0] is not wake):
            wake.clear()
            await wake.wait()
        if not self._connection.is_open:
            raise DisconnectedError(f"The connection has ended: {self._connection.describe_close()}")

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
                self._connection.close(CloseCode.INTERNAL_ERROR, "message cut off")
            raise

    def _wake_first(self) -> None:
        if self._queue:
            self._queue[0].set()
        elif self._timeout is None:
            self._connection.end_flow_control()


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
            delivered = connection.delivered_bytes()
            self._rate = MinimumRate(timeout_s, settings.min_bytes_per_s, loop.time(), delivered)
            self._check_later(timeout_s)

    def _check_later(self, timeout_s: float) -> None:
        self._timer = self._loop.call_later(timeout_s / _CHECKS_PER_TIMEOUT, self._check, timeout_s)

    def _check(self, timeout_s: float) -> None:
        rate = self._rate
        pace = rate.judge(self._loop.time(), self._connection.delivered_bytes())
        waiting = self._connection.buffered_amount
        if pace is Pace.STALLED:
            self._connection.evict(f"it took none of {waiting} waiting bytes for {timeout_s:g} s")
        elif pace is Pace.SLOW:
            self._connection.evict(f"it took {rate.passed} bytes in {rate.elapsed_s:.0f} s, and {waiting} wait")
        else:
            self._check_later(timeout_s)

    def stop(self) -> None:
        """Called when no more than the low-water mark waits."""
        if self._timer is not None:
            self._timer.cancel()
