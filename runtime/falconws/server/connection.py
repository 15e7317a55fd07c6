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
from collections.abc import Awaitable, Callable
from typing import Any

from falconws.server.channel import CLOSED, CLOSING, CONNECTING, OPEN
from falconws.server.deflate import PerMessageDeflate
from falconws.server.errors import DisconnectedError, ProtocolError
from falconws.server.frames import (
    ABNORMAL,
    BINARY,
    CLOSE,
    NO_STATUS,
    PING,
    PONG,
    TEXT,
    close_payload,
    is_sendable_close_code,
    parse_close_payload,
)
from falconws.server.keepalive import Keepalive
from falconws.server.lingering import linger
from falconws.server.outgoing import Outgoing
from falconws.server.settings import ConnectionSettings

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
        linger(self._transport, self._loop, self._settings.close_timeout_s, self.lost)

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
