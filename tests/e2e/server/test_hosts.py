"""A server that answers some names only, on every way in; probes name what they like."""

from collections.abc import Callable
from typing import Any

import pytest

from falconws.server import AdmissionSettings
from tests.e2e.server.raw_client import RawClient
from tests.e2e.server.server_process import ServerProcess

APP = """
    import falconws

    class Resource:
        async def on_get(self, req, resp):
            resp.text = "hello"

        async def on_websocket(self, req, ws):
            await ws.accept()

    app = falconws.App()
    app.ws_options.allowed_origins = "*"
    app.add_route("/ws", Resource())
    app.add_route("/healthz", Resource())
"""


@pytest.fixture(scope="module")
def server_options() -> dict[str, Any]:
    return {"admission": AdmissionSettings(allowed_hosts=["localhost", "*.example.com"])}


def get(client: RawClient, path: str, *host_lines: str) -> bytes:
    head = "".join(f"Host: {host}\r\n" for host in host_lines)
    client.send(f"GET {path} HTTP/1.1\r\n{head}Connection: close\r\n\r\n".encode())
    return client.read_head()


@pytest.mark.parametrize(("host", "status"), [("localhost:8000", 200), ("a.example.com", 200), ("evil.example", 421)])
def test_a_request_for_another_host_is_misdirected(
    server: ServerProcess, dial: Callable[..., RawClient], host: str, status: int
) -> None:
    assert get(dial(server.port), "/ws", host).startswith(b"HTTP/1.1 %d" % status)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_are_answered_whatever_they_name(
    server: ServerProcess, dial: Callable[..., RawClient], path: str
) -> None:
    assert get(dial(server.port), path, "10.0.0.17:8000").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("behind", [False, True], ids=["alone", "behind-a-request"])
@pytest.mark.parametrize(("host", "status"), [("localhost", 101), ("evil.example", 421)])
def test_a_handshake_for_another_host_is_misdirected(
    server: ServerProcess, dial: Callable[..., RawClient], host: str, status: int, behind: bool
) -> None:
    client = dial(server.port)
    if behind:
        client.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        head = client.read_head().lower()
        client.read(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
    assert client.handshake("/ws", host=host).startswith(b"HTTP/1.1 %d" % status)


def test_a_list_of_names_is_checked_when_it_is_set() -> None:
    with pytest.raises(ValueError, match="allowed_hosts"):
        AdmissionSettings(allowed_hosts=["http://localhost"])
