"""One open WebSocket connection on picows: frames on one side, ASGI events on the other.

Theory of operation. picows parses and unmasks frames in C and calls `on_ws_frame` with each. What picows does not do is
done here and in the modules beside: assembling messages, checking close codes and reserved bits, flow control in both
directions, keepalive, and an end that is certain to come. A connection moves through four states and never back:

    CONNECTING  the application has neither accepted nor denied (protocol.py owns this state)
    OPEN        messages flow
    CLOSING     our close frame is sent; the client has close_timeout_s to answer, and its messages are dropped
    CLOSED      nothing is sent or received any more; the transport closes or is closed

`_close` is set when CLOSING or CLOSED begins. It is what the application is told, once. Messages that came before it
can still be received. Knows neither uvicorn nor HTTP.

The two halves are not objects of their own: that costs 2.3 % more instructions a message. Parts that are rarely needed
are, and exist only while they are needed: `MessageAssembler`, `FlowControl`, `Keepalive`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from time import perf_counter
from typing import Any

from picows import WSListener, WSMsgType

from falconws.closecodes import CloseCode, is_sendable
from falconws.server.errors import DisconnectedError, ProtocolError
from falconws.server.lingering_close import lingering_close
from falconws.server.socket_state import (
    client_has_left,
    delivered_bytes,
    received_bytes,
    undelivered_bytes,
)
from falconws.server.unread_memory import NOTABLE_BYTES, STEP_BYTES, unread_memory
from falconws.server.websocket.assembler import Compressed, Message, MessageAssembler
from falconws.server.websocket.closing import CloseTimeout
from falconws.server.websocket.deflate import PerMessageDeflate
from falconws.server.websocket.flow_control import FlowControl
from falconws.server.websocket.frames import (
    BINARY,
    CLOSE,
    FIN,
    PING,
    PONG,
    RSV1,
    TEXT,
    frame_header,
    parse_close_payload,
    shorten_reason,
)
from falconws.server.websocket.keepalive import Keepalive, MessageTimeout, PausedReading
from falconws.server.websocket.prepared import MAX_HEADER_BYTES, PreparedMessage, coalesce
from falconws.server.websocket.read_probe import ReadProbe
from falconws.server.websocket.settings import ConnectionSettings
from falconws.server.websocket.time_slice import give_way, grant

CONNECTING, OPEN, CLOSING, CLOSED = range(4)

_COPIED_BYTES = 8192
"""Up to this size, picows copies header and payload into one buffer and sends it at once."""
_COPIED_CHARACTERS = _COPIED_BYTES // 4

_TCP_NOTSENT_LOWAT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", 25 if sys.platform == "linux" else None)
"""Python has the constant since 3.12."""

_CORKED_BYTES = 16_384
"""Answers of up to this size are written together, 64 of them or about 64 KiB: copying them costs less than a write."""
_CORKED_MESSAGES = 64
_CORKED_TOTAL_BYTES = 65_536
_COALESCED_BYTES = 1024
"""Prepared messages of up to this size are written together."""
_SHORT_HEADERS = {opcode: [frame_header(opcode | FIN, size) for size in range(126)] for opcode in (TEXT, BINARY)}

_TEXT_FRAME, _BINARY_FRAME = WSMsgType.TEXT, WSMsgType.BINARY
"""Members of the enumeration: comparing by identity costs a twentieth of int()."""

_EMPTY_INBOX: deque[Message] = deque(maxlen=0)
"""What connections share until their first message comes: a deque for each of them costs 0.6 kB."""

_LARGE_BYTES = 2048
"""After a larger message, the time slice is checked before the next one is taken."""
_OVERHEAD_BYTES = 64
"""The memory that a message in the inbox takes besides its payload."""
_ALL_HELD_BACK = 1 << 29
"""More messages than fit into an inbox."""

_logger = logging.getLogger("falconws.server")


class Connection(WSListener):
    """A WebSocket connection as ASGI callables, and as the extension "falconws.connection".

    Attributes:
        peer: The client's address, for log lines.
        uncounted_bytes: How many bytes may be read until `count_inbox` has to be called.
    """

    __slots__ = (
        "_answer_handshake",
        "_answering",
        "_assembler",
        "_can_send",
        "_close",
        "_close_grace",
        "_close_timeout",
        "_close_when_idle",
        "_connect_received",
        "_control_frames",
        "_control_since_s",
        "_corked",
        "_deflate",
        "_disconnect_callbacks",
        "_flow",
        "_held_back",
        "_inbox",
        "_inbox_bytes",
        "_is_held",
        "_keepalive",
        "_loop",
        "_message_timeout",
        "_notable_bytes",
        "_on_lost",
        "_paused_reading",
        "_read_probe",
        "_receiver",
        "_settings",
        "_slice_start_s",
        "_slice_waiting",
        "_state",
        "_transport",
        "_writable_callbacks",
        "_ws_transport",
        "peer",
        "uncounted_bytes",
    )

    def __init__(
        self,
        settings: ConnectionSettings,
        loop: asyncio.AbstractEventLoop,
        peer: str,
        answer_handshake: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        self.peer = peer
        self._settings = settings
        self._loop = loop
        self._answer_handshake = answer_handshake
        self._on_lost: Callable[[], object] | None = None
        self._transport: Any = None
        self._ws_transport: Any = None
        self._state = CONNECTING
        self._close: tuple[int, str] | None = None
        self._close_timeout: CloseTimeout | None = None
        self._close_grace: asyncio.TimerHandle | None = None
        self._close_when_idle: tuple[int, str] | None = None
        self._disconnect_callbacks: list[Callable[[], object]] = []
        self._deflate: PerMessageDeflate | None = None
        self._keepalive: Keepalive | None = None

        self._connect_received = False
        self._inbox: deque[Message] = _EMPTY_INBOX
        self._inbox_bytes = 0
        """What the messages in the inbox took when they were counted last; exact while reading is paused."""
        self.uncounted_bytes = settings.uncounted_bytes
        self._notable_bytes = NOTABLE_BYTES
        """The memory budget is told how much is unread when that exceeds this."""
        self._receiver: asyncio.Future[None] | None = None
        """What a receiving task waits for: a message, or its next time slice."""
        self._held_back = 0
        """How many messages in the inbox must not be taken before the time slice grants more."""
        self._slice_start_s = 0.0
        self._slice_waiting = 0
        self._control_frames = 0
        self._control_since_s = 0.0
        self._paused_reading: PausedReading | None = None
        self._assembler: MessageAssembler | None = None
        self._message_timeout: MessageTimeout | None = None
        self._answering = False

        self._can_send = False
        """Whether it is OPEN and nothing waits to be sent before the next message: `_flow` is None."""
        self._flow: FlowControl | None = None
        self._read_probe: ReadProbe | None = None
        self._is_held = False
        """Whether messages are held back until the client has read earlier ones."""
        self._corked: list[bytes] | None = None
        self._writable_callbacks: list[Callable[[], object]] | None = None

    # ASGI.

    async def receive(self) -> dict[str, Any]:
        """Return the next ASGI event: connect, then messages, then the disconnect as often as it is called."""
        if not self._connect_received:
            self._connect_received = True
            return {"type": "websocket.connect"}
        message = await self.next_message()
        if message is None:
            code, reason = self._close or (int(CloseCode.ABNORMAL), "")
            return {"type": "websocket.disconnect", "code": code, "reason": reason}
        if type(message) is str:
            return {"type": "websocket.receive", "text": message}
        return {"type": "websocket.receive", "bytes": message}

    async def send(self, event: dict[str, Any]) -> None:
        """Send an ASGI event; a message waits here while too much waits for the client.

        Raises:
            DisconnectedError: The connection has ended, from either side.
            RuntimeError: The event does not fit the state of the connection.
        """
        kind = event["type"]
        if kind == "websocket.send" and self._state != CONNECTING:
            text = event.get("text")
            if text is not None:
                if not self.try_send_text(text):
                    await self._send_later(TEXT, text.encode())
                return
            data = event.get("bytes")
            if data is None:
                raise RuntimeError("A websocket.send event needs text or bytes.")
            if not self.try_send_bytes(data):
                await self._send_later(BINARY, bytes(data))
        elif self._state == CONNECTING:
            await self._answer_handshake(event)
        elif self._state != OPEN:
            raise DisconnectedError(f"The connection has ended: {self.describe_close()}")
        elif kind == "websocket.close":
            code = event.get("code")
            self.close(CloseCode.NORMAL if code is None else code, event.get("reason") or "")
        else:
            raise RuntimeError(f"Unexpected ASGI event {kind!r} on an accepted WebSocket.")

    # The extension: see falconws/extension.py.

    @property
    def closed(self) -> bool:
        return self._close is not None

    @property
    def close_code(self) -> int | None:
        return None if self._close is None else self._close[0]

    @property
    def close_reason(self) -> str | None:
        return None if self._close is None else self._close[1]

    @property
    def buffered_amount(self) -> int:
        if self._state not in (OPEN, CLOSING):
            return 0
        corked = sum(map(len, self._corked)) if self._corked else 0
        return corked + int(self._transport.get_write_buffer_size())

    def try_receive(self) -> str | bytes | None:
        inbox = self._inbox
        if len(inbox) <= self._held_back and not (inbox and self._may_take()):
            return None
        message: Any = inbox.popleft()
        if type(message) is Compressed:
            return self._inflate(message)
        if len(message) > _LARGE_BYTES or self._paused_reading is not None:
            self._taken(message)
        return message  # type: ignore[no-any-return]

    async def next_message(self) -> str | bytes | None:
        while not self._inbox or (message := self.try_receive()) is None:
            receiver = self._receiver
            if receiver is not None:
                # Another task receives: wait until it has its message, and look again.
                await asyncio.wait((receiver,))
                continue
            if self._inbox:
                receiver = give_way(self._loop)
            elif self._close is not None:
                return None
            elif self._close_when_idle is not None:
                # The application has answered everything that it received.
                self.close(*self._close_when_idle)
                continue
            else:
                self._answering = False
                if self._notable_bytes != NOTABLE_BYTES:
                    self._report_unread(self.unread_bytes())
                self.uncounted_bytes = self._settings.uncounted_bytes
                receiver = self._loop.create_future()
            self._receiver = receiver
            self._held_back = _ALL_HELD_BACK
            try:
                await receiver
            finally:
                self._receiver = None
                waiting = len(self._inbox)
                self._answering = waiting > 0
                if waiting > 1:
                    self._start_slice()
                else:
                    self._held_back = 0
        return message

    @property
    def receiving(self) -> bool:
        return self._receiver is not None

    def try_send_text(self, text: str) -> bool:
        if not self._can_send:
            return False
        if len(text) <= _COPIED_CHARACTERS and self._deflate is None:
            if self._inbox or self._corked is not None:
                self._cork(TEXT, text.encode())
            else:
                self._ws_transport.send(TEXT, text)
            return True
        return self._try_send_large(TEXT, text.encode())

    def try_send_bytes(self, data: bytes) -> bool:
        if not self._can_send:
            return False
        if len(data) <= _COPIED_BYTES and self._deflate is None:
            if self._inbox or self._corked is not None:
                self._cork(BINARY, bytes(data))
            else:
                self._ws_transport.send(BINARY, data)
            return True
        return self._try_send_large(BINARY, bytes(data))

    @staticmethod
    def prepare(payload: str | bytes) -> PreparedMessage:
        prepared = PreparedMessage(payload)
        if len(prepared.payload) <= _COALESCED_BYTES:
            coalesce(prepared)
        return prepared

    def try_send_prepared(self, prepared: PreparedMessage) -> bool:
        if not self._can_send:
            return False
        coalescer, corked = prepared.coalescer, self._corked
        if coalescer is not None or corked is not None:
            if self._deflate is None and len(prepared.payload) <= _COALESCED_BYTES:
                if corked is not None:
                    self._add_to(corked, prepared.frame)
                elif coalescer is not None:
                    self._corked = [prepared.frame]
                    coalescer.connections.append(self)
                return True
            self._uncork()
        if self._deflate is not None:
            return self._try_send_compressed(prepared, self._deflate)
        buffer = prepared.buffer
        if buffer is not None:
            self._ws_transport.send_reuse_external_bytearray(prepared.opcode, buffer, MAX_HEADER_BYTES)
            return True
        if not self._has_capacity(len(prepared.frame)):
            return False
        self._transport.write(prepared.frame)
        return True

    @staticmethod
    def broadcast(connections: Iterable[Connection], prepared: PreparedMessage) -> list[Connection]:
        refused = []
        opcode, buffer = prepared.opcode, prepared.buffer
        immediate = prepared.coalescer is None and buffer is not None
        for connection in connections:
            # With hundreds of connections, this is most of what a delivery costs in Python. Every attribute touches
            # memory that is not in the cache, so nothing is called that need not be.
            try:
                if immediate and connection._can_send and connection._corked is None and connection._deflate is None:
                    # One system call from here takes 0.3 us less than the transport's write, of 6 us.
                    connection._ws_transport.send_reuse_external_bytearray(opcode, buffer, MAX_HEADER_BYTES)
                elif not connection.try_send_prepared(prepared):
                    refused.append(connection)
            except Exception:
                # An error on one connection must not reach the others.
                _logger.exception("%s - WebSocket disconnected: writing to it failed", connection.peer)
                connection.abort()
        return refused

    def cork(self) -> None:
        if self._corked is None and self._state == OPEN:
            self._corked = []
            self._loop.call_soon(self._uncork)

    def limit_buffering(self, max_bytes: int) -> None:
        if self._state == OPEN:
            self._transport.set_write_buffer_limits(high=max_bytes, low=max_bytes // 2)
            sock = self._transport.get_extra_info("socket")
            if _TCP_NOTSENT_LOWAT is not None and sock is not None:
                with contextlib.suppress(OSError):  # A Unix socket.
                    sock.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, max_bytes)
            if self._read_probe is None:
                self._read_probe = ReadProbe(self._loop, self)

    def add_writable_callback(self, callback: Callable[[], object]) -> None:
        if self._writable_callbacks is None:
            self._writable_callbacks = []
        self._writable_callbacks.append(callback)
        if self._flow is None and not self._is_held:
            self._loop.call_soon(self._notify_writable)

    def remove_writable_callback(self, callback: Callable[[], object]) -> None:
        if self._writable_callbacks is not None and callback in self._writable_callbacks:
            self._writable_callbacks.remove(callback)

    def _notify_writable(self) -> None:
        if self._writable_callbacks is not None and self._flow is None and not self._is_held:
            callbacks, self._writable_callbacks = self._writable_callbacks, None
            for callback in callbacks:
                callback()

    def add_disconnect_callback(self, callback: Callable[[], object]) -> None:
        if self._close is None:
            self._disconnect_callbacks.append(callback)
        else:
            callback()

    def remove_disconnect_callback(self, callback: Callable[[], object]) -> None:
        if callback in self._disconnect_callbacks:
            self._disconnect_callbacks.remove(callback)

    # Receiving.

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        if self._state != OPEN:
            if frame.msg_type == CLOSE:
                self.client_closed(CloseCode.NO_STATUS, "")
            return
        kind = frame.msg_type
        message: Any
        if (
            (kind is _TEXT_FRAME or kind is _BINARY_FRAME)
            and self._assembler is None
            and frame.fin
            and not (frame.rsv1 or frame.rsv2 or frame.rsv3)
        ):
            # A whole message in one frame, as nearly all are.
            try:
                message = frame.get_payload_as_utf8_text() if kind is _TEXT_FRAME else frame.get_payload_as_bytes()
            except UnicodeDecodeError:
                self.fail(CloseCode.INVALID_PAYLOAD, "text message is not UTF-8")
                return
        elif kind > BINARY:
            self._control(int(kind), frame)
            return
        else:
            message = self._assemble(int(kind), frame)
            if message is None:
                return
        inbox = self._inbox
        if inbox is _EMPTY_INBOX:
            inbox = self._inbox = deque()
        inbox.append(message)
        if len(message) > _LARGE_BYTES:
            # Most of it may have come in earlier reads: count when this one ends.
            self.uncounted_bytes = 0
        receiver = self._receiver
        if receiver is None:
            self._held_back += 1
            self._answering = True
        elif len(inbox) == 1 and not receiver.done():
            receiver.set_result(None)

    def count_inbox(self) -> None:
        """Pause reading if too much waits in the inbox; called after `uncounted_bytes` were read.

        Counting each message as it comes and goes would cost 4 % of an echo.
        """
        inbox, settings = self._inbox, self._settings
        if len(inbox) == 1 and self._receiver is not None:
            # It is being taken.
            self.uncounted_bytes = settings.uncounted_bytes
            return
        size = _OVERHEAD_BYTES * len(inbox) + sum(map(len, inbox))
        size += sum([_extra_bytes(message) for message in inbox if len(message) > _LARGE_BYTES])
        self._inbox_bytes = size
        self.uncounted_bytes = settings.uncounted_beside(len(inbox), size)
        unread_bytes = self.unread_bytes()
        if unread_bytes >= self._notable_bytes:
            self._report_unread(unread_bytes)
        if len(inbox) >= settings.max_queued_messages or size >= settings.max_queued_bytes:
            self._pause_reading()

    def _taken(self, message: Message) -> None:
        """Called when the application has taken a large message, or any message while reading is paused."""
        size = len(message)
        if size > _LARGE_BYTES:
            self._held_back = len(self._inbox)
            size += _extra_bytes(message)
        if self._paused_reading is not None:
            self._inbox_bytes -= size + _OVERHEAD_BYTES
            if self._inbox_is_half_empty():
                self._resume_reading()

    def _inflate(self, message: Compressed) -> str | bytes | None:
        """Return what *message* inflates to; None when it was broken, and the connection failed."""
        assert self._deflate is not None
        try:
            inflated = self._deflate.inflate(message.opcode, message.payload, self._settings.max_message_bytes)
        except ProtocolError as violation:
            self._inbox.clear()
            self._inbox_bytes = 0
            self.fail(violation.code, violation.reason)
            return None
        self._taken(message)
        # It may have taken long, whatever its size.
        self._held_back = len(self._inbox)
        return inflated

    def _start_slice(self) -> None:
        self._slice_start_s = perf_counter()
        self._slice_waiting = len(self._inbox)
        self._held_back = self._slice_waiting - 1

    def _may_take(self) -> bool:
        """Return whether a message may be taken when all that the time slice has granted are taken."""
        if self._receiver is not None:
            return False
        waiting = len(self._inbox)
        if waiting >= self._slice_waiting:
            # More have come since, while the application waited for something else.
            self._start_slice()
            return True
        granted = grant(self._slice_start_s, self._slice_waiting - waiting)
        self._held_back = max(0, waiting - granted)
        return granted > 0

    def _assemble(self, opcode: int, frame: Any) -> Message | None:
        assembler = self._assembler
        try:
            if frame.rsv2 or frame.rsv3:
                raise ProtocolError(CloseCode.PROTOCOL_ERROR, "reserved bit set without an extension that uses it")
            if assembler is None:
                assembler = MessageAssembler(
                    max_message_bytes=self._settings.max_message_bytes, compression=self._deflate is not None
                )
            message = assembler.add(opcode, frame.get_payload_as_bytes(), fin=bool(frame.fin), rsv1=bool(frame.rsv1))
        except ProtocolError as violation:
            self.fail(violation.code, violation.reason)
            return None
        if message is None:
            self._assembler = assembler
            if self._message_timeout is None:
                self._start_message_timeout()
        else:
            self._assembler = None
            if self._message_timeout is not None and self._pings_tell:
                self._message_timeout.stop()
                self._message_timeout = None
        return message

    @property
    def _pings_tell(self) -> bool:
        return self._settings.ping_interval_s is not None and self._settings.ping_timeout_s is not None

    def _start_message_timeout(self) -> None:
        if self._settings.message_timeout_s is not None:
            self._message_timeout = MessageTimeout(self._loop, self._settings, self)

    def _control(self, opcode: int, frame: Any) -> None:
        if self._has_too_many_control_frames():
            self.fail(CloseCode.POLICY_VIOLATION, "too many control frames")
            return
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self.fail(CloseCode.PROTOCOL_ERROR, "reserved bit set on a control frame")
        elif opcode == PING:
            self._answer_ping(frame.get_payload_as_bytes())
        elif opcode == PONG:
            if self._keepalive is not None:
                self._keepalive.pong(frame.get_payload_as_bytes())
            if self._read_probe is not None:
                self._read_probe.pong(frame.get_payload_as_bytes())
        else:
            try:
                code, reason = parse_close_payload(frame.get_payload_as_bytes())
            except ProtocolError as violation:
                self.fail(violation.code, violation.reason)
            else:
                self.client_closed(code, reason)

    def _has_too_many_control_frames(self) -> bool:
        limit = self._settings.max_control_frames_per_s
        self._control_frames += 1
        if limit is None or self._control_frames < limit:
            return False
        now = perf_counter()
        self._control_frames, since, self._control_since_s = 0, self._control_since_s, now
        return now - since < 1.0

    def _answer_ping(self, payload: bytes) -> None:
        if self._flow is not None and self._flow.paused:
            # Only the last of several pings needs an answer (RFC 6455 section 5.5.3), so a client
            # that pings and never reads costs nothing.
            self._flow.late_pong = payload
        else:
            self._ws_transport.send(PONG, payload)

    def _inbox_is_half_empty(self) -> bool:
        settings = self._settings
        if self._close_when_idle is not None:
            return False
        if not self._inbox:
            return True
        if self._paused_reading is not None and self._paused_reading.for_memory:
            return False
        return (
            len(self._inbox) <= settings.max_queued_messages // 2
            and self._inbox_bytes <= settings.max_queued_bytes // 2
        )

    def _pause_reading(self, *, for_memory: bool = False) -> None:
        if self._paused_reading is None and self._state == OPEN:
            self._paused_reading = PausedReading(self._loop, self, for_memory=for_memory)
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._paused_reading is not None:
            self._stop_paused_reading(self._paused_reading)
            self.uncounted_bytes = self._settings.uncounted_beside(len(self._inbox), self._inbox_bytes)
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def _stop_paused_reading(self, paused: PausedReading) -> None:
        paused.stop()
        if paused.for_memory:
            unread_memory.resumed(self)
        self._paused_reading = None

    # The memory budget of the process: see unread_memory.py.

    def unread_bytes(self) -> int:
        """Return how many bytes the client has sent that the application has not received."""
        held = self._inbox_bytes if self._inbox else 0
        if self._state == OPEN:
            held += self._transport.get_protocol().partial_bytes
            if self._assembler is not None:
                held += self._assembler.size
        return held

    def _report_unread(self, held: int) -> None:
        if held < NOTABLE_BYTES:
            held = 0
            self._notable_bytes = NOTABLE_BYTES
        else:
            self._notable_bytes = held + STEP_BYTES
        limit_bytes = self._settings.max_total_unread_bytes
        if unread_memory.report(self, held, limit_bytes) and self._paused_reading is None and self._state == OPEN:
            assert limit_bytes is not None
            self._pause_reading(for_memory=True)
            unread_memory.paused(self, self._loop, limit_bytes, self._settings.message_timeout_s)

    def has_only_incomplete_message(self) -> bool:
        """Whether the application has received everything but a message that is not complete."""
        return not self._inbox and self.message_progress() is not None

    def resume_for_memory(self) -> None:
        """Resume reading, if only the memory of the process was the reason to pause."""
        if self._paused_reading is not None:
            self._paused_reading.for_memory = False
            unread_memory.resumed(self)
            if self._inbox_is_half_empty():
                self._resume_reading()

    def close_for_memory(self) -> None:
        """Close the connection, because the process has no memory for the rest of its message."""
        _logger.info("%s - WebSocket closed: no memory for the rest of a message", self.peer)
        self.close(CloseCode.TRY_AGAIN_LATER, "too many unread messages")

    def application_ended(self) -> None:
        """Forget what the application will not receive any more."""
        self._inbox.clear()
        self._inbox_bytes = 0
        if self._notable_bytes != NOTABLE_BYTES:
            self._report_unread(self.unread_bytes())

    @property
    def is_reading(self) -> bool:
        """Whether it reads what the client sends: not while too much waits for the application."""
        return self._paused_reading is None

    def discard_input(self) -> None:
        """Stop feeding picows' parser."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    # Sending.

    def _cork(self, opcode: int, payload: bytes) -> None:
        """Hold a small message back, and write it together with those that follow at once.

        More messages wait to be answered, so more answers come in this iteration of the event loop. One write for all
        of them is cheaper than one for each; the next iteration writes them in any case.
        """
        corked = self._corked
        size = len(payload)
        frame = (_SHORT_HEADERS[opcode][size] if size < 126 else frame_header(opcode | FIN, size)) + payload
        if corked is None:
            self._corked = [frame]
            self._loop.call_soon(self._uncork)
            return
        corked.append(frame)
        # While messages have the same size, the product is the sum of their sizes.
        if not self._inbox or len(corked) >= _CORKED_MESSAGES or len(corked) * size >= _CORKED_TOTAL_BYTES:
            self._uncork()

    def _add_to(self, corked: list[bytes], frame: bytes) -> None:
        corked.append(frame)
        if len(corked) >= _CORKED_MESSAGES:
            # The end of the iteration, which comes in any case, writes what follows.
            self._corked = []
            self.write_coalesced(b"".join(corked))

    def _uncork(self) -> None:
        corked = self.take_corked()
        if corked:
            self.write_coalesced(b"".join(corked))

    def take_corked(self) -> list[bytes] | None:
        corked, self._corked = self._corked, None
        return corked

    def write_coalesced(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def _try_send_large(self, opcode: int, payload: bytes) -> bool:
        if self._deflate is None and len(payload) <= _CORKED_BYTES and (self._inbox or self._corked is not None):
            self._cork(opcode, payload)
            return True
        # Compression cannot be undone when its result is too large, so the size before it counts.
        if not self._has_capacity(len(payload)):
            return False
        first_byte, payload = self.encode(opcode, payload)
        self.write_frame(first_byte | FIN, payload)
        return True

    def _try_send_compressed(self, prepared: PreparedMessage, deflate: PerMessageDeflate) -> bool:
        if not self._has_capacity(len(prepared.payload)):
            return False
        if len(prepared.payload) < deflate.min_bytes:
            self._transport.write(prepared.frame)
        else:
            deflate.forget_context()
            self._transport.write(prepared.compressed_frame(deflate.shared_parameters))
        return True

    def _has_capacity(self, size: int) -> bool:
        waiting: int = self._transport.get_write_buffer_size()
        return waiting + size <= self._settings.max_buffered_bytes

    async def _send_later(self, opcode: int, payload: bytes) -> None:
        if self._state != OPEN:
            raise DisconnectedError(f"The connection has ended: {self.describe_close()}")
        await self._start_flow_control().send(opcode, payload)

    def _start_flow_control(self) -> FlowControl:
        if self._flow is None:
            self._flow = FlowControl(self, self._settings, self._loop)
            self._can_send = False
        return self._flow

    def end_flow_control(self) -> None:
        """Let new messages pass again; called when none waits any more."""
        self._flow = None
        self._can_send = self._state == OPEN and not self._is_held
        if self._writable_callbacks is not None:
            # Not at once: this may be called while the transport reports that it is writable.
            self._loop.call_soon(self._notify_writable)

    def hold(self) -> None:
        """Refuse messages until `release`; what the application awaits, such as `send`, is not held back."""
        self._is_held = True
        self._can_send = False

    def release(self) -> None:
        """Take messages again."""
        self._is_held = False
        self._can_send = self._state == OPEN and self._flow is None
        self._notify_writable()

    def pause_writing(self) -> None:
        if self._state == OPEN:
            self._start_flow_control().pause()

    def resume_writing(self) -> None:
        flow = self._flow
        if flow is not None:
            pong, flow.late_pong = flow.late_pong, None
            flow.resume()
            if pong is not None and self._state == OPEN:
                self._ws_transport.send(PONG, pong)

    def encode(self, opcode: int, payload: bytes) -> tuple[int, bytes]:
        """Return the first byte, without FIN, and the payload of the frame for a message."""
        deflate = self._deflate
        if deflate is not None and len(payload) >= deflate.min_bytes:
            return opcode | RSV1, deflate.compress(payload)
        return opcode, payload

    def write_frame(self, first_byte: int, payload: bytes) -> None:
        """Write a frame after everything that was sent before."""
        if self._corked is not None:
            self._uncork()
        # picows would lend the event loop its own buffer for the header of a large frame, and
        # overwrite it with the next frame while it waits.
        self._transport.writelines((frame_header(first_byte, len(payload)), payload))

    def send_ping(self, payload: bytes) -> bool:
        """Send a keepalive ping; return False when so much waits that it would not get through."""
        blocked = self._flow is not None and self._flow.paused and self._settings.send_timeout_s is not None
        if self._state != OPEN or blocked:
            return False
        self._ws_transport.send(PING, payload)
        return True

    # What keepalive and flow control ask.

    @property
    def is_receiving_frame(self) -> bool:
        """Whether a frame has come in part."""
        return bool(self._transport.get_protocol().partial_bytes)

    def message_progress(self) -> tuple[int, int] | None:
        """Return what changes with every byte of a message that is not complete; None when none has begun."""
        fragments = 0 if self._assembler is None else self._assembler.frames
        partial = self._transport.get_protocol().partial_bytes
        return (fragments, partial) if fragments or partial else None

    def undelivered_bytes(self) -> int:
        return undelivered_bytes(self._transport)

    def delivered_bytes(self) -> int:
        return delivered_bytes(self._transport)

    def sent_bytes(self) -> int:
        """Return how many bytes were sent; always 0 where the operating system does not tell."""
        return delivered_bytes(self._transport) + undelivered_bytes(self._transport)

    def received_bytes(self) -> int | None:
        return received_bytes(self._transport)

    def has_left(self) -> bool:
        return client_has_left(self._transport)

    def probe(self) -> None:
        """Send something that the client ignores, and that its machine answers with a reset if the client is gone."""
        if not self.undelivered_bytes():
            # RFC 6455 section 5.5.3 allows a pong that no ping has asked for.
            self._ws_transport.send(PONG, b"")

    # Beginning.

    @property
    def is_connecting(self) -> bool:
        """Whether the handshake is not answered yet."""
        return self._state == CONNECTING

    @property
    def is_open(self) -> bool:
        """Whether the handshake was accepted, and the end has not begun."""
        return self._state == OPEN

    def opened(self, transport: Any, deflate: PerMessageDeflate | None, on_lost: Callable[[], object]) -> None:
        """Begin; called when the 101 response is about to be written to *transport*."""
        settings = self._settings
        self._transport = transport
        self._on_lost = on_lost
        self._deflate = deflate
        self._state = OPEN
        self._can_send = True
        transport.set_write_buffer_limits(high=settings.high_water_bytes, low=settings.low_water_bytes)
        if settings.ping_interval_s is not None:
            self._keepalive = Keepalive(self._loop, settings, self)
        if not self._pings_tell:
            self._start_message_timeout()

    def on_ws_connected(self, transport: Any) -> None:
        self._ws_transport = transport

    def denied(self) -> None:
        """Called when the handshake was refused, or ended without an answer."""
        self._finish(CLOSED, CloseCode.ABNORMAL, "")

    # Ending.

    def describe_close(self) -> str:
        """Return close code and reason, for error messages and log lines."""
        code, reason = self._close or (int(CloseCode.ABNORMAL), "")
        return f"{code} {reason}".rstrip()

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake; do nothing when the connection is ending already."""
        if self._state != OPEN:
            return
        if not is_sendable(code):
            raise ValueError(f"{code} is not a close code that may be sent")
        self._send_close(code, reason)
        self._finish(CLOSING, code, reason)
        # The client's close frame follows whatever it has sent before: read on, and drop that.
        self._resume_reading()
        self._start_close_timeout()

    def close_when_idle(self, code: int, reason: str, grace_s: float) -> None:
        """Close as soon as the application has answered what was received.

        An application has answered when it waits for the next message. One that took the last message and does not ask
        for another (it may stream an answer forever) has *grace_s* to do so.
        """
        if self._state != OPEN:
            return
        if not self._inbox and not self._answering:
            self.close(code, reason)
            return
        self._close_when_idle = (code, reason)
        self._pause_reading()
        if not self._inbox:
            self._close_grace = self._loop.call_later(grace_s, self.close, code, reason)

    def client_closed(self, code: int, reason: str) -> None:
        """Complete the closing handshake; called when the client's close frame has come."""
        if self._state == OPEN:
            self._send_close(code, reason)
            self._shut_down(code, reason)
        elif self._state == CLOSING:
            self._shut_down(code, reason)

    def fail(self, code: int, reason: str) -> None:
        """Fail the connection: the client violated the protocol or a limit (RFC 6455 section 7.1.7)."""
        self._send_close(code, reason)
        # picows may have refused the frame behind this one already, and sent a close frame that says so.
        sent = self._ws_transport.close_handshake.sent
        self.failed(int(sent.code), sent.reason)

    def failed(self, code: int, reason: str) -> None:
        """End the connection; called when the close frame that says why was sent."""
        _logger.info("%s - WebSocket failed with %d: %s", self.peer, code, reason)
        self._finish(CLOSED, code, reason)
        lingering_close(self._transport, self._loop, self._settings.close_timeout_s, self.lost)

    def evict(self, why: str) -> None:
        """Disconnect a client that does not keep up."""
        _logger.info("%s - WebSocket disconnected: %s", self.peer, why)
        self._finish(CLOSED, CloseCode.ABNORMAL, "")
        self.abort()

    def abort(self) -> None:
        """Disconnect now; what waits for the client is lost."""
        if self._transport is not None:
            self._transport.abort()

    def end_of_stream(self) -> None:
        """Called when the client has closed its sending side: it cannot complete a closing handshake any more."""
        if self._state in (OPEN, CLOSING):
            self._shut_down(CloseCode.ABNORMAL, "")

    def on_ws_disconnected(self, transport: Any) -> None:
        self.lost()

    def lost(self) -> None:
        """Called when the transport is closed, for whatever reason."""
        self._finish(CLOSED, CloseCode.ABNORMAL, "")
        if self._close_timeout is not None:
            self._close_timeout.stop()
            self._close_timeout = None
        if self._on_lost is not None:
            on_lost, self._on_lost = self._on_lost, None
            on_lost()

    def _send_close(self, code: int, reason: str) -> None:
        self._uncork()
        if code == CloseCode.NO_STATUS:
            self._ws_transport.send(CLOSE, b"")
        else:
            self._ws_transport.send_close(code, shorten_reason(reason))

    def _shut_down(self, code: int, reason: str) -> None:
        """Close the transport: the server does it first (RFC 6455 section 7.1.1)."""
        self._finish(CLOSED, code, reason)
        self._transport.close()
        self._start_close_timeout()

    def _start_close_timeout(self) -> None:
        if self._close_timeout is not None:
            self._close_timeout.stop()
        self._close_timeout = CloseTimeout(self._loop, self._settings, self._transport)

    def _finish(self, state: int, code: int, reason: str) -> None:
        """Enter *state*, CLOSING or CLOSED, and wake everything that waits; the first code and reason are told."""
        self._state = state
        self._can_send = False
        if self._close is None:
            self._close = (int(code), reason)
            callbacks, self._disconnect_callbacks = self._disconnect_callbacks, []
            for callback in callbacks:
                callback()
        if self._keepalive is not None:
            self._keepalive.stop()
            self._keepalive = None
        if self._read_probe is not None:
            self._read_probe.stop()
            self._read_probe = None
        if self._close_grace is not None:
            self._close_grace.cancel()
            self._close_grace = None
        if state == CLOSED and self._paused_reading is not None:
            self._stop_paused_reading(self._paused_reading)
        if self._message_timeout is not None:
            self._message_timeout.stop()
            self._message_timeout = None
        self._assembler = None
        if self._notable_bytes != NOTABLE_BYTES:
            self._report_unread(self.unread_bytes())
        if self._receiver is not None and not self._receiver.done():
            self._receiver.set_result(None)
        if self._flow is not None:
            self._flow.stop()
        self.end_flow_control()


def _extra_bytes(message: Message) -> int:
    """Return what a large message in the inbox takes beyond its length: up to 4 bytes a character if not ASCII."""
    return 3 * len(message) if type(message) is str and not message.isascii() else 0
