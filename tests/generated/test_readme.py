"""The README of a generated project: each of its commands is run in the environment that it is for."""

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from falconws_cli.origin import extra_command, find_source, install_command
from tests.generated import wheelhouse
from tests.generated.workshop import START_S, environment, falconws, get, mypy_cache, new_project
from tests.ports import free_port

CHECKOUT = Path(__file__).parents[2]
# Docker's are carried out by test_parts, as far as this machine can.
DOCKER = {"docker build -t demo .", "docker run --rm -p 127.0.0.1:8000:8000 demo"}
SECONDS = 300

pytestmark = pytest.mark.timeout(500)


def read_commands(readme: str) -> list[tuple[str, str]]:
    """Return the commands of the README's blocks, each with the output that it shows."""
    commands: list[tuple[str, str]] = []
    for block in re.findall(r"^```console\n(.*?)^```", readme, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                commands.append((line[2:], ""))
            else:
                commands[-1] = (commands[-1][0], f"{commands[-1][1]}{line}\n")
    return commands


class Reader:
    """Somebody who types the commands, in an environment of their own and without a network."""

    def __init__(self, root: Path, variables: dict[str, str]) -> None:
        self._root = root
        self._environment = {**environment(), **variables, "MYPY_CACHE_DIR": mypy_cache(), "HOME": str(root.parent)}

    def run(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-ec", command],
            cwd=self._root,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"
        return done.stdout

    @contextmanager
    def serving(self, command: str) -> Iterator[None]:
        server = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self._root,
            env={**self._environment, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Some servers leave workers behind that hold the pipe.
            start_new_session=True,
        )
        watchdog = threading.Timer(2 * START_S, os.killpg, [server.pid, signal.SIGKILL])
        watchdog.start()
        lines = []
        try:
            assert server.stdout is not None
            for line in server.stdout:
                lines.append(line)
                if "startup complete" in line or "unning on" in line or "Started worker" in line:
                    break
            assert server.poll() is None, "".join(lines)
            yield
        finally:
            watchdog.cancel()
            # How they end is not for this test.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.communicate(timeout=START_S)


@pytest.mark.slow
@pytest.mark.parametrize("layout", [(), ("--minimal",), ("--with", "redis,compose")], ids=["full", "minimal", "redis"])
def test_each_command_works_as_written(tmp_path: Path, layout: tuple[str, ...]) -> None:
    root = new_project(tmp_path, "demo", *layout)
    reader = Reader(root, wheelhouse.environment_with_everything(tmp_path / "venv"))
    readme = (root / "README.md").read_text()
    port = str(free_port())
    commands = read_commands(readme)
    install, serve = install_command(find_source(root)), "falconws serve --reload"
    assert [command for command, _ in commands[:3]] == ["python3 -m venv .venv && . .venv/bin/activate", install, serve]
    done = set()
    for command, _ in commands:
        if command == serve:
            with reader.serving(f"{serve} --port {port} --no-access-log"):
                hello, said = next((c, text) for c, text in commands if c.startswith("python -c"))
                assert reader.run(hello.replace(":8000/", f":{port}/")) == said == "hello\n"
        elif "activate" in command:
            # This environment takes the place of .venv, which would need a network.
            assert "python3 -m venv .venv && . .venv/bin/activate".endswith(command)
        elif command in DOCKER:
            continue
        elif not command.startswith("python -c"):
            reader.run(command)
            done.add(command.split()[0])
    assert done == {"pip", "falconws", "ruff"}


@pytest.mark.parametrize("layout", [(), ("--minimal",)], ids=["full", "minimal"])
def test_the_other_servers_that_it_names_serve_the_project(tmp_path: Path, layout: tuple[str, ...]) -> None:
    root = new_project(tmp_path, "demo", *layout)
    reader = Reader(root, {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "PYTHONPATH": str(root)})
    sentence = re.search(r"Other ASGI servers.*?\.\n\n", (root / "README.md").read_text(), re.DOTALL)
    assert sentence is not None
    commands = re.findall(r"`(.+?)`", sentence[0])
    assert {command.split()[0] for command in commands} <= {"uvicorn", "granian", "hypercorn"}
    for command in commands:
        port = free_port()
        option = f"--bind 127.0.0.1:{port}" if command.startswith("hypercorn") else f"--port {port}"
        with reader.serving(f"{command} {option}"):
            answer = None
            deadline = time.monotonic() + START_S
            while answer is None:
                # Some say that they run before they listen.
                with contextlib.suppress(OSError):
                    answer = get(f"127.0.0.1:{port}", "/healthz")
                assert time.monotonic() < deadline, command
            assert answer == (200, {"status": "ok"})


def test_falconws_from_a_checkout_is_installed_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = new_project(tmp_path, "demo", "--with", "docker,agents-md")
    source = find_source(root)
    assert (root / source).resolve() == CHECKOUT
    command = f'pip install {source} -e ".[dev]"'
    for name in ("README.md", "AGENTS.md"):
        assert command in (root / name).read_text()
    assert f"pip wheel --no-deps --wheel-dir wheels {source}\n" in (root / "README.md").read_text()
    # An upgrade says the same, wherever falconws is now.
    monkeypatch.setattr("falconws_cli.origin._read_direct_url", None)
    falconws(root, "upgrade", "--check")


@pytest.mark.parametrize(
    ("recorded", "source"),
    [
        (None, ""),
        ({"url": "file:///src/falconws", "dir_info": {"editable": True}}, "../../src/falconws"),
        ({"url": "file:///src/my%20falconws", "dir_info": {}}, "../../src/my falconws"),
        ({"url": "file:///home/demo/falconws", "dir_info": {}}, "./falconws"),
        ({"url": "file:///home", "dir_info": {}}, ".."),
        ({"url": "https://example.com/falconws-1.tar.gz", "archive_info": {}}, "https://example.com/falconws-1.tar.gz"),
        (
            {"url": "https://example.com/falconws", "vcs_info": {"vcs": "git", "commit_id": "0a1b"}},
            "git+https://example.com/falconws@0a1b",
        ),
    ],
)
def test_the_source_is_what_pip_takes(recorded: object, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = None if recorded is None else json.dumps(recorded)
    monkeypatch.setattr("falconws_cli.origin._read_direct_url", lambda: text)
    assert find_source(Path("/home/demo")) == source
    words = shlex.split(install_command(source))
    extra = shlex.split(extra_command("cli"))
    path = {"../../src/falconws": "/src/falconws", "../../src/my falconws": "/src/my falconws"}.get(source)
    if path:
        assert extra == ["pip", "install", *(["-e"] if path == "/src/falconws" else []), f"{path}[cli]"]
    elif not source or "://" in source:
        assert extra == ["pip", "install", f"falconws[cli] @ {source}" if source else "falconws[cli]"]
    assert words == ["pip", "install", *([source] if source else []), "-e", ".[dev]"]
