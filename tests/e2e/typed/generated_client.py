"""Generates clients, and runs programs of npm on them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
SECONDS = 100.0


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a program; the app in *folder* may import from the tests."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHON": sys.executable, "APP_FOLDER": str(folder), "CI": "1"}


def generate(folder: Path, *words: str) -> None:
    """Run `falconws generate-client`."""
    _check(folder, [sys.executable, "-m", "falconws_cli", "generate-client", *words])


def run(folder: Path, program: str, *words: str) -> None:
    """Run a program of an npm package."""
    _check(folder, [str(folder / "node_modules" / program), *words])


def _check(folder: Path, command: list[str]) -> None:
    done = subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
