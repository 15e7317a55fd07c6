"""Serves a project's app on a free port during a load test, as `falconws serve` does. Must not know the load."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from falconws_cli.errors import CommandError
from falconws_cli.project import require_project

_LISTENING = re.compile(r"^falconws serves https?://[^ ]+:(\d+) ")
_STOP_TIMEOUT_S = 20.0


@contextlib.contextmanager
def serve_project(root: Path) -> Iterator[int]:
    """Serve the project at *root*; yield the port on 127.0.0.1, and stop the server at the end.

    Raises:
        CommandError: The server did not start; the message has its last line.
    """
    options = ["--port", "0", "--no-access-log", "--log-level", "warning"]
    # The load is far above what one client of a service may send.
    unlimited = {f"{require_project(root).env_prefix}_RATE_LIMIT": "off"}
    with tempfile.TemporaryFile(mode="w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "falconws_cli", "serve", *options],
            cwd=root,
            env={**os.environ, **unlimited},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            # Only the command gets the Ctrl+C signal; it stops the server when the load has ended.
            start_new_session=True,
        )
        try:
            yield _port(process, log)
        finally:
            _stop(process)


def _port(process: subprocess.Popen[str], log: IO[str]) -> int:
    assert process.stdout is not None
    for line in process.stdout:
        found = _LISTENING.match(line)
        if found:
            return int(found[1])
    process.wait(_STOP_TIMEOUT_S)
    log.seek(0)
    lines = log.read().strip().splitlines() or [f"the server ended with code {process.returncode}"]
    raise CommandError(f"The project's app cannot be served: {lines[-1].removeprefix('Error: ')}")


def _stop(process: subprocess.Popen[str]) -> None:
    with process:
        if process.poll() is None:
            process.send_signal(signal.SIGINT if sys.platform != "win32" else signal.SIGTERM)
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
