"""The opening handshake: what is accepted, what is refused and how, and what goes back."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconws.server.handshake import (
    accept_value,
    denial_head,
    parse_request,
    plain_denial,
    upgrade_response,
)
from falconws.server.request_head import RequestError

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
GOOD = {
    b"host": b"example.com",
    b"upgrade": b"websocket",
    b"connection": b"Upgrade",
    b"sec-websocket-key": KEY,
    b"sec-websocket-version": b"13",
}


def request(line=b"GET /chat HTTP/1.1", extra=(), **changes):
    headers = {**GOOD, **{name.replace("_", "-").encode(): value for name, value in changes.items()}}
    pairs = [(name, value) for name, value in headers.items() if value is not None] + list(extra)
    return b"".join([line, b"\r\n", *(n + b": " + v + b"\r\n" for n, v in pairs), b"\r\n"])


def test_the_key_of_the_rfc_has_the_answer_of_the_rfc():
    assert accept_value(KEY) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_a_handshake_comes_apart():
    parsed = parse_request(
        request(
            b"GET /caf%C3%A9/x?a=1?b HTTP/1.1",
            [
                (b"sec-websocket-protocol", b"chat, superchat"),
                (b"sec-websocket-protocol", b"third"),
                (b"X-Upper", b"\xe9"),
            ],
        )
    )
    assert parsed.path == "/café/x"
    assert parsed.raw_path == b"/caf%C3%A9/x"
    assert parsed.query_string == b"a=1?b"
    assert parsed.key == KEY
    assert parsed.subprotocols == ["chat", "superchat", "third"]
    assert (b"x-upper", b"\xe9") in parsed.headers


def test_a_list_of_connection_tokens_passes():
    assert parse_request(request(connection=b"keep-alive, Upgrade", upgrade=b"WebSocket"))


@pytest.mark.parametrize(
    ("target", "path"),
    [(b"http://h/a", "/a"), (b"http://h", "/"), (b"http://h?x=1", "/")],
)
def test_the_absolute_form_of_a_target_passes(target, path):
    assert parse_request(request(b"GET " + target + b" HTTP/1.1")).path == path


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request(b"POST / HTTP/1.1"), 405),
        (request(b"GET / HTTP/1.0"), 400),
        (request(b"GET /"), 400),
        (request(b"GET * HTTP/1.1"), 400),
        (request(host=None), 400),
        (request(upgrade=b"h2c"), 426),
        (request(connection=b"close"), 400),
        (request(sec_websocket_version=b"8"), 426),
        (request(sec_websocket_version=None), 426),
        (request(sec_websocket_key=None), 400),
        (request(sec_websocket_key=b"c2hvcnQ="), 400),
        (request(sec_websocket_key=b"not base64!!!!!!!!!!!!!!"), 400),
        (request(extra=[(b"sec-websocket-key", KEY)]), 400),
        (request(extra=[(b"content-length", b"5")]), 400),
        (request(extra=[(b"transfer-encoding", b"chunked")]), 400),
        (request(extra=[(b"bad name", b"x")]), 400),
    ],
)
def test_what_is_no_handshake_is_refused(data, status):
    with pytest.raises(RequestError) as caught:
        parse_request(data)
    assert caught.value.status == status


def test_another_version_is_told_the_right_one():
    with pytest.raises(RequestError) as caught:
        parse_request(request(sec_websocket_version=b"8"))
    assert (b"sec-websocket-version", b"13") in caught.value.headers


@given(st.binary(max_size=300))
def test_any_bytes_are_a_handshake_or_refused(data):
    for candidate in (data, request(extra=[(b"x", data)]), b"GET " + data + b"\r\n\r\n"):
        try:
            status = parse_request(candidate) and 101
        except RequestError as error:
            status = error.status
        assert status in (101, 400, 405, 426)


@given(st.binary(min_size=16, max_size=16))
def test_every_key_is_answered(nonce):
    key = base64.b64encode(nonce)
    response = upgrade_response(key, subprotocol="chat", headers=[(b"set-cookie", b"a=b")], extensions="x")
    assert response.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert response.endswith(b"\r\n\r\n")
    lines = response.split(b"\r\n")
    assert b"Sec-WebSocket-Accept: " + accept_value(key) in lines
    assert {b"Sec-WebSocket-Protocol: chat", b"set-cookie: a=b", b"Sec-WebSocket-Extensions: x"} <= set(lines)


@pytest.mark.parametrize(
    "bad",
    [
        {"headers": [(b"x", b"a\r\nset-cookie: stolen")]},
        {"headers": [(b"x y", b"a")]},
        {"headers": [(b"Upgrade", b"h2c")]},
        {"headers": [(b"sec-websocket-protocol", b"chat")]},
        {"subprotocol": "a b"},
        {"subprotocol": "é"},
        {"subprotocol": "a\r\nb"},
    ],
)
def test_a_response_header_cannot_break_the_handshake(bad):
    with pytest.raises(ValueError, match=r"malformed|belongs|token"):
        upgrade_response(KEY, **bad)


def test_a_denial_is_a_whole_http_response():
    response = plain_denial(503, "gone", default_headers=[(b"server", b"s")], headers=[(b"retry-after", b"1")])
    head, body = response.split(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 503 Service Unavailable",
        b"server: s",
        b"content-type: text/plain; charset=utf-8",
        b"retry-after: 1",
        b"content-length: 4",
        b"connection: close",
    ]
    assert body == b"gone"


def test_a_denials_own_headers_replace_the_defaults():
    head = denial_head(401, default_headers=[(b"server", b"s")], headers=[(b"Server", b"mine")], content_length=0)
    assert head.lower().count(b"server:") == 1


@pytest.mark.parametrize("status", [101, 199, 600, 0])
def test_a_denial_needs_a_final_status(status):
    with pytest.raises(ValueError, match="status"):
        denial_head(status)
