"""Fixtures of this folder: server processes on free ports, raw clients and certificates."""

import ssl
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.e2e.server.raw_client import RawClient
from tests.e2e.server.server_process import ServerProcess


def _serving(folder: Path) -> Iterator[Callable[..., ServerProcess]]:
    started: list[ServerProcess] = []

    def start(source: str, *, target: str = "served:app", prelude: str = "", **options: Any) -> ServerProcess:
        (folder / "served.py").write_text(textwrap.dedent(source))
        server = ServerProcess(folder, target, options, prelude)
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Return a function that starts a server process: `serve(source, workers=2, ...)`."""
    yield from _serving(tmp_path)


@pytest.fixture(scope="module")
def serve_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., ServerProcess]]:
    """The same for servers that all tests of a module share: equal arguments return the running server.

    So a fixture with parameters does not start a server for each test, in whatever order they run.
    """
    running: dict[str, ServerProcess] = {}
    serving = _serving(tmp_path_factory.mktemp("served"))
    serve = next(serving)

    def start_once(source: str, **options: Any) -> ServerProcess:
        key = repr((source, sorted(options.items())))
        server = running.get(key)
        if server is None or server.process.poll() is not None:
            server = running[key] = serve(source, **options)
        return server

    yield start_once
    # Stops them.
    next(serving, None)


@pytest.fixture(scope="module")
def server_options() -> dict[str, Any]:
    """Return how to serve a module's APP; a module with other options has a fixture of this name."""
    return {}


@pytest.fixture(scope="module")
def server(
    request: pytest.FixtureRequest, serve_module: Callable[..., ServerProcess], server_options: dict[str, Any]
) -> ServerProcess:
    """Return the server of a module's APP, which all of its tests share."""
    return serve_module(request.module.APP, **server_options).wait_until_ready()


@pytest.fixture
def tls(tmp_path: Path) -> tuple[str, ssl.SSLContext]:
    """Return the path of a server's certificate, and the context of a client that trusts it."""
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return str(tmp_path / "server.pem"), context


@pytest.fixture
def dial() -> Iterator[Callable[..., RawClient]]:
    """Return a function that connects a RawClient to a port, or to the path of a Unix socket."""
    clients: list[RawClient] = []

    def connect(address: int | str, **options: Any) -> RawClient:
        client = RawClient(address, **options)
        clients.append(client)
        return client

    yield connect
    for client in clients:
        client.socket.close()
