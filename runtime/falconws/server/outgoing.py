"""What goes out: messages as frames, gathered while they are small, in turn when the client is slow.

Three ways lead out. A small message goes through picows, which makes frame and system call in one;
small answers to messages that came together are gathered into one write; a large one goes through the
transport, in fragments if it is larger than what may wait for a client.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

from falconws.server.channel import OPEN
from falconws.server.errors import DisconnectedError
from falconws.server.frames import (
    BINARY,
    CONTINUATION,
    FIN,
    PING,
    PONG,
    RSV1,
    TEXT,
    frame_header,
)
from falconws.server.gathering import gather
from falconws.server.incoming import Incoming
from falconws.server.prepared import HEAD_ROOM_BYTES, PreparedMessage
from falconws.server.settings import ConnectionSettings
from falconws.server.stalling import StallWatch

_COPIED_BYTES = 8192
"""Up to here picows copies header and payload into one buffer and sends it at once."""
_COPIED_CHARACTERS = _COPIED_BYTES // 4

_CORKED_BYTES = 1024
_CORKED_MESSAGES = 64
_SHORT_HEADS = {opcode: [frame_header(opcode | FIN, size) for size in range(126)] for opcode in (TEXT, BINARY)}

_TOO_SLOW = 1013
"""Try again later: concurrent senders have more to say than the client takes."""

_logger = logging.getLogger("falconws.server")


class Outgoing(Incoming):
    """The sending half of a connection; above the receiving half, since answers are gathered while messages wait."""

    __slots__ = (
        "_blocked",
        "_carrier",
        "_corked",
        "_drain_waiters",
        "_fragmenting",
        "_late_pong",
        "_line_bytes",
        "_line_largest",
        "_stall_watch",
        "_writable_callbacks",
    )

    def __init__(self, settings: ConnectionSettings, loop: asyncio.AbstractEventLoop, peer: str) -> None:
        super().__init__(settings, loop, peer)
        self._carrier: Any = None
        self._blocked = False
        self._fragmenting = False
        self._drain_waiters: list[asyncio.Future[None]] = []
        self._corked: list[bytes] | None = None
        self._line_bytes = 0
        self._line_largest = 0
        self._late_pong: bytes | None = None
        self._writable_callbacks: list[Callable[[], object]] | None = None
        self._stall_watch: StallWatch | None = None

    # The extension.

    def try_send_text(self, text: str) -> bool:
        if self._blocked or self._state != OPEN:
            return False
        if len(text) <= _COPIED_CHARACTERS and self._deflate is None:
            if self._inbox or self._corked is not None:
                self._cork(TEXT, text.encode())
            else:
                self._carrier.send(TEXT, text)
            return True
        return self._try_send_large(TEXT, text.encode())

    def try_send_bytes(self, data: bytes) -> bool:
        if self._blocked or self._state != OPEN:
            return False
        if len(data) <= _COPIED_BYTES and self._deflate is None:
            if self._inbox or self._corked is not None:
                self._cork(BINARY, bytes(data))
            else:
                self._carrier.send(BINARY, data)
            return True
        return self._try_send_large(BINARY, bytes(data))

    @staticmethod
    def prepare(payload: str | bytes) -> PreparedMessage:
        prepared = PreparedMessage(payload)
        if len(prepared.payload) <= _CORKED_BYTES:
            gather(prepared)
        return prepared

    def try_send_prepared(self, prepared: PreparedMessage) -> bool:
        if self._blocked or self._state != OPEN:
            return False
        gathering, corked = prepared.gathering, self._corked
        if gathering is not None or corked is not None:
            if self._deflate is None and len(prepared.payload) <= _CORKED_BYTES:
                if corked is not None:
                    self._add_to(corked, prepared.frame)
                elif gathering is not None:
                    self._corked = [prepared.frame]
                    gathering.gatherers.append(self)
                return True
            self._uncork()
        if self._deflate is not None:
            return self._try_send_large(prepared.opcode, prepared.payload)
        buffer = prepared.buffer
        if buffer is not None:
            self._carrier.send_reuse_external_bytearray(prepared.opcode, buffer, HEAD_ROOM_BYTES)
            return True
        if self._is_too_much(len(prepared.frame)):
            return False
        self._transport.write(prepared.frame)
        return True

    @staticmethod
    def broadcast(connections: Iterable[Outgoing], prepared: PreparedMessage) -> list[Outgoing]:
        refused = []
        opcode, buffer = prepared.opcode, prepared.buffer
        alone = prepared.gathering is None and buffer is not None
        for connection in connections:
            # With hundreds of connections, what stands here is most of what a delivery costs in Python: cold memory
            # is touched for each attribute, so nothing is called that need not be.
            try:
                if (
                    alone
                    and connection._state == OPEN
                    and not connection._blocked
                    and connection._corked is None
                    and connection._deflate is None
                ):
                    # One system call from here: cheaper than the transport's write by 0.3 us of 6.
                    connection._carrier.send_reuse_external_bytearray(opcode, buffer, HEAD_ROOM_BYTES)
                elif not connection.try_send_prepared(prepared):
                    refused.append(connection)
            except Exception:
                # Whatever it is, it must not reach the others.
                _logger.exception("%s - WebSocket cut off: it could not be written to", connection._peer)
                connection.abort()
        return refused

    @property
    def buffered_amount(self) -> int:
        return super().buffered_amount + (sum(map(len, self._corked)) if self._corked else 0)

    def cork(self) -> None:
        if self._corked is None and self._state == OPEN:
            self._corked = []
            self._loop.call_soon(self._uncork)

    def add_writable_callback(self, callback: Callable[[], object]) -> None:
        if self._writable_callbacks is None:
            self._writable_callbacks = []
        self._writable_callbacks.append(callback)
        if not self._blocked or self._ended is not None:
            self._loop.call_soon(self._tell_writable)

    def remove_writable_callback(self, callback: Callable[[], object]) -> None:
        if self._writable_callbacks is not None and callback in self._writable_callbacks:
            self._writable_callbacks.remove(callback)

    def _tell_writable(self) -> None:
        if self._writable_callbacks is not None and (not self._blocked or self._ended is not None):
            callbacks, self._writable_callbacks = self._writable_callbacks, None
            for callback in callbacks:
                callback()

    # Gathered.

    def _cork(self, opcode: int, payload: bytes) -> None:
        """Gather a small message with those that follow it at once.

        More messages wait to be answered, so more answers will come before the event loop turns. One
        write for all of them is cheaper than one each; the loop's next turn sends them in any case.
        """
        corked = self._corked
        size = len(payload)
        if size > _CORKED_BYTES:
            self._uncork()
            self._carrier.send(opcode, payload)
            return
        frame = (_SHORT_HEADS[opcode][size] if size < 126 else frame_header(opcode | FIN, size)) + payload
        if corked is None:
            self._corked = [frame]
            self._loop.call_soon(self._uncork)
        else:
            self._add_to(corked, frame)
            if not self._inbox:
                self._uncork()

    def _add_to(self, corked: list[bytes], frame: bytes) -> None:
        corked.append(frame)
        if len(corked) >= _CORKED_MESSAGES:
            # The turn's end, which comes in any case, sends what follows.
            self._corked = []
            self.write_gathered(b"".join(corked))

    def _uncork(self) -> None:
        corked = self.take_gathered()
        if corked:
            self.write_gathered(b"".join(corked))

    def take_gathered(self) -> list[bytes] | None:
        corked, self._corked = self._corked, None
        return corked

    def write_gathered(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    # Large.

    def _try_send_large(self, opcode: int, payload: bytes) -> bool:
        # Compression cannot be undone when it turns out too large: judge what would go in.
        if self._is_too_much(len(payload)):
            return False
        self._write_message(opcode, payload)
        return True

    def _is_too_much(self, size: int) -> bool:
        waiting: int = self._transport.get_write_buffer_size()
        return waiting + size > self._settings.max_buffered_bytes

    def _write_message(self, opcode: int, payload: bytes) -> None:
        deflate = self._deflate
        if deflate is not None and len(payload) >= deflate.min_bytes:
            self._write_frame(opcode | FIN | RSV1, deflate.compress(payload))
        else:
            self._write_frame(opcode | FIN, payload)

    def _write_frame(self, first_byte: int, payload: bytes) -> None:
        if self._corked is not None:
            self._uncork()
        # picows would lend the event loop its own buffer for the header of a large frame, and
        # overwrite it with the next frame while it waits.
        self._transport.writelines((frame_header(first_byte, len(payload)), payload))

    # In turn.

    async def _send_waiting(self, opcode: int, payload: bytes) -> None:
        if self._blocked and self._state == OPEN:
            await self._wait_in_line(len(payload))
        elif self._state != OPEN:
            raise DisconnectedError(f"The connection has ended: {self._describe_end()}")
        if len(payload) <= self._settings.high_water_bytes:
            self._write_message(opcode, payload)
        else:
            await self._send_in_fragments(opcode, payload)

    async def _wait_in_line(self, size: int) -> None:
        """Wait for the turn of a message of *size* bytes; a line that grows too long ends the connection.

        The largest message is not counted: one may be larger than the bound, and what comes behind it is not to blame.
        """
        if not self._line_bytes:
            self._line_largest = 0
        self._line_largest = max(self._line_largest, size)
        if self._line_bytes + size - self._line_largest > self._settings.max_buffered_bytes:
            _logger.info(
                "%s - WebSocket closed with %d: %d bytes wait in line", self._peer, _TOO_SLOW, self._line_bytes
            )
            self.close(_TOO_SLOW, "client too slow")
        # An empty message stands in line too.
        self._line_bytes += size + 1
        try:
            await self._until_writable()
        finally:
            self._line_bytes -= size + 1
            self._judge_turn()

    async def _until_writable(self) -> None:
        while (self._fragmenting or self._stall_watch is not None) and self._state == OPEN:
            waiter = self._loop.create_future()
            self._drain_waiters.append(waiter)
            await waiter
        if self._state != OPEN:
            raise DisconnectedError(f"The connection has ended: {self._describe_end()}")

    async def _send_in_fragments(self, opcode: int, payload: bytes) -> None:
        """Send a message so large that its bytes may not wait all at once (RFC 6455 section 5.4)."""
        first_byte = opcode
        if self._deflate is not None and len(payload) >= self._deflate.min_bytes:
            payload = self._deflate.compress(payload)
            first_byte |= RSV1
        step = self._settings.high_water_bytes
        view = memoryview(payload)
        self._fragmenting = self._blocked = True
        try:
            for start in range(0, len(view), step):
                await self._until_drained()
                last = start + step >= len(view)
                self._write_frame(first_byte | FIN if last else first_byte, bytes(view[start : start + step]))
                first_byte = CONTINUATION
        except asyncio.CancelledError:
            if first_byte == CONTINUATION and self._state == OPEN:
                # Half a message is out, and nothing but a close frame may follow it.
                self._fragmenting = False
                self.close(1011, "message cut off")
            raise
        finally:
            self._fragmenting = False
            self._unblock()

    async def _until_drained(self) -> None:
        """Wait for the low-water mark while this task itself holds the turn to send."""
        while self._stall_watch is not None and self._state == OPEN:
            waiter = self._loop.create_future()
            self._drain_waiters.append(waiter)
            await waiter
        if self._state != OPEN:
            raise DisconnectedError(f"The connection has ended: {self._describe_end()}")

    def _judge_turn(self) -> None:
        """Find out whether a new message must wait: for the client, for its turn, or behind those who wait."""
        self._blocked = self._fragmenting or self._stall_watch is not None or self._line_bytes > 0
        if self._writable_callbacks is not None and (not self._blocked or self._ended is not None):
            # Not at once: the transport is in the middle of telling us.
            self._loop.call_soon(self._tell_writable)

    # What the transport and the client ask for.

    def _answer_ping(self, payload: bytes) -> None:
        if self._stall_watch is None:
            self._carrier.send(PONG, payload)
        else:
            # Only the last of several pings needs an answer (RFC 6455 section 5.5.3), so a client
            # that pings and never reads costs nothing.
            self._late_pong = payload

    def send_ping(self, payload: bytes) -> bool:
        """Send a keepalive ping and return True; False when so much waits that it would not get through."""
        if self._state != OPEN or (self._stall_watch is not None and self._settings.send_timeout_s is not None):
            return False
        self._carrier.send(PING, payload)
        return True

    def pause_writing(self) -> None:
        self._blocked = True
        if self._stall_watch is None:
            self._stall_watch = StallWatch(self._loop, self._settings.send_timeout_s, self)

    def resume_writing(self) -> None:
        if self._stall_watch is not None:
            self._stall_watch.stop()
            self._stall_watch = None
        if self._late_pong is not None and self._state == OPEN:
            pong, self._late_pong = self._late_pong, None
            self._carrier.send(PONG, pong)
        self._unblock()

    def _unblock(self) -> None:
        self._judge_turn()
        if self._stall_watch is not None:
            return
        waiters, self._drain_waiters = self._drain_waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _stop_sending(self) -> None:
        if self._stall_watch is not None:
            self._stall_watch.stop()
            self._stall_watch = None
        self._fragmenting = False
        self._unblock()
