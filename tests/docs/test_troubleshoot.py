"""The symptoms of the page on troubleshooting have the status, the close code and the log line that it names."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import falcon
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

import falconws
from falconws.server import ConnectionSettings
from falconws.testing import LiveServer

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "troubleshoot.md").read_text()
TIMEOUT_S = 20.0
MAX_MESSAGE_BYTES = ConnectionSettings().max_message_bytes
ENGINE = "falconws.server:WebSocketProtocol"


class ProblemResource:
    """Has the problem that the query names."""

    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        match req.get_param("problem"):
            case "unauthorized":
                raise falcon.HTTPUnauthorized
            case "no-accept":
                return
            case "early-error":
                raise RuntimeError("before accept")
        await ws.accept()
        match req.get_param("problem"):
            case "error":
                raise RuntimeError("after accept")
            case "broker":
                raise falconws.BrokerUnavailable("redis://10.0.0.5:6379: no answer in time")
            case "media":
                await ws.receive_media()
            case "busy":
                await asyncio.sleep(3600)
        async for text in ws.iter_text():
            await ws.send_text(text)


class HttpResource:
    async def on_get(self, req: falconws.Request, resp: falcon.asgi.Response) -> None:
        resp.media = {}


@pytest.fixture
def problem_server(caplog: pytest.LogCaptureFixture) -> Iterator[LiveServer]:
    app = falconws.App()
    app.ws_options.allowed_origins = "same-origin"
    app.ws_options.disconnect_grace_s = 0.01
    app.add_route("/problem", ProblemResource())
    app.add_route("/http", HttpResource())
    with caplog.at_level(logging.INFO), LiveServer(app, ws=ENGINE, ws_max_size=MAX_MESSAGE_BYTES) as server:
        yield server
        server.errors.clear()


def row(number: int, words: str) -> str:
    """Return the row of the page that has this number and these words."""
    (found,) = (line for line in PAGE.splitlines() if line.startswith(f"| {number}") and words in line)
    return found


@pytest.mark.parametrize(
    ("path", "origin", "status", "log"),
    [
        ("/problem?problem=unauthorized", None, 401, ""),
        ("/problem", "https://example.com", 403, "is not covered by ws_options.allowed_origins"),
        ("/problem?problem=no-accept", None, 403, ""),
        ("/missing", None, 404, ""),
        ("/http", None, 405, ""),
        ("/problem?problem=early-error", None, 500, ""),
    ],
)
def test_refused_handshakes(
    problem_server: LiveServer, caplog: pytest.LogCaptureFixture, path: str, origin: str | None, status: int, log: str
) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(f"{problem_server.ws_url}{path}", origin=origin):
        pass
    assert refused.value.response.status_code == status
    assert log in caplog.text
    assert any(line.startswith(f"| {status}") and log in line for line in PAGE.splitlines())


@pytest.mark.parametrize(
    ("problem", "message", "code", "log"),
    [
        ("text", b"binary", 1003, "Expected TEXT payload but got BINARY instead"),
        ("media", "{", 1007, "closed with 1007"),
        ("text", "x" * (MAX_MESSAGE_BYTES + 1), 1009, "failed with 1009"),
        ("error", None, 1011, "Traceback"),
        ("broker", None, 1013, "redis://10.0.0.5:6379: no answer in time"),
    ],
)
def test_closed_connections(
    problem_server: LiveServer,
    caplog: pytest.LogCaptureFixture,
    problem: str,
    message: str | bytes | None,
    code: int,
    log: str,
) -> None:
    with connect(f"{problem_server.ws_url}/problem?problem={problem}") as ws, pytest.raises(ConnectionClosed) as closed:
        if message is not None:
            ws.send(message)
        ws.recv(timeout=TIMEOUT_S)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code
    assert log in caplog.text
    shown = {1011: "a traceback", 1013: "the URL of the broker"}.get(code, log)
    assert row(code, shown)


async def test_a_responder_that_does_not_notice_its_client_is_cancelled(
    problem_server: LiveServer, caplog: pytest.LogCaptureFixture
) -> None:
    with connect(f"{problem_server.ws_url}/problem?problem=busy"):
        pass
    async with asyncio.timeout(TIMEOUT_S):
        while "was cancelled: it still ran" not in caplog.text:
            await asyncio.sleep(0.01)
    assert "was cancelled: it still ran" in PAGE
