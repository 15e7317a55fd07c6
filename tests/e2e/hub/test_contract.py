"""Every broker that comes with falconws keeps what the port promises, on real servers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from falconws.hub import HistoryLimits
from falconws.hub.brokers.nats.broker import NatsBroker
from falconws.hub.brokers.redis.broker import RedisBroker
from falconws.testing.broker_checks import BROKER_CHECKS, BrokerFactory
from tests.e2e.hub.servers import Nats, Valkey, ValkeyCluster

Check = Callable[[BrokerFactory], Awaitable[None]]
checks = pytest.mark.parametrize("check", BROKER_CHECKS, ids=lambda check: check.__name__)


@checks
async def test_redis(check: Check, valkey: Valkey) -> None:
    await check(lambda limits: RedisBroker(valkey.url, history=limits))


@checks
async def test_redis_cluster(check: Check, valkey_cluster: ValkeyCluster) -> None:
    await check(lambda limits: RedisBroker(valkey_cluster.url, history=limits))


@checks
async def test_nats(check: Check, nats: Nats) -> None:
    # The limits are the stream's: each has streams of its own.
    def factory(limits: HistoryLimits) -> NatsBroker:
        prefix = f"keep-{limits.messages}-{limits.age_s:g}"
        return NatsBroker(f"{nats.url}?prefix={prefix}", history=limits)

    await check(factory)
