"""Runs `falconws connect`: opens the connection, starts the script or the terminal, and returns the exit code.

Must not know frames, nor how messages are shown while the user types.
"""

import asyncio
import contextlib
import functools
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from falconws_cli.connect.catalog import Catalog, find_catalog
from falconws_cli.connect.connection import HandshakeRequest, open_connection, tls_context
from falconws_cli.connect.messages import Message, Payload, encode, plain, printable
from falconws_cli.connect.script import Conversation, Expectation, Script, read_lines
from falconws_cli.errors import RefusedError
from falconws_cli.extras import require_modules
from falconws_cli.project_routes import suggest_route
from falconws_cli.urls import WebSocketUrl, parse_header, parse_path, parse_url

_INTERRUPTED = 128 + signal.SIGINT
_TERMINATED = 128 + signal.SIGTERM


def connect(
    where: str,
    start: Path,
    *,
    port: int,
    headers: Sequence[str],
    subprotocols: Sequence[str],
    origin: str | None,
    steps: Sequence[tuple[str, str]],
    payload: str,
    timeout_s: float,
    wait_s: float,
    insecure: bool,
    cafile: str | None,
    document: Mapping[str, Any] | None,
    find_document: Callable[[], Mapping[str, Any] | None],
) -> int:
    """Talk to *where*, a URL or a path of the local server, and return the exit code.

    Args:
        where: As typed.
        start: The folder whose project's routes are suggested when the path is not found.
        port: The port of the local server.
        headers: Headers as typed, "Name: value".
        subprotocols: Subprotocols to offer, the preferred one first.
        origin: The Origin header; None for none.
        steps: ("send" or "expect", text) in the order typed.
        payload: The value of a Payload.
        timeout_s: The time for the handshake, and for each expected message.
        wait_s: The time to wait for replies when nothing is expected.
        insecure: Trust any certificate.
        cafile: Certificates to trust instead of the system's.
        document: An AsyncAPI document whose messages can be sent as `/name field=value`.
        find_document: Finds such a document for the local server; asked when there is a terminal, and no *document*.

    Raises:
        CommandError: The connection failed, an expectation was not met, or a terminal needs the extra "cli".
        RefusedError: An argument is invalid; nothing was sent.
    """
    url = parse_url(where) if "://" in where else WebSocketUrl("127.0.0.1", port, parse_path(where))
    kind = Payload(payload)
    interactive = not steps and sys.stdin.isatty() and sys.stdout.isatty()
    if document is None and interactive and "://" not in where:
        document = find_document()
    catalog = None if document is None else find_catalog(document, url.path.partition("?")[0])
    parsed = [_step(name, text, kind, catalog) for name, text in steps]
    if interactive:
        require_modules("`falconws connect` on a terminal", "prompt_toolkit")
    handshake = HandshakeRequest(
        url,
        headers=[parse_header(header) for header in headers],
        subprotocols=subprotocols,
        origin=origin,
        tls=tls_context(url, insecure=insecure, cafile=cafile),
        timeout_s=timeout_s,
        not_found_hint=suggest_route(url.path, start),
    )
    if interactive:
        return _run(_run_terminal(handshake, kind, catalog))
    sends = any(name == "send" for name, _ in steps)
    lines = None if sends else read_lines(sys.stdin.fileno())
    script = Script(parsed, lines, kind, timeout_s, wait_s, functools.partial(_encode, payload=kind, catalog=catalog))
    return _run(_run_script(handshake, script))


async def _run_script(handshake: HandshakeRequest, script: Script) -> int:
    connection = await open_connection(handshake)
    show = functools.partial(_print, scalars=script.payload is Payload.MSGPACK)
    async with _closing(connection):
        await Conversation(connection, script, show).run()
    return 0


async def _run_terminal(handshake: HandshakeRequest, payload: Payload, catalog: Catalog | None) -> int:
    # prompt_toolkit costs more start-up time than everything else here.
    from falconws_cli.connect.terminal import Terminal, open_history

    connection = await open_connection(handshake)
    async with _closing(connection):
        chosen = f", subprotocol {printable(connection.subprotocol)}" if connection.subprotocol else ""
        typed = "" if catalog is None else " Type / for the messages."
        click.echo(f"Connected to {handshake.url}{chosen}. Enter sends, Ctrl+D quits.{typed}")
        closed = await Terminal(connection, payload, open_history(), catalog).run()
    if closed is None:
        click.echo(f"Closed with {connection.close_code}.")
        return 0
    meaning = catalog.close_codes.get(connection.close_code or 0) if catalog and not connection.close_reason else None
    click.echo(f"{closed.sentence}{f': {meaning}' if meaning else ''}.")
    return 0 if closed.clean else 1


@contextlib.asynccontextmanager
async def _closing(connection: ClientConnection) -> AsyncIterator[None]:
    """Close the connection with NORMAL when the block ends."""
    try:
        yield
    finally:
        # Messages that are still unread come before the server's close frame.
        discarding = asyncio.ensure_future(_discard(connection))
        try:
            await connection.close()
        finally:
            discarding.cancel()
            await asyncio.gather(discarding, return_exceptions=True)


async def _discard(connection: ClientConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            await connection.recv()


def _run(conversation: Coroutine[object, object, int]) -> int:
    """Run the conversation and return its exit code; a signal closes the connection, and has its own code."""
    stopped_by = _INTERRUPTED

    async def until_stopped() -> int:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None

        def stop(code: int) -> None:
            nonlocal stopped_by
            stopped_by = code
            task.cancel()

        for number, code in ((signal.SIGINT, _INTERRUPTED), (signal.SIGTERM, _TERMINATED)):
            # On Windows the event loop has no signal handlers; asyncio.run() handles Ctrl+C there.
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, stop, code)
        return await conversation

    try:
        return asyncio.run(until_stopped())
    except (asyncio.CancelledError, KeyboardInterrupt):
        return stopped_by


def _step(name: str, text: str, payload: Payload, catalog: Catalog | None) -> Message | Expectation:
    if name == "expect":
        return Expectation(text)
    try:
        return _encode(text, payload, catalog)
    except ValueError as error:
        raise RefusedError(f'--send "{text}" {error}.') from error


def _encode(line: str, payload: Payload, catalog: Catalog | None) -> Message:
    return encode(line if catalog is None else catalog.encode(line), payload)


def _print(message: Message, *, scalars: bool) -> None:
    text = plain(message, scalars=scalars)
    # A program gets the message unchanged; on a terminal, control characters are escaped.
    click.echo(printable(text) if sys.stdout.isatty() else text)
