"""`falconws.server.run()` as a user meets it: a process, its output, its exit code."""

import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

import httpx
import pytest
import trustme
from websockets.sync.client import connect, unix_connect

from falconws.server import TlsSettings

ECHO = """
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                event = await receive()
                await send({"type": event["type"] + ".complete"})
                if event["type"] == "lifespan.shutdown":
                    return
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"hello"})
            return
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            await send({**event, "type": "websocket.send"})
"""


def test_the_start_up_line_names_the_real_port(serve):
    server = serve(ECHO)
    assert server.port > 0
    with urllib.request.urlopen(server.url, timeout=20) as response:
        assert response.read() == b"hello"
    with connect(server.ws_url) as client:
        client.send("one")
        assert client.recv(timeout=20) == "one"


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process(serve, signal_number):
    server = serve(ECHO).wait_until_ready()
    server.signal(signal_number)
    assert server.wait() == 0
    assert "Traceback" not in server.output


def test_a_factory_serves(serve):
    server = serve(ECHO + "\n    def create_app():\n        return app\n", target="served:create_app")
    with connect(server.ws_url) as client:
        client.send(b"\x00")
        assert client.recv(timeout=20) == b"\x00"


def test_workers_serve_on_one_port(serve):
    server = serve(ECHO, workers=2)
    with connect(server.ws_url, open_timeout=20) as client:
        client.send("one")
        assert client.recv(timeout=20) == "one"


def test_reload_serves_the_changed_app(serve, tmp_path: Path):
    server = serve(ECHO, reload=True, reload_dirs=[str(tmp_path)])
    with urllib.request.urlopen(server.url, timeout=20) as response:
        assert response.read() == b"hello"
    source = tmp_path / "served.py"
    server.write_until_it_reloads(source, source.read_text().replace('b"hello"', 'b"changed"'))
    # From now on the new process owns the shared socket; clients that connect before it is ready wait in the backlog.
    server.wait_for_line("Finished server process")
    assert httpx.get(server.url, timeout=20).text == "changed"


def test_tls_serves_https_and_wss(serve, dial, tmp_path: Path):
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    server = serve(ECHO, tls=TlsSettings(certfile=str(tmp_path / "server.pem")))
    assert server.url.startswith("https://")
    client = dial(server.port)
    client.encrypt(context)
    assert b" 101 " in client.handshake()
    client.send_frame(1, b"x" * 200_000)
    assert client.read_frame() == (1, b"x" * 200_000)
    assert httpx.get(server.url, verify=context, timeout=20).text == "hello"


def test_a_unix_socket_is_removed_with_its_server(serve, tmp_path: Path):
    path = tmp_path / "s"
    server = serve(ECHO, uds=str(path))
    server.wait_for_line("serves unix:")
    with unix_connect(str(path), "ws://localhost/") as client:
        client.send("one")
        assert client.recv(timeout=20) == "one"
    server.signal()
    assert server.wait() == 0
    assert not path.exists()


def test_the_unix_socket_of_a_successor_is_kept(serve, tmp_path: Path):
    """One that starts while its predecessor drains takes the path over."""
    path = str(tmp_path / "s")

    def ask() -> str:
        with httpx.Client(transport=httpx.HTTPTransport(uds=path), timeout=20) as client:
            return client.get("http://localhost/").text

    first = serve(ECHO, uds=path, drain_s=150).wait_until_ready()
    with socket.socket(socket.AF_UNIX) as slow:
        slow.connect(path)
        slow.sendall(b"GET / HT")
        assert ask() == "hello"
        first.signal()
        first.wait_for_line("Draining")
        second = serve(ECHO, uds=path).wait_until_ready()
        assert first.process.poll() is None
    assert first.wait() == 0
    assert ask() == "hello"
    second.signal()
    assert second.wait() == 0
    assert not Path(path).exists()


def refuses(server) -> str:
    """Return the output of a server that must not start: one line, and exit code 1."""
    assert server.wait() == 1
    assert len(server.output.splitlines()) == 1, server.output
    return server.output


def test_a_port_in_use_is_one_line(serve):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"127.0.0.1:{port}: address already in use" in refuses(serve(ECHO, port=port))


def test_a_missing_module_is_one_line(serve):
    assert 'Cannot find the module "nowhere"' in refuses(serve(ECHO, target="nowhere:app"))


def test_a_missing_attribute_is_one_line(serve):
    assert '"served" has no attribute "other"' in refuses(serve(ECHO, target="served:other"))


@pytest.mark.parametrize("target", ["served:app", "served:create_app"])
def test_a_wsgi_app_is_one_line(serve, target):
    line = refuses(serve("import falcon\napp = falcon.App()\ndef create_app():\n    return app\n", target=target))
    assert f'"{target}" is a falcon.app.App, not an ASGI app of Falcon' in line


def test_an_error_in_the_users_module_names_its_line(serve):
    assert 'Cannot import "served": ZeroDivisionError: division by zero' in (line := refuses(serve("\n1 / 0\n")))
    assert line.endswith("served.py, line 2)")
    line = refuses(serve("def (\n"))
    assert 'Cannot import "served": SyntaxError: invalid syntax (' in line
    assert line.count("line 1)") == line.count("served.py") == 1


def test_an_error_that_is_a_sentence_has_no_full_stop_before_its_place(serve):
    line = refuses(serve("\nraise ValueError('Set TOKENS.')\n"))
    assert "ValueError: Set TOKENS (" in line
    assert line.endswith("served.py, line 2)")


def test_a_target_without_an_attribute_is_one_line(serve):
    assert 'write it as "module:attribute"' in refuses(serve(ECHO, target="served"))


def test_a_missing_certificate_is_one_line(serve):
    assert "Cannot use the TLS certificate in nowhere.pem" in refuses(
        serve(ECHO, tls=TlsSettings(certfile="nowhere.pem"))
    )


def test_a_certificate_without_its_key_is_one_line(serve, tmp_path: Path):
    certificate = trustme.CA().issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "chain.pem")
    line = refuses(serve(ECHO, tls=TlsSettings(certfile=str(tmp_path / "chain.pem"))))
    assert "chain.pem: it must also hold the private key, or keyfile (--ssl-keyfile) must name it" in line


def test_a_name_of_a_trusted_proxy_is_one_line(serve):
    assert '"nginx" is neither an address nor a network' in refuses(serve(ECHO, forwarded_allow_ips="10.0.0.1,nginx"))


def test_an_address_of_another_machine_is_one_line(serve):
    # One for documentation: no machine has it (RFC 5737).
    assert "this machine does not have that address" in refuses(serve(ECHO, host="192.0.2.1"))


@pytest.mark.parametrize("access_log", [True, False])
def test_handshakes_are_in_the_access_log_or_nowhere(serve, access_log):
    server = serve(ECHO, access_log=access_log)
    with connect(server.ws_url + "/?name=ada"):
        pass
    server.signal()
    assert server.wait() == 0
    assert ("name=ada" in server.output) is access_log


def test_a_file_at_the_unix_path_is_kept(serve, tmp_path: Path):
    (tmp_path / "precious").write_text("data")
    assert "is not a socket" in refuses(serve(ECHO, uds=str(tmp_path / "precious")))
    assert (tmp_path / "precious").read_text() == "data"


def test_importing_the_package_loads_neither_uvicorn_nor_picows():
    code = "import sys, falconws.server; print(sorted({'uvicorn', 'picows', 'websockets'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "[]\n"
