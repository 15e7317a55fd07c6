"""A message for many connections: its frame is built once, and every connection writes it as it is.

Messages that are prepared in one iteration of the event loop are coalesced: each connection writes its own with one
system call. Pure except for the event loop; knows a connection by the port below.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Protocol

from falconws.server.websocket.deflate import PerMessageDeflate, SharedParameters, compress_alone
from falconws.server.websocket.frames import BINARY, FIN, RSV1, TEXT, frame_header

MAX_HEADER_BYTES = 14
"""picows writes the header of a frame in front of its payload, and needs this many bytes there."""

_SMALL_BYTES = 8192
"""Up to this size, bytes that a slow client has not taken are copied; a larger frame is shared by all connections."""


class PreparedMessage:
    """What `try_send_prepared` takes, on any connection of the process.

    Attributes:
        opcode: TEXT or BINARY.
        payload: The message, encoded.
        buffer: The payload behind space for a header, for a small message; None for a large one.
        frame: The whole frame, for a connection without compression.
        compressed_frames: The whole frame, for connections with compression, by what they have agreed on.
        coalescer: Writes it when the iteration of the event loop ends; None when it is to be written at once.
    """

    __slots__ = ("buffer", "coalescer", "compressed_frames", "frame", "opcode", "payload")

    def __init__(self, message: str | bytes) -> None:
        self.opcode = TEXT if isinstance(message, str) else BINARY
        self.payload = message.encode() if isinstance(message, str) else bytes(message)
        small = len(self.payload) <= _SMALL_BYTES
        self.buffer = bytearray(MAX_HEADER_BYTES) + self.payload if small else None
        self.frame = frame_header(self.opcode | FIN, len(self.payload)) + self.payload
        self.compressed_frames: dict[SharedParameters, bytes] | None = None
        self.coalescer: WriteCoalescer | None = None

    def compressed_frame(self, deflate: PerMessageDeflate) -> bytes:
        """Return the whole frame for a connection with *deflate*, compressed once for all that have its parameters."""
        if len(self.payload) < deflate.min_bytes:
            return self.frame
        deflate.forget_context()
        parameters = deflate.shared_parameters
        if self.compressed_frames is None:
            self.compressed_frames = {}
        frame = self.compressed_frames.get(parameters)
        if frame is None:
            payload = compress_alone(self.payload, parameters)
            frame = frame_header(self.opcode | FIN | RSV1, len(payload)) + payload
            self.compressed_frames[parameters] = frame
        return frame


_SINGLE_ITERATIONS = 4
"""After this many iterations with one message each, the first message of an iteration is written at once again."""

_TRIED_ITERATIONS = 8
"""One of this many iterations coalesces nevertheless: a broadcast to many connections takes so long that its publisher
yields to the event loop before it takes the next message, and there would never be two in one iteration."""

_MAX_MESSAGES = 64
"""The most messages that are coalesced if they come one by one."""

_IDLE_ITERATIONS = 3
"""Messages that come one by one are written after this many iterations without another one. A publisher that has
yielded to the event loop goes on in the second one."""

_logger = logging.getLogger("falconws.server")


class CorkedConnection(Protocol):
    """What the coalescer asks of a connection."""

    def take_corked(self) -> list[bytes] | None:
        """Return the frames that wait for the end of the iteration, and forget them; None when they were written."""

    def write_coalesced(self, data: bytes) -> None:
        """Write the joined frames that `take_corked` has returned."""

    def abort(self) -> None:
        """Disconnect now."""


class WriteCoalescer:
    """Writes the messages of one iteration of one event loop together; of several, if they come one by one.

    Attributes:
        connections: Those that have corked a frame. They may have written it meanwhile.
    """

    __slots__ = ("_idle_iterations", "_messages", "_seen", "_single_iterations", "connections", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._messages: list[PreparedMessage] = []
        self._seen = 0
        """How many of them came in earlier iterations."""
        self._idle_iterations = 0
        self._single_iterations = _SINGLE_ITERATIONS
        self.connections: list[CorkedConnection] = []

    def add(self, message: PreparedMessage) -> None:
        """Count *message*, and coalesce it unless it seems to be the only one of this iteration."""
        if not self._messages:
            self.loop.call_soon(self._end_iteration)
        singles = self._single_iterations
        if self._messages or singles < _SINGLE_ITERATIONS or singles % _TRIED_ITERATIONS == 0:
            message.coalescer = self
        self._messages.append(message)

    def _end_iteration(self) -> None:
        new = len(self._messages) - self._seen
        self._idle_iterations = 0 if new else self._idle_iterations + 1
        is_pausing = new <= 1 and self._idle_iterations < _IDLE_ITERATIONS and self._seen + new < _MAX_MESSAGES
        if is_pausing and self._messages[-1].coalescer is not None:
            # Its publisher may have yielded to the event loop, and go on soon.
            self._seen += new
            self.loop.call_soon(self._end_iteration)
            return
        self._seen = self._idle_iterations = 0
        messages, self._messages = self._messages, []
        connections, self.connections = self.connections, []
        self._single_iterations = 0 if len(messages) > 1 else self._single_iterations + 1
        for message in messages:
            # A connection that sends it later, from a backlog, writes it at once.
            message.coalescer = None
        last: list[bytes] = []
        joined = b""
        for connection in connections:
            frames = connection.take_corked()
            if not frames:
                continue
            if frames != last:
                last, joined = frames, b"".join(frames)
            try:
                connection.write_coalesced(joined)
            except Exception:
                # An error on one connection must not reach the others.
                _logger.exception("WebSocket disconnected: writing coalesced messages to it failed")
                connection.abort()


class _ThreadState(threading.local):
    coalescer: WriteCoalescer | None = None


_thread_state = _ThreadState()


def coalesce(message: PreparedMessage) -> None:
    """Add *message* to the current iteration of the running event loop; do nothing where none runs."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    coalescer = _thread_state.coalescer
    if coalescer is None or coalescer.loop is not loop:
        coalescer = _thread_state.coalescer = WriteCoalescer(loop)
    coalescer.add(message)
