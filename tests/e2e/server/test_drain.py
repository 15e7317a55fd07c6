"""Shutdown: when and how each connection is closed after a signal, and that the process always ends."""

import contextlib
import itertools
import os
import signal
import socket
import textwrap
import threading
import time

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from falconws.server import ConnectionSettings, TlsSettings
from tests.e2e.server.raw_client import handshake_request
from tests.e2e.server.server_process import LOOPS, PARSERS, by_loop

APP = """
    import asyncio

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                event = await receive()
                if event["type"] == "lifespan.shutdown":
                    print("lifespan ends", flush=True)
                await send({"type": event["type"] + ".complete"})
                if event["type"] == "lifespan.shutdown":
                    return
        if scope["type"] == "http":
            if scope["path"] == "/waits":
                print("waits", flush=True)
                await asyncio.Event().wait()
            if scope["method"] == "POST":
                await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
                await send({"type": "http.response.body", "body": b"<", "more_body": True})
                while (await receive()).get("more_body"):
                    pass
                await send({"type": "http.response.body", "body": b">"})
                return
            await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})
            return
        path = scope["path"]
        await receive()
        if path == "/slow-handshake":
            print("in the handshake", flush=True)
            await asyncio.Event().wait()
        await send({"type": "websocket.accept"})
        if path == "/awaits-something-else":
            await asyncio.Event().wait()
        if path == "/ignores-cancellation":
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    pass
        if path == "/blocks":
            import time
            await receive()
            while True:
                time.sleep(1)
        if path == "/floods":
            while True:
                await send({"type": "websocket.send", "bytes": bytes(100_000)})
        if path == "/going":
            going = scope["extensions"]["falconws.going_away"]
            assert not going.is_set()
            await send({"type": "websocket.send", "text": "waiting"})
            await going.wait()
            await send({"type": "websocket.send", "text": "bye"})
            await send({"type": "websocket.close", "code": 4000})
            return
        if path == "/answers-slowly":
            received = []
            while (event := await receive())["type"] == "websocket.receive":
                await asyncio.sleep(0.05)
                await send({**event, "type": "websocket.send"})
            return
        while (event := await receive())["type"] == "websocket.receive":
            await send({**event, "type": "websocket.send"})
"""


@pytest.fixture
def join():
    """Return a function that opens a connection which stays until the test ends."""
    with contextlib.ExitStack() as stack:
        yield lambda url: stack.enter_context(connect(url, ping_interval=None, close_timeout=1))


def closes_of(clients) -> list[tuple[float, int, str]]:
    """Return when (monotonic) and how each client was closed, waiting for all of them at once."""
    ends: list[tuple[float, int, str] | None] = [None] * len(clients)

    def watch(number, client):
        try:
            while True:
                client.recv(timeout=20)
        except ConnectionClosed as closed:
            received = closed.rcvd
            ends[number] = (time.monotonic(), received.code if received else 1006, received.reason if received else "")

    threads = [threading.Thread(target=watch, args=item) for item in enumerate(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert None not in ends
    return [end for end in ends if end is not None]


def test_clients_are_closed_evenly_over_the_drain(serve, join):
    server = serve(APP, drain_s=5).wait_until_ready()
    clients = [join(server.ws_url) for _ in range(20)]
    server.signal()
    ends = closes_of(clients)
    assert {end[1:] for end in ends} == {(1012, "server is restarting")}
    assert server.wait() == 0
    times = sorted(end[0] for end in ends)
    # Even distances would be 0.25 s; what must not be is everybody at once, or a gap as long as half the drain.
    assert times[-1] - times[0] > 2.5
    assert max(b - a for a, b in itertools.pairwise(times)) < 2.5


def test_without_connections_the_drain_is_over_at_once(serve):
    server = serve(APP, drain_s=60).wait_until_ready()
    server.signal()
    assert server.wait() == 0
    assert "lifespan ends" in server.output


def test_messages_already_received_are_answered(serve):
    server = serve(APP, drain_s=5).wait_until_ready()
    with connect(server.ws_url + "/answers-slowly", ping_interval=None) as client:
        for number in range(10):
            client.send(str(number))
        assert client.recv(timeout=20) == "0"
        server.signal()
        assert [client.recv(timeout=20) for _ in range(9)] == [str(number) for number in range(1, 10)]
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=20)
        assert closed.value.rcvd.code == 1012
    assert server.wait() == 0


def test_a_responder_learns_that_the_server_is_going_away(serve, join):
    server = serve(APP, drain_s=5).wait_until_ready()
    others = [join(server.ws_url) for _ in range(20)]
    with connect(server.ws_url + "/going", ping_interval=None) as client:
        assert client.recv(timeout=20) == "waiting"
        server.signal()
        # The first in line is closed at once; those who come later have time to say something.
        assert client.recv(timeout=20) == "bye"
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=20)
        assert closed.value.rcvd.code == 4000
    assert len(closes_of(others)) == 20
    assert server.wait() == 0


RESPONDERS = """
    import asyncio
    import logging
    import falconws

    logging.basicConfig(level=logging.DEBUG)

    class Ticker:
        async def on_websocket(self, req, ws):
            await ws.accept()
            while True:
                await ws.send_text("tick")
                await asyncio.sleep(0.01)

    class Listener:
        async def on_websocket(self, req, ws):
            await ws.accept()
            await ws.receive_text()

    app = falconws.App()
    app.add_route("/ticker", Ticker())
    app.add_route("/listener", Listener())
"""


@pytest.mark.parametrize("engine", ["picows", "websockets-sansio", "websockets", "wsproto"])
def test_no_warning_is_logged_for_clients_that_the_server_closes(serve, join, engine):
    server = serve(RESPONDERS, engine=engine, drain_s=1).wait_until_ready()
    for path in ("/ticker", "/listener"):
        with connect(server.ws_url + path, ping_interval=None) as left:
            left.close(4000, "tired")
    clients = [join(server.ws_url + path) for path in ("/ticker", "/listener")]
    server.signal()
    assert {end[1] for end in closes_of(clients)} == {1012}
    assert server.wait() == 0
    warned = [line for line in server.output.splitlines() if line.startswith("WARNING:falconws:WebSocket client")]
    assert len(warned) == 2, warned
    assert all("disconnected with code 4000 (tired)" in line for line in warned)


def test_a_warning_is_logged_for_a_client_that_closes_with_1012(serve):
    server = serve(RESPONDERS).wait_until_ready()
    with connect(server.ws_url + "/ticker", ping_interval=None) as client:
        client.close(1012)
    server.wait_for_line("WARNING:falconws:.*disconnected with code 1012")


def test_readyz_is_ready_until_the_drain_and_nothing_is_accepted_then(serve, join):
    server = serve(APP, drain_s=3).wait_until_ready()
    clients = [join(server.ws_url) for _ in range(3)]
    assert httpx.get(server.url + "/readyz").text == "ready\n"
    assert httpx.get(server.url + "/elsewhere").status_code == 404
    server.signal()
    server.wait_for_line("Draining")
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url + "/readyz")
    assert {end[1] for end in closes_of(clients)} == {1012}
    assert server.wait() == 0


GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
HANDSHAKE = handshake_request()
parsers = pytest.mark.parametrize("prelude", PARSERS.values(), ids=PARSERS)


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        (b"", GET, b"404"),
        (b"", HANDSHAKE, b"503"),
        (GET[:-7], GET[-7:], b"404"),
        (HANDSHAKE[:-7], HANDSHAKE[-7:], b"503"),
        (GET + GET[:-7], GET[-7:], b"404"),
        (GET + HANDSHAKE[:-7], HANDSHAKE[-7:], b"503"),
    ],
    ids=["http", "handshake", "part-of-http", "part-of-a-handshake", "second-http", "handshake-behind-http"],
)
# Each engine and each parser: neither knows of the other one.
@pytest.mark.parametrize(
    ("engine", "prelude"),
    [("picows", PARSERS["httptools"]), ("websockets-sansio", PARSERS["h11"])],
    ids=["picows-httptools", "websockets-sansio-h11"],
)
def test_a_request_that_crosses_the_signal_is_answered(serve, dial, engine, prelude, before, after, status):
    """A reset would not tell the client whether it was served, nor that it can try again."""
    server = serve(
        APP, prelude=prelude, drain_s=150, engine=engine, connection=ConnectionSettings(handshake_timeout_s=None)
    ).wait_until_ready()
    client = dial(server.port)
    client.send(before)
    if before.startswith(GET):
        assert client.read_head().startswith(b"HTTP/1.1 404")
    # Connections are accepted and read in order: this one is served after those in front of it.
    httpx.get(server.url + "/later")
    server.signal()
    server.wait_for_line("Draining")
    client.send(after)
    head = client.read_head().lower()
    assert head.startswith(b"http/1.1 " + status)
    assert b"connection: close" in head
    assert client.at_end()
    assert server.wait() == 0


@pytest.mark.parametrize("before", [b"", GET[:-7], GET + GET[:-7]], ids=["nothing", "a-part", "a-part-behind-http"])
def test_a_client_that_sends_no_request_does_not_delay_the_end(serve, dial, before):
    server = serve(APP, drain_s=2, connection=ConnectionSettings(handshake_timeout_s=None)).wait_until_ready()
    client = dial(server.port)
    client.send(before)
    if before.startswith(GET):
        assert client.read_head().startswith(b"HTTP/1.1 404")
    httpx.get(server.url + "/later")
    server.signal()
    assert client.read_head().startswith(b"HTTP/1.1 408")
    assert client.at_end()
    assert server.wait() == 0


RECENT_FOR_15_S = "import falconws.server.http.shutdown as shutdown; shutdown._RECENT_RESPONSE_S = 15; "


@parsers
def test_a_client_that_was_just_answered_can_send_another_request(serve, dial, prelude):
    """The next request of a busy connection has mostly been sent already."""
    server = serve(APP, prelude=prelude + RECENT_FOR_15_S, drain_s=150).wait_until_ready()
    client = dial(server.port)
    client.send(GET)
    assert client.read_head().startswith(b"HTTP/1.1 404")
    server.signal()
    server.wait_for_line("Draining")
    client.send(GET.replace(b"/ ", b"/readyz "))
    head = client.read_head()
    assert head.startswith(b"HTTP/1.1 503")
    assert b"connection: close" in head.lower()
    assert client.at_end()
    assert server.wait() == 0


@parsers
def test_a_client_that_is_being_answered_can_send_another_request(serve, dial, prelude):
    """The head of that response was sent, and could not say that it is the last one."""
    server = serve(APP, prelude=prelude + RECENT_FOR_15_S, drain_s=150).wait_until_ready()
    client = dial(server.port)
    client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n1")
    assert b"connection: close" not in client.read_head().lower()
    server.signal()
    server.wait_for_line("Draining")
    client.send(b"2")
    assert client.read(2) == b"<>"
    client.send(GET)
    head = client.read_head()
    assert head.startswith(b"HTTP/1.1 404")
    assert b"connection: close" in head.lower()
    assert client.at_end()
    assert server.wait() == 0


@by_loop
@pytest.mark.parametrize("engine", ["picows", "websockets-sansio"])
def test_a_tls_handshake_that_crosses_the_signal_is_completed(serve, dial, tls, loop, engine):
    certificate, context = tls
    server = serve(
        APP,
        prelude=loop,
        engine=engine,
        drain_s=150,
        tls=TlsSettings(certfile=certificate),
        connection=ConnectionSettings(handshake_timeout_s=None),
    ).wait_until_ready()
    client = dial(server.port)
    httpx.get(server.url + "/later", verify=context)
    server.signal()
    server.wait_for_line("Draining")
    client.encrypt(context)
    client.send(GET)
    head = client.read_head()
    assert head.startswith(b"HTTP/1.1 404")
    assert b"connection: close" in head
    assert server.wait() == 0


@by_loop
def test_failed_tls_handshakes_do_not_delay_the_end(serve, dial, tls, loop):
    certificate, _ = tls
    server = serve(APP, prelude=loop, drain_s=1000, tls=TlsSettings(certfile=certificate)).wait_until_ready()
    for _ in range(3):
        client = dial(server.port)
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        assert client.at_end()
    server.signal()
    assert server.wait() == 0


def test_a_tls_client_that_does_not_close_its_side_does_not_delay_the_end(serve, dial, tls):
    certificate, context = tls
    server = serve(APP, drain_s=150, tls=TlsSettings(certfile=certificate)).wait_until_ready()
    client = dial(server.port)
    client.encrypt(context)
    client.send(GET)
    assert client.read_head().startswith(b"HTTP/1.1 404")
    server.signal()
    assert server.wait() == 0


def test_an_idle_connection_is_closed_at_once(serve, dial):
    server = serve(APP, drain_s=150).wait_until_ready()
    client = dial(server.port)
    client.send(GET)
    assert client.read_head().startswith(b"HTTP/1.1 404")
    server.signal()
    assert client.at_end()
    assert server.wait() == 0


@pytest.mark.parametrize(
    ("path", "engine", "workers"),
    [
        *itertools.product(
            ["/", "/awaits-something-else", "/floods", "/slow-handshake", "upload", "/waits"],
            ["picows", "websockets-sansio"],
            [1],
        ),
        ("/", "picows", 2),
        ("/waits", "websockets-sansio", 2),
    ],
)
def test_a_second_signal_ends_the_drain_and_then_the_lifespan(serve, dial, workers, engine, path):
    server = serve(
        APP, drain_s=150, workers=workers, engine=engine, connection=ConnectionSettings(handshake_timeout_s=None)
    )
    server.wait_for_line("workers are ready" if workers > 1 else "startup complete")
    clients = [dial(server.port) for _ in range(4)]
    for client in clients:
        if path == "upload":
            client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n1")
            client.read_head()
        elif path == "/waits":
            client.send(b"GET /waits HTTP/1.1\r\nhost: x\r\n\r\n")
            server.wait_for_line("^waits")
        else:
            client.request(path)
            if path == "/slow-handshake":
                server.wait_for_line("in the handshake")
            else:
                client.read_head()
    for number in (signal.SIGTERM, signal.SIGINT):
        server.signal(number)
        server.wait_for_line("Draining")
    assert server.wait() == 128 + signal.SIGINT
    # What the log says is true: nothing was waited for, and what was cancelled has ended. A worker without connections
    # was through before the second signal.
    assert 1 <= server.output.count("Second signal: aborting") <= workers
    assert server.output.count("lifespan ends") == server.output.count("Application shutdown complete") == workers
    for false in ("did not close", "did not end", "did not shut down", "Traceback", "died"):
        assert false not in server.output, server.output


@pytest.mark.parametrize("workers", [1, 2])
def test_a_third_signal_ends_the_process_at_once(serve, workers):
    endless = "import falconws.server.server as server; server._LIFESPAN_S = server._FORCED_S = 1000\n"
    source = endless + textwrap.dedent(APP).replace('print("lifespan ends"', 'await asyncio.Event().wait(); print("no"')
    server = serve(source, workers=workers, drain_s=150)
    server.wait_for_line("workers are ready" if workers > 1 else "startup complete")
    # Two signals of one kind can be delivered as one.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        server.signal(number)
        server.wait_for_line("Waiting for application shutdown")
    assert server.wait() == 128 + signal.SIGTERM
    assert server.output.count("Third signal: the process exits at once") == workers


MIX = ["/", "/awaits-something-else", "/floods", "/ignores-cancellation"]


@pytest.mark.parametrize("engine", ["picows", "websockets-sansio"])
def test_shutdown_always_finishes(serve, dial, engine, join):
    """200 clients: receiving, awaiting something else, stalled, mid-handshake, malformed."""
    server = serve(
        APP, drain_s=1, engine=engine, connection=ConnectionSettings(handshake_timeout_s=None)
    ).wait_until_ready()
    healthy = [join(server.ws_url) for _ in range(60)]
    waiting = [join(server.ws_url + "/awaits-something-else") for _ in range(60)]
    for _ in range(20):
        stalled = dial(server.port, receive_buffer=4096)
        assert b" 101 " in stalled.handshake("/floods")
    for _ in range(20):
        dial(server.port).request("/slow-handshake")
    for _ in range(20):
        dial(server.port).send(b"GET / HTTP/1.1\r\nhost: x\r\n")
    for _ in range(20):
        dial(server.port).request(x_long="x" * 9000)
    server.signal()
    assert {end[1] for end in closes_of(healthy + waiting)} == {1012}
    assert server.wait() == 0
    assert "lifespan ends" in server.output
    assert "Traceback" not in server.output


@pytest.mark.parametrize("path", ["/ignores-cancellation", "/blocks"])
def test_a_responder_that_never_ends_does_not_keep_the_process(serve, path):
    server = serve(APP, drain_s=0).wait_until_ready()
    with connect(server.ws_url + path, ping_interval=None) as client:
        client.send("go")
        server.signal()
        assert server.wait() == 0
        client.socket.close()


def test_reload_drains_in_under_a_second(serve, tmp_path, join):
    server = serve(APP, reload=True, reload_dirs=[str(tmp_path)], drain_s=60).wait_until_ready()
    clients = [join(server.ws_url) for _ in range(10)]
    source = tmp_path / "served.py"
    server.write_until_it_reloads(source, source.read_text() + "\n# changed\n")
    server.wait_for_line(r"Draining 10 connection\(s\) within 0.5 s")
    assert {end[1] for end in closes_of(clients)} == {1012}


def worker_pids(server) -> set[int]:
    """Return the processes that answer on many connections."""
    pids = set()
    for _ in range(60):
        with connect(server.ws_url + "/pid", open_timeout=20) as client:
            pids.add(int(client.recv(timeout=20)))
    return pids


PID_APP = APP.replace(
    '        if path == "/slow-handshake":',
    """        if path == "/pid":
            import os
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": str(os.getpid())})
            return
        if path == "/slow-handshake":""",
)


def test_workers_drain_and_the_parent_ends_with_0(serve, join):
    server = serve(PID_APP, workers=2, drain_s=1)
    server.wait_for_line("2 workers are ready")
    assert len(worker_pids(server)) == 2
    clients = [join(server.ws_url) for _ in range(20)]
    server.signal()
    assert {end[1] for end in closes_of(clients)} == {1012}
    assert server.wait() == 0
    assert server.output.count("lifespan ends") == 2


def test_hangup_replaces_every_worker_in_turn(serve, join):
    server = serve(PID_APP, workers=2, drain_s=1)
    server.wait_for_line("2 workers are ready")
    before = worker_pids(server)
    client = join(server.ws_url)
    server.signal(signal.SIGHUP)
    assert closes_of([client])[0][1] == 1012
    server.wait_for_line("Rolling restart finished")
    after = worker_pids(server)
    assert len(after) == 2
    assert not before & after
    server.signal()
    assert server.wait() == 0


def test_during_a_rolling_restart_every_request_is_answered(serve):
    server = serve(PID_APP, workers=2, drain_s=20)
    server.wait_for_line("2 workers are ready")
    url = server.url
    over = threading.Event()
    answers: set[int | str] = set()

    def ask() -> None:
        while not over.is_set():
            try:
                answers.add(httpx.get(url, headers={"connection": "close"}, timeout=20).status_code)
            except httpx.TransportError as error:
                answers.add(repr(error))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        server.signal(signal.SIGHUP)
        server.wait_for_line("Rolling restart finished")
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert answers == {404}


def test_workers_that_are_told_twice_drain_all_the_same(serve, join):
    """Terminals, timeouts and supervisors signal the whole process group, and so the workers too."""
    server = serve(PID_APP, workers=2, drain_s=1)
    server.wait_for_line("2 workers are ready")
    workers = worker_pids(server)
    clients = [join(server.ws_url) for _ in range(20)]
    for pid in (*workers, server.pid, *workers):
        os.kill(pid, signal.SIGTERM)
    assert {end[1] for end in closes_of(clients)} == {1012}
    assert server.wait() == 0
    assert server.output.count("lifespan ends") == 2


@pytest.mark.parametrize("options", [{"workers": 2}, {"reload": True}], ids=str)
@pytest.mark.parametrize("path", ["/", "/blocks", "/ignores-cancellation"])
def test_children_end_when_their_parent_has_died(serve, join, tmp_path, options, path):
    if "reload" in options:
        options = {**options, "reload_dirs": [str(tmp_path)]}
    server = serve(APP, drain_s=1, **options)
    server.wait_for_line("workers are ready" if "workers" in options else "startup complete")
    clients = [join(server.ws_url + path) for _ in range(5)]
    if path == "/blocks":
        clients[0].send("go")
    server.signal(signal.SIGKILL)
    if path == "/":
        assert {end[1] for end in closes_of(clients)} == {1012}
    # The output ends when nobody is left who could write to it.
    server.wait()
    assert server.ended
    if path == "/":
        assert server.output.count("lifespan ends") == options.get("workers", 1)


@pytest.mark.parametrize("options", [{"workers": 2}, {"reload": True}], ids=str)
def test_children_that_start_end_when_their_parent_has_died(serve, tmp_path, options):
    if "reload" in options:
        options = {**options, "reload_dirs": [str(tmp_path)]}
    server = serve(HANGING, drain_s=1, **options)
    server.wait_for_line("it hangs")
    server.signal(signal.SIGKILL)
    server.wait()
    assert server.ended


def test_no_client_is_accepted_while_workers_drain(serve, join):
    server = serve(PID_APP, workers=2, drain_s=150)
    server.wait_for_line("2 workers are ready")
    client = join(server.ws_url + "/awaits-something-else")
    server.signal()
    deadline = time.monotonic() + 20
    with pytest.raises(ConnectionRefusedError):
        while time.monotonic() < deadline:
            # A connection in the listen queue is reset when the listener closes.
            with contextlib.suppress(ConnectionResetError):
                socket.create_connection(("127.0.0.1", server.port), timeout=20).close()
    client.close()
    server.signal()
    server.wait()


def test_a_replacement_that_does_not_start_is_tried_again(serve, tmp_path):
    server = serve(PID_APP, workers=2, drain_s=1)
    server.wait_for_line("2 workers are ready")
    before = worker_pids(server)
    assert len(before) == 2
    source = tmp_path / "served.py"
    whole = source.read_text()
    source.write_text("raise RuntimeError('half of a deployment')")
    killed = before.pop()
    os.kill(killed, signal.SIGKILL)
    server.wait_for_line("did not start; the next attempt")
    assert worker_pids(server) == before
    source.write_text(whole)
    deadline = time.monotonic() + 60
    while len(after := worker_pids(server)) != 2 and time.monotonic() < deadline:
        pass
    assert before < after
    server.signal()
    assert server.wait() == 0


HANGING = """
    import asyncio

    async def app(scope, receive, send):
        assert scope["type"] == "lifespan"
        await receive()
        print("it hangs", flush=True)
        try:
            await asyncio.Event().wait()
        finally:
            print("it is cancelled", flush=True)
"""


def test_another_hangup_gives_up_a_successor_that_hangs(serve, tmp_path):
    server = serve(PID_APP, workers=2, drain_s=1)
    server.wait_for_line("2 workers are ready")
    before = worker_pids(server)
    source = tmp_path / "served.py"
    whole = source.read_text()
    source.write_text(textwrap.dedent(HANGING))
    server.signal(signal.SIGHUP)
    server.wait_for_line("it hangs")
    source.write_text(whole)
    server.signal(signal.SIGHUP)
    server.wait_for_line("Rolling restart finished", timeout=60)
    after = worker_pids(server)
    assert len(after) == 2
    assert not before & after
    server.signal()
    assert server.wait() == 0


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_start_that_hangs(serve, workers, number):
    server = serve(HANGING, workers=workers, drain_s=150)
    server.wait_for_line("it hangs")
    server.signal(number)
    assert server.wait() == 0
    assert "it is cancelled" in server.output


def test_a_worker_that_dies_is_replaced(serve):
    server = serve(PID_APP, workers=2, drain_s=1)
    server.wait_for_line("2 workers are ready")
    victim, *_ = worker_pids(server)
    os.kill(victim, signal.SIGKILL)
    server.wait_for_line(f"Worker {victim} died")
    server.wait_for_line("replaces it")
    assert victim not in worker_pids(server)


def test_workers_that_cannot_start_end_the_parent(serve):
    broken = "async def app(scope, receive, send):\n    raise RuntimeError('no')\n"
    server = serve(broken, workers=2, lifespan="on")
    assert server.wait() == 3
    assert "did not start" in server.output


@pytest.mark.parametrize(
    ("engine", "loop"),
    [("picows", ""), ("websockets-sansio", LOOPS["asyncio"])],
    ids=["picows-uvloop", "websockets-sansio-asyncio"],
)
def test_clients_are_accepted_while_load_balancers_notice_the_end(serve, engine, loop):
    server = serve(APP, prelude=loop, engine=engine, drain_s=1, drain_accept_s=8).wait_until_ready()
    begin = time.monotonic()
    server.signal()
    server.wait_for_line("Not ready any more")
    ready = httpx.get(server.url + "/readyz")
    assert (ready.status_code, ready.text) == (503, "going away\n")
    # A connection that was open, and new ones.
    with httpx.Client() as client:
        assert [client.get(server.url + "/x").status_code for _ in range(2)] == [404, 404]
    with connect(server.ws_url, ping_interval=None) as client:
        client.send("late")
        assert client.recv(timeout=20) == "late"
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=20)
        assert closed.value.rcvd.code == 1012
        assert time.monotonic() - begin > 8
    assert server.wait() == 0
    assert "did not end in time" not in server.output


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_signal_ends_the_time_for_load_balancers_too(serve, workers):
    server = serve(APP, drain_accept_s=150, workers=workers)
    server.wait_for_line("workers are ready" if workers > 1 else "startup complete")
    server.signal()
    server.wait_for_line("Not ready any more")
    server.signal()
    assert server.wait() == 128 + signal.SIGTERM


def test_workers_that_end_accept_clients_while_load_balancers_notice(serve):
    server = serve(PID_APP, workers=2, drain_s=1, drain_accept_s=5)
    server.wait_for_line("2 workers are ready")
    server.signal()
    server.wait_for_line("Not ready any more")
    assert worker_pids(server)
    assert server.wait() == 0


def test_a_rolling_restart_does_not_wait_for_load_balancers(serve):
    server = serve(PID_APP, workers=2, drain_s=1, drain_accept_s=150)
    server.wait_for_line("2 workers are ready")
    server.signal(signal.SIGHUP)
    server.wait_for_line("Rolling restart finished", timeout=60)
    assert "Not ready any more" not in server.output
    server.signal()
    server.wait_for_line("Not ready any more")
    server.signal()
    assert server.wait() == 128 + signal.SIGTERM
