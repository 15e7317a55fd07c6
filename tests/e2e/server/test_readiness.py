"""/readyz is the server's: in front of the application and its middleware, for any number of probes."""

import socket
import threading

import httpx
import pytest

from falconws.server import AdmissionSettings

FALCON = """
    import asyncio
    import falcon, falcon.asgi
    import falconws

    class Forbids:
        async def process_request(self, req, resp):
            raise falcon.HTTPUnauthorized()

    class Sink:
        async def __call__(self, req, resp, **kwargs):
            resp.text = "sink"

    class Own:
        async def on_get(self, req, resp, **kwargs):
            resp.text = "own"

    class Wrapped:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            await self.app(scope, receive, send)

    def middleware():
        return falconws.App(middleware=[Forbids()])

    def sink():
        app = falconws.App()
        app.add_sink(Sink(), "/")
        return app

    def parameter():
        app = falconws.App()
        app.add_route("/{name}", Own())
        return app

    def own():
        app = falconws.App()
        app.add_route("/readyz", Own())
        return app

    def own_of_falcon():
        app = falcon.asgi.App()
        app.add_route("/readyz", Own())
        return app

    def own_wrapped():
        return Wrapped(own())

    def plain():
        async def app(scope, receive, send):
            assert scope["type"] == "http"
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body"})
        return app
"""


@pytest.mark.parametrize(
    ("target", "text"),
    [
        *((name, "ready\n") for name in ("middleware", "sink", "parameter", "plain")),
        *((name, "own") for name in ("own", "own_of_falcon", "own_wrapped")),
    ],
)
def test_the_server_answers_unless_the_app_has_a_route_of_just_that_path(serve, target, text):
    server = serve(FALCON, target=f"served:{target}")
    response = httpx.get(server.url + "/readyz")
    assert (response.status_code, response.text) == (200, text)


def test_the_path_can_be_moved_or_turned_off(serve):
    moved = serve(FALCON, target="served:sink", admission=AdmissionSettings(readiness_path="/-/ready"))
    assert httpx.get(moved.url + "/-/ready").text == "ready\n"
    assert httpx.get(moved.url + "/readyz").text == "sink"
    off = serve(FALCON, target="served:sink", admission=AdmissionSettings(readiness_path=None))
    assert httpx.get(off.url + "/readyz").text == "sink"


def test_it_is_answered_below_the_root_path_and_when_the_limit_is_reached(serve):
    admission = AdmissionSettings(limit_connections=1, only="ws")
    server = serve(FALCON, target="served:sink", admission=admission, root_path="/api")
    assert [httpx.get(server.url + path).text for path in ("/readyz", "/api/readyz")] == ["ready\n"] * 2


CHECKED = """
    import asyncio

    asked = 0
    problem = asyncio.Event()
    release = asyncio.Event()

    async def check():
        global asked
        asked += 1
        print("asked", asked, flush=True)
        await release.wait()
        addresses = "('10.1.2.3', 6379), [2001:db8::1]:99, db.internal:6379"
        return "broker: redis://user:secret@10.1.2.3:6379/0 refused " + addresses

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["falconws.readiness"] = [check]
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        release.set()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})
"""


def test_many_probes_ask_once_and_are_told_what_is_wrong_without_addresses(serve):
    server = serve(CHECKED).wait_until_ready()
    texts: list[tuple[int, str]] = []

    def probe() -> None:
        response = httpx.get(server.url + "/readyz", timeout=30)
        texts.append((response.status_code, response.text))

    threads = [threading.Thread(target=probe) for _ in range(30)]
    for thread in threads:
        thread.start()
    server.wait_for_line("asked 1")
    httpx.get(server.url + "/release")
    for thread in threads:
        thread.join(30)
    expected = "broker: [address] refused [address], [address], [address]\n"
    assert texts == [(503, expected)] * 30
    # Those that came a second later than the first answer asked again.
    assert server.output.count("asked") <= 3
    # The operator is told all of it, once.
    assert server.output.count("Not ready: broker: redis://") == 1


def test_probes_have_a_limit_of_their_own(serve):
    server = serve(CHECKED).wait_until_ready()
    probes = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(101)]
    for probe in probes:
        probe.sendall(b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    probes[-1].settimeout(30)
    assert b" 503 " in probes[-1].recv(4096)
    httpx.get(server.url + "/release")
    for probe in probes:
        probe.close()
