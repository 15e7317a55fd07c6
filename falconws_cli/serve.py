"""Where the CLI meets the server: which app from which folder, and a first conversation to paste."""

import http.client
import shlex
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import click

from falconws_cli.errors import CommandError
from falconws_cli.project import Project, find_project, require_project

PORT = 8000
_START_SECONDS = 30.0


def serve_target(target: str | None, start: Path, **options: Any) -> None:
    """Serve the project around *start*, or the app that *target* names, until a signal ends it.

    Args:
        target: "module:attribute"; None takes the project's app.
        start: The folder to look for the project from.
        options: Arguments of falconws.server.run().

    Raises:
        CommandError: There is no project, the app does not load, or the address is taken.
    """
    project = require_project(start) if target is None else find_project(start)
    folder = project.import_root if project else start
    if options.get("reload"):
        options["reload_dirs"] = [str(project.root if project else start)]
    _run(target or _app_of(project), app_dir=str(folder), **options)


def serve_new_project(root: Path) -> int:
    """Serve a project that was just made; once it answers, print lines to paste that show a message echoed."""
    project = require_project(root)
    port, taken = _free_port()
    if taken:
        click.echo(f"Port {PORT} is taken; this project gets port {port}.")
    # Daemon: it must not keep a server alive that has failed to start.
    threading.Thread(target=_greet_when_up, args=(port,), daemon=True).start()
    _run(project.app, app_dir=str(project.import_root), port=port)
    return 0


def first_conversation(port: int) -> str:
    """Return what to paste into a second terminal, and into a browser, to see a message echoed."""
    script = (
        "from websockets.sync.client import connect; "
        # Not in a `with`, which no line can hold behind an import.
        f"ws = connect('ws://127.0.0.1:{port}/echo').__enter__(); ws.send('hello'); print(ws.recv()); ws.close()"
    )
    page = (
        f'ws = new WebSocket("ws://127.0.0.1:{port}/echo"); '
        'ws.onmessage = e => console.log(e.data); ws.onopen = () => ws.send("hello")'
    )
    return f"""
Serving http://127.0.0.1:{port}

In a second terminal:
  {shlex.quote(sys.executable)} -c "{script}"

Or open http://127.0.0.1:{port}/healthz in a browser, and in its console (F12):
  {page}
"""


def _run(target: str, **options: Any) -> None:
    from falconws.server import StartError, run

    try:
        run(target, **options)
    except StartError as error:
        raise CommandError(str(error)) from error


def _app_of(project: Project | None) -> str:
    assert project is not None
    return project.app


def _free_port() -> tuple[int, bool]:
    """Return the usual port, or a free one and True when the usual one is taken."""
    for port in (PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                probe.listen(1)
            except OSError:
                continue
            return probe.getsockname()[1], port != PORT
    raise CommandError("No port is free on 127.0.0.1.")


def _greet_when_up(port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_START_SECONDS)
        try:
            connection.request("GET", "/healthz")
            connection.getresponse()
        except OSError:
            time.sleep(0.05)
            continue
        finally:
            connection.close()
        click.echo(first_conversation(port))
        return
