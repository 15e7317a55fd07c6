"""HTTP requests of the in-process client."""

from __future__ import annotations

import asyncio

import falcon
import falcon.asgi
import pytest

from falconws.testing import Client


class Resource:
    def __init__(self):
        self.event = asyncio.Event()

    async def on_get(self, req, resp):
        resp.media = {"x": req.get_header("X-Common"), "y": req.get_param("y")}

    async def on_post(self, req, resp):
        resp.media = await req.get_media()

    async def on_put(self, req, resp):
        await self.event.wait()

    async def on_get_stream(self, req, resp):
        async def chunks():
            yield b"one"
            await self.event.wait()

        resp.stream = chunks()

    async def on_get_stubborn(self, req, resp):
        try:
            await self.event.wait()
        finally:
            self.ended = True


@pytest.fixture
def resource():
    return Resource()


@pytest.fixture
def app(resource):
    app = falcon.asgi.App()
    app.add_route("/", resource)
    app.add_route("/stream", resource, suffix="stream")
    app.add_route("/stubborn", resource, suffix="stubborn")
    return app


async def fails(scope, receive, send):
    raise ZeroDivisionError("on purpose")


async def test_requests_are_those_of_falcons_conductor(app):
    async with Client(app, {"X-Common": "1"}) as client:
        assert (await client.simulate_get("/", params={"y": "2"})).json == {"x": "1", "y": "2"}
        assert (await client.get("/", headers={"x-common": "3"})).json["x"] == "3"
        assert (await client.post("/", json=[1])).json == [1]
        assert (await client.request("DELETE", "/")).status_code == 405


async def test_a_response_that_does_not_come_is_a_timeout_that_says_where(app):
    async with Client(app, timeout=0.5) as client:
        with pytest.raises(
            TimeoutError, match=r"No response to PUT / within 0\.5 s, at test_http_exchange.py:\d+ in on_put"
        ):
            await client.simulate_put("/")


async def test_a_stream_is_read_while_the_responder_runs(app, resource):
    async with Client(app) as client, client.simulate_get_stream("/stream") as result:
        assert result.status_code == 200
        assert await result.stream.read() == b"one"
        resource.event.set()


async def test_a_responder_that_goes_on_after_its_stream_was_left_is_named(app):
    async with Client(app, timeout=0.5) as client:
        with pytest.raises(TimeoutError, match=r"GET /stream: the responder has not ended within 0\.5 s after"):
            async with client.get_stream("/stream"):
                pass


async def test_a_stream_that_does_not_begin_is_a_timeout(app, resource):
    async with Client(app, timeout=0.5) as client:
        with pytest.raises(TimeoutError, match="No response to GET /stubborn within"):
            async with client.get_stream("/stubborn"):
                pytest.fail("the block must not run")
        assert resource.ended


@pytest.mark.parametrize("eager", [False, True])
async def test_an_error_that_escapes_reaches_the_test(eager):
    if eager:
        if not hasattr(asyncio, "eager_task_factory"):
            pytest.skip("asyncio has eager tasks since Python 3.12")
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        await Client(fails, timeout=600).simulate_get("/")
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        async with Client(fails, timeout=600).simulate_get_stream("/"):
            pytest.fail("the block must not run")
