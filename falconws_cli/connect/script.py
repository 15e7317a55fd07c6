"""A scripted conversation: sends messages from options or standard input, and waits for the expected ones.

Must not know the terminal: received messages are passed to a function.
"""

import asyncio
import contextlib
import json
import os
import re
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from falconws_cli.connect.connection import CloseSummary, summarize_close
from falconws_cli.connect.messages import Message, Payload, media_of, plain, printable
from falconws_cli.errors import CommandError, RefusedError

_SHOWN_CHARACTERS = 200
_READ_BYTES = 65_536
_READ_AHEAD_LINES = 100


class Expectation:
    """One --expect.

    `/PATTERN/` is a regular expression to search for. Anything else is the whole message or, when both are JSON, the
    same value in any spelling. MessagePack is compared as JSON, and other bytes in hexadecimal.

    Raises:
        RefusedError: The pattern is not a valid regular expression.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._pattern: re.Pattern[str] | None = None
        self._value = _canonical(text)
        if len(text) > 2 and text.startswith("/") and text.endswith("/"):
            try:
                self._pattern = re.compile(text[1:-1])
            except re.error as error:
                raise RefusedError(f"--expect {text} is not a valid regular expression: {error}.") from error

    def __str__(self) -> str:
        return f"that matches {self.text}" if self._pattern else f'"{self.text}"'

    def matches(self, message: Message, *, scalars: bool = False) -> bool:
        """Return whether *message* is the expected one."""
        shown = plain(message, scalars=scalars)
        if self._pattern is not None:
            return self._pattern.search(shown) is not None
        if self.text == shown:
            return True
        if media_of(message, scalars=scalars) is not None:
            return self._value is not None and _canonical(shown) == self._value
        return isinstance(message, bytes) and _from_hex(self.text) == message


@dataclass(frozen=True)
class Script:
    """What a client does before it closes the connection."""

    steps: Sequence[Message | Expectation]
    """Messages to send and expectations to wait for, in order."""
    lines: AsyncIterator[str] | None
    """Lines to send as messages when they arrive; None for no lines."""
    payload: Payload
    timeout_s: float
    """The time for each expectation."""
    wait_s: float
    """The time to wait for replies after the last message, when nothing is expected."""
    encode: Callable[[str], Message]
    """Encodes a line; raises ValueError with the end of a sentence."""


class Conversation:
    """One script on one connection."""

    def __init__(self, connection: ClientConnection, script: Script, show: Callable[[Message], None]) -> None:
        self._connection = connection
        self._script = script
        self._show = show
        self._scalars = script.payload is Payload.MSGPACK
        self._expectations = [step for step in script.steps if isinstance(step, Expectation)]
        # Messages are kept only when something is expected.
        self._unmatched: deque[Message] | None = deque() if self._expectations else None
        self._event = asyncio.Event()
        self._closed: CloseSummary | None = None

    async def run(self) -> None:
        """Run the script, and show each received message.

        Raises:
            CommandError: An expectation was not met, a line could not be sent, or the server reported an error.
        """
        receiving = asyncio.ensure_future(self._receive())
        stepping = asyncio.ensure_future(self._run_steps())
        try:
            await asyncio.wait([receiving, stepping], return_when=asyncio.FIRST_COMPLETED)
            if receiving.done():
                # Raises what went wrong while messages were shown.
                receiving.result()
            await stepping
        finally:
            for task in (receiving, stepping):
                task.cancel()
            await asyncio.gather(receiving, stepping, return_exceptions=True)

    async def _receive(self) -> None:
        try:
            while True:
                message = await self._connection.recv()
                self._show(message)
                if self._unmatched is not None:
                    self._unmatched.append(message)
                    self._event.set()
        except ConnectionClosed as closed:
            self._closed = summarize_close(closed)
            self._event.set()

    async def _run_steps(self) -> None:
        script = self._script
        sending = asyncio.ensure_future(self._send_lines(script.lines)) if script.lines is not None else None
        try:
            for step in script.steps:
                if isinstance(step, Expectation):
                    await self._expect(step, sending)
                else:
                    await self._send(step)
            if self._expectations:
                return
            while sending is not None and not sending.done() and self._closed is None:
                await self._wait_for_event(sending)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(script.wait_s):
                    while self._closed is None:
                        await self._wait_for_event(sending)
            if self._closed is not None and not self._closed.clean:
                raise CommandError(f"{self._closed.sentence}.")
        finally:
            if sending is not None:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    async def _wait_for_event(self, sending: "asyncio.Future[None] | None") -> None:
        """Wait until a message arrives, the connection closes, or the lines end."""
        self._event.clear()
        waiting = asyncio.ensure_future(self._event.wait())
        try:
            events: list[asyncio.Future[Any]] = [waiting]
            if sending is not None and not sending.done():
                events.append(sending)
            await asyncio.wait(events, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if sending is not None and sending.done():
            sending.result()

    async def _send_lines(self, lines: AsyncIterator[str]) -> None:
        number = 0
        async for line in lines:
            number += 1
            try:
                message = self._script.encode(line)
            except ValueError as error:
                raise CommandError(f"Line {number} of the input {error}: {line[:_SHOWN_CHARACTERS]}") from error
            await self._send(message)

    async def _send(self, message: Message) -> None:
        try:
            await self._connection.send(message)
        except ConnectionClosed as closed:
            raise CommandError(f"{summarize_close(closed).sentence} before all messages were sent.") from closed

    async def _expect(self, expectation: Expectation, sending: "asyncio.Future[None] | None") -> None:
        assert self._unmatched is not None
        passed = 0
        last: Message = ""
        try:
            async with asyncio.timeout(self._script.timeout_s):
                while True:
                    while self._unmatched:
                        last = self._unmatched.popleft()
                        if expectation.matches(last, scalars=self._scalars):
                            return
                        passed += 1
                    if self._closed is not None:
                        raise CommandError(f"{self._closed.sentence} before a message arrived {expectation}.")
                    await self._wait_for_event(sending)
        except TimeoutError:
            instead = ""
            if passed:
                shown = printable(plain(last, scalars=self._scalars)[:_SHOWN_CHARACTERS])
                others = "one other arrived" if passed == 1 else f"{passed} others arrived, the last one"
                instead = f"; {others}: {shown}"
            raise CommandError(
                f"No message {expectation} arrived within {self._script.timeout_s:g} s (--timeout){instead}"
            ) from None


async def read_lines(descriptor: int) -> AsyncIterator[str]:
    """Yield the lines of a file descriptor, without their line endings.

    Reads in a daemon thread, so that input that never ends does not keep the process alive.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | None] = asyncio.Queue()
    ahead = threading.Semaphore(_READ_AHEAD_LINES)

    def put(line: str | None) -> None:
        ahead.acquire()
        loop.call_soon_threadsafe(queue.put_nowait, line)

    def read() -> None:
        # The loop may be closed by the time a line arrives.
        with contextlib.suppress(RuntimeError):
            rest = b""
            # Not through sys.stdin: a thread that waits in it holds a lock that the interpreter needs to exit.
            while chunk := _read(descriptor):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    put(_decoded(line))
            if rest:
                put(_decoded(rest))
            put(None)

    # A thread, because an event loop cannot wait for a file, nor for a pipe on Windows.
    threading.Thread(target=read, daemon=True).start()
    while (line := await queue.get()) is not None:
        ahead.release()
        yield line


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _READ_BYTES)
    except OSError:
        # The descriptor is closed, or the terminal is gone.
        return b""


def _decoded(line: bytes) -> str:
    return line.removesuffix(b"\r").decode(errors="replace")


def _canonical(text: str) -> str | None:
    """Return a JSON document in its canonical form, or None for other text. 1, 1.0 and true are three values."""
    try:
        value: Any = json.loads(text)
        return json.dumps(value, sort_keys=True)
    except (ValueError, RecursionError):
        return None


def _from_hex(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None
