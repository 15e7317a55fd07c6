"""A message for many connections: its frame is built once, and every connection writes it as it is.

Pure; knows no connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from falconws.server.frames import BINARY, FIN, TEXT, frame_header

if TYPE_CHECKING:
    from falconws.server.gathering import Gathering

HEAD_ROOM_BYTES = 14
"""picows writes the header of a frame in front of its payload, and asks for this much room."""

_SMALL_BYTES = 8192
"""Up to here the bytes that a slow client leaves behind are copied; a larger frame is shared by all connections."""


class PreparedMessage:
    """What `try_send_prepared` takes, on any connection of the process.

    Attributes:
        opcode: TEXT or BINARY.
        payload: The message, encoded.
        buffer: Room for a header and the payload, for a small message; None for a large one.
        frame: The whole frame, for a connection without compression.
        gathering: What it waits for until the turn of the event loop ends; None to leave at once.
    """

    __slots__ = ("buffer", "frame", "gathering", "opcode", "payload")

    def __init__(self, message: str | bytes) -> None:
        self.opcode = TEXT if isinstance(message, str) else BINARY
        self.payload = message.encode() if isinstance(message, str) else bytes(message)
        small = len(self.payload) <= _SMALL_BYTES
        self.buffer = bytearray(HEAD_ROOM_BYTES) + self.payload if small else None
        self.frame = frame_header(self.opcode | FIN, len(self.payload)) + self.payload
        self.gathering: Gathering | None = None
