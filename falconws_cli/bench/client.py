"""One connection under load: keeps its messages in flight, and counts the answers.

What runs for each message is kept short, so that the server, not this, sets the rate: frames are built once, answers
that look like the first one are recognised by comparing bytes, and only others are parsed.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter_ns
from typing import cast

from falconws_cli.bench.frames import CLOSE, PING, PONG, FrameReader, ServerFrameError, client_frame
from falconws_cli.bench.handshake import Response, new_key, parse_response, request
from falconws_cli.bench.latency import Histogram
from falconws_cli.bench.settings import Settings

EXPECTATION = "falconws bench expects one message back for each that it sends, as from an echo"
_MAX_HEAD_BYTES = 65_536
_SHOWN_BODY_BYTES = 200


class Frames:
    """The messages that all connections send, as one run of bytes."""

    def __init__(self, frame: bytes, in_flight: int) -> None:
        self.size = len(frame)
        self.batch = memoryview(frame * in_flight)


class Answers:
    """What the connections of one load test have in common: the counters, and what an answer looks like."""

    def __init__(self, in_flight: int, fail: Callable[[str], None]) -> None:
        self.histogram = Histogram()
        self.fail = fail
        """Ends the test with a line; the first one counts."""
        self.size = 0
        """Bytes of the usual answer; 0 until it is known."""
        self.run = b""
        self._in_flight = in_flight

    def learn(self, frame: bytes) -> None:
        """Take *frame* for what the usual answer is."""
        self.size = len(frame)
        self.run = frame * self._in_flight


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, settings: Settings, frames: Frames, answers: Answers) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the handshake has succeeded."""
        self.answered: asyncio.Event = asyncio.Event()
        """Set by the first answer."""
        self._settings = settings
        self._frames = frames
        self._answers = answers
        self._transport: asyncio.Transport | None = None
        self._key = new_key()
        self._head = b""
        self._response: Response | None = None
        self._body = b""
        self._open = False
        self._first = b""
        self._reader = FrameReader()
        # When messages were sent, and how many at that moment.
        self._sent: deque[tuple[int, int]] = deque()
        self._leaving = False
        self._ending = False
        self._quiet = asyncio.Event()
        self._lost = asyncio.Event()

    # The load.

    def send(self, count: int) -> None:
        """Put *count* more messages in flight."""
        assert self._transport is not None
        self._sent.append((perf_counter_ns(), count))
        self._transport.write(self._frames.batch[: count * self._frames.size])

    async def end(self) -> None:
        """Wait for the answers that are due, then for the server's part of the closing handshake."""
        self._ending = True
        if self._sent:
            await self._quiet.wait()
        self._leaving = True
        if self._open and self._transport is not None:
            self._transport.write(client_frame(CLOSE, (1000).to_bytes(2, "big")))
            await self._lost.wait()

    def cut(self) -> None:
        """End the connection now, however far it is."""
        self._leaving = True
        if self._transport is not None:
            self._transport.abort()

    def _take(self, data: bytes) -> None:
        answers = self._answers
        size = len(data)
        if answers.size and not size % answers.size and self._reader.between_frames and answers.run.startswith(data):
            count = size // answers.size
        else:
            count = self._parse(data)
            if not count:
                return
        now = perf_counter_ns()
        sent, histogram = self._sent, answers.histogram
        left = count
        while left:
            if not sent:
                answers.fail(f"The server sent a message that answers none: {EXPECTATION}.")
                return
            begin, waiting = sent[0]
            if waiting <= left:
                sent.popleft()
                histogram.add((now - begin) // 1000, waiting)
                left -= waiting
            else:
                histogram.add((now - begin) // 1000, left)
                sent[0] = (begin, waiting - left)
                left = 0
        if self._ending:
            if not sent:
                self._quiet.set()
        elif self.answered.is_set():
            self.send(count)
        else:
            self.answered.set()

    def _parse(self, data: bytes) -> int:
        if not self._answers.size:
            self._first += data
        try:
            count = self._reader.feed(data)
        except ServerFrameError as error:
            self._answers.fail(f"The server broke the protocol with {error}.")
            return 0
        controls, self._reader.controls = self._reader.controls, []
        for opcode, payload in controls:
            if opcode == PING:
                assert self._transport is not None
                self._transport.write(client_frame(PONG, payload))
            elif opcode == CLOSE:
                self._closed_by_server(payload)
                return 0
        if count and not self._answers.size:
            if count == 1 and not controls and self._reader.between_frames:
                self._answers.learn(self._first)
            self._first = b""
        return count

    def _closed_by_server(self, payload: bytes) -> None:
        code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
        reason = payload[2:].decode(errors="replace")
        told = f"{code} ({reason})" if reason else str(code)
        when = "" if self.answered.is_set() else " instead of answering the first message"
        hint = ""
        if not self.answered.is_set():
            hint = f": {EXPECTATION}; choose another path, or send what the app understands with --message"
        self._fail(f"The server closed a connection with {told}{when}{hint}.")

    # asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        settings = self._settings
        self._transport.write(request(settings.path, settings.authority, self._key, settings.headers))

    def data_received(self, data: bytes) -> None:
        if self._leaving:
            return
        if self._open:
            self._take(data)
        elif self._response is not None:
            self._take_body(data)
        else:
            self._take_head(data)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost.set()
        self._quiet.set()
        if self._leaving:
            return
        if self._response is not None and not self._open:
            self._deny(self._response)
        elif not self._open:
            self._fail("The server closed the connection during the handshake.")
        else:
            self._fail("The server cut a connection without a closing handshake (1006).")

    # The handshake.

    def _take_head(self, data: bytes) -> None:
        self._head += data
        head, separator, rest = self._head.partition(b"\r\n\r\n")
        if not separator:
            if len(self._head) > _MAX_HEAD_BYTES:
                self._fail("The server's answer to the handshake has no end.")
            return
        response = parse_response(head)
        if response is None:
            self._fail("What listens there does not speak HTTP; is it a WebSocket server?")
            return
        if response.status != 101:
            self._response = response
            self._take_body(rest)
            return
        if not response.accepts(self._key):
            self._fail("The server's Sec-WebSocket-Accept is wrong; is it a WebSocket server?")
            return
        self._open = True
        self._head = b""
        if not self.opened.done():
            self.opened.set_result(None)
        if rest:
            self._take(rest)

    def _take_body(self, data: bytes) -> None:
        assert self._response is not None
        self._body += data
        length = self._response.content_length
        if len(self._body) >= (_MAX_HEAD_BYTES if length is None else min(length, _MAX_HEAD_BYTES)):
            self._deny(self._response)

    def _deny(self, response: Response) -> None:
        body = " ".join(self._body[:_SHOWN_BODY_BYTES].decode(errors="replace").split())
        said = f": {body}" if body else ""
        hint = self._settings.not_found_hint if response.status == 404 else ""
        self._fail(f"The server denied the handshake with {response.status} {response.phrase}{said}.{hint}")

    def _fail(self, line: str) -> None:
        if self._leaving:
            return
        self._leaving = True
        self._answers.fail(line)
        if not self.opened.done():
            self.opened.cancel()
        if self._transport is not None:
            self._transport.abort()
