"""The configuration files of the deployment pages work with their programs."""

import asyncio
import getpass
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from tests.docs.shell import Shell
from tests.ports import free_port

DEPLOY = Path(__file__).parents[2] / "docs" / "snippets" / "deploy"
SERVE = "INFO:     Application startup complete."

needs_nginx = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    shell = Shell(tmp_path)
    assert "Made demo" in shell.run("falconws new demo && cd demo")
    return shell


@contextmanager
def nginx(folder: Path, backend_port: str) -> Iterator[int]:
    """Run nginx with the configuration of the page on a free port, and yield the port."""
    authority = trustme.CA()
    certificate = authority.issue_cert("demo.example.com")
    certificate.private_key_pem.write_to_path(folder / "privkey.pem")
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(folder / "fullchain.pem", append=True)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    port = free_port()
    site = (DEPLOY / "nginx.conf").read_text()
    for shown, here in {
        "127.0.0.1:8000": f"127.0.0.1:{backend_port}",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/ssl/demo/": f"{folder}/",
    }.items():
        assert shown in site
        site = site.replace(shown, here)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr;"
        f"events {{}} http {{ access_log off; {temporary} {site} }}"
    )
    server = subprocess.Popen(["nginx", "-p", str(folder), "-c", str(configuration)], stderr=subprocess.PIPE, text=True)
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except ConnectionRefusedError:
                assert server.poll() is None, server.communicate()[1]
            else:
                break
        yield port
    finally:
        server.terminate()
        server.communicate(timeout=30)


async def echoed_through(folder: Path, port: int, origin: str) -> str | bytes:
    """Send a message to /echo of demo.example.com on *port*, as a browser does, and return the answer."""
    async with asyncio.timeout(60):
        # Not websockets.sync, whose two threads can conflict in the TLS library.
        async with connect(
            "wss://demo.example.com/echo",
            sock=socket.create_connection(("127.0.0.1", port)),
            ssl=ssl.create_default_context(cafile=str(folder / "ca.pem")),
            origin=Origin(origin),
        ) as ws:
            await ws.send("hello")
            return await ws.recv()


@needs_nginx
def test_behind_nginx_only_pages_of_the_same_origin_connect(shell: Shell, tmp_path: Path) -> None:
    with shell.serving(f"$ falconws serve\n...\n{SERVE}\n"), nginx(tmp_path, shell.port) as port:
        assert asyncio.run(echoed_through(tmp_path, port, "https://demo.example.com")) == "hello"
        for elsewhere in ("http://demo.example.com", "https://example.com"):
            with pytest.raises(InvalidStatus) as refused:
                asyncio.run(echoed_through(tmp_path, port, elsewhere))
            assert refused.value.response.status_code == 403


@needs_systemd
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = (DEPLOY / "demo.service").read_text()
    # The program and the user of the page do not exist on this machine.
    program = shutil.which("true")
    assert program is not None
    unit = unit.replace("/srv/demo/.venv/bin/falconws", program).replace("User=demo", f"User={getpass.getuser()}")
    path = tmp_path / "demo.service"
    path.write_text(unit)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    problems = [line for line in (done.stdout + done.stderr).splitlines() if "demo.service" in line]
    assert problems == []


def test_the_command_of_the_unit_starts_a_server(shell: Shell) -> None:
    unit = (DEPLOY / "demo.service").read_text()
    command = re.search(r"^ExecStart=\S+/bin/(falconws serve .*)$", unit, re.MULTILINE)
    assert command is not None
    with shell.serving(f"$ {command[1].replace('--port 8000', '')}\n...\n...2 workers are ready\n"):
        assert is_ready(shell)


def is_ready(shell: Shell) -> bool:
    check = "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:8000/readyz').read())"
    return shell.run(f'python -c "{check}"') == "b'ready\\n'\n"
