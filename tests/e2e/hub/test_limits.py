"""What the hub lets through as an argument, the brokers' servers can count with."""

from __future__ import annotations

import secrets

import pytest

from falconws import HistoryLimits, Hub
from tests.e2e.hub.servers import BrokerServer, Nats, Valkey
from tests.runtime.hub.scripted import ScriptedSocket

TEN_YEARS_S = 10 * 365 * 24 * 3600


@pytest.fixture(params=["redis", "nats"])
def broker(request: pytest.FixtureRequest, valkey: Valkey, nats: Nats) -> BrokerServer:
    return valkey if request.param == "redis" else nats


async def test_the_largest_limits_work(broker: BrokerServer) -> None:
    hub = Hub(
        f"{broker.url}?prefix=limits-{secrets.token_hex(4)}",
        history=HistoryLimits(messages=1_000_000_000, age_s=TEN_YEARS_S),
        lease_s=TEN_YEARS_S,
        timeout_s=TEN_YEARS_S,
    )
    async with hub:
        first = await hub.publish("room", "1")
        second = await hub.publish("room", "2")
        async with hub.subscribe(ScriptedSocket(), "room", since=first, member="ada") as subscription:
            assert await hub.present("room") == {"ada": None}
            assert not subscription.gap
        async with hub.subscribe(ScriptedSocket(), "room", since=second) as subscription:
            assert subscription.position == second
