"""Services that share a broker's server, and programs that only look in: nobody takes anything from anybody."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from collections.abc import Callable

import pytest

import falconws
from falconws.hub import HistoryLimits, Position
from tests.e2e.hub.recorder import TIMEOUT_S, WAIT_S, following
from tests.e2e.hub.servers import BrokerServer, Nats, Valkey
from tests.runtime.hub.scripted import ScriptedConnection, ScriptedSocket


async def missed(hub: falconws.Hub, room: str, since: Position) -> list[str]:
    """Return what a client gets that comes back at *since*, which is not to be too long ago."""
    last = uuid.uuid4().hex
    payloads: list[str] = []
    async with hub.listen(room, since=since) as listener:
        await hub.publish(room, last)
        async for event in listener:
            assert isinstance(event, falconws.Message)
            if event.payload == last:
                return payloads
            payloads.append(str(event.payload))
    raise AssertionError("the hub has stopped")


async def test_a_history_is_as_long_as_the_service_has_said_whoever_else_publishes(broker: BrokerServer) -> None:
    prefix = uuid.uuid4().hex
    url = f"{broker.url}?prefix={prefix}"
    options = {"timeout_s": TIMEOUT_S}
    async with falconws.Hub(url, history=HistoryLimits(messages=300, age_s=7200), **options) as service:
        since = await service.publish("room", "0")
        for number in range(1, 200):
            await service.publish("room", str(number))
        command = [sys.executable, "-m", "falconws_cli", "publish", "room", "from outside", "--url", url]
        await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, timeout=WAIT_S)
        async with falconws.Hub(url, **options) as other:
            assert (await other.health()).ok
            await other.publish("room", "from another")
            expected = [*map(str, range(1, 200)), "from outside", "from another"]
            assert await missed(other, "room", since) == expected
        assert (await missed(service, "room", since))[:-1] == expected


async def test_changed_limits_of_a_stream_are_logged(nats: Nats, caplog: pytest.LogCaptureFixture) -> None:
    prefix = uuid.uuid4().hex
    for age_s in (300, 7200):
        limits = HistoryLimits(messages=50, age_s=age_s)
        async with falconws.Hub(f"{nats.url}?prefix={prefix}", history=limits, timeout_s=TIMEOUT_S) as hub:
            await hub.publish("room", "x")
    (told,) = [line for line in caplog.messages if line.startswith(f"The limits of stream {prefix}-rooms ")]
    # In nanoseconds, as in NATS, and with the half hour for which a quiet room keeps its position.
    assert told == (
        f"The limits of stream {prefix}-rooms are changed to {{'max_age': {9000 * 10**9}}}; "
        f"they were {{'max_age': {3600 * 10**9}}}"
    )


async def test_a_service_may_shorten_its_history(broker: BrokerServer) -> None:
    url = f"{broker.url}?prefix={uuid.uuid4().hex}"
    async with falconws.Hub(url, history=HistoryLimits(messages=50), timeout_s=TIMEOUT_S) as hub:
        positions = [await hub.publish("room", str(number)) for number in range(30)]
    async with falconws.Hub(url, history=HistoryLimits(messages=10), timeout_s=TIMEOUT_S) as hub:
        await hub.publish("room", "30")
        async with hub.listen("room", since=positions[0]) as listener:
            assert listener.gap
        async with hub.listen("room", since=positions[25]) as listener:
            assert not listener.gap


async def test_databases_of_a_redis_server_have_nothing_in_common(valkey: Valkey) -> None:
    room = uuid.uuid4().hex
    async with (
        falconws.Hub(f"{valkey.url}/0", timeout_s=TIMEOUT_S) as first,
        falconws.Hub(f"{valkey.url}/1", timeout_s=TIMEOUT_S) as second,
        following(first, room) as follower,
    ):
        told: list[object] = []
        watcher = ScriptedSocket(ScriptedConnection())
        async with first.subscribe(watcher, room, encode=told.append):
            async with second.subscribe(ScriptedSocket(ScriptedConnection()), room, member="stranger"):
                await second.publish(room, "not yours")
            await first.publish(room, "yours")
            await follower.until(lambda: bool(follower.payloads), "a message comes")
        assert follower.payloads == ["yours"]
        assert [type(event) for event in told] == [falconws.Message]


async def test_a_history_that_is_made_longer_is_so_for_those_who_run_already(nats: Nats) -> None:
    url = f"{nats.url}?prefix={uuid.uuid4().hex}"
    async with falconws.Hub(url, history=HistoryLimits(messages=0), timeout_s=TIMEOUT_S) as maker:
        await maker.publish("room", "kept by nobody")
    # It looks at the stream every timeout_s.
    async with (
        falconws.Hub(url, timeout_s=TIMEOUT_S) as other,
        falconws.Hub(url, history=HistoryLimits(messages=300), timeout_s=TIMEOUT_S) as service,
    ):
        since = await service.publish("room", "0")
        await service.publish("room", "1")

        async def has_a_gap() -> bool:
            async with other.listen("room", since=since) as listener:
                return listener.gap

        async with asyncio.timeout(WAIT_S):
            while await has_a_gap():
                await asyncio.sleep(0.05)


async def test_who_may_not_change_a_stream_uses_it_as_it_is(start_broker: Callable[..., Nats]) -> None:
    changes = [f"$JS.API.STREAM.{verb}.>" for verb in ("CREATE", "UPDATE", "DELETE")]
    users = [
        {"user": "maker", "password": "a"},
        {"user": "app", "password": "b", "permissions": {"publish": {"deny": changes}}},
    ]
    broker = start_broker("nats", settings={"authorization": {"users": users}})
    limits = HistoryLimits(messages=50)
    async with falconws.Hub(broker.url.replace("://", "://maker:a@"), history=limits, timeout_s=TIMEOUT_S) as maker:
        await maker.publish("room", "0")
    app = broker.url.replace("://", "://app:b@")
    # The same limits, and an age that the stream itself does not have: only a note of it would be made.
    async with falconws.Hub(app, history=HistoryLimits(messages=50, age_s=60), timeout_s=TIMEOUT_S) as hub:
        assert (await hub.health()).ok
        await hub.publish("room", "1")
