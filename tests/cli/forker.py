"""Runs many command lines, each in a process of its own, without starting Python for each: it forks itself.

A child sees its standard streams as a fresh Python does: None where the descriptor is closed. Started as a program, it
reads a request a line from standard input, and answers each with a line.
"""

import contextlib
import importlib
import io
import json
import os
import pty
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Streams:
    """What the streams of a command are: "file", "left" (a pipe without a reader), "full", "closed" or "tty"."""

    stdout: str = "file"
    stderr: str = "file"
    encoding: str = "utf-8"
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


class Forker:
    """The other process, which forks."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, words: Sequence[str], folder: Path, streams: Streams) -> Ended:
        """Run `falconws` in *folder*, and return how it ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"words": list(words), "folder": str(folder), **asdict(streams)}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Ended(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """End the other process."""
        self._process.communicate(timeout=60)


def _serve() -> None:
    from falconws_cli.main import cli

    # What children would otherwise import one by one.
    for module in ("jinja2", "tomlkit", "falconws.server"):
        importlib.import_module(module)

    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line), cli)), flush=True)


def _answer(request: dict[str, Any], cli: Any) -> dict[str, Any]:
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        ours, theirs = pty.openpty()
        child = os.fork()
        if child == 0:
            try:
                for descriptor, kind, file in ((1, request["stdout"], stdout), (2, request["stderr"], stderr)):
                    _redirect(descriptor, kind, file.fileno(), theirs)
                os.close(ours)
                os._exit(_run(request, cli))
            except BaseException:
                traceback.print_exc()
                os._exit(99)
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):
            while chunk := os.read(ours, 4096):
                shown += chunk
        os.close(ours)
        _, status = os.waitpid(child, 0)
        for file in (stdout, stderr):
            file.seek(0)
        said = shown.replace(b"\r\n", b"\n") if request["stdout"] == "tty" else stdout.read()
        return {
            "code": os.waitstatus_to_exitcode(status),
            "stdout": said.decode(request["encoding"], "replace"),
            "stderr": stderr.read().decode(request["encoding"], "replace"),
        }


def _redirect(descriptor: int, kind: str, file: int, terminal: int) -> None:
    if kind == "file":
        os.dup2(file, descriptor)
    elif kind == "tty":
        os.dup2(terminal, descriptor)
    elif kind == "full":
        os.dup2(os.open("/dev/full", os.O_WRONLY), descriptor)
    elif kind == "left":
        reader, writer = os.pipe()
        os.dup2(writer, descriptor)
        os.close(reader)
        os.close(writer)
    else:
        assert kind == "closed"
        os.close(descriptor)


def _run(request: dict[str, Any], cli: Any) -> int:
    os.chdir(request["folder"])
    sys.path.insert(0, "")
    os.environ.update(request["environment"])
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            setattr(sys, name, None)
            continue
        raw = io.FileIO(descriptor, "w", closefd=False)
        errors = "strict" if descriptor == 1 else "backslashreplace"
        buffered = io.BufferedWriter(raw)
        setattr(sys, name, io.TextIOWrapper(buffered, request["encoding"], errors, line_buffering=raw.isatty()))
    code = 0
    try:
        cli(request["words"], prog_name="falconws")
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else bool(ended.code)
    except BaseException:
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            # As Python ends then.
            code = 120
    return code


if __name__ == "__main__":
    _serve()
