"""The console as `falconws serve` mounts it: when it is there, below a root path, over TLS, and in a new project."""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme
from playwright.sync_api import Browser, expect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as connect_websocket

from tests.e2e.console.conftest import HERE, Console, serving
from tests.e2e.console.test_console import connect, log, pane, send
from tests.generated.workshop import falconws

PAGE = "<title>falconws console</title>"


def get(url: str, path: str, **headers: str) -> tuple[int, str]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        connection.request("GET", path, headers={"Accept": "text/html,*/*;q=0.8", **headers})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("words", [(), ("--reload", "--no-console")])
def test_without_being_asked_for_there_is_no_console(words: tuple[str, ...]) -> None:
    with serving(HERE, "served:app", "--port", "0", *words) as url:
        for path in ("/", "/_falconws", "/_falconws/", "/_falconws/app", "/_falconws/refusal?target=/"):
            status, text = get(url, path)
            assert status == 404
            assert "console" not in text
        with (
            pytest.raises(InvalidStatus) as refused,
            connect_websocket(url.replace("http", "ws") + "/_falconws/live", proxy=None),
        ):
            pass
        assert refused.value.response.status_code == 404


def test_the_console_is_there_for_this_machine_only() -> None:
    with serving(HERE, "served:app", "--port", "0", "--allowed-host", "dev.example", "--reload") as url:
        for host in ("localhost", "127.0.0.1", "[::1]", "dev.example"):
            status, text = get(url, "/_falconws/", Host=host)
            assert (status, PAGE in text) == (200, True)
        status, text = get(url, "/_falconws/", Host="evil.example")
        assert status == 421
        assert PAGE not in text


def test_without_allowed_hosts_the_console_still_checks_its_own() -> None:
    with serving(HERE, "served:app", "--port", "0", "--console") as url:
        assert PAGE in get(url, "/_falconws/")[1]
        assert get(url, "/_falconws/", Host="evil.example")[0] == 404
        assert get(url, "/echo", Host="evil.example") == (200, "echo")


def test_the_console_shows_one_process() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "falconws_cli", "serve", "served:app", "--console", "--workers", "2"],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (
        1,
        "Error: console and workers cannot be combined: the console shows one process.\n",
    )


def test_below_a_root_path_and_over_tls(browser: Browser, tmp_path: Path) -> None:
    certificate = trustme.CA().issue_cert("127.0.0.1")
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.cert_chain_pems[0].write_to_path(files[0])
    certificate.private_key_pem.write_to_path(files[1])
    words = ("--ssl-certfile", str(files[0]), "--ssl-keyfile", str(files[1]), "--root-path", "/api/v1")
    with serving(HERE, "served:app", "--port", "0", "--console", *words) as url:
        assert re.fullmatch(r"https://127\.0\.0\.1:\d+/api/v1", url)
        # With the root path in front, as behind a proxy that does not strip it, and without.
        for base in (url, url.removesuffix("/api/v1")):
            console = Console(browser, base)
            one = connect(pane(console.open("/echo")), Query="add=!")
            send(one, "Text", "hello")
            expect(log(one).last).to_contain_text("receivedhello!")
            other = pane(console.open("/private"))
            other.get_by_role("button", name="Connect", exact=True).click()
            expect(log(other).first).to_contain_text("refused401 Unauthorized")
            console.close()


@pytest.mark.timeout(300)
def test_a_new_project_greets_a_browser_until_it_has_a_page_of_its_own(browser: Browser, tmp_path: Path) -> None:
    falconws(tmp_path, "new", "demo")
    with serving(tmp_path / "demo", "--reload", "--port", "0") as url:
        console = Console(browser, url)
        page = console.page
        page.goto(url)
        expect(page).to_have_url(f"{url}/_falconws/")
        expect(page.get_by_role("heading", level=2)).to_have_text("demo works")
        page.get_by_label("A message to /echo").fill("<i>hello</i>")
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_text("“<i>hello</i>” came back in")).to_be_visible()
        connect_command = f"falconws connect {url.replace('http', 'ws')}/echo"
        for text in ("falconws add-resource chat --pattern room", "falconws test", connect_command):
            expect(page.get_by_text(text)).to_be_visible()
        routes = page.locator("section", has=page.get_by_role("heading", name="Routes"))
        expect(routes.get_by_role("listitem")).to_have_text(["/echo WebSocket", "/echo GET", "/healthz GET"])
        page.get_by_role("link", name="Open the console's own room").click()
        page.get_by_role("button", name="Add a second connection").click()
        ada, ben = connect(pane(page, 1)), connect(pane(page, 2))
        send(ada, "Text", "hello ben")
        expect(log(ben).last).to_contain_text('{"name": "ada", "text": "hello ben"}')
        page.get_by_role("link", name="Rooms").click()
        expect(page.get_by_text("2 present: ada, ben")).to_be_visible()
        console.close()
        assert get(url, "/", Accept="application/json") == (404, '{"title": "404 Not Found"}')
    with serving(tmp_path / "demo", "--port", "0") as url:
        assert get(url, "/")[0] == 404
