"""The configuration files of the deployment pages work with their programs."""

import asyncio
import getpass
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import trustme
import yaml
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from falconws.server import ConnectionSettings
from tests.docs.shell import Shell
from tests.ports import free_port

DEPLOY = Path(__file__).parents[2] / "docs" / "snippets" / "deploy"
Proxy = Callable[[Path, str], AbstractContextManager[int]]
SERVE = "... INFO uvicorn.error: Application startup complete."

needs_nginx = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
needs_caddy = pytest.mark.skipif(shutil.which("caddy") is None, reason="caddy is not installed")
needs_traefik = pytest.mark.skipif(shutil.which("traefik") is None, reason="traefik is not installed")
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    shell = Shell(tmp_path)
    assert "Created demo" in shell.run("falconws new demo && cd demo")
    return shell


def write_certificates(folder: Path) -> None:
    """Write privkey.pem and fullchain.pem of demo.example.com, and the ca.pem that signed them."""
    authority = trustme.CA()
    certificate = authority.issue_cert("demo.example.com")
    certificate.private_key_pem.write_to_path(folder / "privkey.pem")
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(folder / "fullchain.pem", append=True)
    authority.cert_pem.write_to_path(folder / "ca.pem")


@contextmanager
def nginx(folder: Path, backend_port: str) -> Iterator[int]:
    """Run nginx with the configuration of the page on a free port, and yield the port."""
    write_certificates(folder)
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
    with running(["nginx", "-p", str(folder), "-c", str(configuration)], port):
        yield port


@contextmanager
def caddy(folder: Path, backend_port: str) -> Iterator[int]:
    """Run Caddy with the configuration of the page on a free port, and yield the port."""
    write_certificates(folder)
    port = free_port()
    site = (DEPLOY / "Caddyfile").read_text()
    assert site.startswith("demo.example.com {\n")
    assert "127.0.0.1:8000" in site
    certificate = f"\ttls {folder}/fullchain.pem {folder}/privkey.pem\n\tbind 127.0.0.1\n"
    site = site.replace("127.0.0.1:8000", f"127.0.0.1:{backend_port}")
    site = site.replace("demo.example.com {\n", f"https://demo.example.com:{port} {{\n{certificate}", 1)
    configuration = folder / "Caddyfile"
    configuration.write_text(f"{{\n\tadmin off\n\tauto_https off\n}}\n{site}")
    home = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    with running(["caddy", "run", "--config", str(configuration), "--adapter", "caddyfile"], port, home):
        yield port


@contextmanager
def traefik(folder: Path, backend_port: str) -> Iterator[int]:
    """Run Traefik with the configuration of the page on a free port, and yield the port."""
    write_certificates(folder)
    port = free_port()
    site = (DEPLOY / "traefik.yaml").read_text()
    assert "127.0.0.1:8000" in site
    configuration = folder / "traefik"
    configuration.mkdir()
    (configuration / "demo.yaml").write_text(site.replace("127.0.0.1:8000", f"127.0.0.1:{backend_port}"))
    files = {"certFile": f"{folder}/fullchain.pem", "keyFile": f"{folder}/privkey.pem"}
    (configuration / "tls.yaml").write_text(yaml.safe_dump({"tls": {"certificates": [files]}}))
    # Without this file, Traefik looks for one in /etc.
    static = folder / "static.yaml"
    static.write_text(
        yaml.safe_dump(
            {
                "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
                "entryPoints": {"websecure": {"address": f"127.0.0.1:{port}"}},
                "providers": {"file": {"directory": str(configuration)}},
            }
        )
    )
    with running(["traefik", "--configFile", str(static)], port):
        # It listens before it has read its routes.
        wait_for_route(folder, port)
        yield port


@contextmanager
def running(command: list[str], port: int, environ: Mapping[str, str] | None = None) -> Iterator[None]:
    """Run a proxy until the end of the block. It must listen on *port*."""
    with tempfile.TemporaryFile() as log:
        proxy = subprocess.Popen(command, stderr=log, stdout=log, env={**os.environ, **(environ or {})})
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                except ConnectionRefusedError:
                    if proxy.poll() is not None:
                        log.seek(0)
                        raise AssertionError(log.read().decode()) from None
                    time.sleep(0.01)
                else:
                    break
            yield
        finally:
            proxy.terminate()
            proxy.wait(timeout=30)


def wait_for_route(folder: Path, port: int) -> None:
    """Wait until the proxy on *port* forwards requests for demo.example.com."""
    deadline = time.monotonic() + 60
    tls = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    while True:
        try:
            with tls.wrap_socket(
                socket.create_connection(("127.0.0.1", port), timeout=10), server_hostname="demo.example.com"
            ) as proxy:
                proxy.sendall(b"GET /healthz HTTP/1.1\r\nHost: demo.example.com\r\nConnection: close\r\n\r\n")
                answer = proxy.recv(1024)
        except OSError:
            answer = b""
        if b" 200 " in answer:
            return
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)


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


@pytest.mark.parametrize(
    "proxy",
    [
        pytest.param(nginx, marks=needs_nginx, id="nginx"),
        pytest.param(caddy, marks=needs_caddy, id="caddy"),
        pytest.param(traefik, marks=needs_traefik, id="traefik"),
    ],
)
def test_behind_a_proxy_only_pages_of_the_same_origin_connect(shell: Shell, tmp_path: Path, proxy: Proxy) -> None:
    with shell.serving(f"$ falconws serve\n...\n{SERVE}\n"), proxy(tmp_path, shell.port) as port:
        assert asyncio.run(echoed_through(tmp_path, port, "https://demo.example.com")) == "hello"
        for elsewhere in ("http://demo.example.com", "https://example.com"):
            with pytest.raises(InvalidStatus) as refused:
                asyncio.run(echoed_through(tmp_path, port, elsewhere))
            assert refused.value.response.status_code == 403


def test_the_kubernetes_manifest_gives_the_drain_enough_time() -> None:
    deployment, service, ingress = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    command = container["command"]
    accept_s, drain_s = (float(command[command.index(option) + 1]) for option in ("--drain-accept", "--drain"))
    assert pod["terminationGracePeriodSeconds"] > accept_s + drain_s + 5
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    (rule,) = ingress["spec"]["rules"]
    assert rule["http"]["paths"][0]["backend"]["service"]["name"] == service["metadata"]["name"]
    ping_interval_s = ConnectionSettings().ping_interval_s
    assert ping_interval_s is not None
    for value in ingress["metadata"]["annotations"].values():
        assert float(value) > ping_interval_s


def test_the_command_of_the_kubernetes_manifest_starts_a_server(shell: Shell) -> None:
    deployment, *_ = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    command = " ".join(deployment["spec"]["template"]["spec"]["containers"][0]["command"])
    # The test does not wait for load balancers.
    command = command.replace("--drain-accept 5", "--drain-accept 0.1")
    with shell.serving(f"$ {command.replace('--host 0.0.0.0 --port 8000', '')}\n...\n{SERVE}\n"):
        assert is_ready(shell)


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
