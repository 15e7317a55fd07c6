"""Play the sessions of the documentation: run each command, and compare its output with the page.

A session is a transcript. Lines that begin with "$ " are commands, and the other lines are their output, in which "..."
matches anything. Servers use a free port; the comparison replaces it with 8000.
"""

import doctest
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from tests.cli.pseudoterminal import terminal
from tests.ports import free_port, usual_port_to_oneself

SECONDS = 120.0
SESSIONS = Path(__file__).parents[2] / "docs" / "sessions"
_PORT = re.compile(r"http://[\d.]+:(\d+)")


def session(name: str) -> str:
    """Return the transcript of this name."""
    return (SESSIONS / f"{name}.console").read_text()


def read_session(text: str) -> list[tuple[str, str]]:
    """Return the commands of a transcript, each with its output."""
    steps: list[tuple[str, str]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            steps.append((line[2:], ""))
        else:
            command, output = steps[-1]
            steps[-1] = (command, f"{output}{line}\n")
    return steps


def assert_shows(want: str, got: str, command: str) -> None:
    """Raise an AssertionError with both texts if *got* differs from the page."""
    checker = doctest.OutputChecker()
    # By default, doctest ends an example at an empty line.
    if not checker.check_output(want, got, doctest.ELLIPSIS | doctest.DONT_ACCEPT_BLANKLINE):
        raise AssertionError(f"$ {command}\nThe page shows:\n{want}\nIt prints:\n{got}")


class Shell:
    """The terminal of a reader: one folder, one environment, and servers on free ports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = "8000"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV_"))}
        self._environ = {**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        self._cwd = folder
        self._status = 0

    def play(self, text: str) -> None:
        """Run every command of the transcript."""
        for command, want in read_session(text):
            printed = self.run(command)
            # curl ends a body without a line break as it is.
            end = "\n" if printed and not printed.endswith("\n") else ""
            assert_shows(want, printed + end, command)
            # "..." would match it.
            if re.search(r"\b[1-9]\d* (failed|errors?)\b", printed) and "failed" not in want:
                raise AssertionError(f"$ {command}\n{printed}")

    def run(self, command: str) -> str:
        """Run *command* and return its output. `cd` and `$?` work as in a terminal."""
        state = self.folder / ".cwd"
        script = f"(exit {self._status})\n{self._on_port(command)}\nstatus=$?; pwd > {state}; exit $status"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self._cwd,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        self._status = done.returncode
        self._cwd = Path(state.read_text().strip())
        return done.stdout.replace(f":{self.port}/", ":8000/")

    @contextmanager
    def serving(self, text: str) -> Iterator[subprocess.Popen[str]]:
        """Run the server of the transcript for the duration of the block. It must exit with code 0."""
        [(command, want)] = read_session(text)
        # `falconws new --serve` chooses a free port itself.
        anywhere = re.sub(r"falconws serve\b", "falconws serve --port 0", command)
        with usual_port_to_oneself() if "--serve" in command else nullcontext():
            yield from self._serving(command, anywhere, want)

    def _serving(self, command: str, anywhere: str, want: str) -> Iterator[subprocess.Popen[str]]:
        server = subprocess.Popen(
            # `exec`, because the shell would not forward a signal.
            ["bash", "-c", f"exec env {anywhere}"],
            cwd=self._cwd,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        lines: queue.Queue[str | None] = queue.Queue()
        reader = threading.Thread(target=_read, args=(server, lines))
        reader.start()
        try:
            got = self._read_until(lines, want.rstrip("\n").splitlines()[-1], command)
            assert_shows(want, got, command)
            yield server
        finally:
            if server.poll() is None:
                server.send_signal(signal.SIGTERM)
            try:
                code = server.wait(SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
                raise
            finally:
                reader.join()
                assert server.stdout is not None
                server.stdout.close()
        assert code == 0, f"$ {command}\nexited with code {code} after SIGTERM"

    def _read_until(self, lines: "queue.Queue[str | None]", last: str, command: str) -> str:
        got: list[str] = []
        end = re.compile(re.escape(last.strip()).replace(r"\.\.\.", ".*"))
        while True:
            try:
                line = lines.get(timeout=SECONDS)
            except queue.Empty:
                line = None
            if line is None:
                raise AssertionError(f"$ {command}\nhas not printed {last!r}, but:\n{''.join(got)}")
            if found := _PORT.search(line):
                self.port = found[1]
            line = line.replace(f":{self.port}", ":8000")
            # This line depends on whether port 8000 is free, so sessions do not show it.
            if not line.startswith("Port 8000 is taken"):
                got.append(line)
            if end.fullmatch(line.strip()):
                return "".join(got)

    def play_by_hand(self, text: str) -> None:
        """Run the command of the transcript in a terminal: type the text after each ` > `, and end with Ctrl+D."""
        [(command, want)] = read_session(text)
        environ = {**self._environ, "HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder / ".config")}
        words = ["bash", "-c", f"exec {self._on_port(command)}"]
        with terminal(words, cwd=self._cwd, environ=environ) as screen:
            # The last line of the screen is the toolbar of the program.
            screen.until("line to type on", lambda lines: lines and "Ctrl+D quits" in lines[-1] and len(lines) > 2)
            for line in want.splitlines():
                _, sent, typed = line.partition(" > ")
                _, received, expected = line.partition(" < ")
                if sent:
                    screen.type(f"{typed}\r")
                elif received:
                    screen.until_shown(f" < {expected}")
            screen.type("\x04")
            assert screen.wait() == 0
            got = "".join(f"{line}\n" for line in screen.lines())
        assert_shows(want, got.replace(f":{self.port}/", ":8000/"), command)

    def _on_port(self, command: str) -> str:
        """Return *command* with the port of the running server, or with a free port."""
        command = command.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}")
        command = re.sub(r"falconws connect /", f"falconws connect --port {self.port} /", command)
        return re.sub(r"falconws doctor\b", f"falconws doctor --port {free_port()}", command)


def _read(server: "subprocess.Popen[str]", lines: "queue.Queue[str | None]") -> None:
    assert server.stdout is not None
    for line in server.stdout:
        lines.put(line)
    lines.put(None)
