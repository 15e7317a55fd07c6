"""What the client of a connection has sent and the application has not received: frames come in, messages go out.

Theory of operation. picows calls `on_ws_frame` with each frame. A data frame becomes a message, nearly always at once,
otherwise by a `MessageAssembler`, and waits in `messages` until the application takes it with `try_receive` or
`next_message`. Control frames go to the connection. Three limits apply, and each costs next to nothing while the
application keeps up:

- **The inbox.** `uncounted_bytes` falls with each read. Below 0, the inbox is counted. Reading pauses when it is full,
  and resumes when half of it is taken.
- **The memory of the process.** `unread_memory` is told when much is unread, and may ask to pause reading as well.
- **The time slice.** The last `_held_back` messages must not be taken yet. When all others are, `time_slice` is asked
  whether more may be, or other connections come first.

Knows its connection by the port below, and neither ASGI nor how anything is sent.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Any, Protocol

from picows import WSListener

from falconws.closecodes import CloseCode
from falconws.server.errors import ProtocolError
from falconws.server.unread_memory import NOTABLE_BYTES, STEP_BYTES, unread_memory
from falconws.server.websocket.assembler import Compressed, Message, MessageAssembler
from falconws.server.websocket.deflate import PerMessageDeflate
from falconws.server.websocket.frames import BINARY, CLOSE, CONTINUATION, FIN, TEXT
from falconws.server.websocket.keepalive import MessageTimeout, PausedReading, WatchedConnection
from falconws.server.websocket.settings import ConnectionSettings
from falconws.server.websocket.time_slice import give_way, grant

_WHOLE_TEXT, _WHOLE_BINARY = FIN | TEXT, FIN | BINARY
"""The first byte of a message in one frame that is not compressed."""

_NO_MESSAGES: deque[Message] = deque(maxlen=0)
"""What connections share until their first message comes: a deque for each of them costs 0.6 kB."""

_LARGE_BYTES = 2048
"""After a larger message, the time slice is checked before the next one is taken."""
_OVERHEAD_BYTES = 64
"""The memory that a message in the inbox takes besides its payload."""
_ALL_HELD_BACK = 1 << 29
"""More messages than fit into an inbox."""

_logger = logging.getLogger("falconws.server")


class ReceivingConnection(WatchedConnection, Protocol):
    """What an inbox asks of its connection."""

    peer: str

    def control_frame(self, opcode: int, frame: Any) -> None: ...


class Inbox(WSListener):
    """The messages of one connection that wait for the application.

    Attributes:
        ended: Whether the end of the connection has begun: nothing is added any more.
        frame_at: Where in `read` the next frame begins.
        messages: The messages, the oldest first.
        read: The memory of what is being parsed, if a frame begins it; None otherwise.
        read_bytes: How many bytes were read.
        receiver: What a task that receives waits for: a message, or its next time slice.
        uncounted_bytes: How many bytes may be read until `count` has to be called.
    """

    __slots__ = (
        "_answering",
        "_assembler",
        "_bytes",
        "_connection",
        "_deflate",
        "_held_back",
        "_loop",
        "_message_timeout",
        "_notable_bytes",
        "_on_answered",
        "_paused_reading",
        "_settings",
        "_slice_start_s",
        "_slice_waiting",
        "ended",
        "frame_at",
        "messages",
        "read",
        "read_bytes",
        "receiver",
        "uncounted_bytes",
    )

    def __init__(
        self, settings: ConnectionSettings, loop: asyncio.AbstractEventLoop, connection: ReceivingConnection
    ) -> None:
        self._settings = settings
        self._loop = loop
        self._connection = connection
        self._deflate: PerMessageDeflate | None = None
        self.ended = False
        self.messages = _NO_MESSAGES
        self.read: memoryview | None = None
        self.read_bytes = 0
        self.frame_at = 0
        self._bytes = 0
        """What the messages took when they were counted last; exact while reading is paused."""
        self.uncounted_bytes = settings.uncounted_bytes
        self._notable_bytes = NOTABLE_BYTES
        """The memory budget is told how much is unread when that exceeds this."""
        self.receiver: asyncio.Future[None] | None = None
        self._answering = False
        self._on_answered: Callable[[], object] | None = None
        self._held_back = 0
        """How many messages must not be taken before the time slice grants more."""
        self._slice_start_s = 0.0
        self._slice_waiting = 0
        self._paused_reading: PausedReading | None = None
        self._assembler: MessageAssembler | None = None
        self._message_timeout: MessageTimeout | None = None

    # Frames.

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        if self.ended:
            if frame.msg_type == CLOSE:
                self._connection.state.client_closed(CloseCode.NO_STATUS, "")
            return
        first_byte = 0
        read = self.read
        if read is not None:
            first_byte = read[self.frame_at]
            self.frame_at = self.read_bytes - frame.tail_size
        message: Any
        try:
            # Asking the frame what its first byte tells, the type and four bits, takes a tenth of an echo.
            if first_byte == _WHOLE_TEXT and self._assembler is None:
                message = frame.get_payload_as_utf8_text()
            elif first_byte == _WHOLE_BINARY and self._assembler is None:
                message = frame.get_payload_as_bytes()
            else:
                message = self._message_of(frame)
        except UnicodeDecodeError:
            self._connection.state.fail(CloseCode.INVALID_PAYLOAD, "text message is not UTF-8")
            return
        except ProtocolError as violation:
            self._connection.state.fail(violation.code, violation.reason)
            return
        if message is None:
            return
        messages = self.messages
        if messages is _NO_MESSAGES:
            messages = self.messages = deque()
        messages.append(message)
        if len(message) > _LARGE_BYTES:
            # Most of it may have come in earlier reads: count when this one ends.
            self.uncounted_bytes = 0
        receiver = self.receiver
        if receiver is None:
            self._held_back += 1
            self._answering = True
        elif len(messages) == 1 and not receiver.done():
            receiver.set_result(None)

    def _message_of(self, frame: Any) -> Message | None:
        """Return the message that *frame* is or completes; None for a control frame, and when more must follow."""
        opcode = int(frame.msg_type)
        if opcode > BINARY:
            self._connection.control_frame(opcode, frame)
            return None
        assembler = self._assembler
        if assembler is None:
            if opcode != CONTINUATION and frame.fin and not (frame.rsv1 or frame.rsv2 or frame.rsv3):
                whole: str | bytes
                whole = frame.get_payload_as_utf8_text() if opcode == TEXT else frame.get_payload_as_bytes()
                return whole
            assembler = MessageAssembler(
                max_message_bytes=self._settings.max_message_bytes, compression=self._deflate is not None
            )
        if frame.rsv2 or frame.rsv3:
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "reserved bit set without an extension that uses it")
        message = assembler.add(opcode, frame.get_payload_as_bytes(), fin=bool(frame.fin), rsv1=bool(frame.rsv1))
        if message is None:
            self._assembler = assembler
            self._start_message_timeout()
        else:
            self._assembler = None
            if self._settings.requires_pongs:
                self._stop_message_timeout()
        return message

    def _start_message_timeout(self) -> None:
        if self._message_timeout is None and self._settings.message_timeout_s is not None:
            self._message_timeout = MessageTimeout(self._loop, self._settings, self._connection)

    def _stop_message_timeout(self) -> None:
        if self._message_timeout is not None:
            self._message_timeout.stop()
            self._message_timeout = None

    @property
    def is_receiving_frame(self) -> bool:
        """Whether a frame has come in part."""
        return self._partial_bytes > 0

    @property
    def _partial_bytes(self) -> int:
        partial: int = self._connection.transport.get_protocol().partial_bytes
        return partial

    def message_progress(self) -> tuple[int, int] | None:
        """Return what changes with every byte of a message that is not complete; None when none has begun."""
        fragments = 0 if self._assembler is None else self._assembler.frames
        partial = self._partial_bytes
        return (fragments, partial) if fragments or partial else None

    # Receiving.

    def try_receive(self) -> str | bytes | None:
        """Return the next message if one may be taken; see `ConnectionExtension.try_receive`."""
        messages = self.messages
        if len(messages) <= self._held_back and not (messages and self._may_take()):
            return None
        message: Any = messages.popleft()
        if type(message) is Compressed:
            return self._inflate(message)
        if len(message) > _LARGE_BYTES or self._paused_reading is not None:
            self._taken(message)
        return message  # type: ignore[no-any-return]

    async def next_message(self) -> str | bytes | None:
        """Return the next message once it may be taken; None when the connection has ended and none is left."""
        while not self.messages or (message := self.try_receive()) is None:
            receiver = self.receiver
            if receiver is not None:
                # Another task receives: wait until it has its message, and look again.
                await asyncio.wait((receiver,))
                continue
            if self.messages:
                receiver = give_way(self._loop)
            elif self.ended:
                return None
            elif self._on_answered is not None:
                on_answered, self._on_answered = self._on_answered, None
                on_answered()
                continue
            else:
                self._answering = False
                if self._notable_bytes != NOTABLE_BYTES:
                    self._report(self.unread_bytes())
                self.uncounted_bytes = self._settings.uncounted_bytes
                receiver = self._loop.create_future()
            self.receiver = receiver
            self._held_back = _ALL_HELD_BACK
            try:
                await receiver
            finally:
                self.receiver = None
                waiting = len(self.messages)
                self._answering = waiting > 0
                if waiting > 1:
                    self._start_slice()
                else:
                    self._held_back = 0
        return message

    def _start_slice(self) -> None:
        self._slice_start_s = perf_counter()
        self._slice_waiting = len(self.messages)
        self._held_back = self._slice_waiting - 1

    def _may_take(self) -> bool:
        """Return whether a message may be taken when all that the time slice has granted are taken."""
        if self.receiver is not None:
            return False
        waiting = len(self.messages)
        if waiting >= self._slice_waiting:
            # More have come since, while the application waited for something else.
            self._start_slice()
            return True
        granted = grant(self._slice_start_s, self._slice_waiting - waiting)
        self._held_back = max(0, waiting - granted)
        return granted > 0

    def _inflate(self, message: Compressed) -> str | bytes | None:
        """Return what *message* inflates to; None when it was broken, and the connection failed."""
        assert self._deflate is not None
        try:
            inflated = self._deflate.inflate(message.opcode, message.payload, self._settings.max_message_bytes)
        except ProtocolError as violation:
            self.clear()
            if not self.ended:
                self._connection.state.fail(violation.code, violation.reason)
            return None
        self._taken(message)
        # It may have taken long, whatever its size.
        self._held_back = len(self.messages)
        return inflated

    def _taken(self, message: Message) -> None:
        """Called when the application has taken a large message, or any message while reading is paused."""
        size = len(message)
        if size > _LARGE_BYTES:
            self._held_back = len(self.messages)
            size += _extra_bytes(message)
        if self._paused_reading is not None:
            self._bytes -= size + _OVERHEAD_BYTES
            if self._may_resume():
                self._resume_reading()

    # Counting, and pausing.

    def count(self) -> None:
        """Pause reading if too much waits; called after `uncounted_bytes` were read.

        Counting each message as it comes and goes would cost 4 % of an echo.
        """
        messages, settings = self.messages, self._settings
        if len(messages) == 1 and self.receiver is not None:
            # It is being taken.
            self.uncounted_bytes = settings.uncounted_bytes
            return
        size = _OVERHEAD_BYTES * len(messages) + sum(map(len, messages))
        size += sum([_extra_bytes(message) for message in messages if len(message) > _LARGE_BYTES])
        self._bytes = size
        self.uncounted_bytes = settings.uncounted_beside(len(messages), size)
        unread_bytes = self.unread_bytes()
        if unread_bytes >= self._notable_bytes:
            self._report(unread_bytes)
        if len(messages) >= settings.max_queued_messages or size >= settings.max_queued_bytes:
            self._pause_reading()

    @property
    def is_reading(self) -> bool:
        """Whether it reads what the client sends: not while too much waits for the application."""
        return self._paused_reading is None

    def _pause_reading(self, *, for_memory: bool = False) -> None:
        if self._paused_reading is None and not self.ended:
            self._paused_reading = PausedReading(self._loop, self._connection, for_memory=for_memory)
            self._connection.transport.pause_reading()

    def _may_resume(self) -> bool:
        settings, paused = self._settings, self._paused_reading
        if self._on_answered is not None:
            return False
        if not self.messages:
            return True
        return (
            not (paused is not None and paused.for_memory)
            and len(self.messages) <= settings.max_queued_messages // 2
            and self._bytes <= settings.max_queued_bytes // 2
        )

    def _resume_reading(self) -> None:
        if self._paused_reading is not None:
            self._stop_pause(self._paused_reading)
            self.uncounted_bytes = self._settings.uncounted_beside(len(self.messages), self._bytes)
            if not self._connection.transport.is_closing():
                self._connection.transport.resume_reading()

    def _stop_pause(self, paused: PausedReading) -> None:
        paused.stop()
        if paused.for_memory:
            unread_memory.resumed(self)
        self._paused_reading = None

    # The memory budget of the process: see unread_memory.py.

    def unread_bytes(self) -> int:
        """Return how many bytes the client has sent that the application has not received."""
        held = self._bytes if self.messages else 0
        if not self.ended:
            held += self._partial_bytes
            if self._assembler is not None:
                held += self._assembler.size
        return held

    def _recount(self) -> None:
        """Correct what was reported, if anything was."""
        if self._notable_bytes != NOTABLE_BYTES:
            self._report(self.unread_bytes())

    def _report(self, held: int) -> None:
        if held < NOTABLE_BYTES:
            held = 0
            self._notable_bytes = NOTABLE_BYTES
        else:
            self._notable_bytes = held + STEP_BYTES
        limit_bytes = self._settings.max_total_unread_bytes
        if unread_memory.report(self, held, limit_bytes) and self._paused_reading is None and not self.ended:
            assert limit_bytes is not None
            self._pause_reading(for_memory=True)
            unread_memory.paused(self, self._loop, limit_bytes, self._settings.message_timeout_s)

    def has_only_incomplete_message(self) -> bool:
        """Whether the application has received everything but a message that is not complete."""
        return not self.messages and self.message_progress() is not None

    def resume_for_memory(self) -> None:
        """Resume reading, if only the memory of the process was the reason to pause."""
        if self._paused_reading is not None:
            self._paused_reading.for_memory = False
            unread_memory.resumed(self)
            if self._may_resume():
                self._resume_reading()

    def close_for_memory(self) -> None:
        """Close the connection, because the process has no memory for the rest of its message."""
        _logger.info("%s - WebSocket closed: no memory for the rest of a message", self._connection.peer)
        self._connection.state.close(CloseCode.TRY_AGAIN_LATER, "too many unread messages")

    # Beginning and end.

    def open(self, deflate: PerMessageDeflate | None) -> None:
        """Begin; called when the handshake was accepted."""
        self._deflate = deflate
        if not self._settings.requires_pongs:
            self._start_message_timeout()

    def call_when_answered(self, callback: Callable[[], object], grace_s: float) -> None:
        """Stop reading, and call *callback* as soon as the application has answered what was received.

        An application has answered when it waits for the next message. One that took the last message and does not ask
        for another (it may stream an answer forever) has *grace_s* to do so.
        """
        if not self.messages and not self._answering:
            callback()
            return
        self._on_answered = callback
        self._pause_reading()
        if not self.messages:
            self._loop.call_later(grace_s, callback)

    def end(self, *, closed: bool) -> None:
        """Add no more messages, and wake the task that waits for one. What is there can still be received.

        Read on, for the client's close frame, unless the connection is *closed*.
        """
        self.ended = True
        if not closed:
            self._resume_reading()
        elif self._paused_reading is not None:
            self._stop_pause(self._paused_reading)
        self._stop_message_timeout()
        self._assembler = None
        self._recount()
        if self.receiver is not None and not self.receiver.done():
            self.receiver.set_result(None)

    def clear(self) -> None:
        """Forget what the application will not receive any more."""
        self.messages.clear()
        self._bytes = 0
        self._recount()

    def detach(self) -> None:
        """Forget the connection, which refers to this; called when nothing comes from the client any more."""
        del self._connection


def _extra_bytes(message: Message) -> int:
    """Return what a large message takes beyond its length: up to 4 bytes a character if it is not ASCII."""
    return 3 * len(message) if type(message) is str and not message.isascii() else 0
