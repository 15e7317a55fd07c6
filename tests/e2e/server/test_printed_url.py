"""The URL that `falconws serve` prints can be opened, wherever it listens."""

import os
import re
import shlex
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from tests.ports import free_port

APP = """
import falconws


class Resource:
    async def on_get(self, req, resp):
        resp.text = "here"


def create_app():
    app = falconws.App()
    app.add_route("/", Resource())
    return app
"""


@contextmanager
def first_line(folder: Path, *options: str) -> Iterator[str]:
    """Serve the app; yield the line that says where."""
    (folder / "app.py").write_text(APP)
    command = [sys.executable, "-m", "falconws_cli", "serve", "app:create_app", *options]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline()
    finally:
        process.terminate()
        process.communicate(timeout=30)


def opened(line: str, context: ssl.SSLContext | None = None) -> str:
    found = re.search(r"falconws serves (https?://\S+)", line)
    assert found is not None, line
    with urllib.request.urlopen(found[1], timeout=30, context=context) as response:
        return response.read().decode()


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ((), "http://127.0.0.1:{port} with"),
        (("--host", "localhost"), "http://localhost:{port} with"),
        (("--host", "0.0.0.0"), "http://127.0.0.1:{port} and all addresses of this machine (0.0.0.0) with"),
        (("--host", "::"), "http://[::1]:{port} and all addresses of this machine (::) with"),
        (("--host", "::1"), "http://[::1]:{port} with"),
        (("--root-path", "api/"), "http://127.0.0.1:{port}/api with"),
        (("--host", "0.0.0.0", "--reload"), "http://127.0.0.1:{port} and all"),
    ],
)
def test_the_printed_url_opens(tmp_path: Path, options: tuple[str, ...], url: str) -> None:
    port = free_port()
    with first_line(tmp_path, "--port", str(port), *options) as line:
        assert f"falconws serves {url.format(port=port)}" in line
        assert opened(line) == "here"


def test_the_printed_url_opens_with_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with first_line(tmp_path, "--port", "0", "--host", "0.0.0.0", "--ssl-certfile", "server.pem") as line:
        assert "falconws serves https://127.0.0.1:" in line
        assert opened(line, context) == "here"


def test_a_unix_socket_comes_with_a_command_that_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "a socket"
    with first_line(tmp_path, "--uds", os.fspath(path), "--root-path", "/api") as line:
        command = shlex.split(line.partition("(try `")[2].partition("`)")[0])
        assert command == ["curl", "--unix-socket", os.fspath(path), "http://localhost/api/"]
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(command[2])
            client.sendall(b"GET /api/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert client.makefile("rb").read().endswith(b"\r\n\r\nhere")
