"""A NATS cluster of three servers: what becomes of those who publish and follow when servers of it are killed."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from falconws.hub import HistoryLimits
from falconws.hub.brokers.nats.broker import NatsBroker
from falconws.testing.broker_harness import BrokerFactory
from falconws.testing.broker_messages import history_knows_what_was_delivered
from tests.e2e.hub.nats_cluster import NatsCluster
from tests.e2e.hub.recorder import WAIT_S, following, make_hub, until_health
from tests.e2e.hub.servers import Nats
from tests.e2e.hub.test_contract import Check, checks
from tests.e2e.hub.test_faults import last_word, publishing
from tests.runtime.hub.scripted import SlowSocket

STREAM = "falconws-rooms"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[NatsCluster]:
    """A cluster for one test."""
    cluster = NatsCluster(tmp_path)
    yield cluster
    cluster.stop()


def only(node: Nats) -> str:
    """Return a URL on which a hub reaches no other node."""
    return f"{node.url}?replicas=3"


async def leader_and_others(cluster: NatsCluster) -> tuple[Nats, Nats, Nats]:
    leader = await asyncio.to_thread(cluster.leader, STREAM)
    one, other = [node for node in cluster.nodes if node is not leader]
    return leader, one, other


async def test_the_leader_is_killed_nothing_is_lost_or_doubled(cluster: NatsCluster) -> None:
    """The hubs keep their connections, which are to the other servers; one has the time that an election takes."""
    async with make_hub(cluster.url) as hub:
        await hub.publish("room", "makes the streams")
    leader, one, other = await leader_and_others(cluster)
    async with (
        make_hub(only(one)) as here,
        make_hub(only(one), timeout_s=15) as long_waiting,
        make_hub(only(other)) as there,
        following(there, "room") as follower,
    ):
        async with long_waiting.subscribe(SlowSocket(), "who", member="ada"), publishing(here, "room") as publisher:
            await follower.until(lambda: len(follower.payloads) > 50, "messages come")
            await asyncio.to_thread(leader.kill)
            await long_waiting.publish("another room", "is not refused")
            seen = len(publisher.told)
            await follower.until(lambda: len(publisher.told) > seen + 50, "messages come again")
            assert await long_waiting.present("who") == {"ada": None}
        await last_word(here, "room", follower)
        publisher.check(follower)
        assert follower.gaps == []
        assert await long_waiting.present("who") == {}


async def test_the_server_of_the_hub_is_killed_nothing_is_lost_or_doubled(cluster: NatsCluster) -> None:
    async with make_hub(cluster.url) as here, make_hub(cluster.url) as there, following(there, "room") as follower:
        async with publishing(here, "room") as publisher:
            for _ in range(2):
                seen = len(follower.payloads)
                await follower.until(lambda seen=seen: len(follower.payloads) > seen + 50, "messages come")
                connected = [node for node in cluster.nodes if "falconws hub" in await asyncio.to_thread(node.clients)]
                await asyncio.to_thread(connected[0].restart)
                await asyncio.to_thread(cluster.leader, STREAM)
        await last_word(here, "room", follower)
        publisher.check(follower)
        assert follower.gaps == []


@pytest.fixture
def factory(nats_cluster: NatsCluster) -> BrokerFactory:
    """Makes brokers that are each connected to another server."""
    nodes = itertools.cycle(nats_cluster.nodes)

    def make(limits: HistoryLimits) -> NatsBroker:
        # The limits are the stream's: each has streams of its own.
        return NatsBroker(f"{only(next(nodes))}&prefix=keep-{limits.messages}-{limits.age_s:g}", history=limits)

    return make


@checks
async def test_contract(check: Check, factory: BrokerFactory) -> None:
    await check(factory)


async def test_replicas_that_lag_are_not_believed(factory: BrokerFactory) -> None:
    """Who was told of a message by the leader finds it, whichever server is asked."""
    for _ in range(20):
        await history_knows_what_was_delivered(factory)


@pytest.mark.parametrize("elected", [True, False])
async def test_what_was_not_passed_on_comes_without_a_later_message(elected: bool, cluster: NatsCluster) -> None:
    """As when the leader dies in between, or a connection between servers does. The hub's own connection holds."""
    async with make_hub(cluster.url) as hub, following(hub, "room") as follower:
        await hub.publish("room", "passed on")
        await follower.until(lambda: follower.payloads == ["passed on"], "a message comes")
        leader = await asyncio.to_thread(cluster.leader, STREAM)
        config = (await asyncio.to_thread(leader.ask, f"$JS.API.STREAM.INFO.{STREAM}"))["config"]
        silent = {name: value for name, value in config.items() if name != "republish"}
        await asyncio.to_thread(leader.ask, f"$JS.API.STREAM.UPDATE.{STREAM}", silent)
        await hub.publish("room", "not passed on")
        await asyncio.to_thread(leader.ask, f"$JS.API.STREAM.UPDATE.{STREAM}", config)
        if elected:
            await asyncio.to_thread(leader.ask, f"$JS.API.STREAM.LEADER.STEPDOWN.{STREAM}")
        await follower.until(lambda: "not passed on" in follower.payloads, "the message comes")
        await last_word(hub, "room", follower)
        assert follower.payloads == ["passed on", "not passed on"]
        assert follower.gaps == []


async def test_without_a_majority_it_says_so_and_goes_on_when_there_is_one(cluster: NatsCluster) -> None:
    """The connection holds all the while, to the leader, which takes no message any more."""
    async with make_hub(cluster.url) as hub:
        await hub.publish("room", "makes the streams")
    left, *others = await leader_and_others(cluster)
    async with (
        make_hub(only(left)) as here,
        make_hub(only(left)) as there,
        following(there, "room") as follower,
    ):
        async with publishing(here, "room") as publisher:
            await follower.until(lambda: len(follower.payloads) > 50, "messages come")
            for node in others:
                await asyncio.to_thread(node.kill)
            health = await until_health(there, False)
            assert f"127.0.0.1:{left.port}" in health.detail
            told = len(publisher.told)
            refused = len(publisher.unknown)
            async with asyncio.timeout(WAIT_S):
                while len(publisher.unknown) < refused + 2:
                    await asyncio.sleep(0.05)
            assert len(publisher.told) <= told + 1
            for node in others:
                await asyncio.to_thread(node.start)
            seen = len(follower.payloads)
            await follower.until(lambda: len(follower.payloads) > seen + 50, "messages come again")
        await last_word(here, "room", follower)
        publisher.check(follower)
        assert follower.gaps == []
