"""HTTP beside WebSockets: the same bytes have the same answer, whichever way they come in, on each loop and parser.

The ways in: whole, cut into single bytes, behind another request; over TCP, TLS and a Unix socket; in one process or
several workers. Every test runs on uvloop and asyncio, and with httptools and h11.
"""

import contextlib
import itertools
import json
import select
import socket
import ssl
import threading
import time

import httpx
import pytest

from falconws.server import AdmissionSettings, ConnectionSettings, HttpSettings, TlsSettings
from tests.e2e.server.raw_client import WAIT_S, RawClient
from tests.e2e.server.server_process import STACKS

APP = """
    import asyncio, json

    release = asyncio.Event()

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                event = await receive()
                await send({"type": event["type"] + ".complete"})
                if event["type"] == "lifespan.shutdown":
                    return
        if scope["type"] == "websocket":
            await receive()
            if scope["path"] == "/slow":
                await asyncio.sleep(0.3)
            await send({"type": "websocket.accept"})
            while (event := await receive())["type"] == "websocket.receive":
                text = json.dumps(scope["path"]) if event["text"] == "path" else event["text"]
                await send({"type": "websocket.send", "text": text})
            return
        print("served", scope["path"], flush=True)
        if scope["path"] == "/go":
            release.set()
        if scope["path"] == "/slow":
            await release.wait()
            release.clear()
        if scope["path"] == "/waits":
            print("waits", scope["query_string"].decode(), flush=True)
            while (await receive())["type"] != "http.disconnect":
                pass
            print("client gone", scope["query_string"].decode(), flush=True)
            return
        if scope["path"] == "/streamed":
            head = [(b"Content-Length", b"6")] if scope["query_string"] == b"known" else []
            await send({"type": "http.response.start", "status": 200, "headers": head})
            for part in (b"abc", b"", b"def"):
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body"})
            return
        if scope["path"] == "/events":
            await receive()
            head = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]}
            part = {"type": "http.response.body", "body": b"abc", "more_body": True}
            early = scope["query_string"] == b"early"
            if early:
                await send(head)
                await send(part)
            print("events", flush=True)
            leaving = asyncio.ensure_future(receive())
            await release.wait()
            release.clear()
            assert not leaving.done()
            leaving.cancel()
            if not early:
                await send(head)
                await send(part)
            await send({"type": "http.response.body", "body": b"def"})
            return
        body = b""
        while scope["path"] != "/early":
            event = await receive()
            if event["type"] == "http.disconnect":
                print("disconnected", scope["path"], flush=True)
                return
            body += event["body"]
            if not event["more_body"]:
                break
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        told = {"method": scope["method"], "path": scope["path"], "body": body.decode("latin-1"), "headers": headers}
        answer = json.dumps(told).encode()
        head = [(b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": answer})
"""

GET = b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n"
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
WAYS = ["whole", "in pieces", "behind a request"]


@pytest.fixture(scope="module", params=STACKS.values(), ids=STACKS)
def server_options(request):
    return {"prelude": request.param, "workers": 1}


@pytest.fixture(params=["uvloop-httptools", "asyncio-h11"])
def stack(request):
    """Return the loop and the parser of a test with a server of its own, which each loop and parser meets once.

    A loop and a parser know nothing of each other; tests that share a server run with each pair.
    """
    return STACKS[request.param]


def deliver(client, data: bytes, way: str) -> None:
    if way == "behind a request":
        client.send(GET)
        assert answer(client)["path"] == "/first"
    for piece in [data[i : i + 1] for i in range(len(data))] if way == "in pieces" else [data]:
        client.send(piece)


def status(client) -> int:
    return int(client.read_head().split(b" ")[1])


def answer(client) -> dict:
    """Return what the application has told of the next request, which it must have served with 200."""
    head = client.read_head()
    assert head.startswith(b"HTTP/1.1 200 "), head
    size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return json.loads(client.read(size))


def first_answered(*clients) -> list:
    """Return those of *clients* that hear of the server first, be it the end of the connection."""
    readable, _, _ = select.select([client.socket for client in clients], [], [], WAIT_S)
    return [client for client in clients if client.socket in readable]


# An Upgrade to anything but WebSocket.

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "upgrade",
    [
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
        b"Connection: upgrade\r\nUpgrade: foo\r\n",
        b"Connection: upgrade\r\nUpgrade: TLS/1.0, HTTP/2.0\r\n",
        b"Connection: upgrade\r\nUpgrade: h2c\r\nUpgrade: foo\r\n",
        b"Connection: upgrade\r\nUpgrade: websocket2\r\n",
        b"Connection: upgrade\r\nUpgrade:\r\n",
        b"Upgrade: websocket\r\n",
        b"Connection: keep-alive\r\nUpgrade: websocket\r\n",
    ],
)
@pytest.mark.parametrize("chunked", [False, True], ids=["fixed", "chunked"])
def test_a_foreign_upgrade_is_served_as_if_it_were_not_there(server, dial, upgrade, chunked, way):
    body = b"5\r\nhello\r\n0\r\n\r\n" if chunked else b"hello"
    framing = b"Transfer-Encoding: chunked\r\n" if chunked else b"Content-Length: 5\r\n"
    client = dial(server.port)
    deliver(client, b"POST /upload HTTP/1.1\r\nHost: a\r\n" + upgrade + framing + b"\r\n" + body, way)
    told = answer(client)
    assert (told["method"], told["body"]) == ("POST", "hello")
    assert "upgrade" not in told["headers"]
    # The connection goes on.
    client.send(GET)
    assert answer(client)["path"] == "/first"


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"GET", b"OPTIONS", b"PATCH"])
def test_a_request_that_is_hidden_in_the_body_of_a_foreign_upgrade_is_not_served(server, dial, method):
    client = dial(server.port)
    client.send(
        method + b" /outer HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
        b"Content-Length: %d\r\n\r\n" % len(HIDDEN)
    )
    httpx.get(server.url + "/later")
    client.send(HIDDEN)
    assert answer(client)["body"] == HIDDEN.decode()
    client.send(GET)
    assert answer(client)["path"] == "/first"
    assert "served /hidden" not in server.output


def test_a_pipelined_request_behind_a_foreign_upgrade_is_served(server, dial):
    client = dial(server.port)
    client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n") + GET + GET)
    assert [answer(client)["path"] for _ in range(3)] == ["/first"] * 3


def test_connect_is_refused(server, dial):
    """llhttp takes everything behind it for another protocol."""
    for target in (b"a:443", b"/x"):
        client = dial(server.port)
        client.send(b"CONNECT " + target + b" HTTP/1.1\r\nHost: a:443\r\n\r\n" + HIDDEN)
        assert status(client) == 501
        assert client.at_end()
    assert "served /hidden" not in server.output


# The order of responses.


@pytest.mark.parametrize("times", [1, 3])
def test_a_handshake_waits_for_the_response_to_the_request_in_front_of_it(server, dial, times):
    client = dial(server.port)
    client.send(GET * (times - 1) + b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" + HANDSHAKE + client.frame(1, b"early"))
    for _ in range(times - 1):
        assert answer(client)["path"] == "/first"
    httpx.get(server.url + "/go")
    assert answer(client)["path"] == "/slow"
    assert status(client) == 101
    assert client.read_frame() == (1, b"early")
    client.send_frame(1, b"late")
    assert client.read_frame() == (1, b"late")


def test_a_handshake_waits_for_the_response_to_a_request_with_a_body(server, dial):
    client = dial(server.port)
    client.send(b"POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    client.send(b"0\r\nX-Trailer: 1\r\n\r\n" + HANDSHAKE + client.frame(1, b"early"))
    assert answer(client)["body"] == "hello"
    assert status(client) == 101
    assert client.read_frame() == (1, b"early")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("path", [b"/ws", b"/slow"])
def test_frames_that_arrive_with_the_handshake_are_served(server, dial, way, path):
    client = dial(server.port)
    frames = client.frame(1, b"one") + client.frame(1, b"two", fin=False) + client.frame(0, b"-three")
    deliver(client, HANDSHAKE.replace(b"/ws", path) + frames, way)
    assert status(client) == 101
    assert client.read_frame() == (1, b"one")
    assert client.read_frame() == (1, b"two-three")


@pytest.mark.parametrize("way", WAYS)
def test_frames_that_arrive_before_the_accept_are_served(server, dial, way):
    client = dial(server.port)
    deliver(client, HANDSHAKE.replace(b"/ws", b"/slow"), way)
    httpx.get(server.url + "/later")
    client.send_frame(1, b"one")
    assert status(client) == 101
    assert client.read_frame() == (1, b"one")


# The same header, the same answer.


def changed(old: bytes, new: bytes) -> bytes:
    assert old in HANDSHAKE
    return HANDSHAKE.replace(old, new)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("request_bytes", "expected"),
    [
        (changed(b"Upgrade: websocket", b"Upgrade: websocket, foo"), 101),
        (changed(b"Upgrade: websocket", b"Upgrade: foo,websocket"), 101),
        (changed(b"Upgrade: websocket", b"Upgrade: foo\r\nUpgrade: websocket"), 101),
        (changed(b"Upgrade: websocket", b"Upgrade: WebSocket"), 101),
        (changed(b"Connection: Upgrade", b"Connection: Upgrade\r\nConnection: keep-alive"), 101),
        (changed(b"Connection: Upgrade", b"Connection: keep-alive\r\nConnection: UPGRADE"), 101),
        (changed(b"Connection: Upgrade", b"Connection: keep-alive ,\tUpgrade"), 101),
        (changed(b"GET /ws", b"GET http://a/ws"), 101),
        (changed(b"GET /ws HTTP/1.1", b"GET /ws HTTP/1.0"), 400),
        (changed(b"GET /ws", b"POST /ws"), 405),
        (changed(b"Host: a\r\n", b""), 400),
        (changed(b"Host: a\r\n", b"Host: a\r\nHost: a\r\n"), 400),
        (changed(b"Host: a\r\n", b"Host: a b\r\n"), 400),
        (changed(b"Host: a\r\n", b"Host : a\r\n"), 400),
        (changed(b"Version: 13", b"Version: 8"), 426),
        (changed(b"Version: 13", b"Version: 13\r\nSec-WebSocket-Version: 13"), 426),
        (changed(b"dGhlIHNhbXBsZSBub25jZQ==", b"c2hvcnQ="), 400),
        (changed(b"Host: a\r\n", b"Host: a\r\nContent-Length: 5\r\n"), 400),
        (changed(b"Host: a\r\n", b"Host: a\r\nTransfer-Encoding: chunked\r\n"), 400),
        (GET.replace(b"Host: a\r\n", b""), 400),
        (GET.replace(b"Host: a", b"Host: a\r\nHost: b"), 400),
        (GET.replace(b"Host: a", b"Host: a/b"), 400),
        (GET.replace(b"Host: a", b"Host: a\r\n folded"), 400),
        (GET.replace(b"Host: a", b"Host: a\r\nX-Bad\x00: b"), 400),
        (GET.replace(b"Host: a", b"Host: a\r\nX: b\x00"), 400),
        (GET.replace(b"Host: a", b"Host: a\r\nX: b\rc"), 400),
        (GET.replace(b"Host: a", b"Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked"), 400),
        (GET.replace(b"Host: a", b"Host: a\r\nContent-Length: 0\r\nContent-Length: 0"), 400),
        (GET.replace(b"Host: a", b"Host: a\r\nContent-Length: +1"), 400),
        (GET.replace(b"Host: a", b"Host: a\r\nContent-Length: 1, 1"), 400),
        (GET.replace(b"Host: a", b"Host: a\r\nContent-Length: 0x1"), 400),
        (GET.replace(b"Host: a", b"Host: a\r\nTransfer-Encoding: gzip, chunked"), 501),
        (GET.replace(b"Host: a", b"Host: a\r\nTransfer-Encoding: xchunked"), 501),
        (GET.replace(b"Host: a", b"Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), 501),
        (GET.replace(b"1.1", b"1.0").replace(b"Host: a", b"Host: a\r\nTransfer-Encoding: chunked"), 400),
        (GET.replace(b"GET", b"BREW"), 501),
        (GET.replace(b"GET", b"get"), 501),
        (GET.replace(b"GET", b"G(T"), 400),
        (GET.replace(b"HTTP/1.1", b"HTTP/2.0"), 505),
        (GET.replace(b"HTTP/1.1", b"http/1.1"), 400),
        (GET.replace(b"/first", b"*"), 400),
        (GET.replace(b"/first", b"first"), 400),
        (GET.replace(b"/first", b"/\xc3\xa9"), 400),
        (GET.replace(b"/first", b"/a#b"), 400),
        (GET.replace(b"\r\n", b"\n"), 400),
        (GET.replace(b" HTTP", b"  HTTP"), 400),
        (b"GET /\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (GET.replace(b"/first", b"ftp://a/first"), 400),
        (GET.replace(b"/first", b"http://user@a/first"), 400),
        (GET.replace(b"/first", b"http:///first"), 400),
        (GET.replace(b"Host: a", b"Host: a:123456"), 400),
        (GET.replace(b"Host: a", b"Host: user@a"), 400),
        (GET.replace(b"Host: a", b"Host: [::1"), 400),
        (GET.replace(b"Host: a", b"Host: ::1"), 400),
        (GET.replace(b"Host: a", b"Host: a\\b"), 400),
        (GET.replace(b"Host: a", b"Host: \xc3\xa9"), 400),
        *(
            (GET.replace(b"Host: a", b"Host: a\r\nTransfer-Encoding:" + coding), status)
            for coding, status in {
                b"\x0bchunked": 400,
                b"chunked\x00": 400,
                b' "chunked"': 501,
                b" identity": 501,
                b" chunked, identity": 501,
                b" , chunked": 501,
                b" chunked;q=1": 501,
                b"": 501,
                b" \xa0chunked": 501,
                b" chunked\x85": 501,
            }.items()
        ),
        *(
            (GET.replace(b"Host: a", b"Host: a\r\nContent-Length: " + length), 400)
            for length in (b"", b"-5", b"5.0", b"5e0", b"1_0", b"5 5", b"\xb2", b"\xd9\xa5", b"9" * 30)
        ),
        *(
            (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body, 400)
            for body in (
                *(b" 5\r\nhello", b"0x5\r\nhello", b"+5\r\nhello", b"0_5\r\nhello", b"\r\n", b";a\r\n"),
                *(
                    b"5;a\nhello",
                    b"5;a\rb\r\nhello",
                    b"5;a\0\r\nhello",
                    b"0" * 40 + b"5\r\nhello",
                    b"1" + b"0" * 16 + b"\r\n",
                ),
                *(b"5\r\nhello\n0\r\n\r\n", b"0\r\n\n", b"0\r\nX: y\n\r\n", b"0\r\nnocolon\r\n\r\n"),
                *(
                    b"0\r\nX : y\r\n\r\n",
                    b"0\r\nX: y\r\n folded\r\n\r\n",
                    b"0\r\nX: \0\r\n\r\n",
                    b"0\r\nX: a\rb\r\n\r\n",
                ),
            )
        ),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!!", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
    ],
)
def test_a_request_has_one_answer_whichever_way_it_comes(server, dial, request_bytes, expected, way):
    client = dial(server.port)
    deliver(client, request_bytes, way)
    assert status(client) == expected
    if expected == 101:
        client.send_frame(1, b"hello")
        assert client.read_frame() == (1, b"hello")
    else:
        assert client.at_end()


@pytest.mark.parametrize("way", WAYS)
def test_an_absolute_target_is_a_path_and_its_authority_is_the_host(server, dial, way):
    client = dial(server.port)
    deliver(client, b"GET http://example.com:80/x%20y?z=1 HTTP/1.1\r\nHost: other\r\n\r\n", way)
    told = answer(client)
    assert (told["path"], told["headers"]["host"]) == ("/x y", "example.com:80")


def test_empty_lines_in_front_of_a_request_are_ignored(server, dial):
    client = dial(server.port)
    for _ in range(2):
        client.send(b"\r\n\r\n" + GET)
        assert answer(client)["path"] == "/first"


SERVED = {
    b"Host: a:65535": b"",
    b"Host: [::1]:80": b"",
    b"Host: [fe80::1%25eth0]": b"",
    b"Host:": b"",
    b"Host: a\r\nTransfer-Encoding: CHUNKED": b"5\r\nhello\r\n0\r\n\r\n",
    b"Host: a\r\nTransfer-Encoding:\tchunked \t": (
        b'5;x="y"\r\nhello\r\n00;z\r\nX-T: y\r\nHost: b\r\nContent-Length: 9\r\n\r\n'
    ),
    b"Host: a\r\nTransfer_Encoding: chunked\r\nContent-Length: 5": b"hello",
    b"Host: a\r\nContent-Length: 05 ": b"hello",
    b"Host: a\r\nX: \xc3\xa9\r\nX-Empty:\r\nX: again": b"",
    b"Host: a\r\nExpect: something\r\nContent-Length: 5": b"hello",
    b"Host: a\r\nTE: trailers\r\nTrailer: X-T\r\nTransfer-Encoding: chunked": b"5\r\nhello\r\n0\r\nX-T: y\r\n\r\n",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("headers", SERVED)
@pytest.mark.parametrize("method", [b"POST", b"GET"])
def test_an_odd_request_that_is_valid_is_served_with_the_one_behind_it(server, dial, headers, method, way):
    body = SERVED[headers]
    client = dial(server.port)
    deliver(client, method + b" /odd HTTP/1.1\r\n" + headers + b"\r\n\r\n" + body + GET, way)
    told = answer(client)
    assert (told["path"], told["body"]) == ("/odd", "hello" if body else "")
    # What a trailer says is of no importance.
    assert told["headers"]["host"] != "b"
    assert answer(client)["path"] == "/first"


@pytest.mark.parametrize(
    ("version", "expect", "asked"),
    [
        (b"1.1", b"100-continue", True),
        (b"1.1", b"100-Continue", True),
        (b"1.1", b"100-continue, foo", True),
        (b"1.1", b"foo\r\nExpect: 100-continue", True),
        (b"1.1", b"foo", False),
        (b"1.1", b"", False),
        # It does not know the response (RFC 9110 section 10.1.1).
        (b"1.0", b"100-continue", False),
    ],
)
def test_a_client_that_expects_it_is_asked_to_continue(server, dial, version, expect, asked):
    client = dial(server.port)
    head = b"POST /upload HTTP/%b\r\nHost: a\r\nExpect: %b\r\nContent-Length: 5\r\n\r\n"
    client.send(head % (version, expect))
    server.wait_for_line("served /upload")
    if asked:
        assert status(client) == 100
    client.send(b"hello")
    assert answer(client)["body"] == "hello"


def test_a_client_without_a_body_is_not_asked_to_continue(server, dial):
    client = dial(server.port)
    client.send(GET.replace(b"Host", b"Expect: 100-continue\r\nHost"))
    assert answer(client)["path"] == "/first"


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_a_response_to_a_client_of_http_1_0_has_no_chunks(server, dial, method, known):
    """It does not know them (RFC 9112 section 6.1): the end of the connection ends the body."""
    client = dial(server.port)
    client.send(b"%b /streamed?%b HTTP/1.0\r\n\r\n" % (method, b"known" if known else b"unknown"))
    head = client.read_head().lower()
    assert (b"content-length: 6" in head) == known
    assert b"transfer-encoding" not in head
    if method == b"GET":
        assert client.read(6) == b"abcdef"
    assert client.read_frame() is None
    assert "Traceback" not in server.output


@pytest.mark.parametrize(
    "close", [b"close", b"CLOSE", b"foo, close", b"keep-alive\r\nConnection: close", b"close, keep-alive"]
)
def test_nothing_behind_the_last_request_is_served(server, dial, close):
    client = dial(server.port)
    client.send(b"GET /first HTTP/1.1\r\nHost: a\r\nConnection: " + close + b"\r\n\r\n" + HIDDEN)
    assert answer(client)["path"] == "/first"
    assert client.at_end()
    assert "served /hidden" not in server.output


PATHS = [
    *(b"//evil/x", b"/../x", b"/%2e%2e/x", b"/a%2Fb", b"/a%00b", b"/a%0d%0ab", b"/a%zz", b"/a%", b"/%ff"),
    *(b"/%ed%a0%80", b"/a\\b", b"/?a?b", b"/;a", b"/%C3%A9", b"/%c3"),
]


@pytest.mark.parametrize("target", PATHS)
def test_a_path_is_the_same_for_a_request_and_for_a_handshake(server, dial, target):
    client = dial(server.port)
    client.send(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n" + HANDSHAKE.replace(b"/ws", target))
    path = answer(client)["path"]
    assert status(client) == 101
    client.send_frame(1, b"path")
    assert json.loads(client.read_frame()[1]) == path


# Limits of a request.


def head_of(size: int, lines: int = 1) -> bytes:
    """Return a request head with *lines* lines of together *size* bytes, each of its own name."""
    each = size // lines
    return GET[:-2] + b"".join(b"X-%04d: " % i + b"y" * (each - 10) + b"\r\n" for i in range(lines)) + b"\r\n"


@pytest.mark.parametrize("way", ["whole", "behind a request"])
@pytest.mark.parametrize("handshake", [False, True], ids=["http", "handshake"])
@pytest.mark.parametrize(
    ("extra", "fits"),
    [
        (b"X: " + b"y" * 8187 + b"\r\n", True),
        (b"X: " + b"y" * 8188 + b"\r\n", False),
        (b"".join(b"X-%d: y\r\n" % i for i in range(90)), True),
        (b"".join(b"X-%d: y\r\n" % i for i in range(100)), False),
        (b"".join(b"X-%d: " % i + b"y" * 7000 + b"\r\n" for i in range(4)), True),
        (b"".join(b"X-%d: " % i + b"y" * 7000 + b"\r\n" for i in range(5)), False),
        (b"Cookie: " + b"\\" * 64_000 + b"\r\n", False),
        (b"".join(b"Cookie: " + b"\\" * 5000 + b"\r\n" for _ in range(3)), False),
        (b"".join(b"X-%d: y\r\n" % i for i in range(15_000)), False),
    ],
)
def test_a_head_over_a_limit_is_431(server, dial, way, handshake, extra, fits):
    request = HANDSHAKE if handshake else GET
    client = dial(server.port)
    deliver(client, request[:-2] + extra + b"\r\n", way)
    assert status(client) == ((101 if handshake else 200) if fits else 431)


@pytest.mark.parametrize("way", ["whole", "behind a request"])
def test_a_long_target_is_431(server, dial, way):
    client = dial(server.port)
    deliver(client, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", way)
    assert status(client) == 431


@pytest.mark.parametrize("chunked", [False, True], ids=["fixed", "chunked"])
def test_a_body_over_the_limit_is_413(serve, dial, stack, chunked):
    server = serve(APP, prelude=stack, http=HttpSettings(max_body_bytes=1000)).wait_until_ready()
    framing = b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: %d\r\n\r\n"
    for size, expected in ((1000, 200), (1001, 413)):
        client = dial(server.port)
        head = b"POST /upload HTTP/1.1\r\nHost: a\r\n" + framing
        body = b"y" * size
        client.send(head + b"%x\r\n%b\r\n0\r\n\r\n" % (size, body) if chunked else head % size + body)
        assert status(client) == expected
    client = dial(server.port)
    if chunked:
        client.send(b"POST /upload HTTP/1.1\r\nHost: a\r\n" + framing + b"10\r\n" + b"y" * 16 + b"\r\n")
        server.wait_for_line("served /upload")
        client.send(b"ffffff\r\n")
        assert status(client) == 413
        server.wait_for_line("disconnected /upload")
    else:
        client.send(b"POST /upload HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n" + framing % 999_999_999_999)
        assert status(client) == 413


def test_a_body_of_16_mib_passes_by_default(server, dial):
    client = dial(server.port)
    client.send(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (16 * 1024 * 1024 + 1))
    assert status(client) == 413


def test_a_body_that_makes_no_progress_is_408_and_frees_its_place(serve, dial, stack):
    server = serve(
        APP,
        prelude=stack,
        http=HttpSettings(body_timeout_s=1),
        admission=AdmissionSettings(limit_connections=4),
    ).wait_until_ready()
    clients = []
    for framing in (b"Content-Length: 5\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n5\r\n"):
        for sent in (b"", b"hel"):
            clients.append(dial(server.port))
            clients[-1].send(b"POST /upload HTTP/1.1\r\nHost: a\r\n" + framing + sent)
    for client in clients:
        assert status(client) == 408
        assert client.at_end()
    assert httpx.get(server.url + "/free").status_code == 200


def test_a_slow_body_that_makes_progress_is_served(serve, dial, stack):
    settings = HttpSettings(body_timeout_s=3, min_transfer_bytes_per_s=1)
    server = serve(APP, prelude=stack, http=settings).wait_until_ready()
    client = dial(server.port)
    client.send(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
    begin = time.monotonic()
    for byte in b"hello":
        # Progress is what the test is about: five times less than the timeout, in all more than it.
        time.sleep(0.8)
        client.send(bytes([byte]))
    assert answer(client)["body"] == "hello"
    assert time.monotonic() - begin > 3


@pytest.mark.parametrize("chunked", [False, True], ids=["fixed", "chunked"])
def test_a_body_that_drips_is_408(serve, dial, stack, chunked):
    server = serve(APP, prelude=stack, http=HttpSettings(body_timeout_s=1)).wait_until_ready()
    client = dial(server.port)
    framing = b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: 1000000\r\n\r\n"
    client.send(b"POST /upload HTTP/1.1\r\nHost: a\r\n" + framing)
    ended = threading.Event()
    threading.Thread(target=drip, args=(client, b"1\r\nx\r\n" if chunked else b"x", ended), daemon=True).start()
    assert status(client) == 408
    ended.set()
    server.wait_for_line("disconnected /upload")


def drip(client, piece: bytes, ended: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while not ended.wait(0.2):
            client.send(piece)


def test_the_time_that_the_application_does_not_read_is_not_the_clients(serve, dial, stack):
    server = serve(APP, prelude=stack, http=HttpSettings(body_timeout_s=0.5)).wait_until_ready()
    client = dial(server.port)
    # More than the server holds: it stops reading until the application goes on.
    size = 1024 * 1024
    client.send(b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + bytes(size // 2))
    server.wait_for_line("served /slow")
    time.sleep(2)
    httpx.get(server.url + "/go")
    client.send(bytes(size // 2))
    assert len(answer(client)["body"]) == size


@pytest.mark.parametrize("way", ["whole", "in pieces"])
def test_a_head_that_drips_is_408_in_time(serve, dial, stack, way):
    """One deadline for the whole head, however it comes: it ends before that of a client which has come later."""
    connection = ConnectionSettings(handshake_timeout_s=2)
    server = serve(APP, prelude=stack, connection=connection).wait_until_ready()
    client = dial(server.port)
    time.sleep(0.6)
    later = dial(server.port)
    time.sleep(0.6)
    client.send(b"GET / HTTP/1.1\r\n")
    ended = threading.Event()
    if way == "in pieces":
        threading.Thread(target=drip, args=(client, b"X-Y: z\r\n", ended), daemon=True).start()
    assert client in first_answered(client, later)
    assert status(client) == 408
    ended.set()


BIG = """
    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        size = 8_000_000 if scope["path"] == "/stream" else 40_000_000
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
        if scope["path"] == "/stream":
            for _ in range(80):
                await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
        await send({"type": "http.response.body", "body": b"" if scope["path"] == "/stream" else bytes(size)})
        print("sent", flush=True)
"""


@pytest.mark.parametrize("path", [b"/stream", b"/whole"])
@pytest.mark.parametrize("reads", [False, True], ids=["nothing", "too little"])
def test_a_client_that_does_not_take_its_response_is_disconnected(serve, dial, stack, path, reads):
    settings = HttpSettings(response_timeout_s=1, min_transfer_bytes_per_s=1_000_000, keep_alive_timeout_s=0.5)
    server = serve(BIG, prelude=stack, http=settings, admission=AdmissionSettings(limit_connections=1))
    client = dial(server.port, receive_buffer=65536)
    client.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
    ended = threading.Event()
    if reads:
        threading.Thread(target=sip, args=(client, ended), daemon=True).start()
    server.wait_for_line(r'"GET \S+" disconnected: it took \d+ bytes in \d+ s, and \d+ wait')
    ended.set()


def sip(client, ended: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while not ended.wait(0.1):
            client.socket.recv(5000)


def test_a_client_that_takes_its_response_slowly_gets_all_of_it(serve, dial, stack):
    settings = HttpSettings(response_timeout_s=1, keep_alive_timeout_s=0.5)
    server = serve(BIG, prelude=stack, http=settings)
    client = dial(server.port, receive_buffer=65536)
    client.send(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b" 200 " in client.read_head()
    received = len(client._unread)
    while received < 8_000_000:
        time.sleep(0.05)
        data = client.socket.recv(200_000)
        assert data
        received += len(data)


# Connections.


def test_a_client_that_closes_its_side_gets_its_answer(server, dial):
    client = dial(server.port)
    client.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    client.close_writing()
    httpx.get(server.url + "/go")
    assert answer(client)["path"] == "/slow"
    assert client.at_end()


def test_a_client_that_closes_its_side_gets_all_its_answers(server, dial):
    client = dial(server.port)
    client.send(b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + GET * 2)
    client.close_writing()
    httpx.get(server.url + "/go")
    assert [answer(client)["path"] for _ in range(3)] == ["/slow", "/first", "/first"]
    assert client.at_end()


def test_a_responder_that_waits_for_its_client_to_leave_learns_of_a_closed_side(server, dial):
    before = server.output.count("client gone")
    client = dial(server.port)
    client.send(b"GET /waits HTTP/1.1\r\nHost: a\r\n\r\n")
    server.wait_for_line("served /waits")
    client.close_writing()
    deadline = time.monotonic() + 20
    while server.output.count("client gone") == before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.output.count("client gone") == before + 1


LEAVES = {
    "reset": RawClient.reset,
    "closed": lambda client: client.socket.close(),
    "closed its side": RawClient.close_writing,
}


def send_what_fits(client, data):
    """Send *data* as far as client and server take it at once."""
    client.socket.setblocking(False)
    view = memoryview(data)
    with contextlib.suppress(BlockingIOError, ssl.SSLWantWriteError):
        while view:
            view = view[client.socket.send(view) :]
    client.socket.settimeout(WAIT_S)


@pytest.mark.parametrize("encrypted", [False, True], ids=["tcp", "tls"])
def test_a_responder_learns_of_a_client_that_leaves_behind_more_than_is_read(serve, dial, tls, stack, encrypted):
    """The end of the stream is behind requests that the server does not read before it has answered this one."""
    certificate, context = tls
    options = {"tls": TlsSettings(certificate)} if encrypted else {}
    server = serve(APP, prelude=stack, **options).wait_until_ready()
    # The kernel holds what the server does not read, and then the client's too.
    cases = list(itertools.product(LEAVES.values(), [6000, 300_000]))
    for number, (leave, requests) in enumerate(cases):
        client = dial(server.port)
        if encrypted:
            client.encrypt(context)
        send_what_fits(client, b"GET /waits?%d HTTP/1.1\r\nHost: a\r\n\r\n" % number + GET * requests)
        # A reset may discard what has not been read.
        server.wait_for_line(f"waits {number}")
        leave(client)
    for number in range(len(cases)):
        server.wait_for_line(f"client gone {number}")
    assert "Traceback" not in server.output


@pytest.mark.parametrize("encrypted", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize("begins", ["early", "late"])
def test_a_response_that_waits_for_its_client_to_leave_is_the_last_one_of_a_client_that_sends_much_more(
    serve, dial, tls, stack, encrypted, begins
):
    certificate, context = tls
    options = {"tls": TlsSettings(certificate)} if encrypted else {}
    server = serve(APP, prelude=stack, http=HttpSettings(max_body_bytes=2**30), **options).wait_until_ready()
    client, other = dial(server.port), dial(server.port)
    if encrypted:
        client.encrypt(context)
        other.encrypt(context)
    # Much more than the kernel holds: all of it is taken only because the server discards it.
    client.send(b"GET /events?%b HTTP/1.1\r\nHost: a\r\n\r\n" % begins.encode() + GET * 1_000_000)
    other.send(GET.replace(b"/first", b"/go"))
    assert answer(other)["path"] == "/go"
    head = client.read_head()
    assert head.startswith(b"HTTP/1.1 200")
    assert (b"connection: close" in head.lower()) == (begins == "late")
    assert client.read(6) == b"abcdef"
    assert client.read_frame() is None
    assert "served /first" not in server.output
    assert "Traceback" not in server.output


def test_a_client_that_sends_much_more_behind_an_endless_response_is_disconnected(serve, dial, stack):
    server = serve(APP, prelude=stack, http=HttpSettings(max_body_bytes=1_000_000)).wait_until_ready()
    client = dial(server.port)
    with pytest.raises(ConnectionError):
        client.send(b"GET /waits HTTP/1.1\r\nHost: a\r\n\r\n" + GET * 1_000_000)
    server.wait_for_line("client gone")


UPLOAD = b"POST /upload HTTP/1.1\r\nHost: a\r\n"
CUT_OFF = {
    "a line": b"GET /fir",
    "a head": GET[:-2],
    "a handshake": HANDSHAKE[:-2],
    "no body": UPLOAD + b"Content-Length: 5\r\n\r\n",
    "a body": UPLOAD + b"Content-Length: 5\r\n\r\nhel",
    "a body that was not asked for": UPLOAD + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    "no chunks": UPLOAD + b"Transfer-Encoding: chunked\r\n\r\n",
    "a chunk": UPLOAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
    "no last chunk": UPLOAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "many chunks": UPLOAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 1000,
    "a trailer": UPLOAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y",
}


@pytest.mark.parametrize("part", CUT_OFF)
@pytest.mark.parametrize("behind", [0, 1, 2])
def test_a_request_that_is_cut_off_is_400_behind_the_answers_to_others(server, dial, part, behind):
    client = dial(server.port)
    client.send(GET * behind + CUT_OFF[part])
    client.close_writing()
    for _ in range(behind):
        assert answer(client)["path"] == "/first"
    # A client that has not sent the body is asked for it, if the application waits for it.
    while (code := status(client)) == 100:
        pass
    assert code == 400
    assert client.at_end()


def test_a_request_that_is_cut_off_behind_a_slow_one_is_400(server, dial):
    client = dial(server.port)
    client.send(GET.replace(b"/first", b"/slow") + CUT_OFF["a body"])
    client.close_writing()
    httpx.get(server.url + "/go")
    assert answer(client)["path"] == "/slow"
    assert status(client) == 400
    assert client.at_end()


def test_the_application_is_told_that_a_body_is_cut_off(serve, dial, stack):
    server = serve(APP, prelude=stack).wait_until_ready()
    client = dial(server.port)
    client.send(CUT_OFF["a body"])
    server.wait_for_line("served /upload")
    client.close_writing()
    assert status(client) == 400
    server.wait_for_line("disconnected /upload")
    server.wait_for_line('"POST /upload" refused with 400: The connection ended before the request did')


@pytest.mark.parametrize("before", [b"", GET, b"\r\n"], ids=["nothing", "a request", "an empty line"])
def test_a_client_that_leaves_between_requests_is_not_answered(server, dial, before):
    client = dial(server.port)
    client.send(before)
    if before == GET:
        answer(client)
    client.close_writing()
    assert client.read_head() == b""


def test_nothing_is_upgraded_for_a_client_that_has_closed_its_side(server, dial):
    client = dial(server.port)
    client.send(GET + HANDSHAKE)
    client.close_writing()
    assert answer(client)["path"] == "/first"
    assert client.at_end()


ANSWERED_EARLY = {
    "stops": (b"Content-Length: 5", b"hel"),
    "stops in a chunk": (b"Transfer-Encoding: chunked", b"5\r\nhel"),
    "is malformed": (b"Transfer-Encoding: chunked", b"x\r\n"),
    "is too large": (b"Transfer-Encoding: chunked", b"ffffffffff\r\n"),
    "has a malformed trailer": (b"Transfer-Encoding: chunked", b"0\r\nno colon\r\n\r\n"),
    "ends": (b"Content-Length: 5", None),
}


@pytest.mark.parametrize("encrypted", [False, True], ids=["tcp", "tls"])
def test_a_request_that_was_answered_early_has_no_second_answer(serve, dial, tls, stack, encrypted):
    """The client would take it for the answer to its next request."""
    certificate, context = tls
    options = {"tls": TlsSettings(certificate)} if encrypted else {}
    server = serve(APP, prelude=stack, http=HttpSettings(body_timeout_s=0.7), **options).wait_until_ready()
    clients = []
    for (framing, body), close in itertools.product(ANSWERED_EARLY.values(), (b"", b"Connection: close\r\n")):
        client = dial(server.port)
        clients.append(client)
        if encrypted:
            client.encrypt(context)
        client.send(b"POST /early HTTP/1.1\r\nHost: a\r\n" + close + framing + b"\r\n\r\n")
        assert answer(client)["path"] == "/early"
        with contextlib.suppress(OSError):
            if body is None:
                client.socket.shutdown(socket.SHUT_WR)
            else:
                client.send(body)
    # Over TLS, where a connection has no half-closed state, the server waits for some seconds before it closes.
    for client in clients:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            assert client.socket.recv(1000) == b""
        assert client._unread == b""
    # A handshake behind such a request, or behind none, is another request.
    for early in (b"", b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"):
        client = dial(server.port)
        if encrypted:
            client.encrypt(context)
        client.send(early)
        if early:
            assert answer(client)["path"] == "/early"
            client.send(b"hello")
        client.send(HANDSHAKE.replace(b"13", b"8"))
        assert status(client) == 426
    assert "Traceback" not in server.output


# Request targets: RFC 9112 section 3.2.


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("target", [b"*", b"http://example.com", b"HTTPS://example.com:8443"])
@pytest.mark.parametrize("body", [b"", b"hello"], ids=["no body", "body"])
def test_options_of_the_server_are_answered_by_the_server(server, dial, target, way, body):
    """RFC 9110 section 9.3.7."""
    client = dial(server.port)
    length = b"Content-Length: 5\r\n" if body else b""
    deliver(client, b"OPTIONS " + target + b" HTTP/1.1\r\nHost: a\r\n" + length + b"\r\n" + body + GET, way)
    head = client.read_head().lower()
    assert head.startswith(b"HTTP/1.1 200 ".lower())
    assert b"content-length: 0" in head
    assert b"allow: get, head, post, put, patch, delete, options" in head
    assert answer(client)["path"] == "/first"


TARGETS = {
    b"OPTIONS /x": (200, "/x"),
    b"OPTIONS http://example.com/": (200, "/"),
    b"OPTIONS http://example.com?a": (200, "/"),
    b"GET http://example.com": (200, "/"),
    b"GET http://example.com?a": (200, "/"),
    b"GET HTTP://EXAMPLE.COM:80/x": (200, "/x"),
    b"GET ws://example.com/x": (200, "/x"),
    b"GET http://[::1]:80/x": (200, "/x"),
    b"GET /*": (200, "/*"),
    b"OPTIONS /*": (200, "/*"),
    b"GET /http://example.com/x": (200, "/http://example.com/x"),
    b"GET *": (400, None),
    b"POST *": (400, None),
    b"HEAD *": (400, None),
    b"OPTIONS **": (400, None),
    b"OPTIONS *?a": (400, None),
    b"OPTIONS */": (400, None),
    b"OPTIONS example.com:80": (400, None),
    b"GET example.com:80": (400, None),
    b"GET example.com": (400, None),
    b"GET ?a": (400, None),
    b"GET http:/x": (400, None),
    b"GET http:x": (400, None),
    b"GET http://": (400, None),
    b"GET http://a b/x": (400, None),
    b"GET http://a\\b/x": (400, None),
    b"GET http://example.com/x#y": (400, None),
    b"GET https://user:password@example.com/x": (400, None),
    b"GET file:///etc/passwd": (400, None),
    b"GET data:,x": (400, None),
    b"CONNECT example.com:443": (501, None),
    b"CONNECT *": (501, None),
    b"CONNECT /x": (501, None),
    b"CONNECT http://example.com": (501, None),
    b"connect example.com:443": (501, None),
    b"PRI *": (501, None),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("line", TARGETS)
def test_a_target_is_a_path_or_refused(server, dial, line, way):
    expected, path = TARGETS[line]
    client = dial(server.port)
    deliver(client, line + b" HTTP/1.1\r\nHost: a\r\n\r\n", way)
    if path is None:
        assert status(client) == expected
        assert client.at_end()
    else:
        assert answer(client)["path"] == path


def test_the_time_for_another_request_is_an_option(serve, dial, stack):
    """By default it is longer than that of a client which sends nothing."""
    options = {"http": HttpSettings(keep_alive_timeout_s=0.5), "connection": ConnectionSettings(handshake_timeout_s=4)}
    server = serve(APP, prelude=stack, **options).wait_until_ready()
    client = dial(server.port)
    client.send(GET)
    answer(client)
    silent = dial(server.port)
    assert client in first_answered(client, silent)
    assert client.at_end()


def test_a_slow_head_is_not_cut_off_by_the_time_between_requests(serve, dial, stack):
    server = serve(APP, prelude=stack, http=HttpSettings(keep_alive_timeout_s=0.5)).wait_until_ready()
    client = dial(server.port)
    client.send(GET)
    answer(client)
    client.send(GET[:10])
    time.sleep(1.5)
    client.send(GET[10:])
    assert answer(client)["path"] == "/first"


# Over TLS, a Unix socket, and several workers.


REFUSED = {
    GET.replace(b"Host: a\r\n", b""): 400,
    GET.replace(b"Host: a", b"Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked"): 400,
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nnocolon\r\n\r\n": 400,
    GET.replace(b"Host: a", b"Host: a\r\nTransfer-Encoding: xchunked"): 501,
    GET.replace(b"/first", b"ftp://a/first"): 400,
    head_of(9000): 431,
    b"GET /\r\n": 400,
}


@pytest.mark.parametrize("way", WAYS)
def test_requests_have_the_same_answers_over_tls(serve, dial, tls, stack, way):
    certificate, context = tls
    server = serve(APP, prelude=stack, tls=TlsSettings(certificate)).wait_until_ready()

    def ask(data: bytes):
        client = dial(server.port)
        client.encrypt(context)
        deliver(client, data, way)
        return client

    upgrade = b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello"
    assert answer(ask(b"POST /upload HTTP/1.1\r\nHost: a\r\n" + upgrade))["body"] == "hello"
    client = ask(
        GET + changed(b"Upgrade: websocket", b"Upgrade: websocket, foo") + dial(server.port).frame(1, b"early")
    )
    assert answer(client)["path"] == "/first"
    assert status(client) == 101
    assert client.read_frame() == (1, b"early")
    for data, expected in REFUSED.items():
        assert status(ask(data)) == expected


@pytest.mark.parametrize("kind", ["unix", "workers"])
def test_requests_have_the_same_answers_over_a_unix_socket_and_on_workers(serve, dial, stack, kind, tmp_path):
    options = {"uds": str(tmp_path / "s")} if kind == "unix" else {"workers": 2}
    server = serve(APP, prelude=stack, **options)
    server.wait_for_line("workers are ready" if kind == "workers" else "startup complete")
    where = options["uds"] if kind == "unix" else server.port
    for way in WAYS:
        client = dial(where)
        upgrade = b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello"
        deliver(client, b"POST /upload HTTP/1.1\r\nHost: a\r\n" + upgrade, way)
        assert answer(client)["body"] == "hello"
        client.send(GET + HANDSHAKE + client.frame(1, b"early"))
        assert answer(client)["path"] == "/first"
        assert status(client) == 101
        assert client.read_frame() == (1, b"early")
        for data, expected in REFUSED.items():
            client = dial(where)
            deliver(client, data, way)
            assert status(client) == expected
            assert client.at_end()


def test_a_body_of_tiny_chunks_does_not_hold_others_up(server, dial):
    """Many are read at a time; the requests of others are served in between."""
    many = dial(server.port)
    count = 200_000
    many.send(b"POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    bodies: list[str] = []

    def send() -> None:
        many.send(b"1\r\nx\r\n" * count + b"0\r\n\r\n")
        bodies.append(answer(many)["body"])

    sender = threading.Thread(target=send)
    sender.start()
    other = dial(server.port)
    served = 0
    while sender.is_alive():
        other.send(GET)
        assert answer(other)["path"] == "/first"
        served += 1
    assert len(bodies[0]) == count
    # Read at a stretch, a quarter of a megabyte takes a third of a second, and others are served five times.
    assert served > 15
