"""A message for many connections: its frame is built once, and every connection writes it as it is.

Pure; knows no connection.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Protocol

from falconws.server.websocket.frames import BINARY, FIN, TEXT, frame_header

if TYPE_CHECKING:
    pass

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


_LONELY_TURNS = 4
"""After so many turns with one message each, the first of a turn is not gathered any more."""

_logger = logging.getLogger("falconws.server")


class Gatherer(Protocol):
    """A connection, as the gathering sees it."""

    def take_gathered(self) -> list[bytes] | None:
        """Return the frames that wait for the turn's end, and forget them; nothing when they have left already."""

    def write_gathered(self, data: bytes) -> None:
        """Send the joined frames that `take_gathered` has returned."""

    def abort(self) -> None:
        """Cut the connection."""


class Gathering:
    """What is gathered in one event loop until its turn ends."""

    __slots__ = ("_lonely_turns", "_messages", "gatherers", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._messages: list[PreparedMessage] = []
        """Those of this turn."""
        self._lonely_turns = _LONELY_TURNS
        self.gatherers: list[Gatherer] = []
        """The connections that have gathered something. Those that have sent it meanwhile may stay."""

    def add(self, message: PreparedMessage) -> None:
        """Take note of *message*, and have it gathered unless it seems to be the only one."""
        if not self._messages:
            self.loop.call_soon(self._end_turn)
        if self._messages or self._lonely_turns < _LONELY_TURNS:
            message.gathering = self
        self._messages.append(message)

    def _end_turn(self) -> None:
        messages, self._messages = self._messages, []
        gatherers, self.gatherers = self.gatherers, []
        self._lonely_turns = 0 if len(messages) > 1 else self._lonely_turns + 1
        for message in messages:
            # Whoever sends it later, from a backlog, sends it at once.
            message.gathering = None
        last: list[bytes] = []
        joined = b""
        for gatherer in gatherers:
            frames = gatherer.take_gathered()
            if not frames:
                continue
            if frames != last:
                last, joined = frames, b"".join(frames)
            try:
                gatherer.write_gathered(joined)
            except Exception:
                # Whatever it is, it must not reach the others.
                _logger.exception("WebSocket cut off: messages that were gathered for it could not be written")
                gatherer.abort()


class _Here(threading.local):
    gathering: Gathering | None = None


_here = _Here()


def gather(message: PreparedMessage) -> None:
    """Make *message* part of the present turn of the running event loop; outside of one, nothing happens."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    gathering = _here.gathering
    if gathering is None or gathering.loop is not loop:
        gathering = _here.gathering = Gathering(loop)
    gathering.add(message)
