"""One WebSocket connection on picows, as ASGI callables and as the extension "falconws.connection".

Theory of operation. picows parses and unmasks frames in C. What it does not do is done here and in the modules beside.
A connection consists of three objects: `Inbox` owns what comes from the client, `ConnectionState` how the connection
ends, and `Connection` what is sent. A message that can be sent at once passes no other object: a broadcast to thousands
finds little of what it looks at in the processor's cache. What sending rarely needs exists only while it is needed:
`FlowControl`, `ReadProbe`. Knows neither uvicorn nor HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Awaitable, Callable, Iterable
from time import perf_counter
from typing import Any

from falconws.closecodes import CloseCode
from falconws.server.errors import ProtocolError
from falconws.server.websocket.connection_state import ConnectionState
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
from falconws.server.websocket.inbox import Inbox
from falconws.server.websocket.keepalive import Keepalive
from falconws.server.websocket.prepared import MAX_HEADER_BYTES, PreparedMessage, coalesce
from falconws.server.websocket.read_probe import ReadProbe
from falconws.server.websocket.settings import ConnectionSettings

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

_logger = logging.getLogger("falconws.server")


class Connection:
    """A WebSocket connection.

    Attributes:
        inbox: What the client has sent and the application has not received.
        peer: The client's address, for log lines.
        next_message, try_receive: Those of the inbox: one more call costs 3 % of an echo.
        state: Whether it is open, and how it ends.
        transport: The asyncio transport; None until the handshake was accepted.
    """

    __slots__ = (
        "_answer_handshake",
        "_can_send",
        "_connect_received",
        "_control_frames",
        "_control_since_s",
        "_corked",
        "_deflate",
        "_flow",
        "_keepalive",
        "_loop",
        "_read_probe",
        "_settings",
        "_ws_transport",
        "inbox",
        "next_message",
        "peer",
        "state",
        "transport",
        "try_receive",
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
        self.transport: Any = None
        self._ws_transport: Any = None
        self._connect_received = False
        self._deflate: PerMessageDeflate | None = None
        self._keepalive: Keepalive | None = None
        self._control_frames = 0
        self._control_since_s = 0.0
        self.state = ConnectionState(settings, loop, self)
        self.inbox = Inbox(settings, loop, self)
        self.try_receive = self.inbox.try_receive
        self.next_message = self.inbox.next_message
        self._can_send = False
        """Whether it is OPEN, and nothing has to be sent before the next message."""
        self._flow: FlowControl | None = None
        self._read_probe: ReadProbe | None = None
        self._corked: list[bytes] | None = None

    # ASGI.

    async def receive(self) -> dict[str, Any]:
        """Return the next ASGI event: connect, then messages, then the disconnect as often as it is called."""
        if not self._connect_received:
            self._connect_received = True
            return {"type": "websocket.connect"}
        message = await self.inbox.next_message()
        if message is None:
            code, reason = self.state.close_code_and_reason
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
        if kind == "websocket.send" and self.transport is not None:
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
        elif self.state.is_connecting:
            await self._answer_handshake(event)
        elif not self.state.is_open:
            raise self.state.disconnected()
        elif kind == "websocket.close":
            code = event.get("code")
            self.state.close(CloseCode.NORMAL if code is None else code, event.get("reason") or "")
        else:
            raise RuntimeError(f"Unexpected ASGI event {kind!r} on an accepted WebSocket.")

    # The extension: see falconws/extension.py.

    @property
    def closed(self) -> bool:
        return self.state.closed is not None

    @property
    def close_code(self) -> int | None:
        return None if self.state.closed is None else self.state.closed[0]

    @property
    def close_reason(self) -> str | None:
        return None if self.state.closed is None else self.state.closed[1]

    @property
    def buffered_amount(self) -> int:
        if self.transport is None or self.transport.is_closing():
            return 0
        corked = sum(map(len, self._corked)) if self._corked else 0
        return corked + int(self.transport.get_write_buffer_size())

    @property
    def receiving(self) -> bool:
        return self.inbox.receiver is not None

    def try_send_text(self, text: str) -> bool:
        if not self._can_send:
            return False
        if len(text) <= _COPIED_CHARACTERS and self._deflate is None:
            if self.inbox.messages or self._corked is not None:
                self._cork(TEXT, text.encode())
            else:
                self._ws_transport.send(TEXT, text)
            return True
        return self._try_send_large(TEXT, text.encode())

    def try_send_bytes(self, data: bytes) -> bool:
        if not self._can_send:
            return False
        if len(data) <= _COPIED_BYTES and self._deflate is None:
            if self.inbox.messages or self._corked is not None:
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
        coalescer, corked, deflate = prepared.coalescer, self._corked, self._deflate
        if coalescer is not None or corked is not None:
            if len(prepared.payload) <= _COALESCED_BYTES:
                frame = prepared.frame if deflate is None else prepared.compressed_frame(deflate)
                if corked is not None:
                    self._add_to(corked, frame)
                elif coalescer is not None:
                    self._corked = [frame]
                    coalescer.connections.append(self)
                return True
            self._uncork()
        if deflate is not None:
            if not self._has_capacity(len(prepared.payload)):
                return False
            self.transport.write(prepared.compressed_frame(deflate))
            return True
        buffer = prepared.buffer
        if buffer is not None:
            self._ws_transport.send_reuse_external_bytearray(prepared.opcode, buffer, MAX_HEADER_BYTES)
            return True
        if not self._has_capacity(len(prepared.frame)):
            return False
        self.transport.write(prepared.frame)
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
        if self._corked is None and self.state.is_open:
            self._corked = []
            self._loop.call_soon(self._uncork)

    def limit_buffering(self, max_bytes: int) -> None:
        if self.state.is_open:
            self.transport.set_write_buffer_limits(high=max_bytes, low=max_bytes // 2)
            sock = self.transport.get_extra_info("socket")
            if _TCP_NOTSENT_LOWAT is not None and sock is not None:
                with contextlib.suppress(OSError):  # A Unix socket.
                    sock.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, max_bytes)
            if self._read_probe is None:
                self._read_probe = ReadProbe(self._loop, self)

    def add_writable_callback(self, callback: Callable[[], object]) -> None:
        self._flow_control().add_callback(callback)

    def remove_writable_callback(self, callback: Callable[[], object]) -> None:
        if self._flow is not None:
            self._flow.remove_callback(callback)

    def add_disconnect_callback(self, callback: Callable[[], object]) -> None:
        self.state.add_disconnect_callback(callback)

    def remove_disconnect_callback(self, callback: Callable[[], object]) -> None:
        self.state.remove_disconnect_callback(callback)

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
        if not self.inbox.messages or len(corked) >= _CORKED_MESSAGES or len(corked) * size >= _CORKED_TOTAL_BYTES:
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
        if not self.transport.is_closing():
            self.transport.write(data)

    def _try_send_large(self, opcode: int, payload: bytes) -> bool:
        if (
            self._deflate is None
            and len(payload) <= _CORKED_BYTES
            and (self.inbox.messages or self._corked is not None)
        ):
            self._cork(opcode, payload)
            return True
        # Compression cannot be undone when its result is too large, so the size before it counts.
        if not self._has_capacity(len(payload)):
            return False
        first_byte, payload = self.encode(opcode, payload)
        self.write_frame(first_byte | FIN, payload)
        return True

    def _has_capacity(self, size: int) -> bool:
        waiting: int = self.transport.get_write_buffer_size()
        return waiting + size <= self._settings.max_buffered_bytes

    async def _send_later(self, opcode: int, payload: bytes) -> None:
        if not self.state.is_open:
            raise self.state.disconnected()
        await self._flow_control().send(opcode, payload)

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
        self.transport.writelines((frame_header(first_byte, len(payload)), payload))

    def send_ping(self, payload: bytes) -> bool:
        """Send a ping; return False when so much waits that it would not get through."""
        blocked = self._flow is not None and self._flow.paused and self._settings.send_timeout_s is not None
        if not self.state.is_open or blocked:
            return False
        self._ws_transport.send(PING, payload)
        return True

    def send_pong(self, payload: bytes) -> None:
        """Send a pong, unless the end has begun."""
        if self.state.is_open:
            self._ws_transport.send(PONG, payload)

    # Flow control.

    def _flow_control(self) -> FlowControl:
        if self._flow is None:
            self._flow = FlowControl(self, self._settings, self._loop)
        return self._flow

    def allow_sending(self, allowed: bool) -> None:
        """Send messages at once, or refuse those that nobody waits to send."""
        self._can_send = allowed and self.state.is_open

    def end_flow_control(self) -> None:
        """Called when nothing waits to be sent any more."""
        self._flow = None

    def hold(self) -> None:
        """Refuse messages until `release`; what the application awaits, such as `send`, is not held back."""
        self._flow_control().hold()

    def release(self) -> None:
        """Take messages again."""
        self._flow_control().release()

    def pause_writing(self) -> None:
        if self.state.is_open:
            self._flow_control().pause()

    def resume_writing(self) -> None:
        if self._flow is not None:
            self._flow.resume()

    # Control frames.

    def control_frame(self, opcode: int, frame: Any) -> None:
        """Called with each control frame while the connection is OPEN."""
        if self._has_too_many_control_frames():
            self.state.fail(CloseCode.POLICY_VIOLATION, "too many control frames")
            return
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self.state.fail(CloseCode.PROTOCOL_ERROR, "reserved bit set on a control frame")
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
                self.state.fail(violation.code, violation.reason)
            else:
                self.state.client_closed(code, reason)

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
            self.send_pong(payload)

    # Beginning and end.

    def opened(self, transport: Any, deflate: PerMessageDeflate | None, on_lost: Callable[[], object]) -> None:
        """Begin; called when the 101 response is about to be written to *transport*."""
        settings = self._settings
        self.transport = transport
        self._deflate = deflate
        self._can_send = True
        transport.set_write_buffer_limits(high=settings.high_water_bytes, low=settings.low_water_bytes)
        self.state.opened(on_lost)
        self.inbox.open(deflate)
        if settings.ping_interval_s is not None:
            self._keepalive = Keepalive(self._loop, settings, self)

    def connected(self, ws_transport: Any) -> None:
        """Called when picows has taken the transport over, and sends through *ws_transport*."""
        self._ws_transport = ws_transport

    def send_close(self, code: int, reason: str) -> tuple[int, str]:
        """Send a close frame, and return what the client is told.

        picows may have refused a frame already, and sent a close frame that says so.
        """
        self._uncork()
        if code == CloseCode.NO_STATUS:
            self._ws_transport.send(CLOSE, b"")
            return code, reason
        self._ws_transport.send_close(code, shorten_reason(reason))
        sent = self._ws_transport.close_handshake.sent
        return int(sent.code), sent.reason

    def stop_sending(self) -> None:
        """Called when the end has begun."""
        self._can_send = False
        if self._keepalive is not None:
            self._keepalive.stop()
            self._keepalive = None
        if self._read_probe is not None:
            self._read_probe.stop()
            self._read_probe = None
        if self._flow is not None:
            self._flow.stop()

    def abort(self) -> None:
        """Disconnect now; what waits for the client is lost."""
        if self.transport is not None:
            self.transport.abort()
