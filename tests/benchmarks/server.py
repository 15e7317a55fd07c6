"""One server process: start it, pin it to a core, measure it through /proc, stop it. Linux only."""

import compileall
import contextlib
import functools
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tests.benchmarks.peers import ROOT
from tests.memory import resident_bytes

START_S = 30.0
_STOP_S = 10.0
_KEY = "dGhlIHNhbXBsZSBub25jZQ=="


class ServerError(Exception):
    """A server did not start or has closed a connection. The message is one line."""


class Server:
    """A running server."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, start_up_s: float) -> None:
        self.port = port
        self.start_up_s = start_up_s
        """The time from the start of the process to the response to the first WebSocket handshake, in seconds."""
        self._process = process

    def pids(self) -> list[int]:
        """Return the process ids of the server and its workers."""
        return _family(self._process.pid)

    def resident_kb(self) -> int:
        """Return the resident memory of all processes, in kB."""
        return sum(resident_bytes(pid) for pid in self.pids()) // 1024

    def idle_kb(self, count: int, warm_up: int = 50) -> float:
        """Return the memory of each of *count* idle connections, after *warm_up* others, in kB."""
        with contextlib.ExitStack() as stack:
            for _ in range(warm_up):
                last = stack.enter_context(self._connect())
            _exchange(last)
            before = self.resident_kb()
            for _ in range(count):
                last = stack.enter_context(self._connect())
            # The response shows that the server has processed all earlier connections.
            _exchange(last)
            return (self.resident_kb() - before) / count

    def _connect(self) -> socket.socket:
        return connect(self.port)


@functools.cache
def _environment() -> dict[str, str]:
    """Return the environment of servers, which find compiled modules as in an installed package."""
    for folder in (ROOT / "runtime", Path(__file__).parent / "servers"):
        compileall.compile_dir(folder, quiet=1)
    return {**os.environ, "PYTHONPATH": str(ROOT / "runtime")}


@contextlib.contextmanager
def running(command: list[str], port: int, core: int) -> Iterator[Server]:
    """Run *command*, which serves on *port*, on *core*.

    Raises:
        ServerError: The server does not answer a handshake within START_S.
    """
    environment = _environment()
    with tempfile.TemporaryFile() as log:
        begin = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=Path(__file__).parent / "servers",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl+C goes to the benchmark only, which stops the servers itself.
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )
        try:
            _await_handshake(process, port, log)
            yield Server(process, port, time.perf_counter() - begin)
        finally:
            _stop(process)


def connect(port: int) -> socket.socket:
    """Return a socket after a handshake on /echo that offers compression, as browsers do.

    Raises:
        ServerError: The handshake was refused.
        OSError: The port is closed.
    """
    sock = socket.create_connection(("127.0.0.1", port), timeout=START_S)
    try:
        sock.sendall(
            f"GET /echo HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {_KEY}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            received = sock.recv(4096)
            if not received:
                raise ServerError("the server closed the connection during the handshake")
            head += received
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise ServerError(f"handshake refused: {head.split(bytes([13]))[0].decode('latin-1')}")
    except BaseException:
        sock.close()
        raise
    return sock


def _exchange(sock: socket.socket) -> None:
    sock.sendall(b"\x81\x81\x00\x00\x00\x00x")
    if not sock.recv(64):
        raise ServerError("the server closed the connection instead of answering")


def _await_handshake(process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            connect(port).close()
        except OSError:
            time.sleep(0.005)
            continue
        return
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    raise ServerError(lines[-1] if lines else f"no answer within {START_S:.0f} s")


def _family(pid: int) -> list[int]:
    found = [pid]
    for thread in os.listdir(f"/proc/{pid}/task"):
        # A thread can end between the two reads. A parent process cannot.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for child in Path(f"/proc/{pid}/task/{thread}/children").read_text().split():
                found += _family(int(child))
    return found


def _stop(process: subprocess.Popen[bytes]) -> None:
    # Kill the process group, so that no worker outlives the server. SIGKILL, because there is no need to drain.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(_STOP_S)
