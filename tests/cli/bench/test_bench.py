"""`falconws bench` against real servers: what it counts, what it says, how it ends."""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import click.testing
import picows
import pytest
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from falconws_cli.bench.app_server import serve_project
from falconws_cli.bench.client import Client, Load, masked_frame
from falconws_cli.main import cli
from tests.ports import free_port

WAIT_S = 60.0

APP = '''
import asyncio
import falcon
import falconws

ECHOED = []


class Echo:
    async def on_websocket(self, req, ws):
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(text)
            ECHOED.append(len(text))


class Counting:
    """Answers of 300 lengths."""

    async def on_websocket(self, req, ws):
        await ws.accept()
        count = 0
        async for message in ws.iter_data() if req.get_param("binary") else ws.iter_text():
            count += 1
            await ws.send_text("n" * (count % 300))


class Silent:
    async def on_websocket(self, req, ws):
        await ws.accept()
        await ws.wait_disconnected()


class Twice:
    async def on_websocket(self, req, ws):
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(text)
            await ws.send_text(text)


class Closing:
    def __init__(self, after):
        self.after = after

    async def on_websocket(self, req, ws):
        await ws.accept()
        for _ in range(self.after):
            await ws.send_text(await ws.receive_text())
        await ws.receive_text()
        await ws.close(4001, "enough")


class Guarded:
    async def on_websocket(self, req, ws):
        if req.get_header("Authorization") != "Bearer token":
            raise falcon.HTTPForbidden(title="No token")
        await Echo().on_websocket(req, ws)


app = falconws.App()
app.ws_options.allowed_origins = "*"
app.add_route("/echo", Echo())
app.add_route("/counting", Counting())
app.add_route("/silent", Silent())
app.add_route("/twice", Twice())
app.add_route("/closes-first", Closing(0))
app.add_route("/closes-later", Closing(20))
app.add_route("/guarded", Guarded())
'''


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose app does what a load test must notice."""
    root = tmp_path_factory.mktemp("project")
    (root / "loaded.py").write_text(APP)
    (root / "pyproject.toml").write_text('[tool.falconws]\napp = "loaded:app"\n')
    return root


@pytest.fixture(scope="module")
def app_url(project: Path) -> Iterator[str]:
    """The URL of the project's app, served by a process of its own."""
    with serve_project(project) as port:
        yield f"ws://127.0.0.1:{port}"


def bench(*arguments: str, short: bool = True) -> click.testing.Result:
    words = ["bench", *arguments, *(["--seconds", "1", "--warm-up", "0"] if short else [])]
    return click.testing.CliRunner().invoke(cli, words, prog_name="falconws")


def error_of(result: click.testing.Result) -> str:
    """The error: one line on stderr."""
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_json_says_what_was_sent_and_how_it_went(app_url: str) -> None:
    result = bench(f"{app_url}/echo", "--connections", "3", "--in-flight", "4", "--size", "200", "--json")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    summary = json.loads(result.stdout)
    assert summary["url"] == f"{app_url}/echo"
    assert (summary["connections"], summary["in_flight"], summary["message_bytes"]) == (3, 4, 200)
    assert summary["messages"] > 0
    assert summary["rate"] == pytest.approx(summary["messages"] / summary["seconds"], rel=0.01)
    latency = summary["latency_us"]
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["max"]
    assert summary["interrupted"] is False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says who listens")
def test_the_cpu_time_of_a_local_server_is_shown(app_url: str) -> None:
    summary = json.loads(bench(f"{app_url}/echo", "--json").stdout)
    assert len(summary["server_pids"]) == 1
    assert summary["server_cpu_us"] > 0


@pytest.mark.parametrize("size", ["0", "65536"])
def test_plain_lines_where_there_is_no_terminal(app_url: str, size: str) -> None:
    result = bench(f"{app_url}/echo", "--size", size, "--connections", "2", "--in-flight", "3")
    assert result.exit_code == 0, result.output
    first, *_, rate, latency, cpu = result.stdout.splitlines()
    assert first == f"{app_url}/echo: 2 connections, 3 in flight on each, {size} bytes of TEXT, 1 s"
    assert rate.startswith("  rate     ")
    assert latency.startswith("  latency  p50 ")
    assert cpu.startswith("  server   ")
    assert "\x1b" not in result.stdout


def test_answers_of_any_length_and_kind_count(app_url: str) -> None:
    for arguments in (["--message", "grüße"], ["--binary", "--size", "10"]):
        path = "/counting?binary=1" if "--binary" in arguments else "/counting"
        result = bench(f"{app_url}{path}", "--in-flight", "5", *arguments, "--json")
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["messages"] > 0


def test_a_path_serves_the_project_for_the_test(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    inner = project / "inner"
    inner.mkdir(exist_ok=True)
    monkeypatch.chdir(inner)
    result = bench("/echo", "--json")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    port = int(summary["url"].rpartition(":")[2].partition("/")[0])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_broken_app_is_told_in_the_servers_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.py").write_text("raise RuntimeError('not today')\n")
    (tmp_path / "pyproject.toml").write_text('[tool.falconws]\napp = "broken:app"\n')
    monkeypatch.chdir(tmp_path)
    assert "not today" in error_of(bench("/echo"))


def test_a_route_that_is_misspelled_is_suggested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "app.py").write_text("import falconws\n\napp = falconws.App()\n")
    (tmp_path / "small" / "routes.py").write_text('app.add_route("/echo", EchoResource())\n')
    (tmp_path / "pyproject.toml").write_text('[tool.falconws]\napp = "small.app:app"\n')
    monkeypatch.chdir(tmp_path)
    assert error_of(bench("/ehco")).endswith(' Did you mean "/echo"?\n')


def test_a_path_outside_of_a_project_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "is not in a falconws project" in error_of(bench("/echo"))


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/nowhere", "denied the handshake with 404 Not Found"),
        ("/guarded", 'denied the handshake with 403 Forbidden: {"title": "No token"}.'),
        ("/closes-first", "closed a connection with 4001 (enough) instead of replying to the first message"),
        ("/closes-later", "closed a connection with 4001 (enough)."),
        ("/twice", "sent a message that is not a reply: falconws bench expects one reply to each message"),
    ],
)
def test_a_server_that_does_not_play_along_is_one_line(app_url: str, path: str, said: str) -> None:
    # That ends the load long before the time does, however slow the machine is.
    assert said in error_of(bench(f"{app_url}{path}", "--seconds", "60", "--warm-up", "0", short=False))


def test_a_header_gets_past_a_guard(app_url: str) -> None:
    result = bench(f"{app_url}/guarded", "--header", "Authorization: Bearer token", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["messages"] > 0


def test_a_server_that_does_not_answer_is_told_what_is_expected(app_url: str) -> None:
    line = error_of(bench(f"{app_url}/silent"))
    assert "has not replied to the first message within 5 s" in line
    assert "expects one reply to each message" in line


def test_nobody_listening_is_one_line() -> None:
    port = free_port()
    assert f"Nothing listens on 127.0.0.1:{port}" in error_of(bench(f"ws://127.0.0.1:{port}/echo"))


@contextlib.contextmanager
def answering(reply: bytes) -> Iterator[int]:
    """Return the port of a server that sends *reply* to each client and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(4096)
                        connection.sendall(reply)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(WAIT_S)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (b"220 mail.example ESMTP\r\n\r\n", "does not speak HTTP"),
        (b"", "closed the connection during the handshake"),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: nonsense\r\n\r\n",
            "Sec-WebSocket-Accept header is wrong",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", "denied the handshake with 200 OK: hello."),
    ],
)
def test_what_is_no_websocket_server_is_one_line(reply: bytes, said: str) -> None:
    with answering(reply) as port:
        assert said in error_of(bench(f"ws://127.0.0.1:{port}/", "--connections", "1"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["echo"],
        ["ws://192.0.2.1/echo"],
        ["ws://127.0.0.1:1/", "--header", "nonsense"],
        ["ws://127.0.0.1:1/", "--size", "16777216", "--connections", "100"],
        ["ws://127.0.0.1:1/", "--connections", "0"],
        ["ws://127.0.0.1:1/", "--seconds", "0"],
    ],
)
def test_what_cannot_be_carried_out_as_typed_is_refused(arguments: list[str]) -> None:
    result = bench(*arguments, short=False)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""


def test_the_servers_log_stays_clean(project: Path) -> None:
    with tempfile.TemporaryFile(mode="w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "falconws_cli", "serve", "--port", "0", "--log-level", "warning"],
            cwd=project,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline().partition("127.0.0.1:")[2].split()[0])
            assert bench(f"ws://127.0.0.1:{port}/echo", "--in-flight", "16").exit_code == 0
            process.send_signal(signal.SIGINT)
            assert process.wait(WAIT_S) == 0
        finally:
            process.kill()
            process.wait(WAIT_S)
            process.stdout.close()
        log.seek(0)
        assert log.read() == ""


def test_ctrl_c_ends_with_a_summary(app_url: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "falconws_cli", "bench", f"{app_url}/echo", "--seconds", "600"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    # The second line is the first second's.
    lines = [process.stdout.readline(), process.stdout.readline()]
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=WAIT_S)
    assert "messages/s" in lines[1]
    assert process.returncode == 0
    assert errors == ""
    assert rest.partition("Interrupted after ")[2].partition(" s.\n")[2].startswith(tuple("123456789"))
    assert "  latency  p50 " in rest


def test_a_terminal_gets_a_live_view(app_url: str) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "falconws_cli", "bench", f"{app_url}/echo", "--seconds", "1.2", "--warm-up", "0"],
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    # Linux answers EIO when the last one at the other end has gone.
    with contextlib.suppress(OSError):
        while chunk := os.read(ours, 4096):
            shown += chunk
    os.close(ours)
    assert process.wait(WAIT_S) == 0
    *live, summary = shown.decode().split("\x1b[J")
    assert len(live) >= 2
    assert all(screen.rstrip().endswith(("\x1b[4F", "\x1b[5F", "\x1b[3F")) for screen in live)
    assert "1.2 of 1.2 s" in live[-1]
    assert "each with its reply" in summary


async def test_messages_in_flight_never_exceed_what_was_asked() -> None:
    """The window is the load's promise: a server that answers late must not get more."""
    received = bytearray()
    frame = masked_frame(b"hello", binary=False)
    got_first = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(switching_protocols(head))
        received.extend(await reader.readexactly(3 * len(frame)))
        got_first.set()
        # Two answers in one piece and a half: exactly two more messages follow.
        writer.write(b"\x81\x02hi\x81\x02hi\x81\x02")
        received.extend(await reader.readexactly(2 * len(frame)))
        writer.write(b"hi")
        received.extend(await reader.readexactly(len(frame)))
        writer.write_eof()
        received.extend(await reader.read())
        writer.close()

    failures: list[str] = []
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, asyncio.timeout(WAIT_S):
        port = server.sockets[0].getsockname()[1]
        ended = asyncio.Event()
        load = Load(frame, 3, lambda line: (failures.append(line), ended.set()))
        client = Client(load)
        await picows.ws_connect(lambda: client, f"ws://127.0.0.1:{port}/")
        client.replied.set()
        client.send(3)
        await got_first.wait()
        await ended.wait()
    assert len(received) == 6 * len(frame)
    assert load.histogram.count == 3
    assert failures == ["The server dropped a connection without a closing handshake (1006)."]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
@pytest.mark.parametrize("binary", [False, True])
def test_another_implementation_reads_the_frames_to_send(size: int, binary: bool) -> None:
    payload = os.urandom(size)
    reader = StreamReader()
    reader.feed_data(masked_frame(payload, binary=binary))
    parser = Frame.parse(reader.read_exact, mask=True)
    with pytest.raises(StopIteration) as stopped:
        next(parser)
    frame = stopped.value.value
    assert (frame.opcode, frame.fin, bytes(frame.data)) == (Opcode.BINARY if binary else Opcode.TEXT, True, payload)
    assert reader.buffer == b""


FRAGMENTED = b"\x01\x02he" + b"\x89\x04ping" + b"\x00\x02ll" + b"\x80\x01o"


@pytest.mark.parametrize(
    ("replies", "count"),
    [
        (b"\x81\x05hello" + b"\x82\x7e\x01\x00" + b"b" * 256, 2),
        (b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + b"c" * 65536 + b"\x81\x00", 2),
        (FRAGMENTED + b"\x81\x00", 2),
    ],
)
@pytest.mark.parametrize("piece_bytes", [1, 7, 1 << 20])
async def test_replies_count_once_however_they_are_framed_and_cut(replies: bytes, count: int, piece_bytes: int) -> None:
    async with counting_client(replies, piece_bytes) as (load, failures):
        assert load.histogram.count == count
        assert failures == []


@pytest.mark.parametrize(
    "head", [b"\x81\x80\x00\x00\x00\x00", b"\x83\x00", b"\xa1\x00", b"\xc1\x00\x81\x00", b"\x41\x00"]
)
async def test_a_frame_that_no_server_may_send_ends_the_test(head: bytes) -> None:
    """It is masked, of an unknown type, or has a reserved bit set."""
    async with counting_client(head, 1) as (_, failures):
        assert failures[0].startswith("The server violated the protocol: ")


@contextlib.asynccontextmanager
async def counting_client(replies: bytes, piece_bytes: int) -> AsyncIterator[tuple[Load, list[str]]]:
    """A client with two messages in flight, once the server has sent *replies* in pieces and both have closed."""
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(switching_protocols(head))
        await reader.readexactly(2 * len(frame))
        for start in range(0, len(replies), piece_bytes):
            writer.write(replies[start : start + piece_bytes])
            await writer.drain()
        received = b""
        # Until the client's close frame, which may follow a pong.
        while b"\x88\x82" not in received and (data := await reader.read(65536)):
            received += data
        writer.write(b"\x88\x02\x03\xe8")
        writer.close()
        done.set()

    frame = masked_frame(b"x", binary=False)
    failures: list[str] = []
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, asyncio.timeout(WAIT_S):
        load = Load(frame, 2, failures.append)
        client = Client(load)
        port = server.sockets[0].getsockname()[1]
        await picows.ws_connect(lambda: client, f"ws://127.0.0.1:{port}/", max_frame_size=1 << 20)
        client.replied.set()
        client.send(2)
        await client.close()
        await done.wait()
    yield load, failures


def switching_protocols(request: bytes) -> bytes:
    """The response that accepts a handshake."""
    key = request.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0].decode()
    accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return head + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
