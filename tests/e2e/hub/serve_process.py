"""`falconws serve` in processes of its own, on free ports."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

WAIT_S = 30.0
SERVED_ROOM = ("served_room:app", Path(__file__).parent)
"""The application served_room.py."""


class ServiceProcess:
    """A service; its processes are a group, and end together.

    Args:
        log: The file for its output.
        hub_url: The broker.
        workers: How many processes it has.
        app: The application, and the folder that it is in.
    """

    def __init__(self, log: Path, hub_url: str, *, workers: int = 1, app: tuple[str, Path] = SERVED_ROOM) -> None:
        self._log = log
        name, folder = app
        command = [sys.executable, "-m", "falconws_cli", "serve", name, "--port", "0", "--drain", "0"]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, "--workers", str(workers), "--no-access-log"],
                cwd=folder,
                env={**os.environ, "HUB_URL": hub_url, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.url = self._wait_for(r"serves (http\S+) ", 1)[0]
        self._wait_for(r"pplication startup complete", workers)

    def _wait_for(self, pattern: str, count: int) -> list[str]:
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            found = re.findall(pattern, self._log.read_text())
            if len(found) >= count:
                return found
            time.sleep(0.02)
        raise AssertionError(f"{count} times {pattern!r} not in:\n{self._log.read_text()}")

    @property
    def ws_url(self) -> str:
        return self.url.replace("http", "ws", 1)

    def stop(self) -> None:
        """End it as a user would; what is left after a while, with SIGKILL."""
        self.process.terminate()
        try:
            self.process.wait(15)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(5)


Serve = Callable[..., ServiceProcess]
"""What the fixture `serve` is."""
