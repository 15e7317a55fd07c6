"""The scope that an application sees for what a test asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconws.testing import Client
from falconws.testing.scope import handshake_scope


def scope_of(path="/", **arguments):
    defaults = {"query_string": "", "root_path": "", "scheme": "ws", "subprotocols": (), "headers": []}
    return handshake_scope(path, **{**defaults, **arguments})


async def seen(**arguments):
    """Return the scope that reaches an application."""
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)
        await receive()
        await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})

    async with Client(app, {"X-Common": "1", "X-Both": "common"}).websocket(**arguments):
        pass
    return scopes[0]


async def test_the_scope_has_what_asgi_asks_for():
    assert await seen() == {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"host", b"localhost"),
            (b"user-agent", b"falconws-testing"),
            (b"connection", b"Upgrade"),
            (b"upgrade", b"websocket"),
            (b"sec-websocket-version", b"13"),
            (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
            (b"x-common", b"1"),
            (b"x-both", b"common"),
        ],
        "client": ["127.0.0.1", 49152],
        "server": ["localhost", 80],
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
        "state": {},
    }


async def test_arguments_reach_the_scope():
    scope = await seen(
        path="/api/r%C3%B6om/ä b%2Fc",
        query_string="q=ü&r=%20",
        root_path="/api",
        scheme="wss",
        subprotocols=["wamp", "mqtt"],
        headers={"Host": "example.org", "Cookie": "a=ö", "x-both": "own"},
        origin="https://example.org",
    )
    assert scope["path"] == "/api/röom/ä b/c"
    assert scope["raw_path"] == b"/api/r%C3%B6om/%C3%A4%20b%2Fc"
    assert scope["query_string"] == b"q=%C3%BC&r=%20"
    assert scope["root_path"] == "/api"
    assert (scope["scheme"], scope["server"]) == ("wss", ["localhost", 443])
    assert scope["subprotocols"] == ["wamp", "mqtt"]
    headers = scope["headers"]
    assert (b"sec-websocket-protocol", b"wamp, mqtt") in headers
    assert [value for name, value in headers if name == b"host"] == [b"example.org"]
    assert [value for name, value in headers if name == b"x-both"] == [b"own"]
    assert (b"x-common", b"1") in headers
    assert (b"cookie", "a=ö".encode("latin-1")) in headers
    assert (b"origin", b"https://example.org") in headers


async def test_headers_may_be_pairs_that_repeat_a_name():
    scope = await seen(headers=[("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-For", "2.2.2.2")])
    assert [v for n, v in scope["headers"] if n == b"x-forwarded-for"] == [b"1.1.1.1", b"2.2.2.2"]


def test_a_query_string_may_stand_in_the_path():
    scope = scope_of("/a?b=1?2")
    assert (scope["path"], scope["query_string"]) == ("/a", b"b=1?2")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"path": "echo"}, "must begin with '/'"),
        ({"path": "/echo#top"}, "no fragment"),
        ({"path": "/a?b", "query_string": "c"}, "not in both"),
        ({"query_string": "?a=1"}, "must not begin with '?'"),
        ({"scheme": "http"}, "'ws' or 'wss', not 'http'"),
        ({"subprotocols": "wamp"}, r"as a list: \['wamp'\]"),
        ({"subprotocols": ["a b"]}, "'a b' cannot be a subprotocol"),
        ({"subprotocols": [""]}, "'' cannot be a subprotocol"),
        ({"headers": [("x y", "1")]}, "cannot be sent as a header"),
        ({"headers": [("x", "1\r\ny: 2")]}, "cannot be sent as a header"),
    ],
)
def test_what_no_client_could_send_is_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        scope_of(**arguments)


@given(st.text(st.characters(exclude_characters="?#%", exclude_categories=["Cs"])))
def test_every_plain_path_comes_out_as_it_went_in(text):
    scope = scope_of("/" + text)
    assert scope["path"] == "/" + text
    assert scope["raw_path"].isascii()
    assert not set(scope["raw_path"]) & set(b" \r\n\t\0?#")


@given(st.text(st.characters(exclude_characters="?#", exclude_categories=["Cs"])))
def test_quoting_is_idempotent(text):
    once = scope_of("/" + text)["raw_path"]
    assert scope_of(once.decode())["raw_path"] == once
