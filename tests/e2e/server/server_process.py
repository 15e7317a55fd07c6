"""A `falconws.server.run()` in a process of its own, whose output a test can wait for."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

WAIT_S = 40.0

LOOPS = {"uvloop": "", "asyncio": "import sys; sys.modules['uvloop'] = None\n"}
"""The prelude of a process that serves on this event loop."""
PARSERS = {"httptools": "", "h11": "import sys; sys.modules['httptools'] = None\n"}
"""The prelude of a process that serves with this parser of HTTP."""
STACKS = {f"{loop}-{parser}": LOOPS[loop] + PARSERS[parser] for loop in LOOPS for parser in PARSERS}

by_loop = pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
by_parser = pytest.mark.parametrize("parser", PARSERS.values(), ids=PARSERS)


class ServerProcess:
    """One `falconws.server.run(...)` in a process of its own, with its output at hand."""

    def __init__(self, folder: Path, target: str, options: dict[str, Any], prelude: str = "") -> None:
        keywords = {"port": 0, "app_dir": str(folder), **options}
        names = "AdmissionSettings, ConnectionSettings, DeflateSettings, HttpSettings, TlsSettings, run"
        self.code = f"{prelude}from falconws.server import {names}\nrun({target!r}, **{keywords!r})\n"
        self.process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-c", self.code],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            process_group=0,
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
    def ended(self) -> bool:
        """Whether the output has ended: no process is left that could write to it."""
        with self._changed:
            return self._ended

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

    def write_until_it_reloads(self, source: Path, text: str) -> None:
        """Write *text* to *source*; again, while uvicorn has not taken its first look at the files yet."""
        for attempt in range(1, 11):
            source.write_text(text)
            try:
                self.wait_for_line("Reloading", timeout=2)
                return
            except AssertionError:
                if attempt == 10:
                    raise

    @property
    def url(self) -> str:
        """The scheme and address that are served, without a root path."""
        return self.wait_for_line(r"serves (\w+://[^/\s]+)").group(1)

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
        # Children that a failed test has left: the output ends with them.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._pump.join(5)
        with contextlib.suppress(Exception):
            assert self.process.stdout is not None
            self.process.stdout.close()
