"""An interactive conversation: an input line below the messages, which appear while the user types.

Must not know where the connection comes from, nor scripts.
"""

import asyncio
import contextlib
import datetime
import os
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import click
from prompt_toolkit import PromptSession, print_formatted_text
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input import Input, create_input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.patch_stdout import patch_stdout
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from falconws_cli.connect.catalog import Catalog
from falconws_cli.connect.connection import CloseSummary, summarize_close
from falconws_cli.connect.messages import Message, Payload, encode, kind_of, readable

_PING_INTERVAL_S = 5.0
_MAX_UNSHOWN = 500
_DIM = "fg:ansibrightblack"
_INDENT = len("00:00:00.000 < ")

_Parts = Sequence[tuple[str, str]]
"""A line as pairs of style and text."""


class Terminal:
    """One conversation; it ends when the user leaves or the connection is closed."""

    def __init__(
        self, connection: ClientConnection, payload: Payload, history: History, catalog: Catalog | None = None
    ) -> None:
        self._connection = connection
        self._catalog = catalog
        self._payload = payload
        self._scalars = payload is Payload.MSGPACK
        self._ping_s: float | None = None
        self._sent = 0
        self._received = 0
        self._typed: asyncio.Queue[Message] = asyncio.Queue()
        self._unshown: asyncio.Queue[_Parts] = asyncio.Queue(_MAX_UNSHOWN)
        self._session: PromptSession[str] = PromptSession(
            history=history,
            completer=None if catalog is None else _MessageCompleter(catalog),
            bottom_toolbar=self._toolbar,
            key_bindings=self._bindings(),
            erase_when_done=True,
            refresh_interval=1.0,
            input=_raw_input(),
        )

    async def run(self) -> CloseSummary | None:
        """Talk to the server; return how it closed the connection, or None when the user left."""
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
        # One prompt for the whole conversation: between two prompts, the terminal would handle Ctrl+D itself.
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
                line = buffer.text if self._catalog is None else self._catalog.encode(buffer.text)
                message = encode(line, self._payload)
            except ValueError as error:
                # The line stays in the editor, to be corrected.
                problem = [("fg:ansired", f"What you typed {error}.")]
                event.app.create_background_task(self._show(problem))
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
                if self._catalog is not None and isinstance(message, str):
                    self._catalog.sent(message)
                await self._show_message(">", message)

    async def _receive(self) -> CloseSummary:
        try:
            while True:
                message = await self._connection.recv()
                self._received += 1
                call = self._catalog.received(message) if self._catalog and isinstance(message, str) else ""
                await self._show_message("<", message, call)
        except ConnectionClosed as closed:
            await self._unshown.join()
            return summarize_close(closed)

    async def _ping(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                self._ping_s = await (await self._connection.ping())
                self._session.app.invalidate()
                await asyncio.sleep(_PING_INTERVAL_S)

    async def _show_message(self, direction: str, message: Message, note: str = "") -> None:
        width = shutil.get_terminal_size().columns - _INDENT
        kind = note or kind_of(message, scalars=self._scalars)
        text = readable(message, width - len(kind) - 1 if kind else width, scalars=self._scalars)
        time = f"{datetime.datetime.now():%H:%M:%S.%f}"[:-3]
        parts = [(_DIM, f"{time} {direction} "), ("" if direction == "<" else "fg:ansicyan", text)]
        await self._show([*parts, (_DIM, f" {kind}")] if kind else parts)

    async def _show(self, parts: _Parts) -> None:
        await self._unshown.put(parts)

    async def _print(self) -> None:
        # All pending messages at once: redrawing the input line takes longer than printing a message.
        while True:
            batch = [await self._unshown.get()]
            while not self._unshown.empty():
                batch.append(self._unshown.get_nowait())
            text: FormattedText = FormattedText()
            for parts in batch:
                text += [*parts, ("", "\n")]
            await run_in_terminal(partial(print_formatted_text, text, end=""))
            for _ in batch:
                self._unshown.task_done()

    def _toolbar(self) -> str:
        ping = "ping ..." if self._ping_s is None else f"ping {self._ping_s * 1000:.1f} ms"
        return f" {ping}   sent {self._sent}   received {self._received}   Ctrl+D quits "


class _MessageCompleter(Completer):
    """Completes `/name field=value`."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """Yield what may come at the cursor."""
        for text, replaced, description in self._catalog.completions(document.text_before_cursor):
            yield Completion(text, -replaced, display_meta=description)


def _raw_input() -> Input:
    """Return the keyboard in raw mode, which it keeps while a message is printed."""
    keyboard = create_input()
    keyboard.cooked_mode = contextlib.nullcontext  # type: ignore[method-assign]
    return keyboard


def open_history() -> History:
    """Return the lines of earlier conversations, from a file when it can be written."""
    path = Path(click.get_app_dir("falconws")) / "connect_history"
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Readable by the user only: the lines may contain tokens.
        os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_RDWR, 0o600))
        return FileHistory(str(path))
    return InMemoryHistory()
