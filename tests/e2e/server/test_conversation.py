"""A bare ASGI app on the fast engine: messages, ends, and what both sides learn of them."""

import ast
import json
import ssl

import pytest
import trustme
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect, unix_connect

from falconws.server import ConnectionSettings, DeflateSettings, TlsSettings

# Echoes, and does on demand what its path says; tells each end on a second connection to /ends.
APP = """
    import asyncio

    import collections

    ends = collections.defaultdict(asyncio.Queue)

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                event = await receive()
                scope["state"]["answer"] = 42
                await send({"type": event["type"] + ".complete"})
                if event["type"] == "lifespan.shutdown":
                    return
        path = scope["path"].removeprefix(scope["root_path"])
        connection = scope["extensions"]["falconws.connection"]
        assert (await receive())["type"] == "websocket.connect"
        if path == "/ends":
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": repr(await ends[scope['query_string']].get())})
            return
        if path == "/scope":
            await send({"type": "websocket.accept", "subprotocol": "chat", "headers": [(b"x-mine", b"1")]})
            shown = {key: repr(value) for key, value in scope.items() if key != "extensions"}
            import json
            await send({"type": "websocket.send", "text": json.dumps(shown)})
            return
        if path == "/close":
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": 4321, "reason": "enough"})
        elif path == "/crash":
            await send({"type": "websocket.accept"})
            raise RuntimeError("on purpose")
        elif path == "/big":
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "bytes": bytes(range(256)) * 20000})
        elif path == "/refuse":
            await send({"type": "websocket.close"})
        elif path == "/deny":
            headers = [(b"retry-after", b"7"), (b"content-type", b"text/plain")]
            await send({"type": "websocket.http.response.start", "status": 429, "headers": headers})
            await send({"type": "websocket.http.response.body", "body": b"slow ", "more_body": True})
            await send({"type": "websocket.http.response.body", "body": b"down"})
        elif path == "/return":
            return
        elif path == "/wait":
            await send({"type": "websocket.accept"})
            gone = asyncio.Event()
            connection.add_disconnect_callback(gone.set)
            await gone.wait()
        elif path == "/early":
            gone = asyncio.Event()
            connection.add_disconnect_callback(gone.set)
            await gone.wait()
        else:
            await send({"type": "websocket.accept"})
        while True:
            event = await receive()
            if event["type"] == "websocket.disconnect":
                break
            try:
                await send({**event, "type": "websocket.send"})
            except OSError:
                pass
        try:
            await send({"type": "websocket.send", "text": "too late"})
            late = "sent"
        except OSError:
            late = "OSError"
        key = dict(scope["headers"]).get(b"x-key")
        ends[key].put_nowait((event["code"], event["reason"], connection.close_code, late))
"""


def end_of(server, key: str) -> tuple:
    """Return what the application was told when the connection with *key* ended, as soon as it is told."""
    with connect(f"{server.ws_url}/ends?{key}") as client:
        return ast.literal_eval(client.recv(timeout=20))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 8191, 8192, 8193, 65535, 65536, 524288, 524289, 1048576])
def test_messages_of_every_size_come_back(server, size):
    with connect(server.ws_url, max_size=None, compression=None) as client:
        client.send(b"\xa5" * size)
        client.send("ü" * (size // 2))
        assert client.recv(timeout=20) == b"\xa5" * size
        assert client.recv(timeout=20) == "ü" * (size // 2)


def test_fragments_with_pings_between_are_one_message(server, dial):
    client = dial(server.port)
    assert b" 101 " in client.handshake()
    client.send_frame(1, "ü".encode()[:1], fin=False)
    client.send_frame(9, b"are you there")
    client.send_frame(0, "ü".encode()[1:], fin=False)
    client.send_frame(0, b"!", fin=True)
    assert client.read_frame() == (10, b"are you there")
    assert client.read_frame() == (1, "ü!".encode())


def test_a_large_message_goes_out_in_fragments_and_comes_in_whole(server):
    with connect(server.ws_url + "/big", max_size=None, compression=None) as client:
        assert client.recv(timeout=20) == bytes(range(256)) * 20000


def test_many_messages_in_one_segment_keep_their_order(server, dial):
    client = dial(server.port)
    client.handshake()
    client.send(b"".join(client.frame(1, str(number).encode()) for number in range(2000)))
    assert [client.read_frame() for _ in range(2000)] == [(1, str(number).encode()) for number in range(2000)]


@pytest.mark.parametrize(
    ("code", "reason", "told"),
    [(1000, "", (1000, "")), (1001, "gone", (1001, "gone")), (4999, "süß", (4999, "süß"))],
)
def test_the_clients_close_code_and_reason_are_told(server, code, reason, told):
    key = f"close-{code}"
    with connect(server.ws_url, additional_headers={"x-key": key}) as client:
        client.close(code, reason)
        assert client.protocol.close_rcvd.code == code
    assert end_of(server, key) == (*told, code, "OSError")


def test_a_close_without_status_is_1005(server, dial):
    client = dial(server.port)
    client.handshake()
    client.send_frame(8)
    assert client.read_frame() == (8, b"")
    assert client.at_end()
    assert end_of(server, client.key) == (1005, "", 1005, "OSError")


@pytest.mark.parametrize("path", ["/", "/wait"])
@pytest.mark.parametrize("leave", ["reset", "fin", "half"])
def test_a_client_that_vanishes_is_1006_at_once(server, dial, path, leave):
    client = dial(server.port)
    client.handshake(path)
    if leave == "reset":
        client.reset()
    elif leave == "half":
        client.socket.shutdown(1)
    else:
        client.socket.close()
    assert end_of(server, client.key) == (1006, "", 1006, "OSError")


@pytest.mark.parametrize("leave", ["reset", "fin", "half"])
def test_a_client_that_vanishes_before_the_accept_is_noticed(server, dial, leave):
    client = dial(server.port)
    client.request("/early")
    if leave == "reset":
        client.reset()
    elif leave == "half":
        client.socket.shutdown(1)
    else:
        client.socket.close()
    assert end_of(server, client.key) == (1006, "", 1006, "OSError")


def test_the_applications_close_reaches_the_client(server, dial):
    client = dial(server.port)
    client.handshake("/close")
    assert client.read_close() == (4321, "enough")
    client.send_frame(8, (4321).to_bytes(2, "big"))
    assert client.at_end()
    assert end_of(server, client.key) == (4321, "enough", 4321, "OSError")


def test_an_application_error_is_1011(server):
    with connect(server.ws_url + "/crash") as client, pytest.raises(ConnectionClosedError, match="1011"):
        client.recv(timeout=20)
    server.wait_for_line("RuntimeError: on purpose")


VIOLATIONS = [
    ("unmasked", b"\x81\x01x", 1002),
    ("reserved opcode", b"\x83\x80\0\0\0\0", 1002),
    ("reserved bit 1", b"\xc1\x80\0\0\0\0", 1002),
    ("reserved bit 2", b"\xa1\x80\0\0\0\0", 1002),
    ("reserved bit on a ping", b"\x99\x80\0\0\0\0", 1002),
    ("fragmented ping", b"\x09\x80\0\0\0\0", 1002),
    ("ping over 125 bytes", b"\x89\xfe\x00\x7e\0\0\0\0" + bytes(126), 1002),
    ("continuation of nothing", b"\x80\x80\0\0\0\0", 1002),
    ("new message within one", b"\x01\x80\0\0\0\0\x81\x80\0\0\0\0", 1002),
    ("length not minimal", b"\x82\xfe\x00\x01\0\0\0\0x", 1002),
    ("bad utf-8", b"\x81\x81\0\0\0\0\xff", 1007),
    ("bad utf-8 in a fragment", b"\x01\x81\0\0\0\0\xff", 1007),
    ("half a close code", b"\x88\x81\0\0\0\0\x03", 1002),
    ("close code 1006", b"\x88\x82\0\0\0\0\x03\xee", 1002),
    ("close code 0", b"\x88\x82\0\0\0\0\0\0", 1002),
    ("frame over the limit", b"\x82\xff\0\0\0\0\0\x10\0\x01\0\0\0\0", 1009),
]


@pytest.mark.parametrize(("data", "code"), [v[1:] for v in VIOLATIONS], ids=[v[0] for v in VIOLATIONS])
def test_a_violation_has_its_code_on_both_ends(server, dial, data, code):
    client = dial(server.port)
    client.handshake()
    client.send(data)
    assert client.read_close()[0] == code
    assert client.at_end()
    client.socket.close()
    assert end_of(server, client.key)[0] == code
    server.wait_for_line(f"WebSocket failed with {code}")
    # The server is shared, and one of its tests crashes the application.
    assert server.output.count("Traceback") == server.output.count("RuntimeError: on purpose")


def test_a_message_over_the_limit_in_fragments_is_1009(server, dial):
    client = dial(server.port)
    client.handshake()
    client.send_frame(2, bytes(1048576), fin=False)
    client.send_frame(0, b"x", fin=True)
    assert client.read_close() == (1009, "message over 1048576 bytes")


def test_the_client_reads_1009_although_it_is_still_sending(server):
    with (
        connect(server.ws_url, max_size=None, compression=None) as client,
        pytest.raises(ConnectionClosedError, match="1009"),
    ):
        client.send(bytes(30_000_000))
        client.recv(timeout=20)


def test_an_endless_row_of_empty_fragments_is_1009(server, dial):
    client = dial(server.port)
    client.handshake()
    client.send_frame(2, fin=False)
    for _ in range(70):
        client.send(client.frame(0, fin=False) * 1000)
    assert client.read_close()[0] == 1009


def test_a_denial_has_status_headers_and_body(server, dial):
    client = dial(server.port)
    head = client.handshake("/deny")
    assert head.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert b"retry-after: 7" in head
    assert client._read(9) == b"slow down"
    assert client.at_end()


@pytest.mark.parametrize(("path", "status"), [("/refuse", 403), ("/return", 500)])
def test_a_handshake_that_is_not_accepted_is_refused(server, dial, path, status):
    client = dial(server.port)
    assert client.handshake(path).startswith(b"HTTP/1.1 %d " % status)
    assert client.at_end()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec_websocket_version": "8"}, 426),
        ({"sec_websocket_key": "short"}, 400),
    ],
)
def test_a_bad_handshake_is_refused(server, dial, headers, status):
    client = dial(server.port)
    assert client.handshake(**headers).startswith(b"HTTP/1.1 %d " % status)
    assert client.at_end()


def test_the_scope_is_complete(serve):
    server = serve(APP, root_path="/api").wait_until_ready()
    with connect(
        server.ws_url + "/scope?x=%20",
        subprotocols=["chat", "other"],
        additional_headers={"X-Forwarded-For": "10.1.2.3", "X-Forwarded-Proto": "https"},
    ) as client:
        assert client.subprotocol == "chat"
        assert client.response.headers["x-mine"] == "1"
        scope = json.loads(client.recv(timeout=20))
    assert scope["type"] == "'websocket'"
    assert scope["path"] == "'/scope'"
    assert scope["root_path"] == "'/api'"
    assert scope["raw_path"] == "b'/scope'"
    assert scope["query_string"] == "b'x=%20'"
    assert scope["http_version"] == "'1.1'"
    assert scope["subprotocols"] == "['chat', 'other']"
    assert scope["state"] == "{'answer': 42}"
    assert scope["client"].startswith("('10.1.2.3'")
    assert scope["scheme"] == "'wss'"
    assert scope["asgi"] == "{'version': '3.0', 'spec_version': '2.5'}"
    assert scope["server"] == f"('127.0.0.1', {server.port})"


@pytest.mark.parametrize("size", [10, 200_000])
def test_tls_carries_messages(serve, dial, tmp_path, size):
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    server = serve(APP, tls=TlsSettings(certfile=str(tmp_path / "server.pem"))).wait_until_ready()
    client = dial(server.port)
    client.encrypt(context)
    assert b" 101 " in client.handshake()
    for _ in range(3):
        client.send_frame(1, b"x" * size)
        assert client.read_frame() == (1, b"x" * size)


def test_ipv6_carries_messages(serve):
    server = serve(APP, host="::1").wait_until_ready()
    assert "[::1]" in server.url
    with connect(server.ws_url) as client:
        client.send("six")
        assert client.recv(timeout=20) == "six"


def test_a_unix_socket_runs_the_fast_engine(serve, tmp_path):
    server = serve(APP, uds=str(tmp_path / "s")).wait_until_ready()
    with unix_connect(str(tmp_path / "s"), "ws://localhost/", compression=None) as client:
        for message in ("small", b"\x00" * 300_000):
            client.send(message)
            assert client.recv(timeout=20) == message
    server.wait_for_line("picows")


def test_deflate_is_negotiated_when_it_is_on(serve):
    server = serve(APP, connection=ConnectionSettings(deflate=DeflateSettings())).wait_until_ready()
    with connect(server.ws_url, max_size=None) as client:
        assert "permessage-deflate" in client.response.headers["Sec-WebSocket-Extensions"]
        for message in ("short", "long " * 50_000, b"\x00" * 1_000_000):
            client.send(message)
            assert client.recv(timeout=20) == message
    with connect(server.ws_url, compression=None) as client:
        client.send("plain")
        assert client.recv(timeout=20) == "plain"


def test_window_bits_and_context_takeover_are_settable(serve):
    settings = DeflateSettings(window_bits=9, context_takeover=False)
    prelude = "from falconws.server.websocket.deflate import DeflateSettings\n"
    server = serve(APP, connection=ConnectionSettings(deflate=settings), prelude=prelude).wait_until_ready()
    with connect(server.ws_url) as client:
        agreed = client.response.headers["Sec-WebSocket-Extensions"]
        assert "server_no_context_takeover" in agreed
        assert "server_max_window_bits=9" in agreed
        for _ in range(2):
            client.send("again and again " * 500)
            assert client.recv(timeout=20) == "again and again " * 500


def test_deflate_is_off_by_default(server):
    with connect(server.ws_url) as client:
        assert "Sec-WebSocket-Extensions" not in client.response.headers


@pytest.mark.parametrize("engine", ["websockets-sansio", "wsproto"])
def test_another_engine_serves_and_the_start_up_line_says_so(serve, engine):
    server = serve(APP.replace('scope["extensions"]["falconws.connection"]', "None"), engine=engine)
    server.wait_for_line(f"serves .* {engine}")
    with connect(server.wait_until_ready().ws_url) as client:
        client.send("one")
        assert client.recv(timeout=20) == "one"


def test_without_picows_uvicorns_engine_serves_and_says_why(serve):
    blocked = "import sys; sys.modules['picows'] = None\n"
    server = serve(APP.replace('scope["extensions"]["falconws.connection"]', "None"), prelude=blocked)
    server.wait_for_line("serves .* websockets-sansio .*picows cannot be imported")
    with connect(server.wait_until_ready().ws_url) as client:
        client.send("one")
        assert client.recv(timeout=20) == "one"
