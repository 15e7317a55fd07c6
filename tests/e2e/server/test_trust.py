"""What a hostile, broken or unlucky client can do to a server: nothing that outlasts the client."""

import contextlib
import threading

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect, unix_connect

from falconws.server import AdmissionSettings, ConnectionSettings, DeflateSettings, HttpSettings, TlsSettings
from tests.e2e.server.server_process import by_loop, by_parser
from tests.memory import resident_bytes

MIB = 1024 * 1024

APP = """
    import asyncio, json, gc

    live = 0
    ended = asyncio.Event()

    async def app(scope, receive, send):
        global live
        if scope["type"] == "lifespan":
            while True:
                event = await receive()
                await send({"type": event["type"] + ".complete"})
                if event["type"] == "lifespan.shutdown":
                    return
        if scope["type"] == "http":
            while scope["path"] in ("/late", "/upload") and (await receive()).get("more_body"):
                pass
            if scope["path"] == "/late":
                await asyncio.sleep(2)
            if scope["path"] == "/stays":
                print("stays", flush=True)
                while (await receive())["type"] != "http.disconnect":
                    pass
                print("left", flush=True)
                return
            await send({"type": "http.response.start", "status": 200, "headers": []})
            if scope["path"] == "/breaks-off":
                await send({"type": "http.response.body", "body": b"half", "more_body": True})
                raise ValueError("no more")
            await send({"type": "http.response.body", "body": scope["path"].encode()})
            return
        path = scope["path"]
        await receive()
        if path == "/stats":
            gc.collect()
            await send({"type": "websocket.accept"})
            stats = {"tasks": len(asyncio.all_tasks()), "live": live, "objects": len(gc.get_objects())}
            await send({"type": "websocket.send", "text": json.dumps(stats)})
            return
        if path == "/all-ended":
            await send({"type": "websocket.accept"})
            while live:
                ended.clear()
                await ended.wait()
            await send({"type": "websocket.send", "text": "all"})
            return
        if path == "/never-accepts":
            await receive()
            return
        live += 1
        try:
            await send({"type": "websocket.accept"})
            if path == "/floods":
                while True:
                    await send({"type": "websocket.send", "bytes": bytes(MIB)})
            if path == "/many-senders":
                await asyncio.gather(
                    *(send({"type": "websocket.send", "bytes": bytes(MIB)}) for _ in range(200))
                )
            if path == "/tries":
                connection = scope["extensions"]["falconws.connection"]
                while connection.try_send_bytes(bytes(50_000)):
                    pass
                refused_at = connection.buffered_amount
                assert not connection.try_send_text("one more")
                print("refused at", refused_at, flush=True)
            if path == "/reads-nothing":
                connection = scope["extensions"]["falconws.connection"]
                gone = asyncio.Event()
                connection.add_disconnect_callback(gone.set)
                await gone.wait()
            while (event := await receive())["type"] == "websocket.receive":
                await send({**event, "type": "websocket.send"})
        except OSError as error:
            print("send ended:", error, flush=True)
        finally:
            live -= 1
            ended.set()
""".replace("MIB", str(MIB))


def wait_until_all_have_ended(server) -> None:
    with connect(server.ws_url + "/all-ended") as client:
        assert client.recv(timeout=30) == "all"


def stats_of(server) -> dict[str, int]:
    import json

    with connect(server.ws_url + "/stats") as client:
        return json.loads(client.recv(timeout=20))


def test_a_stalled_reader_is_cut_off_by_the_send_timeout(serve, dial):
    server = serve(APP, connection=ConnectionSettings(send_timeout_s=1, ping_interval_s=None)).wait_until_ready()
    client = dial(server.port, receive_buffer=4096)
    client.handshake("/floods")
    server.wait_for_line("WebSocket disconnected: it took none of .* for 1 s")
    server.wait_for_line("send ended: .* 1006")
    wait_until_all_have_ended(server)


def test_a_client_that_answers_no_ping_is_cut_off(serve, dial):
    server = serve(APP, connection=ConnectionSettings(ping_interval_s=0.5, ping_timeout_s=0.5)).wait_until_ready()
    client = dial(server.port)
    client.handshake()
    assert client.read_frame()[0] == 9
    server.wait_for_line("WebSocket disconnected: no answer to a ping")
    wait_until_all_have_ended(server)


def test_a_client_that_sends_but_answers_no_ping_is_cut_off(serve, dial):
    server = serve(APP, connection=ConnectionSettings(ping_interval_s=0.5, ping_timeout_s=0.5)).wait_until_ready()
    client = dial(server.port)
    client.handshake()
    with contextlib.suppress(ConnectionError):
        for _ in range(100_000):
            client.send_frame(10, b"unasked")
            if "disconnected" in server.output:
                break
            server_has_closed = threading.Event().wait(0.005)
            assert not server_has_closed
    server.wait_for_line("WebSocket disconnected: no answer to a ping")


def test_a_client_that_answers_pings_stays(serve):
    # It has two seconds for each answer, and is looked at for longer.
    server = serve(APP, connection=ConnectionSettings(ping_interval_s=0.1, ping_timeout_s=2)).wait_until_ready()
    with connect(server.ws_url, ping_interval=None) as client, pytest.raises(TimeoutError):
        client.recv(timeout=3)


def test_a_client_that_is_not_read_is_not_blamed_for_missing_pongs(serve, dial):
    # Two seconds, too, for the messages that make the server stop to read.
    server = serve(APP, connection=ConnectionSettings(ping_interval_s=0.1, ping_timeout_s=2)).wait_until_ready()
    with connect(server.ws_url + "/reads-nothing", ping_interval=None) as client:
        for _ in range(200):
            client.send("x")
        with pytest.raises(TimeoutError):
            client.recv(timeout=3)
    assert "disconnected" not in server.output


def test_what_waits_for_a_client_is_bounded(serve, dial):
    server = serve(APP, connection=ConnectionSettings(send_timeout_s=None, ping_interval_s=None)).wait_until_ready()
    wait_until_all_have_ended(server)
    before = resident_bytes(server.pid)
    clients = [dial(server.port, receive_buffer=4096) for _ in range(10)]
    for client in clients:
        client.handshake("/floods")
    stats_of(server)
    # A message each of 1 MiB in the application's hands, and 1 MiB that waits.
    assert resident_bytes(server.pid) - before < 10 * 3 * MIB


def test_concurrent_senders_that_wait_are_bounded_too(serve, dial):
    server = serve(APP, connection=ConnectionSettings(send_timeout_s=1, ping_interval_s=None)).wait_until_ready()
    client = dial(server.port)
    client.handshake("/many-senders")
    server.wait_for_line("WebSocket closed with 1013")
    assert client.read_close() == (1013, "client too slow")
    wait_until_all_have_ended(server)


def test_try_send_refuses_before_the_bound(serve, dial):
    server = serve(APP, connection=ConnectionSettings(ping_interval_s=None)).wait_until_ready()
    client = dial(server.port, receive_buffer=4096)
    client.handshake("/tries")
    refused_at = int(server.wait_for_line(r"refused at (\d+)").group(1))
    assert 128 * 1024 < refused_at <= MIB


def test_a_hundred_megabytes_of_pings_unread_cost_little(serve, dial):
    settings = ConnectionSettings(ping_interval_s=None, send_timeout_s=None, max_control_frames_per_s=None)
    server = serve(APP, connection=settings).wait_until_ready()
    wait_until_all_have_ended(server)
    before = resident_bytes(server.pid)
    client = dial(server.port, receive_buffer=4096)
    client.handshake()
    burst = client.frame(9, bytes(125)) * 8000
    for _ in range(100):
        client.send(burst)
    stats_of(server)
    assert resident_bytes(server.pid) - before < 5 * MIB


def test_a_flood_of_messages_unread_by_the_application_pauses_the_client(serve, dial):
    server = serve(APP, connection=ConnectionSettings(ping_interval_s=None)).wait_until_ready()
    wait_until_all_have_ended(server)
    before = resident_bytes(server.pid)
    client = dial(server.port)
    client.handshake("/reads-nothing")
    client.socket.settimeout(1)
    burst = client.frame(1) * 10_000
    with pytest.raises(TimeoutError):
        for _ in range(2000):
            client.send(burst)
    assert resident_bytes(server.pid) - before < 5 * MIB


def test_clients_that_send_nothing_or_drip_are_disconnected(serve, dial):
    server = serve(APP, connection=ConnectionSettings(handshake_timeout_s=3)).wait_until_ready()
    silent = [dial(server.port) for _ in range(50)]
    dripping = dial(server.port)
    dripping.send(b"GET / HT")
    for client in silent:
        assert client.at_end()
    assert dripping.read_head().startswith(b"HTTP/1.1 408 ")
    assert dripping.at_end()


def test_clients_of_a_tls_port_that_send_no_request_are_disconnected(serve, dial, tls):
    certificate, context = tls
    # Shorter than the client's patience, which is shorter than the event loop's own minute.
    server = serve(
        APP, tls=TlsSettings(certfile=certificate), connection=ConnectionSettings(handshake_timeout_s=3)
    ).wait_until_ready()
    silent = [dial(server.port) for _ in range(50)]
    begun = dial(server.port)
    begun.send(b"\x16\x03\x01\x02\x00\x01")
    for client in [*silent, begun]:
        assert client.at_end()
    encrypted = dial(server.port)
    encrypted.encrypt(context)
    encrypted.send(b"GET / HT")
    assert encrypted.read_head().startswith(b"HTTP/1.1 408 ")
    client = dial(server.port)
    client.encrypt(context)
    assert b" 101 " in client.handshake()
    client.send_frame(1, b"to the point")
    assert client.read_frame() == (1, b"to the point")


def test_a_tls_port_with_silent_clients_shuts_down(serve, dial, tls):
    certificate, context = tls
    server = serve(
        APP, tls=TlsSettings(certfile=certificate), connection=ConnectionSettings(handshake_timeout_s=None), drain_s=0.5
    ).wait_until_ready()
    silent = [dial(server.port) for _ in range(20)]
    client = dial(server.port)
    client.encrypt(context)
    assert b" 101 " in client.handshake()
    client.send_frame(1, b"here")
    assert client.read_frame() == (1, b"here")
    server.signal()
    assert client.read_close()[0] == 1012
    client.send_frame(8, (1012).to_bytes(2, "big"))
    assert server.wait() == 0
    assert all(client.at_end() for client in silent)
    assert "Traceback" not in server.output


def test_an_application_that_never_accepts_is_answered_with_503(serve, dial):
    server = serve(APP, connection=ConnectionSettings(handshake_timeout_s=2)).wait_until_ready()
    client = dial(server.port)
    head = client.handshake("/never-accepts")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after" in head


@by_parser
@pytest.mark.parametrize("engine", ["picows", "websockets-sansio", "wsproto"])
def test_an_oversized_head_is_431(serve, dial, engine, parser):
    server = serve(APP, engine=engine, prelude=parser).wait_until_ready()
    for value in ("x" * 70_000, *(["y" * 9000] if engine != "picows" else [])):
        client = dial(server.port)
        assert client.handshake(x_long=value).startswith(b"HTTP/1.1 431 ")
        assert client.at_end()
    client = dial(server.port)
    assert b" 101 " in client.handshake(x_long="z" * 8000)


@by_parser
def test_an_oversized_head_is_431_in_any_pieces(serve, dial, parser):
    server = serve(APP, prelude=parser).wait_until_ready()
    plain = b"GET /page HTTP/1.1\r\nHost: localhost\r\n"
    for pieces in (
        [plain + b"X-Long: " + b"x" * 70_000 + b"\r\n\r\n"],
        [plain, *[b"X-%d: y\r\n" % number for number in range(20_000)]],
        [plain + b"\r\n", b"GET /", b"x" * 700_000],
        [b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"],
    ):
        client = dial(server.port)
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                client.send(piece)
        heads = [client.read_head()]
        if heads[0].startswith(b"HTTP/1.1 200 "):
            # The answer to the small request in front; chunks end like a head does.
            heads = [client.read_head() for _ in range(4)]
        assert any(b"HTTP/1.1 431 " in head for head in heads), heads
        assert client.at_end()
    upload = dial(server.port)
    upload.send(b"POST /page HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n" + bytes(200_000))
    assert upload.read_head().startswith(b"HTTP/1.1 200 ")


@by_parser
def test_a_client_can_read_a_response_that_is_sent_before_its_body_has_arrived(serve, dial, parser):
    server = serve(APP, prelude=parser).wait_until_ready()
    for _ in range(5):
        client = dial(server.port)
        client.send(b"POST /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 8000000\r\n\r\n")
        client.send(bytes(8_000_000))
        assert client.read_head().startswith(b"HTTP/1.1 200 ")
        assert client.at_end()


@by_loop
def test_a_client_can_read_such_a_response_over_tls(serve, dial, tls, loop):
    certificate, context = tls
    server = serve(APP, prelude=loop, tls=TlsSettings(certfile=certificate)).wait_until_ready()
    for _ in range(5):
        client = dial(server.port)
        client.encrypt(context)
        client.send(b"POST /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 8000000\r\n\r\n")
        client.send(bytes(8_000_000))
        assert client.read_head().startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("encrypted", [False, True], ids=["tcp", "tls"])
@by_loop
def test_an_early_response_that_is_cut_short_ends_at_once_for_the_client(serve, dial, tls, loop, encrypted):
    certificate, context = tls
    endless = "import falconws.server.http.shutdown; falconws.server.http.shutdown._UPLOAD_CLOSE_S = 1000; "
    options = {"tls": TlsSettings(certificate)} if encrypted else {}
    client = dial(serve(APP, prelude=loop + endless, **options).wait_until_ready().port)
    if encrypted:
        client.encrypt(context)
    client.send(b"POST /breaks-off HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\nhalf")
    assert client.read_head().startswith(b"HTTP/1.1 200 ")
    assert client.at_end()


@by_parser
@pytest.mark.parametrize("rest", [b"re", b"rest"], ids=["a part", "all"])
def test_a_client_that_was_answered_early_and_sends_its_body_does_not_stay_forever(serve, dial, parser, rest):
    # For a part of the body the first one counts, for all of it the second one.
    http = HttpSettings(body_timeout_s=1, keep_alive_timeout_s=1)
    client = dial(serve(APP, prelude=parser, http=http).wait_until_ready().port)
    client.send(b"POST /page HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\nhalf")
    assert client.read_head().startswith(b"HTTP/1.1 200 ")
    client.send(rest)
    assert client.at_end()


@by_parser
def test_a_responder_learns_that_its_client_has_left_when_more_requests_wait_behind_it(serve, dial, parser):
    server = serve(APP, prelude=parser).wait_until_ready()
    client = dial(server.port)
    client.send(
        b"GET /stays HTTP/1.1\r\nHost: localhost\r\n\r\n" + b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3
    )
    server.wait_for_line("^stays")
    client.reset()
    server.wait_for_line("^left", timeout=20)


@by_parser
def test_the_deadline_for_a_head_does_not_count_for_its_answer(serve, dial, parser):
    server = serve(APP, prelude=parser, connection=ConnectionSettings(handshake_timeout_s=1)).wait_until_ready()
    client = dial(server.port)
    client.send(b"POST /late HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nab")
    httpx.get(server.url + "/later")
    client.send(b"cd")
    assert client.read_head().startswith(b"HTTP/1.1 200 ")


@by_parser
@pytest.mark.parametrize("trailers", [b"X-Many: y\r\n" * 10_000, b"a" * 100_000], ids=["many", "one"])
def test_endless_trailers_are_refused(serve, dial, parser, trailers):
    server = serve(APP, prelude=parser).wait_until_ready()
    before = resident_bytes(server.pid)
    client, flood = dial(server.port), dial(server.port)
    for one in (client, flood):
        one.send(
            b"POST /upload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-One: "
        )
    # Connections are accepted and read in order: this one is served after those in front of it.
    httpx.get(server.url + "/later")
    client.send(trailers)
    assert client.read_head().startswith(b"HTTP/1.1 431 ")
    with contextlib.suppress(ConnectionError):
        for _ in range(300):
            flood.send(trailers)
    assert flood.at_end()
    assert resident_bytes(server.pid) - before < 10 * MIB
    chunks = dial(server.port)
    chunks.send(b"POST /upload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunks.send(b"1\r\nx\r\n" * 50_000 + b"0\r\nX-Trailer: y\r\n\r\n")
    assert chunks.read_head().startswith(b"HTTP/1.1 200 ")


def test_connection_limits_count_websockets(serve):
    server = serve(APP, admission=AdmissionSettings(limit_connections=5)).wait_until_ready()
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(connect(server.ws_url))
        with pytest.raises(InvalidStatus) as refused, connect(server.ws_url):
            pass
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["retry-after"] == "5"
        assert httpx.get(server.url + "/x").status_code == 503
        assert httpx.get(server.url + "/healthz").status_code == 200
    wait_until_all_have_ended(server)


def test_connection_limits_count_clients_behind_a_proxy(serve):
    server = serve(APP, admission=AdmissionSettings(limit_connections_per_ip=1)).wait_until_ready()
    first = {"X-Forwarded-For": "10.0.0.1"}
    with (
        connect(server.ws_url, additional_headers=first),
        connect(server.ws_url, additional_headers={"X-Forwarded-For": "10.0.0.2"}),
        pytest.raises(InvalidStatus) as refused,
        connect(server.ws_url, additional_headers=first),
    ):
        pass
    assert refused.value.response.status_code == 503


def test_a_proxy_on_the_unix_socket_is_believed(serve, tmp_path):
    path = str(tmp_path / "s")
    scope = """
    import json

    async def app(scope, receive, send):
        assert scope["type"] in ("http", "websocket")
        told = json.dumps([scope["scheme"], scope["client"][0]])
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": told.encode()})
        else:
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": told})
    """
    serve(scope, uds=path).wait_for_line("lifespan. protocol appears unsupported")
    # What the client made up stands in front of what the proxy has added.
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "1.2.3.4, 10.0.0.1"}
    with httpx.Client(transport=httpx.HTTPTransport(uds=path)) as client:
        assert client.get("http://localhost/", headers=headers).json() == ["https", "10.0.0.1"]
    with unix_connect(path, "ws://localhost/", additional_headers=headers) as client:
        assert client.recv(timeout=20) == '["wss", "10.0.0.1"]'


def test_an_instance_for_http_denies_websockets(serve):
    server = serve(APP, admission=AdmissionSettings(only="http")).wait_until_ready()
    assert httpx.get(server.url + "/page").text == "/page"
    with pytest.raises(InvalidStatus) as refused, connect(server.ws_url):
        pass
    assert refused.value.response.status_code == 421


def test_an_instance_for_websockets_denies_http_but_for_its_health(serve):
    server = serve(APP, admission=AdmissionSettings(only="ws")).wait_until_ready()
    with connect(server.ws_url) as client:
        client.send("x")
        assert client.recv(timeout=20) == "x"
    assert httpx.get(server.url + "/page").status_code == 421
    assert httpx.get(server.url + "/healthz").status_code == 200
    assert httpx.get(server.url + "/readyz").status_code == 200


def test_bombs_are_stopped_at_the_limit(serve, dial):
    import zlib

    server = serve(APP, connection=ConnectionSettings(deflate=DeflateSettings())).wait_until_ready()
    wait_until_all_have_ended(server)
    before = resident_bytes(server.pid)
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    payload = (bomb.compress(bytes(512 * MIB)) + bomb.flush(zlib.Z_SYNC_FLUSH))[:-4]
    client = dial(server.port)
    client.handshake(sec_websocket_extensions="permessage-deflate")
    client.send_frame(2, payload, rsv=4)
    assert client.read_close()[0] == 1009
    assert resident_bytes(server.pid) - before < 5 * MIB


AT_ONCE = 50


def come_and_go(dial, port: int, times: int) -> None:
    """Open *times* connections, some at once; each says hello, hears it, and leaves: half of them with a reset."""
    for number in range(times // AT_ONCE):
        clients = [dial(port) for _ in range(AT_ONCE)]
        for client in clients:
            client.request()
        for client in clients:
            assert b" 101 " in client.read_head()
            client.send_frame(1, b"hello")
        leave = "reset" if number % 2 else "clean"
        for client in clients:
            assert client.read_frame() == (1, b"hello")
            if leave == "reset":
                client.reset()
            else:
                client.send_frame(8, b"\x03\xe8")
        for client in clients if leave == "clean" else ():
            assert client.read_close() == (1000, "")
            assert client.at_end()
            client.socket.close()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_ten_thousand_connections_leave_nothing_behind(serve, dial):
    server = serve(APP).wait_until_ready()

    def look() -> tuple[dict[str, int], int]:
        wait_until_all_have_ended(server)
        # The second look finds what the first has left.
        stats_of(server)
        return stats_of(server), resident_bytes(server.pid)

    # Until the allocator has what it ever needs for so many at once.
    come_and_go(dial, server.port, 40 * AT_ONCE)
    before, memory = look()
    come_and_go(dial, server.port, 10_000)
    after, memory_after = look()
    assert after["tasks"] == before["tasks"]
    assert after["live"] == 0
    assert abs(after["objects"] - before["objects"]) < 100
    assert memory_after - memory < MIB


def test_a_thousand_concurrent_sends_arrive(serve):
    source = APP.replace('if path == "/floods":', 'if path == "/thousand":', 1).replace(
        "while True:\n                    await send({",
        'for number in range(1000):\n                    await send({"type": "websocket.send", "text": str(number)})\n'
        "                while False:\n                    await send({",
        1,
    )
    server = serve(source).wait_until_ready()
    with connect(server.ws_url + "/thousand", compression=None) as client:
        assert [client.recv(timeout=20) for _ in range(1000)] == [str(number) for number in range(1000)]
        with pytest.raises((ConnectionClosed, TimeoutError)):
            client.recv(timeout=0.2)
