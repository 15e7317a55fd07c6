"""What came in and waits for the application: messages put together and inflated, within bounds.

Reading pauses when too much waits, and goes on when half of it is taken.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from falconws.server.assembly import Compressed, Message, MessageAssembler
from falconws.server.channel import OPEN, Channel
from falconws.server.errors import ProtocolError
from falconws.server.settings import ConnectionSettings

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
