"""Start-up: clients that come too early, a lifespan that exits, and the options for what is listened on and logged."""

import json
import socket
import ssl
import subprocess
import sys
import threading

import httpx
import pytest
import trustme
from websockets.sync.client import connect

from falconws.server import TlsSettings
from tests.e2e.server.server_process import by_loop, by_parser

SLOW_START = """
    import asyncio, pathlib

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            print("starting", flush=True)
            while not pathlib.Path(GO).exists():
                await asyncio.sleep(0.01)
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})
"""


@by_loop
@pytest.mark.parametrize("kind", ["tcp", "unix", "workers"])
def test_clients_that_connect_before_start_up_has_finished_are_served(serve, dial, tmp_path, loop, kind):
    go = tmp_path / "go"
    options = {"tcp": {}, "unix": {"uds": str(tmp_path / "s")}, "workers": {"workers": 2}}[kind]
    server = serve(SLOW_START.replace("GO", repr(str(go))), prelude=loop, **options)
    server.wait_for_line("starting")
    # More than a short backlog holds.
    clients = [dial(options.get("uds") or server.port) for _ in range(50)]
    for client in clients:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    go.touch()
    assert all(b" 200 " in client.read_head() for client in clients)


FAILING = """
    import asyncio, sys
    import falcon, falcon.asgi, falconws

    class Fails:
        async def process_startup(self, scope, event):
            {raises}

    app = {app}(middleware=[Fails()])
"""


@pytest.mark.parametrize("app", ["falconws.App", "falcon.asgi.App"])
@pytest.mark.parametrize(
    ("raises", "message"),
    [
        ('sys.exit("no database")', "startup ended with SystemExit: no database"),
        ("sys.exit()", "startup ended with SystemExit"),
        ("sys.exit(0)", "startup ended with SystemExit: 0"),
        ('raise KeyboardInterrupt("stop")', "startup ended with KeyboardInterrupt: stop"),
        ("raise asyncio.CancelledError()", "startup ended with CancelledError"),
        ('raise GeneratorExit("odd")', "startup ended with GeneratorExit: odd"),
        ('raise BaseExceptionGroup("many", [SystemExit(1)])', "startup ended with BaseExceptionGroup: many"),
        ('raise ValueError("no database")', "ValueError: no database"),
    ],
)
def test_a_start_up_that_fails_ends_the_server_and_says_why(serve, app, raises, message):
    server = serve(FAILING.format(raises=raises, app=app))
    assert server.wait() == 3
    assert message in server.output
    assert "startup failed. Exiting." in server.output


@by_loop
def test_a_start_up_that_fails_ends_a_server_with_workers(serve, loop):
    server = serve(FAILING.format(raises='sys.exit("no database")', app="falconws.App"), workers=2, prelude=loop)
    assert server.wait() == 3
    assert "no database" in server.output


NO_LIFESPAN = """
    async def app(scope, receive, send):
        assert scope["type"] == "http", scope["type"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})
"""


def test_an_app_without_lifespan_is_served_unless_it_has_to_have_one(serve):
    for lifespan in ("auto", "off"):
        assert httpx.get(serve(NO_LIFESPAN, lifespan=lifespan).url).text == "ok"
    assert serve(NO_LIFESPAN, lifespan="on").wait() == 3


ECHO = """
    import json

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        told = json.dumps((scope.get("extensions") or {}).get("tls"))
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": told.encode()})
        else:
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": told})
            await receive()
"""


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX], ids=["tcp", "unix"])
@pytest.mark.parametrize("workers", [1, 2])
def test_an_open_socket_is_served(tmp_path, family, workers):
    (tmp_path / "served.py").write_text(NO_LIFESPAN.replace("\n    ", "\n"))
    with socket.socket(family) as listener:
        listener.bind(("127.0.0.1", 0) if family == socket.AF_INET else str(tmp_path / "s"))
        code = f"from falconws.server import run; run('served:app', fd={listener.fileno()}, workers={workers})"
        with subprocess.Popen(
            [sys.executable, "-c", code], cwd=tmp_path, pass_fds=[listener.fileno()], stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                assert "falconws serves" in process.stdout.readline()
                if family == socket.AF_INET:
                    assert httpx.get(f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout=20).text == "ok"
                else:
                    with httpx.Client(transport=httpx.HTTPTransport(uds=str(tmp_path / "s")), timeout=20) as client:
                        assert client.get("http://localhost/").text == "ok"
            finally:
                process.terminate()
            assert process.wait(20) == 0


def test_a_descriptor_that_is_no_socket_is_one_line(serve):
    server = serve(NO_LIFESPAN, fd=77)
    assert server.wait() == 1
    assert server.output == "Cannot listen on the file descriptor 77: bad file descriptor."


def test_a_logging_configuration_is_used(serve, tmp_path):
    configuration = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"mine": {"format": "MINE %(name)s %(message)s"}},
        "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "mine"}},
        "root": {"handlers": ["out"], "level": "INFO"},
    }
    path = tmp_path / "log.json"
    path.write_text(json.dumps(configuration))
    server = serve(ECHO, log_config=str(path))
    httpx.get(server.url + "/logged?token=secret")
    server.wait_for_line(r"MINE uvicorn.access .*/logged\?token=\*\*\*")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), ("{", "Expecting"), ('{"version": 7}', "version"), ("[x]\n", "'formatters' is missing")],
)
def test_a_broken_logging_configuration_is_one_line(serve, tmp_path, content, reason):
    path = tmp_path / ("log.ini" if content == "[x]\n" else "log.json")
    if content is not None:
        path.write_text(content)
    server = serve(ECHO, log_config=str(path))
    assert server.wait() == 1
    assert len(server.output.splitlines()) == 1
    assert f'Cannot use the logging configuration "{path}"' in server.output
    assert reason in server.output


def test_the_server_header_can_be_left_out(serve):
    assert "server" in httpx.get(serve(ECHO).url).headers
    server = serve(ECHO, server_header=False)
    assert "server" not in httpx.get(server.url).headers
    with connect(server.ws_url) as client:
        assert "server" not in client.response.headers


@by_loop
@by_parser
def test_the_certificate_of_a_client_is_in_the_scope(serve, dial, tmp_path, loop, parser):
    authority, clients = trustme.CA(), trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    clients.cert_pem.write_to_path(tmp_path / "clients.pem")
    own = clients.issue_cert("device@example.com", common_name='dev, "1"', organization_name="Example")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    tls = TlsSettings(str(tmp_path / "server.pem"), ca_certs=str(tmp_path / "clients.pem"), cert_reqs="optional")
    server = serve(ECHO, tls=tls, prelude=loop + parser).wait_until_ready()

    assert httpx.get(server.url, verify=context).json()["client_cert_chain"] == []
    own.configure_cert(context)
    told = httpx.get(server.url, verify=context).json()
    (certificate,) = told["client_cert_chain"]
    assert certificate.strip() == own.cert_chain_pems[0].bytes().decode().strip()
    assert told["client_cert_name"].startswith('CN=dev\\, \\"1\\",')
    assert told["tls_version"] == 0x0304
    client = dial(server.port)
    client.encrypt(context)
    assert b" 101 " in client.handshake()
    assert json.loads(client.read_frame()[1]) == told


def test_a_client_without_a_certificate_is_refused_if_it_needs_one(serve, tls, tmp_path):
    certificate, context = tls
    clients = trustme.CA()
    clients.cert_pem.write_to_path(tmp_path / "clients.pem")
    server = serve(ECHO, tls=TlsSettings(certificate, ca_certs=str(tmp_path / "clients.pem"))).wait_until_ready()
    with pytest.raises(httpx.TransportError):
        httpx.get(server.url, verify=context)
    clients.issue_cert("device@example.com").configure_cert(context)
    assert httpx.get(server.url, verify=context).status_code == 200


@by_loop
@pytest.mark.skipif(sys.platform == "win32", reason="no limits of resources")
def test_running_out_of_file_descriptors_is_logged_once(serve, loop):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60)); "
    server = serve(ECHO, prelude=loop + limit).wait_until_ready()
    clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
    server.wait_for_line(r"Cannot accept connections: Too many open files\. [2-9]\d connections are open")
    # asyncio tries again each second.
    threading.Event().wait(2.5)
    for client in clients:
        client.close()
    server.signal()
    assert server.wait() == 0
    assert len([line for line in server.output.splitlines() if "open files" in line]) == 1
    assert len(server.output.splitlines()) < 20


@pytest.mark.parametrize("path", ["/x?access_token=secret", "/x?token=secret&b=c", "/x?a=b&%74oken=secret"])
def test_secrets_are_masked_in_the_log(serve, path):
    server = serve(ECHO).wait_until_ready()
    httpx.get(server.url + path)
    with connect(server.ws_url + path) as client:
        client.recv(timeout=20)
    server.wait_for_line("GET /x.*200")
    server.wait_for_line("WebSocket /x.*accepted")
    assert "secret" not in server.output


def test_what_a_client_sends_cannot_forge_a_log_line(serve, dial):
    server = serve(ECHO).wait_until_ready()
    for request in (
        b"GET /%0d%0aINFO:%20forged HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /%1b[31m?a=%0a HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /" + b"x" * 8000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x1b[31mGET / HTTP/1.1\r\n\r\n",
    ):
        client = dial(server.port)
        client.send(request)
        client.read_head()
    refused = dial(server.port)
    refused.request("/%0d%0aforged", sec_websocket_version="7")
    assert b" 426 " in refused.read_head()
    server.wait_for_line(r"127\.0\.0\.1:\d+ - .*refused with 426")
    assert all(len(line) < 1024 for line in server.output.splitlines())
    assert not any(line.startswith(("forged", "INFO: forged")) for line in server.output.splitlines())
    assert "\x1b[31m" not in server.output


def test_a_flood_of_bad_requests_is_logged_a_few_times(serve, dial):
    server = serve(ECHO).wait_until_ready()
    for _ in range(100):
        client = dial(server.port)
        client.send(b"GET /\r\n\r\n")
        assert b" 400 " in client.read_head()
    assert server.output.count("refused with 400") == 10
