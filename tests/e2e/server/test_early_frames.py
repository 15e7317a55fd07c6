"""Frames that a client sends before it has the response to its handshake are served, on every path to the engine.

Looked at: with the handshake in one write, between the handshake and the accept, and both; more of them than may wait;
a close frame, a violation, half a frame; a handshake that comes whole, in pieces and behind another request, over TCP,
TLS and a Unix socket; a denial, which the client has to be able to read though it is sending; uvicorn's own engines
behind our entrance (the contract suite asks the other servers).
"""

import socket
import threading

import pytest

from falconws.server import ConnectionSettings, TlsSettings
from tests.e2e.server.raw_client import handshake_request
from tests.e2e.server.server_process import LOOPS

APP = """
    import asyncio

    async def app(scope, receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})
            return
        await receive()
        print("asked", flush=True)
        await asyncio.sleep(0.25)
        if scope["path"] == "/denies":
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept"})
        if scope["path"] == "/sleeps":
            await asyncio.sleep(1)
        while (event := await receive())["type"] != "websocket.disconnect":
            if scope["path"] != "/counts" or (event.get("text") or "").startswith("last"):
                await send({**event, "type": "websocket.send"})
        print("ended", event["code"], flush=True)
"""


def send(client, path: str, route: str, behind: bytes) -> None:
    data = handshake_request(path) + behind
    if route == "in pieces":
        client.send(data[:30])
        threading.Event().wait(0.2)
        client.send(data[30:])
    elif route == "behind a request":
        client.send(b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n" + data)
        assert client.read_head().startswith(b"HTTP/1.1 200 ")
    else:
        client.send(data)


PATHS = pytest.mark.parametrize("route", ["whole", "in pieces", "behind a request"])


@pytest.fixture(scope="module", params=LOOPS.values(), ids=LOOPS)
def server_options(request):
    return {"prelude": request.param, "connection": ConnectionSettings(max_queued_messages=1000)}


@PATHS
def test_frames_with_the_handshake_and_before_the_accept_are_served(server, dial, route):
    client = dial(server.port)
    third = client.frame(2, b"third")
    send(client, "/", route, client.frame(1, b"first"))
    client.send(client.frame(9, b"ping") + client.frame(1, b"second") + third[:4])
    assert b" 101 " in client.read_head()
    client.send(third[4:])
    assert sorted(client.read_frame() for _ in range(4)) == [
        (1, b"first"),
        (1, b"second"),
        (2, b"third"),
        (10, b"ping"),
    ]


@PATHS
@pytest.mark.parametrize("engine", ["websockets-sansio", "websockets", "wsproto"])
def test_the_other_engines_serve_them_too(serve_module, dial, route, engine):
    client = dial(serve_module(APP, engine=engine).wait_until_ready().port)
    send(client, "/", route, client.frame(1, b"first"))
    assert b" 101 " in client.read_head()
    assert client.read_frame() == (1, b"first")
    client.send(client.frame(1, b"second"))
    assert client.read_frame() == (1, b"second")


@PATHS
def test_more_frames_than_may_wait_are_served_in_time(server, dial, route):
    client = dial(server.port)
    frames = b"".join(client.frame(1, b"%06d" % number) for number in range(20_000))
    send(client, "/counts", route, frames)
    client.send(frames + client.frame(1, b"last"))
    assert b" 101 " in client.read_head()
    assert client.read_frame() == (1, b"last")


@PATHS
def test_reading_stays_paused_when_too_much_came_before_the_accept(server, dial, route):
    client = dial(server.port)
    frames = b"".join(client.frame(1, b"%06d" % number) for number in range(20_000))
    send(client, "/sleeps", route, frames)
    assert b" 101 " in client.read_head()
    # All of it is answered, so nothing was lost between the buffers.
    answers = (client.read_frame() for _ in range(20_000))
    assert [answer[1] for answer in answers] == [b"%06d" % number for number in range(20_000)]


@PATHS
def test_a_close_frame_before_the_accept_is_answered(server, dial, route):
    client = dial(server.port)
    send(client, "/", route, client.frame(1, b"first") + client.frame(8, b"\x03\xe9"))
    assert b" 101 " in client.read_head()
    assert client.read_close()[0] == 1001
    assert client.at_end()


@PATHS
def test_a_violation_before_the_accept_fails_the_connection(server, dial, route):
    client = dial(server.port)
    send(client, "/", route, client.frame(3))
    assert b" 101 " in client.read_head()
    assert client.read_close()[0] == 1002


@PATHS
def test_a_client_that_is_sending_can_read_why_it_was_denied(server, dial, route):
    client = dial(server.port)
    send(client, "/denies", route, client.frame(2, bytes(30_000)))
    client.socket.settimeout(1)
    try:
        for _ in range(100):
            client.send(client.frame(2, bytes(60_000)))
    except OSError:
        pass
    client.socket.settimeout(40)
    assert client.read_head().startswith(b"HTTP/1.1 403 ")


@PATHS
def test_frames_with_the_handshake_are_served_over_tls(serve, dial, tls, route):
    certificate, context = tls
    client = dial(serve(APP, tls=TlsSettings(certificate)).port)
    client.encrypt(context)
    send(client, "/", route, client.frame(1, b"first"))
    client.send(client.frame(1, b"second"))
    assert b" 101 " in client.read_head()
    assert [client.read_frame() for _ in range(2)] == [(1, b"first"), (1, b"second")]


def test_frames_with_the_handshake_are_served_over_a_unix_socket(serve, tmp_path):
    path = str(tmp_path / "s")
    serve(APP, uds=path).wait_for_line("serves")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(path)
        client.sendall(handshake_request() + b"\x81\x82\0\0\0\0hi")
        data = b""
        while not data.endswith(b"\r\n\r\n\x81\x02hi"):
            data += (more := client.recv(1000))
            assert more, data
