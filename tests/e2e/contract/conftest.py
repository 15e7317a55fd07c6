"""The contract suite's fixtures: every test that asks for ``peer`` runs on every server.

A test names the promise it proves, ``@pytest.mark.promise("...")``. Where the table says that a server cannot keep
the promise, the test must fail there, in the way that the table tells; if it passes, or fails otherwise, the table is
wrong.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest

from .client import Peer
from .promises import EXCEPTIONS, PROMISES, Limit
from .servers import ENGINES, Engine, RunningServer

_PATIENCE_S = 15.0
_PATIENCE_IN_VAIN_S = 1.0
"""How long something gets to come after all that is known never to come: if it came later, nothing would fail."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "bare: without falconws, on the servers that cannot keep the promise, and ours")
    config.addinivalue_line("markers", "promise(id): the promise of promises.py that this test proves")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" not in metafunc.fixturenames:
        return
    engines = ENGINES
    if metafunc.definition.get_closest_marker("bare") is not None:
        engines = tuple(engine for engine in ENGINES if _is_for_bare(engine, metafunc.definition))
    metafunc.parametrize("engine", engines, ids=lambda engine: engine.name)


def _is_for_bare(engine: Engine, item: pytest.Item) -> bool:
    marker = item.get_closest_marker("promise")
    assert marker is not None
    return engine.name == "falconws" or (engine.name, marker.args[0]) in EXCEPTIONS


def _limit(item: pytest.Item) -> Limit | None:
    callspec = getattr(item, "callspec", None)
    marker = item.get_closest_marker("promise")
    if callspec is None or marker is None or "engine" not in callspec.params:
        return None
    return EXCEPTIONS.get((callspec.params["engine"].name, marker.args[0]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    limit = _limit(item)
    if limit is None:
        return (yield)
    try:
        yield
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
        if re.search(limit.shows, told) is None:
            raise AssertionError(f"fails, but not as the table says ({limit.shows!r}): {told}") from error
    else:
        pytest.fail(f"kept after all; take this exception out of the table: {limit.reason}")
    pytest.xfail(limit.reason)


@pytest.fixture(scope="session")
def server_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Engine], RunningServer]]:
    """A function that returns the running server of an engine, started when it is first asked for."""
    running: dict[str, RunningServer] = {}

    def get(engine: Engine) -> RunningServer:
        server = running.get(engine.name)
        if server is None or not server.alive:
            server = running[engine.name] = RunningServer(engine, tmp_path_factory.mktemp("servers")).start()
        return server

    yield get
    for server in running.values():
        server.stop()


@pytest.fixture
def server(
    engine: Engine, server_of: Callable[[Engine], RunningServer], request: pytest.FixtureRequest
) -> Iterator[RunningServer]:
    server = server_of(engine)
    seen = len(server.output)
    yield server
    request.node.add_report_section("teardown", f"output of {engine.name}", server.output[seen:])
    assert server.alive, f"{engine.name} died:\n{server.output[seen:]}"


@pytest.fixture
async def peer(server: RunningServer, request: pytest.FixtureRequest) -> AsyncIterator[Peer]:
    """A client of the server under test. When the test is over, no responder of its run may be left."""
    marker = request.node.get_closest_marker("promise")
    assert marker is not None, "name the promise that this test proves"
    assert marker.args[0] in PROMISES, f"{marker.args[0]} is not in promises.py"
    limit = _limit(request.node)
    in_vain = limit is not None and limit.never_comes
    peer = Peer(server, _PATIENCE_IN_VAIN_S if in_vain else _PATIENCE_S)
    yield peer
    await peer.aclose()
    if limit is None:
        await peer.all_left()
