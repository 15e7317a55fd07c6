"""Frames as a load test needs them: built once to send, counted when they come back. Pure.

Source: RFC 6455 section 5.2.
"""

import os

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_FIN = 0x80
_MASKED = 0x80


class ServerFrameError(Exception):
    """The server sent what no server may send; the text says what."""


def client_frame(opcode: int, payload: bytes) -> bytes:
    """Return one masked frame that holds the whole of *payload*."""
    size = len(payload)
    if size < 126:
        head = bytes([_FIN | opcode, _MASKED | size])
    elif size < 65536:
        head = bytes([_FIN | opcode, _MASKED | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([_FIN | opcode, _MASKED | 127]) + size.to_bytes(8, "big")
    mask = os.urandom(4)
    stretched = (mask * (size // 4 + 1))[:size]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(stretched, "big")).to_bytes(size, "big")
    return head + mask + masked


class FrameReader:
    """Counts the messages in a stream of a server's frames, without keeping them."""

    def __init__(self) -> None:
        self.controls: list[tuple[int, bytes]] = []
        """Opcode and payload of each control frame, for the caller to take out."""
        self._head = b""
        self._left = 0
        self._ends_message = False
        self._control: int | None = None
        self._control_payload = b""

    @property
    def between_frames(self) -> bool:
        """Whether the next byte is the first of a frame."""
        return not self._left and not self._head

    def feed(self, data: bytes) -> int:
        """Take bytes in; return how many messages they completed.

        Raises:
            ServerFrameError: They are no frames of a server without extensions.
        """
        messages = 0
        position, end = 0, len(data)
        while True:
            if self._left:
                taken = min(self._left, end - position)
                if self._control is not None:
                    self._control_payload += data[position : position + taken]
                self._left -= taken
                position += taken
                if self._left:
                    return messages
                messages += self._frame_ended()
            if position >= end:
                return messages
            # A head has at most 10 bytes, and most often they are all here.
            known = len(self._head)
            head = self._head + data[position : position + 10 - known]
            needed = _head_size(head)
            if len(head) < needed:
                self._head = head
                return messages
            position += needed - known
            self._head = b""
            self._begin(head[:needed])
            if not self._left:
                messages += self._frame_ended()

    def _begin(self, head: bytes) -> None:
        first, second = head[0], head[1]
        if first & 0x70 or second & _MASKED or first & 0x0F not in (0, 1, 2, 8, 9, 10):
            raise ServerFrameError(f"a frame that begins with the bytes {head[:2].hex(' ')}")
        opcode = first & 0x0F
        self._control = opcode if opcode & 0x8 else None
        self._control_payload = b""
        self._ends_message = self._control is None and bool(first & _FIN)
        self._left = second if len(head) == 2 else int.from_bytes(head[2:], "big")

    def _frame_ended(self) -> int:
        if self._control is not None:
            self.controls.append((self._control, self._control_payload))
            self._control = None
        return int(self._ends_message)


def _head_size(head: bytes) -> int:
    if len(head) < 2:
        return 2
    return {126: 4, 127: 10}.get(head[1] & 0x7F, 2)
