"""Standard output and standard error of a command, which cannot make it fail, and whether they have colors.

A reader that leaves (`falconws inspect | head -1`), a full disk or a closed descriptor must not stop work that is half
done, nor turn done work into a failure. Must not know what is written.
"""

import errno
import io
import os
import select
import sys
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from pathlib import Path
from typing import Any

from falconws_cli.errors import CommandError


class Matters(Enum):
    """Whether a command fails when its output cannot be written."""

    AT_THE_END = auto()
    """Output is its purpose: the exit code is 1 if some is lost. A reader that leaves loses nothing."""
    AT_ONCE = auto()
    """The same, but it fails at the first loss: otherwise it would run for as long as its connections."""
    NEVER = auto()
    """Its purpose is something else, which is done nevertheless."""


_STREAMS = ("stdin", "stdout", "stderr")
_LAST_OUTPUT_S = 2.0


class Output(io.RawIOBase):
    """Writes to a file descriptor until that fails once, and drops what comes later."""

    def __init__(self, descriptor: int) -> None:
        self.failure: OSError | None = None
        """Why something was dropped."""
        self.matters: Matters = Matters.AT_THE_END
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Write all of *data*, or drop it.

        Raises:
            BrokenPipeError: The reader has left, which ends this command.
            CommandError: It cannot be written, which ends this command.
        """
        left = memoryview(data).cast("B")
        size = len(left)
        while left and self.failure is None:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:
                # Another program has made the terminal non-blocking.
                select.select([], [self._descriptor], [])
            except OSError as error:
                self.failure = error
                if self.matters is Matters.AT_ONCE:
                    if error.errno == errno.EPIPE:
                        raise
                    lost = self.describe_loss()
                    # Said once.
                    self.matters = Matters.NEVER
                    raise CommandError(lost) from error
        return size

    def describe_loss(self) -> str:
        """Return the sentence that says why output was lost; "" when nothing was lost that matters."""
        error = self.failure
        if error is None or error.errno == errno.EPIPE or self.matters is Matters.NEVER:
            return ""
        return f"Cannot write the output: {(error.strerror or str(error)).lower()}."


def protect_streams() -> Output | None:
    """Let standard output and standard error of this process drop what they cannot write; return standard output.

    Streams that were replaced, as in tests, stay as they are.
    """
    _open_closed()
    protected = [_protect(name) for name in _STREAMS[1:]]
    return protected[0]


def output_matters(when: Matters) -> None:
    """Say whether this command fails when its output cannot be written."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(raw, Output):
        raw.matters = when


def run_program(command: Sequence[str], folder: Path) -> int:
    """Run another program in *folder*, and return its exit code.

    On a terminal it has our standard output. Elsewhere it writes into a pipe and we write on, so that output which
    cannot be written fails this command, with one line, and not the other program.
    """
    import subprocess
    import threading

    if sys.stdout.isatty():
        return subprocess.run(command, cwd=folder, check=False).returncode
    reader, writer = os.pipe()
    copying = threading.Thread(target=_copy, args=(reader,), daemon=True)
    copying.start()
    try:
        return subprocess.run(command, cwd=folder, stdout=writer, check=False).returncode
    finally:
        os.close(writer)
        # A process that the program has left behind may keep its end of the pipe open.
        copying.join(_LAST_OUTPUT_S)


def _copy(reader: int) -> None:
    with open(reader, "rb", buffering=0) as pipe:
        while data := pipe.read(65536):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()


def _open_closed() -> None:
    """Open the null device in place of standard streams that are closed: no other file may get their numbers."""
    for descriptor, name in enumerate(_STREAMS):
        try:
            os.fstat(descriptor)
        except OSError:
            # The null device gets the lowest free number, which is this one.
            os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(descriptor, "w" if descriptor else "r", encoding="utf-8", closefd=False))


def _protect(name: str) -> Output | None:
    stream = getattr(sys, name)
    buffer = getattr(stream, "buffer", None)
    # With `python -u` there is no buffer in between.
    raw = getattr(buffer, "raw", buffer)
    if not isinstance(stream, io.TextIOWrapper) or not isinstance(raw, io.FileIO):
        return None
    stream.flush()
    output = Output(raw.fileno())
    setattr(
        sys,
        name,
        io.TextIOWrapper(
            io.BufferedWriter(output),
            encoding=stream.encoding,
            # A character that the terminal or the log cannot encode must not make the command fail.
            errors="replace",
            line_buffering=stream.line_buffering or buffer is raw,
        ),
    )
    return output


def wants_color(environ: Mapping[str, str]) -> bool | None:
    """Return whether output has colors whatever it goes to; None if a terminal decides.

    NO_COLOR and FORCE_COLOR count if they are set and not empty.

    Source: https://no-color.org and https://force-color.org.
    """
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return False if environ.get("TERM") == "dumb" else None
