"""ASGI servers as subprocesses: how each is started, how it is known to be up, how it is stopped.

Knows nothing of the promises that are tested on them.
"""

from __future__ import annotations

import http.client
import os
import secrets
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.ports import free_port

ROOT = Path(__file__).parents[3]
APP = "tests.e2e.contract.served.app:app"

_START_S = 30.0
_STOP_S = 8.0
_PORTS_TRIED = 3


@dataclass(frozen=True)
class Engine:
    """A server, or one of the WebSocket protocol classes of one.

    Attributes:
        name: In test ids and in the table of the docs.
        title: For people.
        module: Run with ``python -m``.
        arguments: ``{port}`` stands for the port.
    """

    name: str
    title: str
    module: str
    arguments: tuple[str, ...]

    def command(self, port: int) -> list[str]:
        arguments = (argument.format(port=port) for argument in self.arguments)
        return [sys.executable, "-m", self.module, *arguments]


def _uvicorn(name: str, title: str, ws: str) -> Engine:
    options = ("--host", "127.0.0.1", "--port", "{port}", "--ws", ws, "--lifespan", "on", "--no-access-log")
    return Engine(name, title, "uvicorn", (APP, *options))


ENGINES: tuple[Engine, ...] = (
    _uvicorn("falconws", "falconws", "falconws.server:WebSocketProtocol"),
    _uvicorn("uvicorn-sansio", "uvicorn (websockets-sansio)", "websockets-sansio"),
    _uvicorn("uvicorn-wsproto", "uvicorn (wsproto)", "wsproto"),
    _uvicorn("uvicorn-websockets", "uvicorn (websockets)", "websockets"),
    Engine("hypercorn", "hypercorn", "hypercorn", (APP, "--bind", "127.0.0.1:{port}")),
    Engine(
        "granian",
        "granian",
        "granian",
        (APP, "--interface", "asgi", "--host", "127.0.0.1", "--port", "{port}", "--workers", "1"),
    ),
    Engine("daphne", "daphne", "daphne", (APP, "-b", "127.0.0.1", "-p", "{port}")),
)


class ServerFailedError(Exception):
    """A server did not come up; the message holds what it wrote."""


class RunningServer:
    """One server process that serves the contract app on a free loopback port."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.port = 0
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / f"{engine.name}.log"

    @property
    def output(self) -> str:
        """What the server wrote so far, stdout and stderr."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        for _ in range(_PORTS_TRIED):
            if self._start_on(free_port()):
                return self
        raise ServerFailedError(f"{self.engine.name} did not come up; it wrote:\n{self.output}")

    def stop(self) -> None:
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                # Its own process group: a worker that outlives its parent goes too.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.stdin is not None:
            process.stdin.close()
        self._process = None

    def _start_on(self, port: int) -> bool:
        # Another process may take the port between the look and the bind, so the answer must carry our token.
        token = secrets.token_hex(8)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self.engine.command(port),
                cwd=ROOT,
                env={**os.environ, "CONTRACT_TOKEN": token, "PYTHONUNBUFFERED": "1"},
                # The app ends with this pipe, so nothing is left running when the tests are killed.
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_S
        while self.alive and time.monotonic() < deadline:
            if _ask(port, "/token") == token:
                self.port = port
                return True
            # Nothing announces that a foreign process has begun to listen.
            time.sleep(0.02)
        self.stop()
        return False


def _ask(port: int, path: str) -> str | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
