"""The console around an application, without a server: what it answers, and what it leaves to the application."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from typing import Any

import falcon
import falcon.asgi
import pytest

import falconws
from falconws.console.mount import Console
from falconws.console.tree import Tree
from falconws.hosts import LOCAL_HOSTS
from falconws.testing import Client, HandshakeDenied
from falconws.typed import Conversation, speaks
from tests.e2e.console import served
from tests.runtime.typed.conversations import make_app

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
HOST = {"Host": "localhost"}


class Anything:
    async def on_get(self, req: Any, resp: Any, **params: Any) -> None:
        resp.text = "mine"

    async def on_websocket(self, req: Any, ws: Any) -> None:
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(text)


def console_around(app: Any) -> Console:
    return Console(app, "served", LOCAL_HOSTS)


def app_with(*paths: str) -> falconws.App:
    app = falconws.App()
    app.ws_options.allowed_origins = "same-origin"
    for path in paths:
        app.add_route(path, Anything())
    return app


async def views_of(app: Any) -> dict[str, Any]:
    async with Client(console_around(app)) as client:
        found = (await client.get("/_falconws/app", host="localhost")).json
    return {view["name"]: view for view in found["views"]} | {"": found["views"][0], "all": found}


def text_of(tree: Tree | str) -> str:
    return tree if isinstance(tree, str) else " ".join(map(text_of, tree[2:]))


def attributes_of(tree: Tree | str, name: str) -> list[str]:
    if isinstance(tree, str):
        return []
    own = [tree[1][name]] if name in tree[1] else []
    return own + [value for child in tree[2:] for value in attributes_of(child, name)]


# What it answers


async def test_the_page_cannot_be_framed_nor_kept() -> None:
    async with Client(console_around(app_with())) as client:
        result = await client.get("/_falconws/", host="localhost")
    assert result.status_code == 200
    assert result.headers["content-type"].startswith("text/html")
    assert result.headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in result.headers["content-security-policy"]
    assert result.headers["cache-control"] == "no-store"


async def test_every_websocket_is_there_in_the_order_of_the_application() -> None:
    views = await views_of(served.app)
    assert [name for name in views if name.startswith("/")] == [
        *("/echo", "/rooms/{room}", "/words", "/private", "/evil/{rest:path}")
    ]
    assert set(attributes_of(views["/words"]["view"], "data-message")) == {"count_words", "Text", "Binary"}
    assert set(attributes_of(views["/echo"]["view"], "data-message")) == {"Text", "Binary"}
    assert attributes_of(views["/words"]["view"], "data-subprotocol") == ["words.v1", "words.v1"]
    assert attributes_of(views["/evil/{rest:path}"]["view"], "data-path") == ["/evil/{rest}"] * 2
    assert views["/rooms/{room}"]["closeCodes"] == {"4001": "The room was closed"}
    assert views["all"]["closeCodes"]["1012"] == "the server restarts"
    assert views["all"]["closeCodes"]["3404"] == "HTTP status 404 Not Found, after the handshake"


async def test_ids_are_unique() -> None:
    views = (await views_of(served.app))["all"]["views"]
    ids = [id_ for view in views for id_ in attributes_of(view["view"], "id")]
    assert len(ids) == len(set(ids))


async def test_messages_of_any_library_have_forms() -> None:
    views = await views_of(make_app(falconws.Hub()))
    assert set(attributes_of(views["/mixed"]["view"], "data-message")) == {"move", "rename", "say", "Text", "Binary"}
    assert {"x", "y", "name", "tags", "text"} <= set(attributes_of(views["/mixed"]["view"], "name"))
    # A client of this one only listens.
    assert set(attributes_of(views["/prices"]["view"], "data-message")) == {"Text", "Binary"}


def test_the_console_does_not_need_what_typed_conversations_need() -> None:
    code = """
import asyncio, sys
sys.modules["msgspec"] = None
import falconws
from falconws.console.mount import Console
from falconws.testing import Client

class Echo:
    async def on_websocket(self, req, ws): ...

async def main():
    app = falconws.App()
    app.add_route("/echo", Echo())
    async with Client(Console(app, "app", ["localhost"])) as client:
        print([view["name"] for view in (await client.get("/_falconws/app", host="localhost")).json["views"]])

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "['', '/echo', '/_falconws/lobby', 'path', 'rooms']\n"


async def test_versions_of_a_conversation_are_views_of_their_own() -> None:
    class First(Conversation[served.Say, served.Said]):
        subprotocol = "v1"

    class Second(Conversation[served.Say, served.Said]):
        subprotocol = "v2"

    class Resource:
        @speaks(First, Second)
        async def on_websocket(self, req: Any, chat: Any) -> None: ...

    app = falconws.App()
    app.add_route("/chat", Resource())
    views = await views_of(app)
    assert [name for name in views if name.startswith("/chat")] == ["/chat@First", "/chat@Second"]
    assert attributes_of(views["/chat@Second"]["view"], "data-subprotocol") == ["v2", "v2"]


async def test_an_application_whose_document_cannot_be_made_says_why() -> None:
    class Deaf(Conversation[served.CountWords, served.Said]):
        pass

    class Resource:
        @speaks(Deaf)
        async def on_websocket(self, req: Any, chat: Any) -> None: ...

    app = falconws.App()
    app.add_route("/deaf", Resource())
    views = await views_of(app)
    assert "Deaf: WordCount answers CountWords, but is not declared" in text_of(views[""]["view"])
    assert set(attributes_of(views["/deaf"]["view"], "data-message")) == {"Text", "Binary"}


async def test_the_start_lists_all_routes() -> None:
    start = (await views_of(served.app))[""]["view"]
    assert attributes_of(start, "data-path") == ["/echo"]
    for link in ("#/echo", "../echo", "#/rooms/{room}", "#rooms"):
        assert link in attributes_of(start, "href")


@pytest.mark.parametrize(
    ("options", "address"),
    [
        ({"port": 8000}, "/echo"),
        ({"port": 8001}, "ws://localhost:8001/echo"),
        ({"port": 8443, "protocol": "https", "root_path": "/api"}, "wss://localhost:8443/api/echo"),
    ],
)
async def test_the_command_of_the_start_reaches_this_server(options: dict[str, Any], address: str) -> None:
    async with Client(console_around(served.app)) as client:
        found = (await client.get("/_falconws/app", host="localhost", **options)).json
    assert f"falconws connect {address} " in text_of(found["views"][0]["view"])


async def test_an_application_of_falcons_own_is_shown_too() -> None:
    class Resource:
        async def on_websocket(self, req: Any, ws: Any) -> None: ...

    app = falcon.asgi.App()
    app.add_route("/plain", Resource())
    views = await views_of(app)
    assert "/plain" in views


async def test_an_application_behind_middleware_is_found() -> None:
    class Middleware:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self.app(scope, receive, send)

    views = await views_of(Middleware(app_with("/here")))
    assert "/here" in views


async def plain(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application of no framework, which answers everything with a 404."""
    if scope["type"] == "lifespan":
        while True:
            event = await receive()
            await send({"type": f"{event['type']}.complete"})
            if event["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b"none"})


async def test_an_unknown_application_can_be_talked_to_all_the_same() -> None:
    views = await views_of(plain)
    assert {"", "path", "rooms"} <= views.keys()


class Route:
    def __init__(self, path: str, methods: set[str]) -> None:
        self.path = path
        self.methods = methods


class WebSocketRoute:
    def __init__(self, path: str) -> None:
        self.path = path


class Starlette:
    """What its applications have."""

    def __init__(self) -> None:
        self.routes = [Route("/", {"GET", "HEAD"}), WebSocketRoute("/ws/{name}")]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await plain(scope, receive, send)


async def test_the_routes_of_starlette_are_found() -> None:
    views = await views_of(Starlette())
    assert [name for name in views if name.startswith("/")] == ["/ws/{name}", "/_falconws/lobby"]


async def test_a_copy_is_made_by_the_server() -> None:
    conversation = {"url": "ws://h/echo", "target": "/echo", "subprotocols": [], "events": [{"sent": "a"}]}
    async with Client(console_around(served.app)) as client:
        result = await client.post("/_falconws/snippet/command", json=conversation, host="localhost")
        assert (result.status_code, result.text) == (200, "falconws connect ws://h/echo --send a")
        assert result.headers["content-type"].startswith("text/plain")
        assert (await client.post("/_falconws/snippet/cobol", json=conversation, host="localhost")).status_code == 404
        assert (await client.post("/_falconws/snippet/command", json={}, host="localhost")).status_code == 400


# What it leaves to the application


@pytest.mark.parametrize("path", ["/_falconws", "/_falconws/", "/_falconws/{rest:path}", "/_falconws/mine"])
async def test_routes_of_the_application_at_this_path_stay(path: str, caplog: pytest.LogCaptureFixture) -> None:
    app = app_with(path)
    with caplog.at_level(logging.WARNING, "falconws"):
        console = console_around(app)
    assert f"There is no console: the application has the route {path}" in caplog.text
    async with Client(console) as client:
        assert (await client.get(path.replace("{rest:path}", "x"), headers=BROWSER, host="localhost")).text == "mine"
        assert (await client.get("/", headers=BROWSER, host="localhost")).status_code == 404


async def test_another_host_gets_what_the_application_says() -> None:
    async with Client(console_around(app_with())) as client:
        for host in ("evil.example", "localhost.evil.example"):
            for path in ("/_falconws/", "/_falconws", "/_falconws/app", "/"):
                result = await client.get(path, headers=BROWSER, host=host)
                assert result.status_code == 404
                assert "console" not in result.text
        with pytest.raises(HandshakeDenied) as refused:
            async with client.websocket("/_falconws/live", headers={"Host": "evil.example"}):
                pass
        assert refused.value.status in (403, 404)


async def test_another_page_cannot_listen() -> None:
    async with Client(console_around(app_with())) as client:
        with pytest.raises(HandshakeDenied) as refused:
            async with client.websocket("/_falconws/live", headers=HOST, origin="https://evil.example"):
                pass
    assert refused.value.status == 403


async def test_a_websocket_of_the_application_works_as_without_it() -> None:
    async with Client(console_around(app_with("/echo"))) as client, client.websocket("/echo", headers=HOST) as ws:
        await ws.send_text("hello")
        assert await ws.receive_text() == "hello"


# The start page


async def test_a_browser_is_sent_from_the_root_to_the_console() -> None:
    async with Client(console_around(app_with("/echo"))) as client:
        result = await client.get("/", headers=BROWSER, host="localhost")
        assert (result.status_code, result.headers["location"]) == (302, "_falconws/")
        assert result.content == b""
        assert (await client.get("/_falconws", headers=BROWSER, host="localhost")).headers["location"] == "_falconws/"


async def test_the_root_path_is_part_of_where_a_browser_is_sent() -> None:
    async with Client(console_around(app_with())) as client:
        result = await client.get("/", headers=BROWSER, host="localhost", root_path="/api")
        assert result.headers["location"] == "/api/_falconws/"


async def test_anything_but_a_browser_gets_the_404() -> None:
    async with Client(console_around(app_with("/echo"))) as client:
        assert (await client.get("/", host="localhost")).status_code == 404
        assert (await client.post("/", headers=BROWSER, host="localhost")).status_code == 404
        assert (await client.get("/other", headers=BROWSER, host="localhost")).status_code == 404


async def test_a_root_of_the_application_stays() -> None:
    async with Client(console_around(app_with("/"))) as client:
        assert (await client.get("/", headers=BROWSER, host="localhost")).text == "mine"


async def test_a_root_that_says_404_itself_stays() -> None:
    class Missing:
        async def on_get(self, req: Any, resp: Any) -> None:
            raise falcon.HTTPNotFound

    app = falconws.App()
    app.add_route("/", Missing())
    async with Client(console_around(app)) as client:
        assert (await client.get("/", headers=BROWSER, host="localhost")).status_code == 404


async def test_a_root_that_a_sink_answers_stays() -> None:
    async def sink(req: Any, resp: Any, **_: Any) -> None:
        resp.text = "mine"

    app = falconws.App()
    app.add_sink(sink)
    async with Client(console_around(app)) as client:
        assert (await client.get("/", headers=BROWSER, host="localhost")).text == "mine"


# Refusals


async def refusal_of(client: Client, target: str) -> Any:
    return (await client.get("/_falconws/refusal", params={"target": target}, host="localhost")).json


async def test_a_refused_handshake_can_be_asked_for_once() -> None:
    async with Client(console_around(served.app)) as client:
        with pytest.raises(HandshakeDenied):
            async with client.websocket("/private?a=1", headers=HOST):
                pass
        assert await refusal_of(client, "/private") is None
        found = await refusal_of(client, "/private?a=1")
        assert (found["status"], found["text"]) == (401, "401 Unauthorized\nWho are <you>?\nA token is needed.")
        assert "falconws connect --header" in found["hint"]
        assert await refusal_of(client, "/private?a=1") is None


async def test_a_handshake_that_is_closed_or_fails_is_a_refusal() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            await plain(scope, receive, send)
        elif scope["path"] == "/fails":
            raise ZeroDivisionError
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1000})

    async with Client(console_around(app)) as client:
        with pytest.raises(HandshakeDenied):
            async with client.websocket("/closed", headers=HOST):
                pass
        assert (await refusal_of(client, "/closed"))["text"] == "403 Forbidden"
        with pytest.raises(ZeroDivisionError):
            async with client.websocket("/fails", headers=HOST):
                pass
        assert (await refusal_of(client, "/fails"))["status"] == 500


async def test_an_accepted_handshake_is_none() -> None:
    async with Client(console_around(served.app)) as client:
        async with client.websocket("/echo", headers=HOST) as ws:
            await ws.send_text("leave")
            assert await ws.wait_closed() == 4999
        assert await refusal_of(client, "/echo") is None


# Rooms


async def rooms_of(client: Client, *, until: str) -> str:
    async with asyncio.timeout(20), client.websocket("/_falconws/live", headers=HOST) as live:
        await live.send_text("rooms")
        while True:
            text = " ".join(map(text_of, json.loads(await live.receive_text(timeout=10))))
            if until in text:
                return text


async def test_rooms_are_shown_with_members_and_messages() -> None:
    async with Client(console_around(served.app)) as client:
        async with client.websocket("/rooms/den?name=ada", headers=HOST) as ada:
            await ada.send_text('{"type":"say","text":"hello"}')
            text = await rooms_of(client, until="hello")
            assert "den" in text
            assert "1 present: ada" in text
        # What was said stays for a while.
        assert "hello" in await rooms_of(client, until="Nobody with a name is present.")


async def test_an_application_without_a_hub_gets_a_room_to_try() -> None:
    async with (
        Client(console_around(app_with())) as client,
        client.websocket("/_falconws/lobby?name=ada", headers=HOST) as ada,
        client.websocket("/_falconws/lobby?name=ben", headers=HOST) as ben,
    ):
        await ada.send_text("hello")
        assert await ben.receive_media() == {"name": "ada", "text": "hello"}
        assert await ada.receive_media() == {"name": "ada", "text": "hello"}
        assert "2 present: ada, ben" in await rooms_of(client, until="hello")
    assert "/_falconws/lobby" not in await views_of(served.app)
