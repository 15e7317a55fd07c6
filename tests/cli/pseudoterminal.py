"""A terminal to run a program in, and its screen to look at."""

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pyte

WAIT_S = 60.0


class Terminal:
    """A program on a pseudo-terminal. It answers what programs ask terminals, such as where the cursor is."""

    def __init__(
        self, command: Sequence[str], *, cwd: Path, environ: Mapping[str, str], rows: int = 24, columns: int = 100
    ) -> None:
        self.written = b""
        """All that the program has written."""
        self._changed = threading.Condition()
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._screen = pyte.Screen(columns, rows)
        self._screen.write_process_input = lambda data: os.write(self._ours, data.encode())
        self._stream = pyte.ByteStream(self._screen)
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env={"TERM": "xterm-256color", **environ},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            # With the terminal as its own, so that Ctrl+C is a signal for it.
            preexec_fn=lambda: (os.setsid(), fcntl.ioctl(0, termios.TIOCSCTTY, 0)),
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._ours, text.encode())

    def interrupt(self) -> int:
        """Press Ctrl+C, and return the exit code of the program.

        Again, as people do, when nothing happens: Python does not see a signal that comes just before it waits for a
        line, behind the question, until there is a line or another signal.
        """
        for _ in range(6):
            self.type("\x03")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(WAIT_S / 6)
                break
        return self.wait()

    def lines(self) -> list[str]:
        """Return the lines of the screen that are not empty."""
        with self._changed:
            return [line.rstrip() for line in self._screen.display if line.strip()]

    def until(self, what: str, holds: Callable[[list[str]], object]) -> list[str]:
        """Wait until *holds* is true of the screen's lines, and return them; *what* is what was waited for."""
        with self._changed:
            if not self._changed.wait_for(lambda: holds(self.lines()), WAIT_S):
                raise AssertionError("\n".join([f"The screen has no {what}:", *self.lines()]))
            return self.lines()

    def until_shown(self, text: str) -> list[str]:
        """Wait until a line of the screen has *text*, and return the lines."""
        return self.until(repr(text), lambda lines: any(text in line for line in lines))

    def wait(self) -> int:
        """Return the exit code of the program, when all that it wrote is on the screen."""
        code = self.process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        return code

    def close(self) -> None:
        """End the program, however far it is."""
        self.process.kill()
        self.wait()
        os.close(self._ours)

    def _read(self) -> None:
        # Linux answers EIO when the last one at the other end has gone.
        with contextlib.suppress(OSError):
            while chunk := os.read(self._ours, 4096):
                with self._changed:
                    self.written += chunk
                    self._stream.feed(chunk)
                    self._changed.notify_all()


@contextlib.contextmanager
def terminal(
    command: Sequence[str], *, cwd: Path, environ: Mapping[str, str], rows: int = 24, columns: int = 100
) -> Iterator[Terminal]:
    """Run *command* in a terminal for the length of the block."""
    made = Terminal(command, cwd=cwd, environ=environ, rows=rows, columns=columns)
    try:
        yield made
    finally:
        made.close()
