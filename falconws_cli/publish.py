"""Publishes from the command line: finds the broker, checks the payload, and explains failures."""

from __future__ import annotations

import ast
import asyncio
import json
import logging
import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from falconws_cli.errors import CommandError, RefusedError
from falconws_cli.project import find_project

_VARIABLE = "FALCONWS_HUB_URL"


def publish(
    room: str, message: str, folder: Path, *, url: str | None, as_json: bool, binary: bool, key: str | None
) -> None:
    """Publish *message* to *room* and print its position.

    Raises:
        RefusedError: The URL is missing or reaches no other process, or the message is not what an option says.
        CommandError: The broker cannot be reached, or refuses the message.
    """
    broker, source = _broker(url, folder)
    if broker.lower().startswith("memory:"):
        raise RefusedError(
            f"{source} is memory://, which only the server's own process can publish to; "
            "use a broker such as redis://localhost:6379/0."
        )
    payload = _payload(message, as_json=as_json, binary=binary)
    # Imported late, since it takes a while and the checks above do not need it.
    from falconws.hub import BrokerUnavailable, Hub

    # Every failure is reported in one line below.
    logging.getLogger("falconws.hub").addHandler(logging.NullHandler())

    async def send() -> str:
        async with Hub(broker) as hub:
            return str(await hub.publish(room, payload, key=key))

    try:
        position = asyncio.run(send())
    except BrokerUnavailable as error:
        what = str(error).rstrip(".")
        raise CommandError(
            f"Publishing failed: {what}; check that the broker runs, or name another with --url."
        ) from error
    except ValueError as error:
        raise RefusedError(str(error)) from error
    except Exception as error:
        # On a command line, one line is more useful than a traceback.
        raise CommandError(f"Publishing failed: {type(error).__name__}: {' '.join(str(error).split())}") from error
    click.echo(position)


def _broker(url: str | None, folder: Path) -> tuple[str, str]:
    """Return the URL, and the name of its source."""
    if url:
        return url, "--url"
    names = [_VARIABLE]
    project = find_project(folder)
    if project is not None:
        names.append(f"{project.env_prefix}_HUB_URL")
    for name in names:
        if value := os.environ.get(name, "").strip():
            return value, name
    if project is not None:
        settings = project.package_path / "settings.py"
        if default := _default_url(project.read(settings) or b""):
            return default, f"hub_url in {settings}"
    raise RefusedError(f"No broker is configured: use --url, or set {' or '.join(names)}.")


def _default_url(source: bytes) -> str | None:
    """Return the default of `hub_url` in a settings class, as `falconws new --with redis` generates it.

    The source is parsed, not run: publishing does not need the other settings of the service.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None
    for statement in (inner for outer in tree.body if isinstance(outer, ast.ClassDef) for inner in outer.body):
        match statement:
            case ast.AnnAssign(target=ast.Name(id="hub_url"), value=ast.Constant(value=str(url))):
                return url.strip()
    return None


def _refuse_constant(name: str) -> NoReturn:
    # Python accepts NaN and the infinities, which RFC 8259 section 6 does not have and browsers reject.
    raise ValueError(f"{name} is not allowed")


def _payload(message: str, *, as_json: bool, binary: bool) -> str | bytes:
    data = sys.stdin.buffer.read() if message == "-" else message.encode("utf-8", "surrogateescape")
    if as_json:
        try:
            json.loads(data, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise RefusedError(f"MESSAGE is not JSON: {error}.") from error
    if binary:
        return data
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise RefusedError("MESSAGE is not UTF-8 text; send it with --binary.") from None
