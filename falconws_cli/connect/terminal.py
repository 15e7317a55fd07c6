"""The conversation that a person holds: a line to type on below the messages, which come while it is typed."""

import asyncio
import contextlib
import datetime
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import click
from prompt_toolkit import PromptSession, print_formatted_text
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input import Input, create_input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.patch_stdout import patch_stdout
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from falconws_cli.connect.ending import Ending, ending_of
from falconws_cli.connect.messages import Message, Payload, encode, kind_of, readable

_PING_EVERY_S = 5.0
_MAX_UNSHOWN = 500
_DIM = "fg:ansibrightblack"
_INDENT = len("00:00:00.000 < ")

_Parts = Sequence[tuple[str, str]]
"""A line, in pieces that each have a style."""


class Terminal:
    """One conversation; it ends when the user leaves or the connection ends."""

    def __init__(self, connection: ClientConnection, payload: Payload, history: History) -> None:
        self._connection = connection
        self._payload = payload
        self._scalars = payload is Payload.MSGPACK
        self._ping_s: float | None = None
        self._sent = 0
        self._received = 0
        self._typed: asyncio.Queue[Message] = asyncio.Queue()
        self._unshown: asyncio.Queue[_Parts] = asyncio.Queue(_MAX_UNSHOWN)
        self._session: PromptSession[str] = PromptSession(
            history=history,
            bottom_toolbar=self._toolbar,
            key_bindings=self._bindings(),
            erase_when_done=True,
            refresh_interval=1.0,
            input=_raw_input(),
        )

    async def hold(self) -> Ending | None:
        """Converse; return how the connection ended, None when the user has left it open."""
        with patch_stdout():
            receiving = asyncio.ensure_future(self._receive())
            typing = asyncio.ensure_future(self._type())
            others = [asyncio.ensure_future(task) for task in (self._send(), self._ping(), self._print())]
            try:
                await asyncio.wait([receiving, typing], return_when=asyncio.FIRST_COMPLETED)
                if receiving.done():
                    return receiving.result()
                typing.result()
                return None
            finally:
                tasks = [receiving, typing, *others]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _type(self) -> None:
        # One prompt for the whole conversation: between two, the terminal would take a Ctrl+D for itself.
        with contextlib.suppress(EOFError, KeyboardInterrupt):
            await self._session.prompt_async("> ")

    def _bindings(self) -> KeyBindings:
        bindings = KeyBindings()

        @bindings.add("enter")
        def _(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            if not buffer.text:
                return
            try:
                message = encode(buffer.text, self._payload)
            except ValueError as error:
                # The line stays, to be corrected.
                complaint = [("fg:ansired", f"What you typed {error}.")]
                event.app.create_background_task(self._show(complaint))
                return
            buffer.append_to_history()
            buffer.reset()
            self._typed.put_nowait(message)

        return bindings

    async def _send(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                message = await self._typed.get()
                await self._connection.send(message)
                self._sent += 1
                await self._show_message(">", message)

    async def _receive(self) -> Ending:
        try:
            while True:
                message = await self._connection.recv()
                self._received += 1
                await self._show_message("<", message)
        except ConnectionClosed as closed:
            await self._unshown.join()
            return ending_of(closed)

    async def _ping(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                self._ping_s = await (await self._connection.ping())
                self._session.app.invalidate()
                await asyncio.sleep(_PING_EVERY_S)

    async def _show_message(self, direction: str, message: Message) -> None:
        width = shutil.get_terminal_size().columns - _INDENT
        kind = kind_of(message, scalars=self._scalars)
        text = readable(message, width - len(kind) - 1 if kind else width, scalars=self._scalars)
        time = f"{datetime.datetime.now():%H:%M:%S.%f}"[:-3]
        parts = [(_DIM, f"{time} {direction} "), ("" if direction == "<" else "fg:ansicyan", text)]
        await self._show([*parts, (_DIM, f" {kind}")] if kind else parts)

    async def _show(self, parts: _Parts) -> None:
        await self._unshown.put(parts)

    async def _print(self) -> None:
        # All that has come meanwhile at once: drawing the line to type on anew takes longer than printing a message.
        while True:
            batch = [await self._unshown.get()]
            while not self._unshown.empty():
                batch.append(self._unshown.get_nowait())
            text: FormattedText = FormattedText()
            for parts in batch:
                text += [*parts, ("", "\n")]
            await run_in_terminal(lambda text=text: print_formatted_text(text, end=""))  # type: ignore[misc]
            for _ in batch:
                self._unshown.task_done()

    def _toolbar(self) -> str:
        ping = "ping ..." if self._ping_s is None else f"ping {self._ping_s * 1000:.1f} ms"
        return f" {ping}   sent {self._sent}   received {self._received}   Ctrl+D leaves "


def _raw_input() -> Input:
    """Return the terminal's keyboard, whose keys are ours also while a message is shown."""
    keyboard = create_input()
    keyboard.cooked_mode = contextlib.nullcontext  # type: ignore[method-assign]
    return keyboard


def open_history() -> History:
    """Return what was typed in earlier conversations; nothing where no file can be kept."""
    path = Path(click.get_app_dir("falconws")) / "connect_history"
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        # For nobody else's eyes: tokens are typed into it.
        os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_RDWR, 0o600))
        return FileHistory(str(path))
    return InMemoryHistory()
