"""No input reaches the log as it is: not by a handshake, a request, a close frame, or an address that a proxy names."""

from collections.abc import Callable

import pytest

from tests.e2e.server.raw_client import RawClient
from tests.e2e.server.server_process import ServerProcess

APP = """
    import falconws

    class Resource:
        async def on_get(self, req, resp):
            resp.text = "hello"

        async def on_websocket(self, req, ws):
            await ws.accept()
            while True:
                await ws.receive_media()

    class Unavailable:
        async def on_websocket(self, req, ws, text):
            raise falconws.BrokerUnavailable(f"no broker for {req.path}")

    app = falconws.App()
    app.ws_options.allowed_origins = ["https://example.com"]
    app.add_route("/ws", Resource())
    app.add_route("/away/{text}", Unavailable())
"""

FORGED = "\x1b[31mFORGED"


@pytest.fixture
def fresh_server(serve: Callable[..., ServerProcess]) -> ServerProcess:
    """Return a server that has logged nothing yet: lines that repeat are throttled."""
    return serve(APP).wait_until_ready()


def lines_after(server: ServerProcess, action: Callable[[], object]) -> list[str]:
    before = len(server.output)
    action()
    client = RawClient(server.port)
    client.send(b"GET /the-last-line HTTP/1.1\r\nHost: localhost\r\n\r\n")
    client.read_head()
    client.socket.close()
    server.wait_for_line("the-last-line")
    return server.output[before:].splitlines()


def is_clean(lines: list[str]) -> bool:
    return all(line.isprintable() and len(line.encode()) <= 1200 for line in lines)


def close_frame(reason: bytes) -> bytes:
    payload = b"\x0f\xa0" + reason
    return bytes((0x88, 0x80 | len(payload), 0, 0, 0, 0)) + payload


@pytest.mark.parametrize("what", ["\x1b[31mFORGED", "\x85FORGED", "x" * 7000], ids=["escape", "next-line", "long"])
def test_handshakes_leave_clean_lines(fresh_server: ServerProcess, dial: Callable[..., RawClient], what: str) -> None:
    def attack() -> None:
        dial(fresh_server.port).handshake("/ws", origin="https://evil.example")
        dial(fresh_server.port).handshake("/ws", origin=f"https://{what}")
        dial(fresh_server.port).handshake("/ws", host=what, origin="https://evil.example")
        dial(fresh_server.port).handshake("/ws", origin="https://evil.example", x_forwarded_for=what)
        dial(fresh_server.port).handshake("/ws", sec_websocket_protocol=what)
        dial(fresh_server.port).handshake(f"/ws?{what}")
        dial(fresh_server.port).handshake(f"/{what}")

    lines = lines_after(fresh_server, attack)
    assert is_clean(lines)
    assert any("is not covered by" in line for line in lines)


def test_paths_close_reasons_and_payloads_leave_clean_lines(
    fresh_server: ServerProcess, dial: Callable[..., RawClient]
) -> None:
    def attack() -> None:
        dial(fresh_server.port).handshake("/away/%1b%5b31m%0aFORGED%e2%80%ae", origin="https://example.com")
        client = dial(fresh_server.port)
        client.handshake("/ws")
        client.send(close_frame("\x1b[31m\n\u202eFORGED".encode()))
        client.read(4)
        client = dial(fresh_server.port)
        client.handshake("/ws")
        client.send(b"\x81\x83\0\0\0\0{\x1b}")
        client.read(4)
        client = dial(fresh_server.port)
        client.send(b"GET /a\x1b[31mFORGED HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.read_head()

    lines = lines_after(fresh_server, attack)
    assert is_clean(lines)
    assert any("no broker for" in line for line in lines)
    assert any("4000" in line for line in lines)
    assert any("1007" in line for line in lines)


def test_tokens_are_masked(fresh_server: ServerProcess, dial: Callable[..., RawClient]) -> None:
    def attack() -> None:
        dial(fresh_server.port).handshake("/ws?token=SECRET")
        dial(fresh_server.port).handshake("/nowhere?room=1&access_token=SECRET")
        client = dial(fresh_server.port)
        client.send(b"GET /ws?token=SECRET&page=2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.read_head()

    lines = lines_after(fresh_server, attack)
    assert not any("SECRET" in line for line in lines)
    assert sum("token=***" in line for line in lines) == 3


def test_a_flood_of_one_kind_is_throttled(fresh_server: ServerProcess, dial: Callable[..., RawClient]) -> None:
    def attack() -> None:
        for _ in range(50):
            client = RawClient(fresh_server.port)
            client.handshake("/ws", origin="https://evil.example")
            client.socket.close()

    lines = lines_after(fresh_server, attack)
    refused = [line for line in lines if "is not covered by" in line]
    assert len(refused) == 10
    assert "further lines of this kind" in refused[-1]
