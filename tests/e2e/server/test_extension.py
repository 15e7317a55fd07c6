"""Applications use the extension where nothing stands before them, whatever way the handshake came."""

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
            await ws.send_text("direct" if ws.connection is not None else "wrapped")

    falcon_app = falconws.App()
    falcon_app.ws_options.allowed_origins = "*"
    falcon_app.add_route("/ws", Resource())

    async def app(scope, receive, send):
        # ASGI middleware that wraps nothing.
        await falcon_app(scope, receive, send)
"""


@pytest.fixture(scope="module", params=[None, 100], ids=["unlimited", "counted"])
def server_options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {"admission": AdmissionSettings(limit_connections=request.param)}


@pytest.mark.parametrize("behind", [False, True], ids=["alone", "behind-a-request"])
def test_the_extension_is_used(server: ServerProcess, dial: Callable[..., RawClient], behind: bool) -> None:
    client = dial(server.port)
    if behind:
        client.send(b"GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = client.read_head().lower()
        client.read(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
    assert client.handshake("/ws", x_forwarded_for="1.2.3.4").startswith(b"HTTP/1.1 101")
    assert client.read(8) == b"\x81\x06direct"
