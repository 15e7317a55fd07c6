"""One open WebSocket connection on picows: frames on one side, ASGI events on the other.

Theory of operation. picows parses and unmasks frames in C and hands each to `on_ws_frame`; what it
does not do is done here and in the pure modules beside: assembling messages, judging close codes and
reserved bits, flow control in both directions, keepalive, and an end that always comes. A connection
moves through four states and never back:

    CONNECTING  the application has neither accepted nor denied (protocol.py owns this state)
    OPEN        messages flow
    CLOSING     our close frame is out; the client has close_timeout_s to answer, its messages are dropped
    CLOSED      nothing is sent or received any more; the transport closes or is closed

`ended` is set when CLOSING or CLOSED begins and says what the application is told, once, truthfully.
Messages that came before it can still be received. Knows neither uvicorn nor HTTP.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from picows import WSListener

from falconws.server.errors import DisconnectedError, ProtocolError
from falconws.server.lingering_close import lingering_close
from falconws.server.websocket.assembler import Compressed, Message, MessageAssembler
from falconws.server.websocket.deflate import PerMessageDeflate
from falconws.server.websocket.flow_control import StallWatch
from falconws.server.websocket.frames import (
    ABNORMAL,
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    NO_STATUS,
    PING,
    PONG,
    RSV1,
    TEXT,
    close_payload,
    frame_header,
    is_sendable_close_code,
    parse_close_payload,
)
from falconws.server.websocket.keepalive import Keepalive
from falconws.server.websocket.prepared import HEAD_ROOM_BYTES, PreparedMessage, gather
from falconws.server.websocket.settings import ConnectionSettings

CONNECTING, OPEN, CLOSING, CLOSED = range(4)


class Channel(WSListener):
    """The lowest layer of a connection.

    The layers (this, `Incoming`, `Outgoing`, `Connection`) are classes that derive from each other and not objects
    that hold each other: those made a message cost 2.3 % more instructions. A layer uses what is below it, and of
    what is above it only the ways to end: `close`, `evict` and `_fail`.
    """

    __slots__ = (
        "_callbacks",
        "_deflate",
        "_ended",
        "_loop",
        "_peer",
        "_settings",
        "_state",
        "_transport",
    )

    def __init__(self, settings: ConnectionSettings, loop: asyncio.AbstractEventLoop, peer: str) -> None:
        self._settings = settings
        self._loop = loop
        self._peer = peer
        self._state = CONNECTING
        self._ended: tuple[int, str] | None = None
        self._callbacks: list[Callable[[], object]] = []
        self._transport: Any = None
        self._deflate: PerMessageDeflate | None = None

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake; nothing happens when the connection is ending already."""
        raise NotImplementedError

    def evict(self, why: str) -> None:
        """Cut the connection of a client that does not keep up."""
        raise NotImplementedError

    def _fail(self, code: int, reason: str, *, told: bool = False) -> None:
        """Fail the connection: the client broke the protocol or a limit (RFC 6455 section 7.1.7)."""
        raise NotImplementedError

    def abort(self) -> None:
        """Cut the connection now; what waits for the client is lost."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def connecting(self) -> bool:
        """Whether the handshake is not answered yet."""
        return self._state == CONNECTING

    @property
    def closed(self) -> bool:
        return self._ended is not None

    @property
    def close_code(self) -> int | None:
        return None if self._ended is None else self._ended[0]

    @property
    def close_reason(self) -> str | None:
        return None if self._ended is None else self._ended[1]

    @property
    def buffered_amount(self) -> int:
        return self._transport.get_write_buffer_size() if self._state in (OPEN, CLOSING) else 0

    def add_disconnect_callback(self, callback: Callable[[], object]) -> None:
        if self._ended is None:
            self._callbacks.append(callback)
        else:
            callback()

    def remove_disconnect_callback(self, callback: Callable[[], object]) -> None:
        if callback in self._callbacks:
            self._callbacks.remove(callback)

    def _tell_end(self, code: int, reason: str) -> None:
        if self._ended is None:
            self._ended = (code, reason)
            callbacks, self._callbacks = self._callbacks, []
            for callback in callbacks:
                callback()

    def _describe_end(self) -> str:
        code, reason = self._ended or (ABNORMAL, "")
        return f"{code} {reason}".rstrip()


_NO_INBOX: deque[Message] = deque(maxlen=0)
"""Until the first message comes: a deque of one's own costs 0.6 kB."""


class Incoming(Channel):
    """The receiving half of a connection: ASGI's `receive`."""

    __slots__ = (
        "_answering",
        "_assembler",
        "_connect_told",
        "_inbox",
        "_inbox_bytes",
        "_reading_paused",
        "_receiver",
        "_waiting_for_idle",
    )

    def __init__(self, settings: ConnectionSettings, loop: asyncio.AbstractEventLoop, peer: str) -> None:
        super().__init__(settings, loop, peer)
        self._connect_told = False
        self._inbox: deque[Message] = _NO_INBOX
        self._inbox_bytes = 0
        self._receiver: asyncio.Future[None] | None = None
        self._reading_paused = False
        self._assembler: MessageAssembler | None = None
        self._answering = False
        self._waiting_for_idle: tuple[int, str] | None = None

    def try_receive(self) -> str | bytes | None:
        return self._take() if self._inbox else None

    async def receive(self) -> dict[str, Any]:
        """Return the next ASGI event: connect, a message, or the disconnect again and again once it has come."""
        if not self._connect_told:
            self._connect_told = True
            return {"type": "websocket.connect"}
        while not self._inbox:
            if self._ended is not None:
                code, reason = self._ended
                return {"type": "websocket.disconnect", "code": code, "reason": reason}
            if self._waiting_for_idle is not None:
                # The application has answered everything that it was given.
                self.close(*self._waiting_for_idle)
                continue
            receiver = self._receiver
            if receiver is not None:
                # A second task receives: it waits for the first one's turn to end, and looks again.
                await asyncio.wait((receiver,))
                continue
            self._answering = False
            self._receiver = receiver = self._loop.create_future()
            try:
                await receiver
            finally:
                self._receiver = None
        message = self._take()
        if message is None:
            return await self.receive()
        if message.__class__ is str:
            return {"type": "websocket.receive", "text": message}
        return {"type": "websocket.receive", "bytes": message}

    def _take(self) -> str | bytes | None:
        """Return the next message; None when it was compressed and broken, and the connection failed."""
        message = self._inbox.popleft()
        self._answering = True
        if message.__class__ is Compressed:
            self._inbox_bytes -= len(message.payload)
            try:
                assert self._deflate is not None
                inflated = self._deflate.inflate(*message, self._settings.max_message_bytes)
            except ProtocolError as violation:
                self._inbox.clear()
                self._inbox_bytes = 0
                self._fail(violation.code, violation.reason)
                return None
        else:
            self._inbox_bytes -= len(message)
            inflated = message  # type: ignore[assignment]
        if self._reading_paused and self._inbox_is_half_empty():
            self._resume_reading()
        return inflated

    def _deliver(self, message: Message) -> None:
        inbox = self._inbox
        if inbox is _NO_INBOX:
            inbox = self._inbox = deque()
        inbox.append(message)
        self._inbox_bytes += len(message.payload) if message.__class__ is Compressed else len(message)
        receiver = self._receiver
        if receiver is not None:
            if not receiver.done():
                receiver.set_result(None)
        elif not self._reading_paused and self._inbox_is_full():
            self._pause_reading()

    def _assemble(self, opcode: int, frame: Any) -> Message | None:
        assembler = self._assembler
        try:
            if frame.rsv2 or frame.rsv3:
                raise ProtocolError(1002, "reserved bit set without an extension that uses it")
            if assembler is None:
                assembler = MessageAssembler(
                    max_message_bytes=self._settings.max_message_bytes, compression=self._deflate is not None
                )
            message = assembler.add(opcode, frame.get_payload_as_bytes(), fin=bool(frame.fin), rsv1=bool(frame.rsv1))
        except ProtocolError as violation:
            self._fail(violation.code, violation.reason)
            return None
        self._assembler = assembler if message is None else None
        return message

    def _inbox_is_full(self) -> bool:
        settings = self._settings
        return len(self._inbox) >= settings.max_queued_messages or self._inbox_bytes >= settings.max_queued_bytes

    def _inbox_is_half_empty(self) -> bool:
        settings = self._settings
        return (
            len(self._inbox) <= settings.max_queued_messages // 2
            and self._inbox_bytes <= settings.max_queued_bytes // 2
            and self._waiting_for_idle is None
        )

    def _pause_reading(self) -> None:
        if not self._reading_paused and self._state == OPEN:
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused:
            self._reading_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    @property
    def hears_the_client(self) -> bool:
        """Whether what the client sends would be seen: not while reading pauses."""
        return not self._reading_paused

    def discard_input(self) -> None:
        """Let nothing more come in that picows would parse."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def _stop_receiving(self) -> None:
        self._assembler = None
        if self._receiver is not None and not self._receiver.done():
            self._receiver.set_result(None)


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


_logger = logging.getLogger("falconws.server")


class Connection(Outgoing):
    """A WebSocket connection as ASGI callables, and as the extension "falconws.connection"."""

    __slots__ = (
        "_answer_handshake",
        "_close_timer",
        "_keepalive",
        "_on_lost",
    )

    def __init__(
        self,
        settings: ConnectionSettings,
        loop: asyncio.AbstractEventLoop,
        peer: str,
        answer_handshake: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        super().__init__(settings, loop, peer)
        self._answer_handshake = answer_handshake
        self._on_lost: Callable[[], object] | None = None
        self._keepalive: Keepalive | None = None
        self._close_timer: asyncio.TimerHandle | None = None

    # ASGI.

    async def send(self, event: dict[str, Any]) -> None:
        """Take an ASGI event; a message waits here while too much waits for the client.

        Raises:
            DisconnectedError: The connection has ended, from either side.
            RuntimeError: The event does not fit the state of the connection.
        """
        kind = event["type"]
        if kind == "websocket.send" and self._state != CONNECTING:
            text = event.get("text")
            if text is not None:
                if not self.try_send_text(text):
                    await self._send_waiting(TEXT, text.encode())
                return
            data = event.get("bytes")
            if data is None:
                raise RuntimeError("A websocket.send event needs text or bytes.")
            if not self.try_send_bytes(data):
                await self._send_waiting(BINARY, bytes(data))
        elif self._state == CONNECTING:
            await self._answer_handshake(event)
        elif kind == "websocket.close":
            if self._state != OPEN:
                raise DisconnectedError(f"The connection has ended: {self._describe_end()}")
            code = event.get("code")
            self.close(1000 if code is None else code, event.get("reason") or "")
        elif self._state != OPEN:
            # An answer to a handshake that the client did not wait for, above all.
            raise DisconnectedError(f"The connection has ended: {self._describe_end()}")
        else:
            raise RuntimeError(f"Unexpected ASGI event {kind!r} on an accepted WebSocket.")

    # picows.

    def opened(self, transport: Any, deflate: PerMessageDeflate | None, on_lost: Callable[[], object]) -> None:
        """Begin: the 101 response is on its way through *transport*."""
        settings = self._settings
        self._transport = transport
        self._on_lost = on_lost
        self._deflate = deflate
        self._state = OPEN
        transport.set_write_buffer_limits(high=settings.high_water_bytes, low=settings.low_water_bytes)
        if settings.ping_interval_s is not None:
            self._keepalive = Keepalive(self._loop, settings.ping_interval_s, settings.ping_timeout_s, self)

    def denied(self) -> None:
        """The handshake was refused, or ended without an answer."""
        self._state = CLOSED
        self._finish(ABNORMAL, "")

    def on_ws_connected(self, transport: Any) -> None:
        self._carrier = transport

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        if self._state != OPEN:
            if self._state == CLOSING and frame.msg_type == CLOSE:
                self._shut_transport()
            return
        opcode = int(frame.msg_type)
        if opcode <= BINARY:
            if opcode and self._assembler is None and frame.fin and not (frame.rsv1 or frame.rsv2 or frame.rsv3):
                # A whole message in one frame, as nearly all are.
                try:
                    message = frame.get_payload_as_utf8_text() if opcode == TEXT else frame.get_payload_as_bytes()
                except UnicodeDecodeError:
                    self._fail(1007, "text message is not UTF-8")
                    return
            else:
                assembled = self._assemble(opcode, frame)
                if assembled is None:
                    return
                message = assembled
            self._deliver(message)
        else:
            self._control(opcode, frame)

    def _control(self, opcode: int, frame: Any) -> None:
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._fail(1002, "reserved bit set on a control frame")
        elif opcode == PING:
            self._answer_ping(frame.get_payload_as_bytes())
        elif opcode == PONG:
            if self._keepalive is not None:
                self._keepalive.pong(frame.get_payload_as_bytes())
        else:
            try:
                code, reason = parse_close_payload(frame.get_payload_as_bytes())
            except ProtocolError as violation:
                self._fail(violation.code, violation.reason)
                return
            self._client_closes(code, reason)

    def parser_refuses(self, code: int, reason: str) -> bool:
        """picows cannot parse the next frame, and will send a close frame that says so.

        Return whether it must not, because the client had closed before and has been answered.
        """
        handshake = self._carrier.close_handshake
        if handshake is None or handshake.recv is None:
            # The frame before has not been delivered yet, and is still good; but picows would take
            # up a frame that is too large where it has left it, and deliver it after all.
            self.discard_input()
            self._loop.call_soon(self._parser_failed, code, reason)
            return False
        if self._state == OPEN:
            # Its close frame is parsed, if not delivered.
            theirs = int(handshake.recv.code)
            if theirs and not is_sendable_close_code(theirs):
                self._fail(1002, f"close code {theirs} must not be sent")
            else:
                self._client_closes(theirs or NO_STATUS, handshake.recv.reason or "")
        elif self._state == CLOSING:
            self._shut_transport()
        return True

    def _parser_failed(self, code: int, reason: str) -> None:
        if self._state == OPEN:
            self._fail(code, reason, told=True)
        elif self._state == CLOSING:
            self._shut_transport()

    def on_ws_disconnected(self, transport: Any) -> None:
        self.lost()

    def lost(self) -> None:
        """The transport is gone, for whatever reason."""
        self._finish(ABNORMAL, "")
        self._state = CLOSED
        if self._close_timer is not None:
            self._close_timer.cancel()
            self._close_timer = None
        if self._on_lost is not None:
            on_lost, self._on_lost = self._on_lost, None
            on_lost()

    # The end.

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake; nothing happens when the connection is ending already."""
        if self._state != OPEN:
            return
        if not is_sendable_close_code(code):
            raise ValueError(f"{code} is no close code that may be sent")
        self._send_close(code, reason)
        self._state = CLOSING
        # The client's close frame comes behind whatever it has sent before: read on, and drop it.
        self._resume_reading()
        self._finish(code, reason)
        self._close_within(self._settings.close_timeout_s)

    def close_when_idle(self, code: int, reason: str, patience_s: float) -> None:
        """Close as soon as the application has answered what has come in.

        It has when it waits for the next message. One that took the last message and does not come
        back for another (it may stream the answer for ever) has *patience_s* to do so.
        """
        if self._state != OPEN:
            return
        if not self._inbox and not self._answering:
            self.close(code, reason)
            return
        self._waiting_for_idle = (code, reason)
        self._pause_reading()
        if not self._inbox:
            self._close_timer = self._loop.call_later(patience_s, self.close, code, reason)

    def _client_closes(self, code: int, reason: str) -> None:
        self._send_close(code, reason)
        self._finish(code, reason)
        self._shut_transport()

    def _fail(self, code: int, reason: str, *, told: bool = False) -> None:
        """Fail the connection: the client broke the protocol or a limit (RFC 6455 section 7.1.7)."""
        if not told:
            self._send_close(code, reason)
            # picows may have refused the frame behind this one already, and told the client so.
            sent = self._carrier.close_handshake.sent
            code, reason = int(sent.code), sent.reason
        _logger.info("%s - WebSocket failed with %d: %s", self._peer, code, reason)
        self._finish(code, reason)
        self._state = CLOSED
        lingering_close(self._transport, self._loop, self._settings.close_timeout_s, self.lost)

    def evict(self, why: str) -> None:
        """Cut the connection of a client that does not keep up."""
        _logger.info("%s - WebSocket cut off: %s", self._peer, why)
        self._finish(ABNORMAL, "")
        self._state = CLOSED
        self.abort()

    def end_of_stream(self) -> None:
        """The client has closed its sending side: nobody is there to answer."""
        if self._state in (OPEN, CLOSING):
            self._finish(ABNORMAL, "")
            self._shut_transport()

    def _send_close(self, code: int, reason: str) -> None:
        self._uncork()
        if code == NO_STATUS:
            self._carrier.send(CLOSE, b"")
        else:
            self._carrier.send_close(code, close_payload(code, reason)[2:])

    def _shut_transport(self) -> None:
        """Both close frames have passed: the server closes first (RFC 6455 section 7.1.1)."""
        self._state = CLOSED
        self._transport.close()
        self._close_within(self._settings.close_timeout_s)

    def _close_within(self, seconds: float) -> None:
        if self._close_timer is not None:
            self._close_timer.cancel()
        self._close_timer = self._loop.call_later(seconds, self.abort)

    def _finish(self, code: int, reason: str) -> None:
        """Make the end known to everybody who waits."""
        self._tell_end(code, reason)
        if self._keepalive is not None:
            self._keepalive.stop()
            self._keepalive = None
        self._stop_receiving()
        self._stop_sending()
