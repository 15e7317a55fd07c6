"""Assembling messages from data frames, within limits. Pure: knows no connection.

Theory of operation. A message is one frame, or a first frame without FIN followed by continuation frames up to one with
FIN (RFC 6455 section 5.4). Control frames may come in between; they never get here. Text must be UTF-8 as a whole
(section 8.1), and a fragment may end within a character, so an incremental decoder follows the fragments and refuses
the first byte that cannot be right. Fragments are kept in one buffer, so that a message costs no more memory in many
fragments than in one. The limits are checked before a fragment is kept. Fragments are counted, empty ones too: each
costs time even when it carries nothing.

A message in one frame that is not compressed, which is nearly every message, does not come here: see
Connection.on_ws_frame.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from falconws.closecodes import CloseCode
from falconws.server.errors import ProtocolError
from falconws.server.websocket.frames import BINARY, CONTINUATION, TEXT

MAX_FRAGMENTS = 65_536

_utf8_decoder = codecs.getincrementaldecoder("utf-8")


@dataclass(frozen=True, slots=True)
class Compressed:
    """A message that is still compressed: it is inflated when the application receives it (RFC 7692)."""

    opcode: int
    payload: bytes

    def __len__(self) -> int:
        return len(self.payload)


Message = str | bytes | Compressed


class MessageAssembler:
    """Assembles the data frames of one message, and then of the next.

    Args:
        max_message_bytes: Size of the largest message, as received: before it is inflated.
        max_fragments: How many frames may follow the first one of a message.
        compression: Whether RSV1 on a first frame marks a compressed message.

    Attributes:
        frames: Number of frames of the present message so far.
    """

    __slots__ = (
        "_compressed",
        "_compression",
        "_decoder",
        "_max_bytes",
        "_max_fragments",
        "_opcode",
        "_payload",
        "frames",
    )

    def __init__(
        self, *, max_message_bytes: int, max_fragments: int = MAX_FRAGMENTS, compression: bool = False
    ) -> None:
        self._max_bytes = max_message_bytes
        self._max_fragments = max_fragments
        self._compression = compression
        self._opcode = CONTINUATION
        self._compressed = False
        self._decoder: codecs.IncrementalDecoder | None = None
        self._payload = bytearray()
        self.frames = 0

    @property
    def within_message(self) -> bool:
        """Whether a message has begun and is not complete."""
        return self._opcode != CONTINUATION

    @property
    def size(self) -> int:
        """Bytes of the present message so far."""
        return len(self._payload)

    def add(self, opcode: int, payload: bytes, *, fin: bool, rsv1: bool = False) -> Message | None:
        """Return the message that this frame completes, or None when more frames must follow.

        Raises:
            ProtocolError: PROTOCOL_ERROR for a frame out of order or with a reserved bit, INVALID_PAYLOAD for text
                that is not UTF-8, MESSAGE_TOO_BIG for a message over a limit.
        """
        if opcode == CONTINUATION:
            if not self.within_message:
                raise ProtocolError(CloseCode.PROTOCOL_ERROR, "continuation frame without a message to continue")
            if rsv1:
                raise ProtocolError(CloseCode.PROTOCOL_ERROR, "reserved bit set on a continuation frame")
        else:
            if self.within_message:
                raise ProtocolError(CloseCode.PROTOCOL_ERROR, "new message before the end of the last one")
            if rsv1 and not self._compression:
                raise ProtocolError(CloseCode.PROTOCOL_ERROR, "reserved bit set without an extension that uses it")
            self._begin(opcode, rsv1)
        self._keep(payload, fin)
        return self._finish() if fin else None

    def _begin(self, opcode: int, compressed: bool) -> None:
        self._opcode = opcode
        self._compressed = compressed
        self._decoder = _utf8_decoder() if opcode == TEXT and not compressed else None
        self._payload = bytearray()
        self.frames = 0

    def _keep(self, payload: bytes, fin: bool) -> None:
        self.frames += 1
        if len(self._payload) + len(payload) > self._max_bytes:
            raise ProtocolError(CloseCode.MESSAGE_TOO_BIG, f"message over {self._max_bytes} bytes")
        if self.frames > self._max_fragments + 1:
            raise ProtocolError(CloseCode.MESSAGE_TOO_BIG, f"message with more than {self._max_fragments} fragments")
        self._payload += payload
        if self._decoder is not None:
            try:
                self._decoder.decode(payload, fin)
            except UnicodeDecodeError:
                raise ProtocolError(CloseCode.INVALID_PAYLOAD, "text message is not UTF-8") from None

    def _finish(self) -> Message:
        opcode, payload = self._opcode, self._payload
        self._opcode = CONTINUATION
        self._payload = bytearray()
        if self._compressed:
            return Compressed(opcode, bytes(payload))
        return bytes(payload) if opcode == BINARY else payload.decode()
