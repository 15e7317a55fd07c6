"""Generates projects in-process, checks them with the tools that their users have, and serves them.

Knows nothing of what is in a template.
"""

import contextlib
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import click.testing

from falconws_cli.main import cli
from tests.once import once, run_folder

START_S = 30.0


def falconws(folder: Path, *arguments: str, code: int = 0) -> None:
    """Run a falconws command in *folder*; fail unless it ends as expected."""
    with contextlib.chdir(folder):
        result = click.testing.CliRunner().invoke(cli, list(arguments), prog_name="falconws")
    assert result.exit_code == code, f"falconws {' '.join(arguments)}\n{result.output}"


def new_project(folder: Path, name: str = "demo", *options: str) -> Path:
    """Return the root of a new project in *folder*, which has no other."""
    falconws(folder, "new", name, *options)
    (root,) = (path for path in folder.iterdir() if path.is_dir())
    return root


def assert_formatted_and_linted(root: Path) -> None:
    """Run ruff as the project configures it."""
    _passes(root, "ruff", "format", "--check", ".")
    _passes(root, "ruff", "check", ".")


def assert_typed(root: Path) -> None:
    """Run mypy --strict on everything, tests included."""
    _passes(root, "mypy", "--strict", ".")


def assert_tests_pass(root: Path, *arguments: str, expected: int) -> None:
    """Run the project's own tests through `falconws test`; at least *expected* of them, without a failure."""
    output = _passes(root, "falconws_cli", "test", "--", "-q", "-p", "no:cacheprovider", *arguments)
    counted = re.search(r"^(\d+) passed in", output, re.MULTILINE)
    assert counted is not None, output
    assert int(counted[1]) >= expected, output


def _passes(root: Path, module: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=root,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, f"{module} {' '.join(arguments)}\n{output}"
    return output


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment without what this test run itself has set for pytest."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "DEMO_"))}
    return {**kept, "MYPY_CACHE_DIR": mypy_cache(), **(extra or {})}


@functools.cache
def mypy_cache() -> str:
    """Return this process's folder for what mypy finds out, which has everything about the libraries already."""
    folder = run_folder() / f"mypy-{os.getpid()}"
    # mypy compares the times of its files.
    shutil.copytree(once("mypy", _learn_libraries), folder, copy_function=shutil.copy2)
    return str(folder)


def _learn_libraries(cache: Path) -> None:
    """Have mypy look at a project that imports what the tests of projects, snippets and clients import."""
    with tempfile.TemporaryDirectory() as scratch:
        root = new_project(Path(scratch))
        names = ("falconws.client", "falconws.testing", "falconws.typed", "msgspec", "orjson", "websockets.sync.client")
        (root / "libraries.py").write_text("".join(f"import {name}\n" for name in names))
        subprocess.run(
            [sys.executable, "-m", "mypy", "--strict", "."],
            cwd=root,
            env={**os.environ, "MYPY_CACHE_DIR": str(cache)},
            check=True,
            capture_output=True,
            timeout=240,
        )


@contextlib.contextmanager
def served(
    root: Path, env: Mapping[str, str] | None = None, *options: str, python: Path | None = None
) -> Iterator[str]:
    """Serve the project with `falconws serve` on a free port, perhaps of another Python; yield its host and port."""
    process = subprocess.Popen(
        [str(python or sys.executable), "-u", "-m", "falconws_cli", "serve", "--port", "0", *options],
        cwd=root / "tests",
        env=environment(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: list[str] = []
    started = threading.Event()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if "Application startup complete" in line:
                started.set()
        started.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        assert started.wait(START_S), "".join(lines)
        found = re.search(r"http://(127\.0\.0\.1:\d+)", "".join(lines))
        assert process.poll() is None, "".join(lines)
        assert found is not None, "".join(lines)
        yield found[1]
        process.send_signal(signal.SIGINT)
        assert process.wait(START_S) == 0, "".join(lines)
        reader.join(START_S)
        assert "Traceback" not in "".join(lines), "".join(lines)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(START_S)
        reader.join(START_S)
        assert process.stdout is not None
        process.stdout.close()


def get(address: str, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, object]:
    """Return status and body of a GET; JSON bodies parsed."""
    request = urllib.request.Request(f"http://{address}{path}", headers=dict(headers or {}))
    with urllib.request.urlopen(request, timeout=START_S) as response:
        body = response.read().decode()
        if "json" in response.headers.get("Content-Type", ""):
            return response.status, json.loads(body)
        return response.status, body
