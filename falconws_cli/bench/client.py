"""One connection under load: keeps its messages in flight, and times the replies.

Must not know the other connections, nor how long the test lasts. Code that runs for each message is short, so that the
server and not the client limits the rate: frames are masked once, and replies that arrive together are timed together.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from time import perf_counter_ns

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from falconws.closecodes import CloseCode
from falconws_cli.bench.latency import Histogram

EXPECTATION = "falconws bench expects one reply to each message that it sends, as from an echo"
_FIN, _MASKED = 0x80, 0x80
_DATA = (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION)


def masked_frame(payload: bytes, *, binary: bool) -> bytes:
    """Return a frame with the whole of *payload*, as a client sends it (RFC 6455 section 5.2)."""
    size = len(payload)
    first = _FIN | (WSMsgType.BINARY if binary else WSMsgType.TEXT).value
    if size < 126:
        head = bytes([first, _MASKED | size])
    elif size < 1 << 16:
        head = bytes([first, _MASKED | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, _MASKED | 127]) + size.to_bytes(8, "big")
    mask = os.urandom(4)
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return head + mask + (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")


class Load:
    """What all connections of a load test share: the frames to send, and the latencies of the replies."""

    def __init__(self, frame: bytes, in_flight: int, fail: Callable[[str], None]) -> None:
        frames = memoryview(frame * in_flight)
        self.bursts = [frames[: count * len(frame)] for count in range(in_flight + 1)]
        """The bytes of no message, of one, and so on."""
        self.histogram = Histogram()
        self.fail = fail
        """Ends the test with a line; only the first call counts."""


class Client(WSListener):
    """One connection."""

    def __init__(self, load: Load) -> None:
        self.replied = asyncio.Event()
        """Set by the first reply."""
        self._load = load
        self._transport: WSTransport | None = None
        self._write: Callable[[memoryview], None]
        # When messages were sent, and how many of them have no reply yet.
        self._sent: deque[tuple[int, int]] = deque()
        self._received = 0
        self._draining = False
        self._closing = False
        self._drained = asyncio.Event()

    def send(self, count: int) -> None:
        """Put *count* more messages in flight."""
        self._sent.append((perf_counter_ns(), count))
        self._write(self._load.bursts[count])

    async def close(self) -> None:
        """Wait for the outstanding replies, then for the closing handshake."""
        self._draining = True
        if self._sent:
            await self._drained.wait()
        if self._transport is not None and not self._closing:
            self._closing = True
            self._transport.send_close(WSCloseCode.OK)
            await self._transport.wait_disconnected()

    def abort(self) -> None:
        """Drop the connection now, whatever its state."""
        self._closing = True
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    # Called by picows.

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._write = transport.underlying_transport.write

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            # picows leaves this check to its users (RFC 6455 section 5.2).
            self._fail_with_violation("a reserved bit is set, and no extension was negotiated")
            return
        kind = frame.msg_type
        if kind in _DATA:
            self._received += frame.fin
        elif kind is WSMsgType.CLOSE:
            self._fail_with_close(frame)
        if frame.last_in_buffer and self._received:
            count, self._received = self._received, 0
            self._record(count)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._drained.set()
        if not self._closing:
            self._closing = True
            close = transport.close_handshake
            if close is not None and close.sent is not None:
                # picows sends a close frame when it receives a frame that no server may send.
                self._fail_with_violation(close.sent.reason)
            else:
                self._load.fail(
                    f"The server dropped a connection without a closing handshake ({CloseCode.ABNORMAL:d})."
                )

    def _record(self, count: int) -> None:
        now = perf_counter_ns()
        sent, histogram = self._sent, self._load.histogram
        left = count
        while left:
            if not sent:
                self._load.fail(f"The server sent a message that is not a reply: {EXPECTATION}.")
                return
            begin, waiting = sent[0]
            if waiting <= left:
                sent.popleft()
                histogram.add((now - begin) // 1_000, waiting)
                left -= waiting
            else:
                histogram.add((now - begin) // 1_000, left)
                sent[0] = (begin, waiting - left)
                left = 0
        if self._draining:
            if not sent:
                self._drained.set()
        elif self.replied.is_set():
            self.send(count)
        else:
            self.replied.set()

    def _fail_with_violation(self, what: str | None) -> None:
        self._load.fail(f"The server violated the protocol: {what}.")
        self.abort()

    def _fail_with_close(self, frame: WSFrame) -> None:
        if self._closing:
            return
        self._closing = True
        payload = frame.get_payload_as_bytes()
        code = int.from_bytes(payload[:2], "big") if payload else int(CloseCode.NO_STATUS)
        reason = payload[2:].decode(errors="replace")
        told = f"{code} ({reason})" if reason else str(code)
        when, hint = "", ""
        if not self.replied.is_set():
            when = " instead of replying to the first message"
            hint = f": {EXPECTATION}; choose another path, or send what the app understands with --message"
        self._load.fail(f"The server closed a connection with {told}{when}{hint}.")
