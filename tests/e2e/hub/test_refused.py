"""What a broker refuses is told at once, with the reason, and disturbs nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from falconws.hub import BrokerRefused, BrokerUnavailable
from falconws.hub.brokers.nats.broker import NatsBroker
from falconws.hub.brokers.nats.codec import token_of
from falconws.hub.brokers.redis.broker import RedisBroker
from falconws.testing.broker_checks import a_refused_room_is_reported
from tests.e2e.hub.proxy import Proxy
from tests.e2e.hub.recorder import WAIT_S, following, make_hub, until_health
from tests.e2e.hub.servers import Nats, Valkey
from tests.runtime.hub.scripted import ScriptedConnection, ScriptedSocket

Start = Callable[..., Any]
TIMEOUT_S = 60.0
"""So long that a test which waits for it fails."""


async def expect_refusal(call: Any, *, room: str | None, match: str) -> None:
    began = time.monotonic()
    with pytest.raises(BrokerRefused, match=match) as refused:
        await call
    assert refused.value.room == room
    assert time.monotonic() - began < TIMEOUT_S / 2


async def follow(hub: Any, room: str) -> None:
    async with hub.listen(room):
        pass


@pytest.fixture
def valkey_with_rights(start_broker: Start) -> Valkey:
    server: Valkey = start_broker("redis")
    rules = ["on", ">pass", "~*", "&falconws:{open*", "&falconws:{%*", "&falconws:{?control*", "+@all"]
    assert server.say("ACL", "SETUSER", "app", *rules) == "+OK\r\n"
    return server


async def test_a_room_without_permission_is_refused_and_others_go_on_over_redis(valkey_with_rights: Valkey) -> None:
    url = f"redis://app:pass@127.0.0.1:{valkey_with_rights.port}"
    async with make_hub(url, timeout_s=TIMEOUT_S) as hub, following(hub, "open") as follower:
        for _ in range(5):
            await expect_refusal(follow(hub, "secret"), room="secret", match="No permissions|NOPERM")
            await expect_refusal(hub.publish("secret", "x"), room="secret", match="No permissions|NOPERM")
        await hub.publish("open", "1")
        await follower.until(lambda: follower.payloads == ["1"], "a message of another room comes")
        assert (await hub.health()).ok
        # One connection for deliveries, and one for commands: nothing was connected again.
        clients = await asyncio.to_thread(valkey_with_rights.say, "INFO", "stats")
        assert int(clients.partition("total_connections_received:")[2].split()[0]) < 15


async def expect_loss(hub: Any, lose: Callable[[], None]) -> None:
    """*lose* takes away the permission for "open 2", but not for "open"."""
    client = ScriptedSocket(ScriptedConnection())
    async with (
        following(hub, "open") as follower,
        hub.subscribe(client, "open 2") as subscription,
        hub.listen("open 2") as listener,
    ):
        await subscription.start()
        await hub.publish("open 2", "1")
        assert (await anext(aiter(listener))).payload == "1"
        await asyncio.to_thread(lose)
        with pytest.raises(BrokerRefused, match=r"(?i)permission|NOPERM") as refused:
            async with asyncio.timeout(WAIT_S):
                await anext(aiter(listener))
        assert refused.value.room == "open 2"
        async with asyncio.timeout(WAIT_S):
            while client.close_code is None:
                await asyncio.sleep(0.01)
        assert (client.close_code, client.close_reason) == (1013, "the room is refused")
        assert "'open 2' is refused" in (await until_health(hub, True)).detail
        await expect_refusal(follow(hub, "open 2"), room="open 2", match=r"(?i)permission|NOPERM")
        await hub.publish("open", "1")
        await follower.until(lambda: follower.payloads[-1:] == ["1"], "a message of another room comes")


async def test_subscribers_of_a_room_that_loses_its_permission_are_told_over_redis(valkey_with_rights: Valkey) -> None:
    def lose() -> None:
        rules = ["resetchannels", "&falconws:{open}*", "&falconws:{%*", "&falconws:{?control*"]
        valkey_with_rights.say("ACL", "SETUSER", "app", *rules)
        valkey_with_rights.say("CLIENT", "KILL", "USER", "app")

    async with make_hub(f"redis://app:pass@127.0.0.1:{valkey_with_rights.port}", timeout_s=TIMEOUT_S) as hub:
        await expect_loss(hub, lose)


async def test_the_contract_of_a_refused_room_over_redis(valkey_with_rights: Valkey) -> None:
    async def refuse(room: str) -> None:
        # Permissions can only be given: to every name that differs from this one at some place.
        channel = f"falconws:{{{room}}}"
        others = [f"&{channel[:index]}[^{character}]*" for index, character in enumerate(channel)]
        for command in (("ACL", "SETUSER", "app", "resetchannels", *others), ("CLIENT", "KILL", "USER", "app")):
            await asyncio.to_thread(valkey_with_rights.say, *command)

    url = f"redis://app:pass@127.0.0.1:{valkey_with_rights.port}"
    valkey_with_rights.say("ACL", "SETUSER", "app", "allchannels")
    await a_refused_room_is_reported(lambda limits: RedisBroker(url, history=limits), refuse)


async def test_the_contract_of_a_refused_room_over_nats(nats_with_rights: Nats) -> None:
    async def refuse(room: str) -> None:
        denied = {"deny": [f"falconws.live.*.{token_of(room)}.*"]}
        user = {"user": "app", "password": "pass", "permissions": {"subscribe": denied}}
        nats_with_rights.settings["authorization"] = {"users": [user]}
        await asyncio.to_thread(nats_with_rights.reload)

    url = f"nats://app:pass@127.0.0.1:{nats_with_rights.port}"
    await a_refused_room_is_reported(lambda limits: NatsBroker(url, history=limits), refuse)


@pytest.mark.parametrize("restarted", [False, True])
async def test_subscribers_of_a_room_that_loses_its_permission_are_told_over_nats(
    restarted: bool, nats_with_rights: Nats
) -> None:
    """The server reads its configuration again; or it comes back with another one."""

    def lose() -> None:
        denied = {"deny": ["falconws.live.*.open%202.*"]}
        user = {"user": "app", "password": "pass", "permissions": {"subscribe": denied}}
        nats_with_rights.settings["authorization"] = {"users": [user]}
        if restarted:
            nats_with_rights.restart()
        else:
            nats_with_rights.reload()

    async with make_hub(f"nats://app:pass@127.0.0.1:{nats_with_rights.port}", timeout_s=TIMEOUT_S) as hub:
        await expect_loss(hub, lose)


async def test_health_tells_that_members_cannot_be_present_over_nats(start_broker: Start) -> None:
    permissions = {"publish": {"deny": ["falconws.process.*"]}}
    users = [{"user": "app", "password": "pass", "permissions": permissions}]
    server: Nats = start_broker("nats", settings={"authorization": {"users": users}})
    async with make_hub(f"nats://app:pass@127.0.0.1:{server.port}", timeout_s=TIMEOUT_S) as hub:
        await hub.publish("room", "x")
        health = await until_health(hub, False)
        assert "falconws.process." in health.detail
        subscribing = hub.subscribe(ScriptedSocket(), "room", member="ada").__aenter__()
        await expect_refusal(subscribing, room=None, match="falconws.process.")


async def test_a_full_server_is_told_at_once_over_redis(start_broker: Start) -> None:
    server: Valkey = start_broker("redis")
    async with make_hub(server.url, timeout_s=TIMEOUT_S) as hub:
        await hub.publish("room", "before")
        await asyncio.to_thread(server.say, "CONFIG", "SET", "maxmemory", "1")
        await expect_refusal(hub.publish("room", "x"), room=None, match="maxmemory")
        health = await hub.health()
        assert not health.ok
        assert "maxmemory" in health.detail
        await asyncio.to_thread(server.say, "CONFIG", "SET", "maxmemory", "0")
        await hub.publish("room", "after")


async def test_a_wrong_password_is_told_at_once_over_redis(start_broker: Start) -> None:
    server: Valkey = start_broker("redis", options=("--requirepass", "right"))
    async with make_hub(f"redis://:wrong@127.0.0.1:{server.port}", timeout_s=TIMEOUT_S) as hub:
        await expect_refusal(follow(hub, "room"), room=None, match="password")
        await expect_refusal(hub.publish("room", "x"), room=None, match="password")


async def test_a_refusal_after_an_attempt_that_may_have_succeeded_does_not_say_that_it_failed(
    valkey_with_rights: Valkey,
) -> None:
    async with Proxy(valkey_with_rights.port) as proxy:
        url = f"redis://app:pass@127.0.0.1:{proxy.port}"
        async with make_hub(url, timeout_s=TIMEOUT_S) as hub:
            await hub.publish("open", "before")
            proxy.hold()
            publishing = asyncio.create_task(hub.publish("open", "x"))
            async with asyncio.timeout(WAIT_S):
                while "2" not in await asyncio.to_thread(valkey_with_rights.say, "XLEN", "falconws:{open}:log"):
                    await asyncio.sleep(0.02)
            # The message is stored, and its answer is held back.
            await asyncio.to_thread(valkey_with_rights.say, "ACL", "SETUSER", "app", "-@scripting")
            proxy.cut()
            proxy.release()
            with pytest.raises(BrokerUnavailable, match="an earlier attempt may have succeeded") as raised:
                await publishing
            assert not isinstance(raised.value, BrokerRefused)


@pytest.fixture
def nats_with_rights(start_broker: Start) -> Nats:
    denied = {"deny": ["falconws.room.Top%20Secret", "falconws.live.*.Top%20Secret.*"]}
    user = {"user": "app", "password": "pass", "permissions": {"publish": denied, "subscribe": denied}}
    users = [user, {"user": "limited", "password": "pass"}]
    server: Nats = start_broker("nats", settings={"authorization": {"users": users}, "max_subscriptions": 40})
    return server


async def test_a_room_without_permission_is_refused_and_others_go_on_over_nats(nats_with_rights: Nats) -> None:
    url = f"nats://app:pass@127.0.0.1:{nats_with_rights.port}"
    async with make_hub(url, timeout_s=TIMEOUT_S) as hub, following(hub, "open") as follower:
        for _ in range(5):
            await expect_refusal(follow(hub, "Top Secret"), room="Top Secret", match=r"(?i)permissions violation")
            await expect_refusal(hub.publish("Top Secret", "x"), room="Top Secret", match=r"(?i)permissions violation")
        await hub.publish("open", "1")
        await follower.until(lambda: follower.payloads == ["1"], "a message of another room comes")
        assert follower.gaps == []
        assert (await hub.health()).ok


async def test_subscriptions_beyond_the_maximum_are_refused_and_others_go_on_over_nats(nats_with_rights: Nats) -> None:
    url = f"nats://limited:pass@127.0.0.1:{nats_with_rights.port}"
    async with make_hub(url, timeout_s=TIMEOUT_S) as hub, following(hub, "first") as follower:
        listeners = []
        with pytest.raises(BrokerRefused, match=r"(?i)maximum subscriptions") as refused:
            for number in range(50):
                listener = hub.listen(f"room {number}")
                await listener.__aenter__()
                listeners.append(listener)
        assert refused.value.room == f"room {len(listeners)}"
        assert len(listeners) > 20
        await hub.publish("first", "1")
        await follower.until(lambda: follower.payloads == ["1"], "a message of another room comes")
        await listeners.pop().__aexit__(None, None, None)
        async with asyncio.timeout(WAIT_S):
            while True:
                try:
                    await follow(hub, "another")
                    break
                except BrokerRefused:
                    await asyncio.sleep(0.05)


async def test_a_full_stream_is_told_at_once_over_nats(start_broker: Start) -> None:
    server: Nats = start_broker("nats")
    async with make_hub(server.url, timeout_s=TIMEOUT_S) as hub, following(hub, "room"):
        await hub.publish("room", "before")
        info = await asyncio.to_thread(server.ask, "$JS.API.STREAM.INFO.falconws-rooms")
        config = {**info["config"], "max_bytes": info["state"]["bytes"] + 10, "discard": "new"}
        answer = await asyncio.to_thread(server.ask, "$JS.API.STREAM.UPDATE.falconws-rooms", config)
        assert "error" not in answer
        await expect_refusal(hub.publish("room", "x" * 100), room=None, match="maximum bytes exceeded")


async def test_a_wrong_password_is_told_at_once_over_nats(nats_with_rights: Nats) -> None:
    url = f"nats://app:wrong@127.0.0.1:{nats_with_rights.port}"
    async with make_hub(url, timeout_s=TIMEOUT_S) as hub:
        await expect_refusal(hub.publish("room", "x"), room=None, match="(?i)authorization violation")


async def test_a_server_that_is_away_is_not_a_refusal(start_broker: Start) -> None:
    server: Valkey = start_broker("redis")
    async with make_hub(server.url, timeout_s=1) as hub:
        server.kill()
        with pytest.raises(BrokerUnavailable) as raised:
            await hub.publish("room", "x")
        assert not isinstance(raised.value, BrokerRefused)


@pytest.mark.parametrize(
    ("settings", "query", "match"),
    [
        ({}, "?replicas=3", "replicas"),
        ({"accounts": {"app": {"users": [{"user": "u", "password": "p"}]}}}, "", "not enabled"),
        (
            {"accounts": {"app": {"users": [{"user": "u", "password": "p"}], "jetstream": {"max_streams": 1}}}},
            "",
            "max",
        ),
    ],
    ids=["replicas without a cluster", "an account without JetStream", "too few streams"],
)
async def test_streams_that_cannot_be_created_are_told_at_once_over_nats(
    settings: dict[str, object], query: str, match: str, start_broker: Start
) -> None:
    server: Nats = start_broker("nats", settings=settings)
    credentials = "u:p@" if settings else ""
    async with make_hub(f"nats://{credentials}127.0.0.1:{server.port}{query}", timeout_s=TIMEOUT_S) as hub:
        await expect_refusal(hub.publish("room", "x"), room=None, match=match)
        assert not (await hub.health()).ok


async def test_a_key_of_another_program_refuses_its_room_only_over_redis(valkey: Valkey) -> None:
    await asyncio.to_thread(valkey.say, "SET", "falconws:{foreign}:meta", "x")
    async with make_hub(valkey.url, timeout_s=TIMEOUT_S) as hub:
        await expect_refusal(hub.publish("foreign", "x"), room="foreign", match="WRONGTYPE|wrong kind")
        await hub.publish("room", "x")
