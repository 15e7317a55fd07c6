"""What the hub lets through as an argument, the brokers' servers can count with."""

from __future__ import annotations

import secrets

from falconws import HistoryLimits, Hub
from tests.e2e.hub.recorder import make_hub
from tests.e2e.hub.servers import BrokerServer, Valkey
from tests.runtime.hub.scripted import ScriptedSocket

TEN_YEARS_S = 10 * 365 * 24 * 3600


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


async def test_a_room_that_was_only_visited_is_kept_for_the_age_of_its_history(valkey: Valkey) -> None:
    limits = HistoryLimits(age_s=300)
    async with make_hub(valkey.url, history=limits) as hub:
        async with hub.listen("visited"):
            pass
        async with hub.listen("visited and used"):
            await hub.publish("visited and used", "x")
    ttl_s = {room: ttl(valkey, f"falconws:{{{room}}}:meta") for room in ("visited", "visited and used")}
    assert 200 < ttl_s["visited"] <= 300
    assert 3_000 < ttl_s["visited and used"] <= 3_600


def ttl(server: Valkey, key: str) -> int:
    return int(server.say("TTL", key).strip().removeprefix(":"))
