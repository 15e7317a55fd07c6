"""A cluster of Valkey that changes: what becomes of those who publish and follow when nodes take over, or are added."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.hub.recorder import WAIT_S, following, make_hub
from tests.e2e.hub.servers import Valkey
from tests.e2e.hub.test_faults import Publisher, last_word, publishing
from tests.e2e.hub.valkey_cluster import DEBUGGING, ChangingCluster

ROOM = "room"
KEY = f"falconws:{{{ROOM}}}:log"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ChangingCluster]:
    """A cluster for one test."""
    cluster = ChangingCluster(tmp_path)
    yield cluster
    cluster.stop()


@pytest.fixture
def primary(cluster: ChangingCluster) -> Valkey:
    """The node that has the room."""
    return cluster.primary(KEY, cluster.nodes[0])


@pytest.fixture
def replica(cluster: ChangingCluster, primary: Valkey) -> Valkey:
    """Its replica."""
    return cluster.add(replica_of=primary)


@pytest.mark.parametrize("fault", [Valkey.kill, Valkey.pause], ids=["killed", "paused"])
async def test_a_replica_takes_over_and_nothing_is_lost(
    fault: Callable[[Valkey], None], cluster: ChangingCluster, primary: Valkey, replica: Valkey
) -> None:
    async with make_hub(cluster.url) as here, make_hub(cluster.url) as there, following(there, ROOM) as follower:
        publisher = Publisher(here, ROOM)
        await publisher.publish_more(20)
        # What follows is not about what was still under way to the replica.
        assert await asyncio.to_thread(primary.say, "WAIT", "1", "15000") == ":1\r\n"
        await asyncio.to_thread(fault, primary)
        await publisher.publish_more(20)
        await follower.until(lambda: publisher.told[-1] in follower.payloads, "messages come again")
        await asyncio.to_thread(cluster.until_primary, replica, KEY)
        if fault == Valkey.pause:
            # What it still had to do when it was stopped, it does now.
            primary.resume()
            await asyncio.to_thread(cluster.until_primary, replica, KEY, [primary])
        await publisher.publish_more(3)
        await last_word(here, ROOM, follower)
        publisher.check(follower)
        assert publisher.unknown
        assert follower.gaps == []


async def test_what_a_replica_had_not_got_when_it_took_over_is_a_gap(
    cluster: ChangingCluster, primary: Valkey, replica: Valkey
) -> None:
    # With time enough, so that nothing is given up that has got through.
    here, there = make_hub(cluster.url, timeout_s=WAIT_S), make_hub(cluster.url)
    async with here, there, following(there, ROOM) as follower:
        await here.publish(ROOM, "kept")
        assert await asyncio.to_thread(primary.say, "WAIT", "1", "15000") == ":1\r\n"
        await asyncio.to_thread(stop_replication, primary)
        for payload in ("lost 1", "lost 2"):
            await here.publish(ROOM, payload)
        await follower.until(lambda: follower.payloads == ["kept", "lost 1", "lost 2"], "messages come")
        await asyncio.to_thread(primary.kill)
        for payload in ("new 1", "new 2"):
            await here.publish(ROOM, payload)
        await follower.until(lambda: follower.payloads[-1:] == ["new 2"], "messages come again")
        assert len(follower.gaps) == 1
        assert follower.events[3] == follower.gaps[0]
        # After a gap, what is kept may come once more.
        assert follower.payloads[3:] in (["new 1", "new 2"], ["kept", "new 1", "new 2"])


def stop_replication(primary: Valkey) -> None:
    assert primary.say("ACL", "SETUSER", "default", "-psync", "-sync") == "+OK\r\n"
    assert primary.say("CLIENT", "KILL", "TYPE", "replica") == ":1\r\n"


async def test_a_failover_by_hand_loses_and_doubles_nothing(
    cluster: ChangingCluster, primary: Valkey, replica: Valkey
) -> None:
    async with make_hub(cluster.url) as here, make_hub(cluster.url) as there, following(there, ROOM) as follower:
        async with publishing(here, ROOM) as publisher:
            for successor in (replica, primary):
                seen = len(follower.payloads)
                await follower.until(lambda seen=seen: len(follower.payloads) > seen + 50, "messages come")
                assert await asyncio.to_thread(successor.say, "CLUSTER", "FAILOVER") == "+OK\r\n"
                await asyncio.to_thread(cluster.until_primary, successor, KEY)
            seen = len(follower.payloads)
            await follower.until(lambda: len(follower.payloads) > seen + 50, "messages come again")
        await last_word(here, ROOM, follower)
        publisher.check(follower)
        assert follower.gaps == []


async def test_rooms_on_a_node_that_was_added_are_found(cluster: ChangingCluster) -> None:
    # The nodes do not agree at once who has a slot.
    here, there = make_hub(cluster.url, timeout_s=WAIT_S), make_hub(cluster.url, timeout_s=WAIT_S)
    async with here, there, following(there, "other") as other:
        async with publishing(here, "other", WAIT_S) as publisher:
            await other.until(lambda: len(other.payloads) > 20, "messages come")
            added = await asyncio.to_thread(cluster.add)
            await asyncio.to_thread(cluster.give, KEY, added)
            async with following(there, ROOM) as follower:
                await here.publish(ROOM, "new")
                await follower.until(lambda: follower.payloads == ["new"], "a message comes")
            await asyncio.to_thread(cluster.give, "falconws:{other}:log", added)
            seen = len(other.payloads)
            await other.until(lambda: len(other.payloads) > seen + 20, "messages come again")
        await last_word(here, "other", other)
        publisher.check(other)
        assert other.gaps == []
        assert follower.gaps == []


async def test_while_a_slot_moves_a_room_takes_publications_and_misses_none(
    cluster: ChangingCluster, primary: Valkey
) -> None:
    target = next(node for node in cluster.nodes if node is not primary)
    async with make_hub(cluster.url) as here, make_hub(cluster.url) as there, following(there, ROOM) as follower:
        await here.publish(ROOM, "before")
        for step in (cluster.begin_move, cluster.move_keys, cluster.end_move):
            await asyncio.to_thread(step, KEY, primary, target)
            await here.publish(ROOM, step.__name__)
        await follower.until(lambda: len(follower.events) == 4, "messages come")
        assert follower.payloads == ["before", "begin_move", "move_keys", "end_move"]


async def test_what_a_moving_slot_refuses_is_tried_again_until_it_has_moved(
    cluster: ChangingCluster, primary: Valkey
) -> None:
    """A command with several keys of which one is not there has to wait, as in a room that is new."""
    target = next(node for node in cluster.nodes if node is not primary)
    async with make_hub(cluster.url, timeout_s=20) as hub:
        await asyncio.to_thread(cluster.begin_move, KEY, primary, target)
        calls = [asyncio.create_task(call) for call in (hub.publish(ROOM, "new"), hub.publish(ROOM, "x"))]
        answered = "cmdstat_eval:calls="
        async with asyncio.timeout(20):
            # ASKed there, each is refused by the other node.
            while answered not in await asyncio.to_thread(target.say, "INFO", "commandstats"):
                await asyncio.sleep(0.01)
        assert not any(call.done() for call in calls)
        await asyncio.to_thread(cluster.end_move, KEY, primary, target)
        async with asyncio.timeout(20):
            await asyncio.gather(*calls)
            async with following(hub, ROOM) as follower:
                await hub.publish(ROOM, "after")
                await follower.until(lambda: follower.payloads == ["after"], "a message comes")


async def test_followers_of_a_primary_that_is_cut_off_from_the_cluster_find_its_successor(
    cluster: ChangingCluster, primary: Valkey, replica: Valkey
) -> None:
    primary.options = (*primary.options, *DEBUGGING)
    await asyncio.to_thread(primary.restart)
    await asyncio.to_thread(cluster.until_primary, primary, KEY)
    async with make_hub(cluster.url) as here, make_hub(cluster.url) as there, following(there, ROOM) as follower:
        publisher = Publisher(here, ROOM)
        await publisher.publish_more(3)
        # Its connections stay, and it answers pings.
        await asyncio.to_thread(cluster.isolate, primary)
        others = [node for node in cluster.nodes if node is not primary]
        await asyncio.to_thread(cluster.until_primary, replica, KEY, others)
        await publisher.publish_more(3)
        await last_word(here, ROOM, follower)
        publisher.check(follower)
