"""Brokers for the tests of this folder: one server of each kind for the session, and others to be maltreated."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.hub.nats_cluster import NatsCluster
from tests.e2e.hub.serve_process import Serve, ServiceProcess
from tests.e2e.hub.servers import BrokerServer, Nats, Valkey, ValkeyCluster

KINDS: dict[str, type[BrokerServer]] = {"redis": Valkey, "nats": Nats}


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A server that tests share; each has rooms of its own."""
    with contextlib.closing(_Closing(Valkey(tmp_path_factory.mktemp("valkey")))) as holder:
        yield holder.server


@pytest.fixture(scope="session")
def valkey_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyCluster]:
    """Three servers, each with a third of the slots."""
    with contextlib.closing(_Closing(ValkeyCluster(tmp_path_factory.mktemp("cluster")))) as holder:
        yield holder.server


@pytest.fixture(scope="session")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    """The same for NATS."""
    with contextlib.closing(_Closing(Nats(tmp_path_factory.mktemp("nats")))) as holder:
        yield holder.server


@pytest.fixture(scope="session")
def nats_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    """Three servers with one JetStream, which tests share: not to be maltreated."""
    with contextlib.closing(_Closing(NatsCluster(tmp_path_factory.mktemp("nats-cluster")))) as holder:
        yield holder.server


@pytest.fixture(params=["redis", "nats"])
def broker(request: pytest.FixtureRequest, valkey: Valkey, nats: Nats) -> BrokerServer:
    """Return the shared server of each kind."""
    return valkey if request.param == "redis" else nats


@pytest.fixture
def start_broker(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Return a function that starts a server for one test: `start_broker("redis", persistent=False)`."""
    started: list[BrokerServer] = []

    def start(kind: str, **options: Any) -> BrokerServer:
        server = KINDS[kind](tmp_path / f"{kind}{len(started)}", **options)
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Return a function that starts the service: `serve(url, workers=2)`."""
    started: list[ServiceProcess] = []

    def start(url: str, **options: Any) -> ServiceProcess:
        log = tmp_path / f"service-{uuid.uuid4().hex}.log"
        service = ServiceProcess(log, url, **options)
        started.append(service)
        return service

    yield start
    for service in started:
        service.stop()


class _Closing:
    def __init__(self, server: Any) -> None:
        self.server = server

    def close(self) -> None:
        self.server.stop()
