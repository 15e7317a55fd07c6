"""A server that answers pings and refuses everything else is not healthy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from falconws.hub import BrokerUnavailable
from tests.e2e.hub.recorder import WAIT_S, make_hub
from tests.e2e.hub.servers import Valkey


async def test_a_server_that_has_become_a_replica_is_told(start_broker: Callable[..., Valkey]) -> None:
    server = start_broker("redis")
    async with make_hub(server.url) as hub:
        await hub.publish("room", "x")
        assert (await hub.health()).ok
        server.say("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(BrokerUnavailable):
            await hub.publish("room", "x")
        health = await hub.health()
        assert not health.ok
        assert health.detail.startswith(server.url)
        server.say("REPLICAOF", "NO", "ONE")
        async with asyncio.timeout(WAIT_S):
            while not (await hub.health()).ok:
                await asyncio.sleep(0.05)
        await hub.publish("room", "x")


async def test_a_user_who_may_not_run_scripts_is_told(start_broker: Callable[..., Valkey]) -> None:
    server = start_broker("redis")
    server.say("ACL", "SETUSER", "guest", "on", ">secret", "~*", "&*", "+@all", "-eval", "-evalsha")
    url = server.url.replace("://", "://guest:secret@")
    async with make_hub(url) as hub, asyncio.timeout(WAIT_S):
        while "permissions" not in (health := await hub.health()).detail:
            await asyncio.sleep(0.05)
        assert not health.ok
        assert "secret" not in health.detail
