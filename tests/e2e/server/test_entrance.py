"""A handshake has one result: alone and whole, behind an HTTP request, or invalid."""

import json

import pytest

APP = """
    import json

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                event = await receive()
                await send({"type": event["type"] + ".complete"})
                if event["type"] == "lifespan.shutdown":
                    return
        if scope["type"] == "http":
            body = scope["path"].encode()
            headers = [(b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        await receive()
        await send({"type": "websocket.accept"})
        told = {key: value for key, value in scope.items() if key not in ("extensions", "client")}
        await send({"type": "websocket.send", "text": json.dumps(told, default=repr)})
        while (event := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": event["text"]})
"""
HEAD = (
    b"GET /a%20b?c=d%20e HTTP/1.1\r\nHOST: localhost\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version:13\r\nX-Twice: 1\r\nX-Twice: \t2 \t\r\n"
    b"Sec-WebSocket-Protocol: one, two\r\nX-Latin: \xe9\r\nX-Empty:\r\n\r\n"
)
HTTP = b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_a_handshake_has_one_scope_alone_and_behind_an_http_request(server, dial):
    alone = dial(server.port)
    alone.send(HEAD)
    assert b" 101 " in alone.read_head()
    behind = dial(server.port)
    behind.send(HTTP)
    assert b" 200 " in behind.read_head()
    behind.send(HEAD)
    assert b" 101 " in behind.read_head()
    scopes = [json.loads(client.read_frame()[1]) for client in (alone, behind)]
    assert scopes[0] == scopes[1]
    assert scopes[0]["path"] == "/a b"
    assert scopes[0]["subprotocols"] == ["one", "two"]


def test_frames_in_the_segment_of_the_handshake_are_answered(server, dial):
    client = dial(server.port)
    client.send(HEAD + client.frame(1, b"first") + client.frame(1, b"second"))
    assert b" 101 " in client.read_head()
    assert [client.read_frame()[1] for _ in range(3)][1:] == [b"first", b"second"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ((b"Version:13", b"Version:12"), b" 426 "),
        ((b"dGhlIHNhbXBsZSBub25jZQ==", b"c2hvcnQ="), b" 400 "),
        ((b"HOST: localhost\r\n", b"Host: a\r\nHost: b\r\n"), b" 400 "),
        ((b"X-Empty:", b"X Empty:"), b" 400 "),
        ((b"X-Empty:", b"X-Empty: \x01"), b" 400 "),
    ],
)
def test_an_invalid_handshake_is_refused(server, dial, change, status):
    client = dial(server.port)
    client.send(HEAD.replace(*change))
    assert status in client.read_head()
    assert client.at_end()


def test_an_http_request_with_a_websocket_key_is_http(server, dial):
    client = dial(server.port)
    client.send(HTTP.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Key: x\r\n\r\n"))
    assert b" 200 " in client.read_head()
