"""Real server processes for the tests of this folder, started on free ports and always stopped."""

import contextlib
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

WAIT_S = 40.0


class ServerProcess:
    """One `falconws.server.run(...)` in a process of its own, with its output at hand."""

    def __init__(self, folder: Path, target: str, options: dict[str, Any], prelude: str = "") -> None:
        keywords = {"port": 0, "app_dir": str(folder), **options}
        self.code = f"{prelude}import falconws.server\nfalconws.server.run({target!r}, **{keywords!r})\n"
        self.process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-c", self.code],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self._pump = threading.Thread(target=self._read, daemon=True)
        self._pump.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def output(self) -> str:
        with self._changed:
            return "\n".join(self._lines)

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_for_line(self, pattern: str, timeout: float = WAIT_S) -> re.Match[str]:
        """Return the first match of *pattern* in a line of the output, past or to come."""
        deadline = time.monotonic() + timeout
        seen = 0
        with self._changed:
            while True:
                for line in self._lines[seen:]:
                    if match := re.search(pattern, line):
                        return match
                seen = len(self._lines)
                remaining = deadline - time.monotonic()
                if self._ended or remaining <= 0:
                    raise AssertionError(f"no line matches {pattern!r} in:\n" + "\n".join(self._lines))
                self._changed.wait(remaining)

    def write_until_it_reloads(self, source: Path, text: str) -> None:
        """Write *text* to *source*; again, while uvicorn has not taken its first look at the files yet."""
        for attempt in range(1, 11):
            source.write_text(text)
            try:
                self.wait_for_line("Reloading", timeout=2)
                return
            except AssertionError:
                if attempt == 10:
                    raise

    @property
    def url(self) -> str:
        return self.wait_for_line(r"serves (\S+) ").group(1)

    @property
    def ws_url(self) -> str:
        return self.url.replace("http", "ws", 1)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def wait_until_ready(self) -> "ServerProcess":
        self.wait_for_line("Application startup complete|startup complete")
        return self

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def wait(self, timeout: float = WAIT_S) -> int:
        """Return the exit code; the output is complete then."""
        code = self.process.wait(timeout)
        self._pump.join(timeout)
        return code

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        self._pump.join(5)
        with contextlib.suppress(Exception):
            assert self.process.stdout is not None
            self.process.stdout.close()


def _serving(folder: Path) -> Iterator[Callable[..., ServerProcess]]:
    started: list[ServerProcess] = []

    def start(source: str, *, target: str = "served:app", prelude: str = "", **options: Any) -> ServerProcess:
        (folder / "served.py").write_text(textwrap.dedent(source))
        server = ServerProcess(folder, target, options, prelude)
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Return a function that starts a server process: `serve(source, workers=2, ...)`."""
    yield from _serving(tmp_path)


@pytest.fixture(scope="module")
def serve_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., ServerProcess]]:
    """The same for a server that all tests of a module share."""
    yield from _serving(tmp_path_factory.mktemp("served"))


class RawClient:
    """A WebSocket client that does what it is told, byte by byte, right or wrong."""

    def __init__(self, port: int, *, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(WAIT_S)
        self.socket.connect(("127.0.0.1", port))
        self.key = uuid.uuid4().hex
        self._unread = b""

    def handshake(self, path: str = "/", **headers: str) -> bytes:
        """Perform the opening handshake and return the head of the response."""
        self.request(path, **headers)
        return self.read_head()

    def request(self, path: str = "/", **headers: str) -> None:
        lines = {
            "host": "localhost",
            "upgrade": "websocket",
            "connection": "Upgrade",
            "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
            "sec-websocket-version": "13",
            "x-key": self.key,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.send(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1"))

    def read_head(self) -> bytes:
        while b"\r\n\r\n" not in self._unread:
            if not (more := self.socket.recv(65536)):
                break
            self._unread += more
        head, _, self._unread = self._unread.partition(b"\r\n\r\n")
        return head

    def encrypt(self, context: ssl.SSLContext) -> None:
        """Perform the TLS handshake.

        All is read and written by one thread then. A client that does it by two, as that of websockets.sync does, hung
        in the TLS library once in a thousand connections.
        """
        self.socket = context.wrap_socket(self.socket, server_hostname="127.0.0.1")

    def read(self, size: int) -> bytes:
        """Return *size* bytes of a body."""
        data = self._read(size)
        assert data is not None
        return data

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_frame(self, opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> None:
        self.send(self.frame(opcode, payload, fin=fin, rsv=rsv))

    @staticmethod
    def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, size: int | None = None) -> bytes:
        """Return a frame masked with zeros; *size* lies about the length of the payload."""
        size = len(payload) if size is None else size
        first = (0x80 if fin else 0) | rsv << 4 | opcode
        if size < 126:
            head = bytes((first, 0x80 | size))
        elif size < 65536:
            head = bytes((first, 0xFE)) + size.to_bytes(2, "big")
        else:
            head = bytes((first, 0xFF)) + size.to_bytes(8, "big")
        return head + bytes(4) + payload

    def read_frame(self) -> tuple[int, bytes] | None:
        """Return opcode (with FIN and RSV bits cut off) and payload of the next frame; None at the end."""
        head = self._read(2)
        if head is None:
            return None
        size = head[1] & 127
        if size >= 126:
            extended = self._read(2 if size == 126 else 8)
            assert extended is not None
            size = int.from_bytes(extended, "big")
        payload = self._read(size)
        assert payload is not None
        return head[0] & 15, payload

    def read_close(self) -> tuple[int, str]:
        """Return code and reason of the close frame that comes next, after any messages."""
        while (frame := self.read_frame()) is not None:
            if frame[0] == 8:
                return int.from_bytes(frame[1][:2], "big") or 1005, frame[1][2:].decode()
        return 1006, ""

    def at_end(self) -> bool:
        """Whether the server closes, once everything it still sends has been thrown away."""
        with contextlib.suppress(ConnectionError):
            while self.socket.recv(65536):
                pass
        return True

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _read(self, size: int) -> bytes | None:
        while len(self._unread) < size:
            try:
                more = self.socket.recv(65536)
            except ConnectionError:
                more = b""
            if not more:
                return None
            self._unread += more
        data, self._unread = self._unread[:size], self._unread[size:]
        return data


@pytest.fixture
def tls(tmp_path: Path) -> tuple[str, ssl.SSLContext]:
    """Return the path of a server's certificate, and the context of a client that trusts it."""
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return str(tmp_path / "server.pem"), context


@pytest.fixture
def dial() -> Iterator[Callable[..., RawClient]]:
    """Return a function that connects a RawClient to a port."""
    clients: list[RawClient] = []

    def connect(port: int, **options: Any) -> RawClient:
        client = RawClient(port, **options)
        clients.append(client)
        return client

    yield connect
    for client in clients:
        client.socket.close()
