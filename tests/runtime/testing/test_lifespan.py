"""The application's start and end around a test."""

from __future__ import annotations

import falcon
import pytest

import falconws
from falconws.testing import Client, LifespanError
from tests.runtime.testing.lifespan_apps import fail, lifespan_app, wait


async def test_state_reaches_each_connection_as_a_copy():
    async with Client(lifespan_app(state={"database": "db"})) as client:
        for _ in range(2):
            async with client.websocket() as ws:
                assert await ws.receive_text() == "['database']"


async def test_state_reaches_http_requests_and_falconws_req_state():
    class Middleware:
        async def process_startup(self, scope, event):
            scope["state"]["database"] = "db"

    class Resource:
        async def on_get(self, req, resp):
            resp.media = req.scope["state"]["database"]

        async def on_websocket(self, req, ws):
            await ws.accept()
            await ws.send_text(req.state["database"])

    app = falconws.App(middleware=[Middleware()])
    app.ws_options.allowed_origins = "*"
    app.add_route("/", Resource())
    async with Client(app) as client:
        assert (await client.simulate_get("/")).json == "db"
        async with client.websocket() as ws:
            assert await ws.receive_text() == "db"


async def test_startup_and_shutdown_run_around_the_block():
    calls = []

    class Middleware:
        async def process_startup(self, scope, event):
            calls.append("startup")

        async def process_shutdown(self, scope, event):
            calls.append("shutdown")

    async with Client(falcon.asgi.App(middleware=[Middleware()])):
        calls.append("block")
    assert calls == ["startup", "block", "shutdown"]


async def test_shutdown_runs_also_after_a_failed_test_and_its_error_is_a_note():
    with pytest.raises(AssertionError, match="of the test") as caught:
        async with Client(lifespan_app(shutdown=fail)):
            raise AssertionError("of the test")
    assert caught.value.__notes__ == ["The app's shutdown also raised ZeroDivisionError: on purpose"]


async def test_an_error_during_startup_reaches_the_test():
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        async with Client(lifespan_app(startup=fail)):
            pytest.fail("the block must not run")


async def test_an_error_during_shutdown_reaches_the_test():
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        async with Client(lifespan_app(shutdown=fail)):
            pass


@pytest.mark.parametrize("phase", ["startup", "shutdown"])
async def test_a_reported_failure_carries_the_apps_message(phase):
    class Middleware:
        pass

    setattr(Middleware, f"process_{phase}", lambda self, scope, event: fail())
    with pytest.raises(LifespanError, match=rf"(?s)'lifespan\.{phase}\.failed': .*ZeroDivisionError: on purpose"):
        async with Client(falcon.asgi.App(middleware=[Middleware()])):
            pass


@pytest.mark.parametrize("phase", ["startup", "shutdown"])
async def test_a_phase_that_does_not_end_is_a_timeout_that_says_where(phase):
    with pytest.raises(TimeoutError) as caught:
        async with Client(lifespan_app(**{phase: wait}), timeout=0.05):
            pass
    assert f"has not sent 'lifespan.{phase}.complete' within 0.05 s, at lifespan_apps.py:" in str(caught.value)
    assert "in wait: `await asyncio.Event().wait()`" in str(caught.value)


async def raises_for_lifespan(scope, receive, send):
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.accept"})


async def returns_for_lifespan(scope, receive, send):
    if scope["type"] == "websocket":
        await raises_for_lifespan(scope, receive, send)


@pytest.mark.parametrize("app", [raises_for_lifespan, returns_for_lifespan])
async def test_an_app_without_lifespan_is_served_all_the_same(app):
    async with Client(app) as client, client.websocket() as ws:
        assert await ws.wait_closed() == 1006


async def test_an_answer_out_of_order_is_named():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})

    with pytest.raises(LifespanError, match=r"sent 'websocket.accept' out of order in the lifespan scope"):
        async with Client(app):
            pass


async def test_without_async_with_no_lifespan_runs():
    client = Client(lifespan_app(startup=fail))
    async with client.websocket() as ws:
        assert await ws.receive_text() == "[]"


def create_app():
    return falcon.asgi.App()


@pytest.mark.parametrize(
    ("app", "sentence"),
    [
        (create_app, r"takes \(\).* Is it a factory\? Pass what it returns"),
        (falcon.App(), r"to be called with \(scope, receive, send\)"),
        ("demo.app:app", "got 'demo.app:app'"),
    ],
    ids=["factory", "wsgi", "string"],
)
def test_what_is_no_asgi_app_is_refused(app, sentence):
    with pytest.raises(falcon.CompatibilityError, match=sentence):
        Client(app)


def test_a_backlog_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1, not 0"):
        Client(create_app(), backlog=0)
