"""Behind a proxy: who the client is, for limits, log lines and the application, and below which path it is served."""

import json
import os
import re
import stat

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect, unix_connect

from falconws.server import AdmissionSettings
from tests.e2e.server.server_process import by_parser

APP = """
    import json

    async def app(scope, receive, send):
        assert scope["type"] in ("http", "websocket")
        host = dict(scope["headers"])[b"host"].decode()
        told = json.dumps([scope["scheme"], scope["client"] and scope["client"][0], host])
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": told.encode()})
        else:
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": told})
            await receive()
"""
PROXIED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "HTTPS, http", "X-Forwarded-Host": "example.com"}


def started(server):
    server.wait_for_line("lifespan. protocol appears unsupported")
    return server


@pytest.mark.parametrize("engine", ["picows", "websockets-sansio"])
def test_a_proxy_on_an_ipv6_socket_is_believed_over_ipv4(serve, engine):
    server = started(serve(APP, host="::", engine=engine))
    expected = ["https", "203.0.113.9", "example.com"]
    assert httpx.get(f"http://127.0.0.1:{server.port}/", headers=PROXIED).json() == expected
    with connect(f"ws://127.0.0.1:{server.port}/", additional_headers=PROXIED) as client:
        assert json.loads(client.recv(timeout=20)) == ["wss", *expected[1:]]
    # Without its headers, the client is an IPv4 address.
    assert httpx.get(f"http://127.0.0.1:{server.port}/").json()[1] == "127.0.0.1"


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
def test_log_lines_name_the_client_of_the_proxy(serve, tmp_path, unix):
    path = str(tmp_path / "s")
    server = started(serve(APP, **({"uds": path} if unix else {})))
    headers = {"X-Forwarded-For": "203.0.113.9:4567"}
    if unix:
        with unix_connect(path, "ws://localhost/ws", additional_headers=headers) as client:
            client.recv(timeout=20)
        with httpx.Client(transport=httpx.HTTPTransport(uds=path)) as http:
            http.get("http://localhost/http", headers=headers)
    else:
        with connect(server.ws_url + "/ws", additional_headers=headers) as client:
            client.recv(timeout=20)
        httpx.get(server.url + "/http", headers=headers)
    server.wait_for_line(r'203\.0\.113\.9:4567 - "WebSocket /ws" \[accepted\]')
    server.wait_for_line(r'203\.0\.113\.9:4567 - "GET /http HTTP/1\.1" 200')


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
def test_a_network_of_ipv6_addresses_counts_as_one_client(serve, tmp_path, unix):
    path = str(tmp_path / "s")
    server = started(
        serve(APP, admission=AdmissionSettings(limit_connections_per_ip=1), **({"uds": path} if unix else {}))
    )

    def join(address: str):
        headers = {"X-Forwarded-For": address}
        return (
            unix_connect(path, "ws://localhost/", additional_headers=headers)
            if unix
            else connect(server.ws_url, additional_headers=headers)
        )

    with join("2001:db8::1"), join("2001:db8:0:1::1"), join("203.0.113.9"):
        for same in ("2001:db8::2", "2001:db8::ffff:1", "203.0.113.9", "::ffff:203.0.113.9"):
            with pytest.raises(InvalidStatus) as refused, join(same):
                pass
            assert refused.value.response.status_code == 503


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
@by_parser
def test_clients_without_an_address_count_as_their_proxy(serve, header, parser):
    server = started(serve(APP, prelude=parser, admission=AdmissionSettings(limit_connections_per_ip=1)))

    def reported(name: str) -> dict[str, str]:
        return {header: f"for={name};proto=https" if header == "Forwarded" else name}

    with connect(server.ws_url + "/first", additional_headers=reported("_one")) as client:
        assert json.loads(client.recv(timeout=20))[1] == "127.0.0.1"
        for name in ("_two", "unknown", "localhost"):
            with pytest.raises(InvalidStatus) as refused, connect(server.ws_url, additional_headers=reported(name)):
                pass
            assert refused.value.response.status_code == 503
            assert httpx.get(server.url, headers=reported(name)).status_code == 503
        assert httpx.get(server.url, headers=reported("203.0.113.9")).status_code == 200
    server.wait_for_line(r'127\.0\.0\.1:\d+ - "WebSocket /first" \[accepted\]')
    assert not any(name in server.output for name in ("_one", "_two", "unknown", "localhost"))


def test_the_unix_socket_is_for_its_owner_and_group(serve, tmp_path):
    for options, mode in (({}, 0o660), ({"uds_mode": 0o600}, 0o600), ({"uds_mode": 0o666}, 0o666)):
        path = str(tmp_path / f"s{mode}")
        started(serve(APP, uds=path, **options))
        assert stat.S_IMODE(os.stat(path).st_mode) == mode


FALCON = """
    import falconws

    class Tells:
        async def on_get(self, req, resp, **kwargs):
            resp.text = f"{req.path} {req.relative_uri} {req.root_path}"

        async def on_websocket(self, req, ws, **kwargs):
            await ws.accept()
            await ws.send_text(f"{req.path} {req.relative_uri} {req.root_path}")

    class Health:
        async def on_get(self, req, resp):
            resp.text = "ok"

    app = falconws.App()
    app.add_route("/room/{name}", Tells())
    app.add_route("/", Tells())
    app.add_route("/healthz", Health())
    app.add_static_route("/static", FOLDER)
"""


@pytest.mark.parametrize("engine", ["picows", "websockets-sansio"])
@pytest.mark.parametrize("root_path", ["/pre/fix", "pre/fix/"])
@pytest.mark.parametrize("stripped", [False, True], ids=["whole", "stripped"])
def test_an_app_is_served_below_a_root_path(serve, tmp_path, engine, root_path, stripped):
    (tmp_path / "file.txt").write_text("static")
    server = serve(FALCON.replace("FOLDER", repr(str(tmp_path))), root_path=root_path, engine=engine).wait_until_ready()
    prefix = "" if stripped else "/pre/fix"

    def get(path: str) -> str:
        response = httpx.get(server.url + prefix + path)
        assert response.status_code == 200
        return response.text

    assert get("/room/a%20b?c=d") == "/room/a b /pre/fix/room/a%20b?c=d /pre/fix" or re.fullmatch(
        r"/room/a b /pre/fix/room/a b\?c=d /pre/fix", get("/room/a%20b?c=d")
    )
    assert get("/") == "/ /pre/fix/ /pre/fix"
    assert get("/healthz") == "ok"
    assert get("/static/file.txt") == "static"
    assert get("/readyz") == "ready\n"
    with connect(server.ws_url + prefix + "/room/x") as client:
        assert client.recv(timeout=20) == "/room/x /pre/fix/room/x /pre/fix"
    # A path that only begins alike is another path.
    assert httpx.get(server.url + "/pre/fixed").status_code == 404


@pytest.mark.parametrize("kind", ["handshake", "body"])
def test_refusals_name_the_client_of_the_proxy_and_the_request(serve, dial, kind):
    server = started(serve(APP))
    client = dial(server.port)
    if kind == "handshake":
        client.request("/ws?token=secret", sec_websocket_version="7", x_forwarded_for="203.0.113.9:4567")
        server.wait_for_line(r'203\.0\.113\.9:4567 - "GET /ws\?token=\*\*\*" refused with 426: ')
    else:
        client.send(
            b"POST /upload HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9:4567\r\nContent-Length: 99999999\r\n\r\n"
        )
        server.wait_for_line(r'203\.0\.113\.9:4567 - "POST /upload" refused with 413: ')


def test_all_names_are_served_in_production_by_default(serve):
    server = started(serve(APP))
    assert httpx.get(server.url, headers={"Host": "any.example"}).status_code == 200
