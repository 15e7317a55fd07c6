"""The conversation that options and standard input hold. Knows no terminal: messages go to a function."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from falconws_cli.connect.ending import Ending, ending_of
from falconws_cli.connect.expectations import Expectation
from falconws_cli.connect.messages import Message, Payload, encode, plain, printable
from falconws_cli.errors import CommandError

_SHOWN_CHARACTERS = 200


@dataclass(frozen=True)
class Script:
    """What a client does, and then leaves."""

    steps: Sequence[Message | Expectation]
    """Messages to send and messages to wait for, in this order."""
    lines: AsyncIterator[str] | None
    """Lines that become messages as they come; None for none."""
    payload: Payload
    timeout_s: float
    """For each expectation."""
    wait_s: float
    """Time for answers after the last message was sent, where nothing is expected."""


class Conversation:
    """One script on one connection."""

    def __init__(self, connection: ClientConnection, script: Script, show: Callable[[Message], None]) -> None:
        self._connection = connection
        self._script = script
        self._show = show
        self._scalars = script.payload is Payload.MSGPACK
        self._expectations = [step for step in script.steps if isinstance(step, Expectation)]
        # Of messages that nothing waits for none is kept.
        self._kept: deque[Message] | None = deque() if self._expectations else None
        self._came = asyncio.Event()
        self._ending: Ending | None = None

    async def hold(self) -> None:
        """Carry out the script; show each message that comes meanwhile.

        Raises:
            CommandError: An expectation was not met, a line could not be sent, or the server complained.
        """
        receiving = asyncio.ensure_future(self._receive())
        acting = asyncio.ensure_future(self._act())
        try:
            await asyncio.wait([receiving, acting], return_when=asyncio.FIRST_COMPLETED)
            if receiving.done():
                # Whatever went wrong with showing messages.
                receiving.result()
            await acting
        finally:
            for task in (receiving, acting):
                task.cancel()
            await asyncio.gather(receiving, acting, return_exceptions=True)

    async def _receive(self) -> None:
        try:
            while True:
                message = await self._connection.recv()
                self._show(message)
                if self._kept is not None:
                    self._kept.append(message)
                    self._came.set()
        except ConnectionClosed as closed:
            self._ending = ending_of(closed)
            self._came.set()

    async def _act(self) -> None:
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
            while sending is not None and not sending.done() and self._ending is None:
                await self._more(sending)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(script.wait_s):
                    while self._ending is None:
                        await self._more(sending)
            if self._ending is not None and not self._ending.good:
                raise CommandError(f"{self._ending.sentence}.")
        finally:
            if sending is not None:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    async def _more(self, sending: "asyncio.Future[None] | None") -> None:
        """Wait until a message has come, the connection has ended, or there are no more lines."""
        self._came.clear()
        waiting = asyncio.ensure_future(self._came.wait())
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
                message = encode(line, self._script.payload)
            except ValueError as error:
                raise CommandError(f"Line {number} of the input {error}: {line[:_SHOWN_CHARACTERS]}") from error
            await self._send(message)

    async def _send(self, message: Message) -> None:
        try:
            await self._connection.send(message)
        except ConnectionClosed as closed:
            raise CommandError(f"{ending_of(closed).sentence} before everything was sent.") from closed

    async def _expect(self, expectation: Expectation, sending: "asyncio.Future[None] | None") -> None:
        assert self._kept is not None
        passed = 0
        last: Message = ""
        try:
            async with asyncio.timeout(self._script.timeout_s):
                while True:
                    while self._kept:
                        last = self._kept.popleft()
                        if expectation.is_met_by(last, scalars=self._scalars):
                            return
                        passed += 1
                    if self._ending is not None:
                        raise CommandError(f"{self._ending.sentence} before a message came {expectation}.")
                    await self._more(sending)
        except TimeoutError:
            instead = ""
            if passed:
                shown = printable(plain(last, scalars=self._scalars)[:_SHOWN_CHARACTERS])
                others = "one other came" if passed == 1 else f"{passed} others came, at last"
                instead = f"; {others}: {shown}"
            raise CommandError(
                f"No message {expectation} came within {self._script.timeout_s:g} s (--timeout){instead}"
            ) from None
