"""The live server: real sockets, a real client, and an end in every case."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import urllib.request

import falcon
import falcon.asgi
import pytest
import websockets
from websockets.sync.client import connect

from falconws.testing import LifespanError, LiveServer
from tests.runtime.testing.lifespan_apps import fail, lifespan_app, wait


class Resource:
    async def on_get(self, req, resp):
        resp.media = {"path": req.path}

    async def on_websocket(self, req, ws):
        await ws.accept()
        while True:
            try:
                await ws.send_text(await ws.receive_text())
            except falcon.WebSocketDisconnected:
                return


@pytest.fixture
def app():
    app = falcon.asgi.App()
    app.add_route("/echo", Resource())
    return app


def refuses_connections(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0


def live_threads():
    return [thread for thread in threading.enumerate() if thread.name == "LiveServer"]


def test_a_real_client_talks_to_it_over_http_and_websocket(app):
    with LiveServer(app) as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert server.ws_url == f"ws://127.0.0.1:{server.port}"
        with urllib.request.urlopen(f"{server.url}/echo", timeout=20) as response:
            assert json.load(response) == {"path": "/echo"}
        with connect(f"{server.ws_url}/echo") as ws:
            ws.send("one")
            assert ws.recv(timeout=20) == "one"
        port = server.port
    assert refuses_connections(port)
    assert not live_threads()


async def test_it_serves_async_tests_too(app):
    with LiveServer(app) as server:
        async with websockets.connect(f"{server.ws_url}/echo") as ws:
            await ws.send("one")
            assert await asyncio.wait_for(ws.recv(), 20) == "one"


def test_two_servers_run_side_by_side(app):
    with LiveServer(app) as one, LiveServer(app) as two:
        assert one.port != two.port


@pytest.mark.parametrize("ws", ["websockets-sansio", "wsproto"])
def test_uvicorns_options_are_passed_on(app, ws):
    with LiveServer(app, ws=ws) as server, connect(f"{server.ws_url}/echo") as client:
        client.send("one")
        assert client.recv(timeout=20) == "one"


def test_clients_are_closed_with_1012_when_the_block_is_left(app):
    with LiveServer(app) as server:
        client = connect(f"{server.ws_url}/echo")
    with client, pytest.raises(websockets.ConnectionClosed) as caught:
        client.recv(timeout=20)
    assert caught.value.rcvd.code == 1012


def test_a_responder_that_ignores_the_end_is_cancelled():
    cancelled = []

    async def app(scope, receive, send):
        assert scope["type"] == "websocket"
        await receive()
        await send({"type": "websocket.accept"})
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with LiveServer(app) as server, connect(f"{server.ws_url}/"):
        pass
    assert cancelled == [True]
    assert not live_threads()


@pytest.mark.parametrize("phase", ["startup", "shutdown"])
def test_an_error_of_the_lifespan_is_raised(phase):
    with pytest.raises(ZeroDivisionError, match="on purpose"), LiveServer(lifespan_app(**{phase: fail})):
        pass
    assert not live_threads()


@pytest.mark.parametrize("phase", ["startup", "shutdown"])
def test_a_failure_that_falcon_reports_is_raised_with_its_message(phase):
    class Middleware:
        pass

    setattr(Middleware, f"process_{phase}", lambda self, scope, event: fail())
    app = falcon.asgi.App(middleware=[Middleware()])
    with (
        pytest.raises(
            LifespanError, match=r"(?s)The app sent 'lifespan\.\w+\.failed': .*ZeroDivisionError: on purpose"
        ),
        LiveServer(app),
    ):
        pass
    assert not live_threads()


@pytest.mark.parametrize("phase", ["startup", "shutdown"])
def test_a_lifespan_that_does_not_end_is_a_timeout_that_says_where(phase):
    sentence = rf"has not sent 'lifespan.{phase}.complete' within 2 s, at lifespan_apps.py:\d+ in wait: `await asyncio"
    # Long enough for what does not hang, on a busy machine.
    with pytest.raises(TimeoutError, match=sentence), LiveServer(lifespan_app(**{phase: wait}), timeout=2):
        pass
    assert not live_threads()


def test_a_server_that_does_not_end_is_a_timeout(monkeypatch):
    may_end = threading.Event()

    async def block():
        may_end.wait(60)

    with (
        pytest.raises(TimeoutError, match=r"has not ended within 0\.5 s"),
        LiveServer(lifespan_app(shutdown=block)) as it,
    ):
        # Not from the start, which may take longer on a busy machine.
        monkeypatch.setattr(it, "_timeout", 0.5)
        monkeypatch.setattr("falconws.testing.live._SLACK_S", 0.0)
    may_end.set()
    for thread in live_threads():
        thread.join(60)
    assert not live_threads()


def test_without_the_lifespan_it_is_not_run():
    with LiveServer(lifespan_app(startup=fail), lifespan="off") as server, connect(f"{server.ws_url}/") as ws:
        assert ws.recv(timeout=20) == "[]"


def test_state_reaches_each_connection_as_a_copy():
    with LiveServer(lifespan_app(state={"database": "db"})) as server:
        for _ in range(2):
            with connect(f"{server.ws_url}/") as ws:
                assert ws.recv(timeout=20) == "['database']"


def test_an_error_that_escapes_the_app_is_raised_at_the_end():
    async def app(scope, receive, send):
        assert scope["type"] == "websocket"
        raise ZeroDivisionError("on purpose")

    with (
        pytest.raises(ZeroDivisionError, match="on purpose"),
        LiveServer(app) as server,
        pytest.raises(websockets.InvalidStatus),
    ):
        connect(f"{server.ws_url}/")
    assert [str(error) for error in server.errors] == ["on purpose"]


def test_an_expected_error_can_be_taken_out():
    async def app(scope, receive, send):
        assert scope["type"] == "websocket"
        raise ZeroDivisionError("on purpose")

    with LiveServer(app) as server:
        with pytest.raises(websockets.InvalidStatus):
            connect(f"{server.ws_url}/")
        server.errors.clear()


def test_the_tests_own_error_comes_first_and_the_servers_is_a_note():
    with (
        pytest.raises(AssertionError, match="of the test") as caught,
        LiveServer(lifespan_app(shutdown=fail)),
    ):
        raise AssertionError("of the test")
    assert caught.value.__notes__ == ["The live server also raised ZeroDivisionError: on purpose"]


def test_the_port_is_known_inside_the_block_only(app):
    server = LiveServer(app)
    with pytest.raises(RuntimeError, match="only inside its 'with' block"):
        _ = server.ws_url
    with server:
        assert server.port
    with pytest.raises(RuntimeError, match="only inside its 'with' block"):
        _ = server.port
    with pytest.raises(RuntimeError, match="runs only once"):
        server.__enter__()


def test_what_is_no_asgi_app_is_refused():
    with pytest.raises(falcon.CompatibilityError, match="Is it a factory"):
        LiveServer(lambda: None)


def test_an_option_that_uvicorn_does_not_know_is_its_own_error_and_leaves_nothing_behind(app):
    with pytest.raises(TypeError, match="no_such_option"), LiveServer(app, no_such_option=1):
        pytest.fail("the block must not run")
    assert not live_threads()


def test_an_oserror_of_a_responder_whose_client_has_gone_is_no_error():
    ended = []

    async def app(scope, receive, send):
        assert scope["type"] == "websocket"
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        ended.append(True)
        raise ConnectionResetError("the client has gone")

    with LiveServer(app) as server, connect(f"{server.ws_url}/"):
        pass
    assert ended == [True]
