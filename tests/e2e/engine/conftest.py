"""Real server processes for the tests of this folder, started on free ports and always stopped."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

WAIT_S = 20.0


class ServerProcess:
    """One `falconws.server.run(...)` in a process of its own, with its output at hand."""

    def __init__(self, folder: Path, target: str, options: dict[str, Any]) -> None:
        keywords = {"port": 0, "app_dir": str(folder), **options}
        self.code = f"import falconws.server\nfalconws.server.run({target!r}, **{keywords!r})\n"
        self.process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-c", self.code],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self._pump = threading.Thread(target=self._read, daemon=True)
        self._pump.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def output(self) -> str:
        with self._changed:
            return "\n".join(self._lines)

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_for_line(self, pattern: str, timeout: float = WAIT_S) -> re.Match[str]:
        """Return the first match of *pattern* in a line of the output, past or to come."""
        deadline = time.monotonic() + timeout
        seen = 0
        with self._changed:
            while True:
                for line in self._lines[seen:]:
                    if match := re.search(pattern, line):
                        return match
                seen = len(self._lines)
                remaining = deadline - time.monotonic()
                if self._ended or remaining <= 0:
                    raise AssertionError(f"no line matches {pattern!r} in:\n" + "\n".join(self._lines))
                self._changed.wait(remaining)

    @property
    def url(self) -> str:
        return self.wait_for_line(r"serves (\S+) ").group(1)

    @property
    def ws_url(self) -> str:
        return self.url.replace("http", "ws", 1)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def wait_until_ready(self) -> "ServerProcess":
        self.wait_for_line("Application startup complete|startup complete")
        return self

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def wait(self, timeout: float = WAIT_S) -> int:
        """Return the exit code; the output is complete then."""
        code = self.process.wait(timeout)
        self._pump.join(timeout)
        return code

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        self._pump.join(5)
        with contextlib.suppress(Exception):
            assert self.process.stdout is not None
            self.process.stdout.close()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Return a function that starts a server process: `serve(source, workers=2, ...)`."""
    started: list[ServerProcess] = []

    def start(source: str, *, target: str = "served:app", **options: Any) -> ServerProcess:
        (tmp_path / "served.py").write_text(textwrap.dedent(source))
        server = ServerProcess(tmp_path, target, options)
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()
