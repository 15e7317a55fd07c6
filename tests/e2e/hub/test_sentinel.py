"""Redis behind Sentinel: the hub follows the master."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from falconws.hub import BrokerUnavailable
from falconws.hub.brokers.redis.broker import RedisBroker
from falconws.testing import check_broker
from tests.e2e.hub.recorder import WAIT_S, following, make_hub
from tests.e2e.hub.servers import Sentinel, Valkey, ValkeyCluster

FAILOVER_S = 40.0


@pytest.fixture
def master(start_broker: Callable[..., Any]) -> Valkey:
    server: Valkey = start_broker("redis")
    return server


@pytest.fixture
def sentinel(master: Valkey, start_broker: Callable[..., Any], tmp_path: Path) -> Iterator[Sentinel]:
    start_broker("redis", options=("--replicaof", "127.0.0.1", str(master.port)))
    server = Sentinel(tmp_path / "sentinel", master.port)
    # It finds the replica by asking the master now and then.
    deadline = time.monotonic() + FAILOVER_S
    while "slave" not in server.say("SENTINEL", "REPLICAS", "main") and time.monotonic() < deadline:
        time.sleep(0.1)
    yield server
    server.stop()


async def test_the_contract(sentinel: Sentinel) -> None:
    await check_broker(lambda limits: RedisBroker(sentinel.url, history=limits))


async def test_messages_come_again_when_another_server_is_the_master(sentinel: Sentinel, master: Valkey) -> None:
    async with make_hub(sentinel.url, timeout_s=2) as hub, following(hub, "room") as follower:
        await hub.publish("room", "before")
        await follower.until(lambda: follower.payloads == ["before"], "a message comes")
        await asyncio.to_thread(master.kill)
        async with asyncio.timeout(FAILOVER_S):
            while True:
                with contextlib.suppress(BrokerUnavailable):
                    await hub.publish("room", "after")
                    break
        await follower.until(lambda: follower.payloads[-1:] == ["after"], "messages come again", FAILOVER_S)


async def test_a_service_that_the_sentinels_do_not_know_is_named(sentinel: Sentinel) -> None:
    async with make_hub(sentinel.url.replace("/main", "/other"), timeout_s=1) as hub:
        with pytest.raises(BrokerUnavailable, match="does not know the service other"):
            await hub.publish("room", "x")


async def test_addresses_that_a_cluster_announces_can_be_replaced(valkey_cluster: ValkeyCluster) -> None:
    ports = [node.port for node in valkey_cluster.nodes]
    pairs = ",".join(f"127.0.0.1:{port}=localhost:{port}" for port in ports)
    broker = RedisBroker(f"redis+cluster://localhost:{ports[0]}?remap={pairs}")
    async with make_hub(f"redis+cluster://localhost:{ports[0]}?remap={pairs}", timeout_s=WAIT_S) as hub:
        for number in range(10):
            await hub.publish(f"room {number}", "x")
    assert broker._url.reachable(f"127.0.0.1:{ports[1]}") == f"localhost:{ports[1]}"
