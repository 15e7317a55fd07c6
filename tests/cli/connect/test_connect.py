"""`falconws connect` against real servers: what a script gets, and what a person sees."""

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from falconws_cli.bench.app_server import serve_project
from tests.cli.pseudoterminal import Terminal, terminal
from tests.ports import free_port

WAIT_S = 60.0
FALCONWS = [sys.executable, "-m", "falconws_cli"]

APP = '''
import asyncio
import collections
import falcon
import falconws
import falconws.typed

LEFT = collections.defaultdict(asyncio.Queue)


class Echo:
    async def on_websocket(self, req, ws):
        await ws.accept()
        try:
            async for message in ws.iter_data() if req.get_param("binary") else ws.iter_text():
                await (ws.send_data(message) if isinstance(message, bytes) else ws.send_text(message))
        finally:
            await LEFT[req.get_param("who")].put(ws.close_code)


class Left:
    """The code that a client of /echo or /told has left with."""

    async def on_get(self, req, resp):
        async with asyncio.timeout(30):
            resp.text = str(await LEFT[req.get_param("who")].get())


class Sum(falconws.typed.Reply, tag="sum"):
    value: int


class Add(falconws.typed.Call[Sum], tag="add"):
    """Add two numbers."""

    a: int
    b: int


class Sums(falconws.typed.Conversation[Add, Sum]):
    close_codes = {4002: "too much"}


class Typed:
    @falconws.typed.speaks(Sums)
    async def on_websocket(self, req, sums, name):
        await sums.accept()
        async for add in sums:
            if add.a > 100:
                await sums.ws.close(4002)
            await sums.reply(add, Sum(value=add.a + add.b))


class Told:
    """Sends what POST brings."""

    def __init__(self):
        self.queue = asyncio.Queue()

    async def on_post(self, req, resp):
        await self.queue.put((await req.stream.read()).decode())

    async def on_websocket(self, req, ws):
        await ws.accept()
        async with ws.task_scope() as tasks:
            tasks.create_task(self.send(ws))
            await ws.wait_disconnected()
        await LEFT[req.get_param("who")].put(ws.close_code)

    async def send(self, ws):
        while True:
            await ws.send_text(await self.queue.get())


class Closing:
    async def on_websocket(self, req, ws):
        await ws.accept()
        await ws.send_text("last words")
        await ws.close(int(req.get_param("code")), req.get_param("reason"))


class Describing:
    """Says how it was asked."""

    async def on_websocket(self, req, ws):
        await ws.accept(subprotocol=ws.subprotocols[-1] if ws.subprotocols else None)
        await ws.send_media({"offered": ws.subprotocols, "origin": req.get_header("Origin"), "x": req.get_header("X")})
        await ws.wait_disconnected()


class Flood:
    async def on_websocket(self, req, ws):
        await ws.accept()
        for number in range(2000):
            await ws.send_text(f"message {number}")
        await ws.wait_disconnected()


class Guarded:
    async def on_websocket(self, req, ws):
        raise falcon.HTTPServiceUnavailable(title="Full", description="Come back.", retry_after=30)


class Frozen:
    async def on_websocket(self, req, ws):
        await asyncio.sleep(60)


app = falconws.App()
app.ws_options.allowed_origins = "*"
told = Told()
for path, resource in {
    "/echo": Echo(), "/left": Left(), "/told": told, "/closing": Closing(), "/describing": Describing(),
    "/guarded": Guarded(), "/flood": Flood(), "/frozen": Frozen(), "/sums/{name}": Typed(),
}.items():
    app.add_route(path, resource)
'''


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose app does what a client must tell apart."""
    root = tmp_path_factory.mktemp("project")
    (root / "talkative").mkdir()
    (root / "talkative" / "app.py").write_text(APP)
    (root / "talkative" / "routes.py").write_text(
        'app.add_route("/echo", Echo())\napp.add_route("/items/{item_id:int}/bids", Bids())\n'
    )
    (root / "pyproject.toml").write_text('[tool.falconws]\napp = "talkative.app:app"\n')
    return root


@pytest.fixture(scope="module")
def port(project: Path) -> Iterator[int]:
    with serve_project(project) as number:
        yield number


def connect(
    port: int, where: str, *options: str, lines: bytes = b"", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*FALCONWS, "connect", where, "--port", str(port), *options],
        input=lines,
        capture_output=True,
        cwd=cwd,
        timeout=WAIT_S,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def error_of(done: subprocess.CompletedProcess[str], code: int = 1) -> str:
    """The error: one line on stderr."""
    assert done.returncode == code, done
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def close_code_of(who: str, port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/left?who={who}", timeout=WAIT_S) as response:
        return response.read().decode()


class TestScript:
    def test_an_expectation_that_is_met_is_exit_code_0_and_the_server_sees_1000(self, port: int) -> None:
        done = connect(port, "/echo?who=script", "--send", "hello", "--expect", "hello")
        assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")
        assert close_code_of("script", port) == "1000"

    def test_send_and_expect_go_in_the_order_typed(self, port: int) -> None:
        words = ["--send", "one", "--expect", "one", "--send", "two", "--send", "three", "--expect", "/th/"]
        done = connect(port, "/echo", *words)
        assert (done.returncode, done.stdout) == (0, "one\ntwo\nthree\n")
        # "one" has been passed by when it is waited for a second time.
        late = connect(port, "/echo", "--send", "one", "--expect", "one", "--expect", "one", "--timeout", "0.3")
        assert late.returncode == 1

    def test_an_expectation_that_is_not_met_says_what_came_instead(self, port: int) -> None:
        words = ["--send", "a", "--send", "b", "--expect", "pong", "--timeout", "3"]
        done = connect(port, "/echo", *words)
        assert done.stdout == "a\nb\n"
        assert error_of(done) == (
            'Error: No message "pong" arrived within 3 s (--timeout); 2 others arrived, the last one: b\n'
        )

    def test_a_close_before_the_expected_message_is_told(self, port: int) -> None:
        done = connect(port, "/closing?code=4001&reason=enough", "--expect", "never")
        assert done.stdout == "last words\n"
        assert error_of(done).startswith("Error: The server closed the connection with 4001 (enough) before a message")

    @pytest.mark.parametrize(("code", "exit_code"), [(1000, 0), (1001, 0), (1011, 1), (4000, 1)])
    def test_a_good_close_code_is_success(self, port: int, code: int, exit_code: int) -> None:
        done = connect(port, f"/closing?code={code}&reason=", "--wait", "30")
        assert (done.returncode, done.stdout) == (exit_code, "last words\n")

    def test_lines_of_standard_input_are_messages(self, port: int) -> None:
        done = connect(port, "/echo", "--wait", "3", lines="grüße\r\n\nlast".encode())
        assert (done.returncode, done.stdout) == (0, "grüße\n\nlast\n")

    def test_input_that_never_ends_does_not_hold_a_script_that_is_done(self, port: int) -> None:
        theirs, ours = os.pipe()
        try:
            os.write(ours, b"hello\n")
            command = [*FALCONWS, "connect", "/echo", "--port", str(port), "--expect", "hello"]
            done = subprocess.run(command, stdin=theirs, capture_output=True, timeout=WAIT_S, check=False)
        finally:
            os.close(theirs)
            os.close(ours)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"hello\n", b"")

    def test_input_is_left_alone_when_there_is_something_to_send(self, port: int) -> None:
        done = connect(port, "/echo", "--send", "mine", "--expect", "mine", lines=b"not mine\n")
        assert done.stdout == "mine\n"

    def test_messagepack_and_bytes_come_out_as_they_go_in(self, port: int) -> None:
        done = connect(port, "/echo?binary=1", "--msgpack", "--send", '{"id": 7}', "--expect", '{"id":7}')
        assert (done.returncode, done.stdout) == (0, '{"id": 7}\n')
        done = connect(port, "/echo?binary=1", "--hex", "--send", "00 FF", "--expect", "00 FF")
        assert (done.returncode, done.stdout) == (0, "00ff\n")
        done = connect(port, "/echo?binary=1", "--binary", "--send", "hi", "--expect", "6869")
        assert done.returncode == 0

    def test_header_subprotocols_and_origin_arrive(self, port: int) -> None:
        words = ["--header", "X: yes", "--subprotocol", "a", "--subprotocol", "b", "--origin", "https://example.com"]
        expected = '{"offered": ["a", "b"], "origin": "https://example.com", "x": "yes"}'
        assert connect(port, "/describing", *words, "--expect", expected).returncode == 0

    def test_an_http_url_means_the_same(self, port: int) -> None:
        done = connect(1, f"http://127.0.0.1:{port}/echo", "--send", "x", "--expect", "x")
        assert done.returncode == 0

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to handle")
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_a_signal_closes_with_1000(self, port: int, number: int, code: int) -> None:
        process = subprocess.Popen(
            [*FALCONWS, "connect", f"/echo?who=signal-{code}", "--port", str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"here\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"here\n"
        process.send_signal(number)
        rest, errors = process.communicate(timeout=WAIT_S)
        assert (process.returncode, rest, errors) == (code, b"", b"")
        assert close_code_of(f"signal-{code}", port) == "1000"

    def test_a_reader_that_goes_away_ends_it_quietly(self, port: int) -> None:
        script = f"yes | {sys.executable} -m falconws_cli connect /echo --port {port} | head -n 2"
        done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=WAIT_S, check=False)
        assert (done.stdout, done.stderr) == (b"y\ny\n", b"")


class TestRefusal:
    def test_a_denial_shows_status_and_body(self, port: int) -> None:
        line = error_of(connect(port, "/guarded", "--expect", "x"))
        assert "denied the handshake with 503 Service Unavailable (Retry-After: 30): " in line
        assert '"description": "Come back."' in line

    def test_a_route_that_is_misspelled_is_suggested_inside_of_a_project(self, port: int, project: Path) -> None:
        line = error_of(connect(port, "/ehco?x=1", cwd=project))
        assert "404 Not Found" in line
        assert line.endswith(' Did you mean "/echo"?\n')
        assert error_of(connect(port, "/xyzzy", cwd=project)).endswith(" Is the path right?\n")
        line = error_of(connect(port, "/items/9/bids", cwd=project))
        assert "404 Not Found" in line
        assert "Did you mean" not in line
        assert " The project has the route /items/{item_id:int}/bids: its responder, or a middleware," in line

    def test_nobody_listening_says_how_to_start(self) -> None:
        free = free_port()
        assert f"Nothing listens on 127.0.0.1:{free}; start the server first" in error_of(connect(free, "/echo"))

    def test_a_handshake_without_an_answer_ends_in_time(self, port: int) -> None:
        assert "has not answered the handshake within 0.3 s" in error_of(connect(port, "/frozen", "--timeout", "0.3"))

    def test_what_speaks_no_http_is_told(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def answer() -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"220 mail.example ESMTP\r\n\r\n")

            thread = threading.Thread(target=answer)
            thread.start()
            line = error_of(connect(listener.getsockname()[1], "/"))
            thread.join(WAIT_S)
        assert "does not speak HTTP" in line

    @pytest.mark.parametrize(
        ("words", "problem"),
        [
            (["echo"], "neither a URL"),
            (["ftp://127.0.0.1/"], "is not a WebSocket URL"),
            (["/echo", "--header", "nonsense"], "is not a header"),
            (["/echo", "--hex", "--send", "xy"], "is not hexadecimal"),
            (["/echo", "--expect", "/(/"], "is not a valid regular expression"),
        ],
    )
    def test_what_cannot_be_carried_out_as_typed_is_refused(self, words: list[str], problem: str) -> None:
        assert problem in error_of(connect(1, *words), code=2)

    def test_a_line_of_the_input_that_is_no_message_is_told_with_its_number(self, port: int) -> None:
        line = error_of(connect(port, "/echo?binary=1", "--msgpack", lines=b'{"a": 1}\n{"a"\n'))
        assert line.startswith("Error: Line 2 of the input is not JSON")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    return folder


@pytest.fixture(scope="module")
def secure_port(project: Path, authority: Path) -> Iterator[int]:
    process = subprocess.Popen(
        [*FALCONWS, "serve", "--port", "0", "--ssl-certfile", str(authority / "server.pem")],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline().partition("127.0.0.1:")[2].split()[0])
    finally:
        process.terminate()
        process.wait(WAIT_S)
        process.stdout.close()


class TestTls:
    def test_an_unknown_authority_is_refused_and_can_be_trusted(self, secure_port: int, authority: Path) -> None:
        url = f"wss://127.0.0.1:{secure_port}/echo"
        words = ["--send", "x", "--expect", "x"]
        line = error_of(connect(1, url, *words))
        assert "is not trusted" in line
        assert "--cafile" in line
        assert connect(1, url, *words, "--cafile", str(authority / "ca.pem")).returncode == 0
        assert connect(1, url, *words, "--insecure").returncode == 0

    def test_a_file_that_holds_no_certificate_is_told(self, secure_port: int, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_text("nothing\n")
        for name, problem in (("ca.pem", "contains no certificate"), ("gone.pem", "no such file")):
            words = ["--cafile", str(tmp_path / name)]
            assert problem in error_of(connect(1, f"wss://127.0.0.1:{secure_port}/echo", *words))

    def test_tls_to_a_server_without_it_is_told(self, port: int) -> None:
        assert "is it ws:// instead of wss://?" in error_of(connect(1, f"wss://127.0.0.1:{port}/echo"))


class TestDeclaredMessages:
    @pytest.fixture
    def document(self, project: Path, tmp_path: Path) -> Path:
        subprocess.run([*FALCONWS, "asyncapi", "--output", str(tmp_path / "asyncapi.json")], cwd=project, check=True)
        return tmp_path / "asyncapi.json"

    def test_a_script_names_them(self, port: int, document: Path) -> None:
        options = ["--asyncapi", str(document)]
        done = connect(port, "/sums/a", *options, "--send", "/add a=1 b=2", "--expect", "/3/")
        assert json.loads(done.stdout) == {"type": "sum", "value": 3, "id": 1}
        done = connect(port, "/sums/a", *options, "--expect", "/5/", lines=b"/add a=2 b=3\n")
        assert json.loads(done.stdout)["value"] == 5

    def test_a_message_that_is_not_valid_is_not_sent(self, port: int, document: Path) -> None:
        options = ["--asyncapi", str(document)]
        line = error_of(connect(port, "/sums/a", *options, "--send", "/add a=1"), code=2)
        assert line == 'Error: --send "/add a=1" is not valid: "b" is missing.\n'
        line = error_of(connect(port, "/sums/a", *options, lines=b"/ad a=1\n"))
        assert line.startswith('Error: Line 1 of the input names no message "ad": send add')

    def test_without_a_document_a_slash_is_text(self, port: int) -> None:
        assert connect(port, "/echo", "--send", "/add a=1", "--expect", "/add a=1").returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
class TestByHand:
    def test_declared_messages_are_completed_and_their_replies_timed(
        self, port: int, project: Path, tmp_path: Path
    ) -> None:
        environ = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
        with terminal([*FALCONWS, "connect", "/sums/a", "--port", str(port)], cwd=project, environ=environ) as screen:
            screen.until_shown("Type / for the messages.")
            screen.until("line to type on", lambda lines: lines and "sent 0" in lines[-1])
            screen.type("/")
            screen.until_shown("Add two numbers.")
            screen.type("add a=x\r")
            screen.until_shown('What you typed has no integer in "a".')
            screen.type("\x7f1 b=2\r")
            screen.until_shown('> {"type": "add", "a": 1, "b": 2, "id": 1}')
            lines = screen.until_shown("(reply to add 1 after ")
            assert any('< {"type":"sum","value":3,"id":1}' in line for line in lines)
            screen.type("/add a=101 b=1\r")
            screen.until_shown("The server closed the connection with 4002: too much.")
            assert screen.wait() == 1

    @contextlib.contextmanager
    def talking(self, port: int, where: str, home: Path, *options: str, typing: bool = True) -> Iterator[Terminal]:
        environ = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")}
        with terminal(
            [*FALCONWS, "connect", where, "--port", str(port), *options], cwd=home, environ=environ
        ) as screen:
            if typing:
                screen.until("line to type on", lambda lines: lines and "sent 0" in lines[-1])
            yield screen

    def tell(self, port: int, text: str) -> None:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/told", data=text.encode(), method="POST")
        urllib.request.urlopen(request, timeout=WAIT_S).close()

    def test_a_line_is_sent_and_its_answer_shown_with_the_time(self, port: int, tmp_path: Path) -> None:
        with self.talking(port, "/echo?who=hand", tmp_path) as screen:
            screen.until_shown("Connected to ws://127.0.0.1:")
            screen.type("hello\r")
            lines = screen.until_shown(" < hello")
            [sent] = [line for line in lines if line.endswith(" > hello")]
            assert sent[2] == sent[5] == ":"
            screen.until("toolbar with the time of a ping", lambda lines: " ms   sent 1   received 1" in lines[-1])
            screen.type("\x04")
            assert screen.wait() == 0
            assert screen.lines()[-1] == "Closed with 1000."
        assert close_code_of("hand", port) == "1000"

    def test_a_message_that_comes_leaves_the_line_being_typed_alone(self, port: int, tmp_path: Path) -> None:
        with self.talking(port, "/told?who=line", tmp_path) as screen:
            screen.type("half a thou")
            screen.until_shown("> half a thou")
            for number in range(3):
                self.tell(port, f"news {number}")
                lines = screen.until_shown(f" < news {number}")
            screen.type("ght")
            lines = screen.until_shown("> half a thought")
            assert sum("half a thou" in line for line in lines) == 1
            news = [index for index, line in enumerate(lines) if " < news " in line]
            assert len(news) == 3
            assert max(news) < lines.index("> half a thought")
            screen.type("\x03")
            assert screen.wait() == 0
        assert close_code_of("line", port) == "1000"

    def test_a_flood_is_shown_in_order_and_leaves_the_line_being_typed_alone(self, port: int, tmp_path: Path) -> None:
        with self.talking(port, "/flood", tmp_path, typing=False) as screen:
            screen.until_shown(" < message ")
            for letter in "still here":
                screen.type(letter)
            screen.until_shown(" < message 1999")
            lines = screen.until("line as it was typed", lambda lines: "> still here" in lines)
            numbers = [int(line.rpartition(" ")[2]) for line in lines if " < message " in line]
            assert numbers == list(range(2000 - len(numbers), 2000))
            screen.until("count of all", lambda lines: "received 2000" in lines[-1])
            screen.type("\x03")
            assert screen.wait() == 0

    def test_wide_json_and_messagepack_are_shown_readably(self, port: int, tmp_path: Path) -> None:
        with self.talking(port, "/echo?binary=1", tmp_path, "--msgpack") as screen:
            screen.type('{"id": 7}\r')
            lines = screen.until_shown('< {"id": 7} (MessagePack, 5 bytes)')
            screen.type('["{}", "{}"]\r'.format("a" * 60, "b" * 60))
            lines = screen.until(
                "indented answer", lambda lines: sum(line.startswith("] (Mess") for line in lines) == 2
            )
            assert f'  "{"b" * 60}"' in lines
            screen.type("{oops\r")
            screen.until_shown("What you typed is not JSON")
            # It is there to be corrected.
            screen.until("line as it was typed", lambda lines: "> {oops" in lines)
            screen.type("\x03")
            assert screen.wait() == 0

    def test_an_escape_sequence_of_the_server_does_not_reach_the_terminal(self, port: int, tmp_path: Path) -> None:
        with self.talking(port, "/told", tmp_path) as screen:
            self.tell(port, "\x1b]0;owned\x07\x1b[2J")
            screen.until_shown("\\x1b]0;owned\\x07\\x1b[2J")
            assert b"\x1b]0;owned" not in screen.written
            screen.type("\x04")
            assert screen.wait() == 0

    @pytest.mark.parametrize(("code", "exit_code"), [("4001", 1), ("1000", 0)])
    def test_the_last_words_and_the_close_code_are_shown(
        self, port: int, tmp_path: Path, code: str, exit_code: int
    ) -> None:
        with self.talking(port, f"/closing?code={code}&reason=enough", tmp_path, typing=False) as screen:
            assert screen.wait() == exit_code
            assert any(line.endswith(" < last words") for line in screen.lines())
            assert screen.lines()[-1] == f"The server closed the connection with {code} (enough)."

    def test_the_subprotocol_is_shown(self, port: int, tmp_path: Path) -> None:
        with self.talking(port, "/describing", tmp_path, "--subprotocol", "wamp") as screen:
            screen.until_shown("subprotocol wamp.")
            screen.type("\x04")
            assert screen.wait() == 0

    def test_what_was_typed_is_remembered_for_nobody_else(self, port: int, tmp_path: Path) -> None:
        with self.talking(port, "/echo", tmp_path) as screen:
            screen.type("remember me\r")
            screen.until_shown(" < remember me")
            screen.type("\x04")
            screen.wait()
        [history] = tmp_path.rglob("connect_history")
        assert history.stat().st_mode & 0o077 == 0
        with self.talking(port, "/echo", tmp_path) as screen:
            screen.type("\x1b[A")
            screen.until("earlier line", lambda lines: "> remember me" in lines)
            screen.type("\x03")
            assert screen.wait() == 0

    def test_where_no_history_can_be_kept_there_is_none(self, port: int, tmp_path: Path) -> None:
        (tmp_path / ".config").write_text("a file")
        with self.talking(port, "/echo", tmp_path) as screen:
            screen.type("hello\r")
            screen.until_shown(" < hello")
            screen.type("\x04")
            assert screen.wait() == 0


def test_the_default_context_verifies() -> None:
    from falconws_cli.connect.connection import tls_context
    from falconws_cli.urls import WebSocketUrl

    context = tls_context(WebSocketUrl("example.com", 443, "/", tls=True), insecure=False, cafile=None)
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
