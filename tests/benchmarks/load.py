"""The load generator: load.c, compiled when the benchmark starts, on a separate core."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.server import ServerError

_HERE = Path(__file__).parent
_TIMEOUT_S = 30.0

Sample = dict[str, float]


class LoadError(Exception):
    """The generator does not support this load. The message is one line."""


class Load:
    """Runs the load generator."""

    def __init__(self, folder: Path, core: int) -> None:
        """Compile the generator into *folder*. It runs on *core*."""
        self._folder = folder
        self._core = core
        self._binary: Path | None = folder / "load"
        compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if compiler is None:
            self._binary = None
            self.title = "falconws bench (no C compiler was found)"
            return
        self.title = "load.c"
        source = str(_HERE / "load.c")
        subprocess.run([compiler, "-O2", "-o", str(self._binary), source], check=True, timeout=60)

    def run(
        self,
        mode: str,
        port: int,
        path: str,
        connections: int,
        amount: float,
        payload: bytes,
        *,
        warm_up_s: float,
        seconds: float,
        pids: Sequence[int],
    ) -> Sample:
        """Run one load. The head of load.c describes the modes and their output.

        Raises:
            LoadError: There is no C compiler, and falconws bench does not have this mode.
            ServerError: The server did not answer as expected.
        """
        file = self._folder / "payload"
        file.write_bytes(payload)
        if self._binary is None:
            return self._fall_back(mode, port, path, connections, amount, payload, warm_up_s, seconds)
        amount_word = str(int(amount)) if mode != "paced" else f"{amount:.1f}"
        words = [mode, str(port), path, str(connections), amount_word, str(warm_up_s), str(seconds)]
        output = self._run([str(self._binary), *words, ",".join(map(str, pids)), str(file)], warm_up_s + seconds)
        sample: Sample = json.loads(output)
        return sample

    def _fall_back(
        self,
        mode: str,
        port: int,
        path: str,
        connections: int,
        amount: float,
        payload: bytes,
        warm_up_s: float,
        seconds: float,
    ) -> Sample:
        if mode != "echo":
            raise LoadError("a C compiler (cc) is needed")
        url = f"ws://127.0.0.1:{port}{path}"
        options = ["--connections", str(connections), "--in-flight", str(int(amount)), "--warm-up", str(warm_up_s)]
        message = ["--message", payload.decode(), "--seconds", str(seconds), "--json"]
        output = self._run(
            [sys.executable, "-m", "falconws_cli", "bench", url, *options, *message], warm_up_s + seconds
        )
        summary: dict[str, Any] = json.loads(output)
        return {
            "messages": summary["messages"],
            "seconds": summary["seconds"],
            "rate": summary["rate"],
            "cpu_us": summary["server_cpu_us"],
            "busy": summary["server_busy"],
        }

    def _run(self, command: list[str], seconds: float) -> str:
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                timeout=seconds + _TIMEOUT_S,
                preexec_fn=lambda: os.sched_setaffinity(0, {self._core}),
            )
        except subprocess.TimeoutExpired as error:
            raise ServerError(f"the load did not end within {seconds + _TIMEOUT_S:.0f} s") from error
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            raise ServerError(lines[-1] if lines else f"the generator exited with code {done.returncode}")
        return done.stdout
