"""What becomes of publishers and followers when their broker is killed, paused, cut off, or drops them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import shutil
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from falconws.hub import BrokerUnavailable, HistoryLimits
from tests.e2e.hub.proxy import Proxy
from tests.e2e.hub.recorder import (
    SLACK_S,
    TIMEOUT_S,
    WAIT_S,
    Follower,
    following,
    make_hub,
    publish_until_told,
    until_health,
)
from tests.e2e.hub.serve_process import Serve
from tests.e2e.hub.servers import BrokerServer, Nats, Valkey, ValkeyCluster

kinds = pytest.mark.parametrize("kind", ["redis", "nats"])
PAUSE_S = 5 * TIMEOUT_S
Start = Callable[..., Any]


class Publisher:
    """Publishes numbers one after the other, and knows which have got through."""

    def __init__(self, hub: Any, room: str, timeout_s: float = TIMEOUT_S) -> None:
        self._hub = hub
        self._room = room
        self._timeout_s = timeout_s
        self._numbers = itertools.count()
        self.told: list[str] = []
        """Those whose publish() has returned."""
        self.unknown: list[str] = []
        """Those whose publish() has raised."""

    async def publish(self) -> None:
        number = str(next(self._numbers))
        try:
            async with asyncio.timeout(self._timeout_s + SLACK_S):
                await self._hub.publish(self._room, number)
        except BrokerUnavailable:
            self.unknown.append(number)
        else:
            self.told.append(number)

    async def publish_more(self, count: int) -> None:
        """Publish until *count* more have got through."""
        wanted = len(self.told) + count
        async with asyncio.timeout(30):
            while len(self.told) < wanted:
                await self.publish()

    def check(self, follower: Follower) -> None:
        """Everything that got through came, once and in order; of the rest, nothing came twice."""
        numbers = [int(payload) for payload in follower.payloads]
        assert numbers == sorted(set(numbers))
        assert set(self.told) <= set(follower.payloads)
        assert set(follower.payloads) <= {*self.told, *self.unknown}


@contextlib.asynccontextmanager
async def publishing(hub: Any, room: str, timeout_s: float = TIMEOUT_S) -> AsyncIterator[Publisher]:
    """Publish in the background for the length of the block; *timeout_s* is the hub's."""
    publisher = Publisher(hub, room, timeout_s)

    async def publish() -> None:
        while True:
            await publisher.publish()
            await asyncio.sleep(0.002)

    task = asyncio.create_task(publish())
    try:
        yield publisher
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    # What was under way when the task ended.
    publisher.unknown.append(str(next(publisher._numbers) - 1))


async def last_word(hub: Any, room: str, follower: Follower) -> None:
    """Publish a last message, and wait until it has come."""
    await publish_until_told(hub, room, "999999")
    await follower.until(lambda: follower.payloads[-1:] == ["999999"], "the last message comes")
    follower.events = [event for event in follower.events if getattr(event, "payload", None) != "999999"]


@kinds
async def test_killed_and_restarted_nothing_is_lost_or_doubled(kind: str, start_broker: Start) -> None:
    server: BrokerServer = start_broker(kind)
    async with make_hub(server.url) as here, make_hub(server.url) as there, following(there, "room") as follower:
        async with publishing(here, "room") as publisher:
            await follower.until(lambda: len(follower.payloads) > 50, "messages come")
            await asyncio.to_thread(server.restart)
            seen = len(follower.payloads)
            await follower.until(lambda: len(follower.payloads) > seen + 50, "messages come again")
        await last_word(here, "room", follower)
        publisher.check(follower)
        assert follower.gaps == []


@kinds
async def test_killed_without_persistence_is_a_gap(kind: str, start_broker: Start) -> None:
    server: BrokerServer = start_broker(kind, persistent=False)
    async with make_hub(server.url) as hub, following(hub, "room") as follower:
        await hub.publish("room", "before")
        await follower.until(lambda: follower.payloads == ["before"], "a message comes")
        before = follower.events[0].position
        await asyncio.to_thread(server.restart)
        await publish_until_told(hub, "room", "after")
        await follower.until(lambda: follower.payloads[-1:] == ["after"], "a message comes again")
        assert follower.payloads == ["before", "after"]
        assert len(follower.gaps) == 1
        assert follower.events[-1].position.epoch != before.epoch


@kinds
def test_a_client_that_cannot_be_told_of_a_gap_is_disconnected(kind: str, start_broker: Start, serve: Serve) -> None:
    server: BrokerServer = start_broker(kind, persistent=False)
    room = f"{serve(server.url).ws_url}/rooms/room"
    with connect(room) as told, connect(f"{room}?told=plain") as plain:
        for client in (told, plain):
            assert not json.loads(client.recv(WAIT_S))["gap"]
        server.restart()
        assert "started without its data" in json.loads(told.recv(WAIT_S))["gap"]
        with pytest.raises(ConnectionClosed) as closed:
            plain.recv(WAIT_S)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1013, "messages are missing")
        assert told.ping().wait(WAIT_S)


@kinds
async def test_what_the_server_has_lost_is_a_gap(kind: str, start_broker: Start) -> None:
    """As after a failover to a replica that lagged, or a crash before the last writes were on the disk."""
    server: BrokerServer = start_broker(kind)
    async with Proxy(server.port) as proxy, make_hub(server.url) as other:
        url = server.url.replace(str(server.port), str(proxy.port))
        async with make_hub(url, timeout_s=10) as hub, following(hub, "room") as follower:
            await hub.publish("room", "kept")
            await asyncio.to_thread(server.kill)
            saved = server.folder.with_name("saved")
            await asyncio.to_thread(shutil.copytree, server.folder, saved)
            await asyncio.to_thread(server.start)
            for payload in ("lost 1", "lost 2"):
                await publish_until_told(other, "room", payload)
            await follower.until(lambda: follower.payloads[-1:] == ["lost 2"], "messages come")
            proxy.hold()
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(shutil.rmtree, server.folder)
            saved.rename(server.folder)
            await asyncio.to_thread(server.start)
            # Before the follower is back, the room has more messages than it had.
            for payload in ("new 1", "new 2", "new 3"):
                await publish_until_told(other, "room", payload)
            proxy.release()
            await follower.until(lambda: follower.payloads[-1:] == ["new 3"], "messages come again")
            assert len(follower.gaps) == 1
            assert follower.payloads[:3] == ["kept", "lost 1", "lost 2"]


@kinds
async def test_what_the_server_has_lost_is_a_gap_though_nothing_new_comes(kind: str, start_broker: Start) -> None:
    server: BrokerServer = start_broker(kind)
    async with make_hub(server.url, timeout_s=10) as hub, following(hub, "room") as follower:
        await hub.publish("room", "kept")
        # What it has acknowledged is on the disk, so this is a crash that took the last writes along.
        saved = await asyncio.to_thread(shutil.copytree, server.folder, server.folder.with_name("saved"))
        await hub.publish("room", "lost")
        await follower.until(lambda: follower.payloads == ["kept", "lost"], "messages come")
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(shutil.rmtree, server.folder)
        saved.rename(server.folder)
        await asyncio.to_thread(server.start)
        await follower.until(lambda: bool(follower.gaps), "the gap is told")
        assert follower.events[2] == follower.gaps[0]
        await publish_until_told(hub, "room", "new")
        await follower.until(lambda: follower.payloads[-1:] == ["new"], "messages come again")
        assert len(follower.gaps) == 1


@kinds
async def test_cut_connections_nothing_is_lost_or_doubled(kind: str, start_broker: Start) -> None:
    server: BrokerServer = start_broker(kind)
    async with Proxy(server.port) as proxy:
        url = server.url.replace(str(server.port), str(proxy.port))
        async with make_hub(url) as here, make_hub(url) as there, following(there, "room") as follower:
            async with publishing(here, "room") as publisher:
                for _ in range(5):
                    seen = len(follower.payloads)
                    await follower.until(lambda seen=seen: len(follower.payloads) > seen + 20, "messages come")
                    proxy.cut()
            await last_word(here, "room", follower)
            publisher.check(follower)
            assert follower.gaps == []


@kinds
async def test_a_connection_that_is_cut_while_something_is_written_is_replaced_at_once(
    kind: str, valkey: Valkey, nats: Nats
) -> None:
    """How far a client library has got with it, decides how it ends: so there are several attempts."""
    server: BrokerServer = valkey if kind == "redis" else nats
    async with (
        Proxy(server.port) as proxy,
        # Not within the time of the test does it look whether the server is still there.
        make_hub(server.url.replace(str(server.port), str(proxy.port)), timeout_s=10 * WAIT_S) as hub,
    ):
        for iterations in range(1, 13):
            await hub.publish("cut", "before")
            proxy.cut()
            publishing = []
            for _ in range(iterations):
                publishing.append(asyncio.create_task(hub.publish("cut", "x")))
                await asyncio.sleep(0)
            async with asyncio.timeout(WAIT_S):
                await asyncio.gather(*publishing)


@kinds
async def test_cut_connections_without_history_are_a_gap(kind: str, start_broker: Start) -> None:
    server: BrokerServer = start_broker(kind)
    limits = HistoryLimits(messages=0)
    async with Proxy(server.port) as proxy, make_hub(server.url, history=limits) as here:
        url = server.url.replace(str(server.port), str(proxy.port))
        async with make_hub(url, history=limits) as there, following(there, "room") as follower:
            await here.publish("room", "before")
            await follower.until(lambda: follower.payloads == ["before"], "a message comes")
            proxy.hold()
            await here.publish("room", "missed")
            proxy.cut()
            proxy.release()
            await follower.until(lambda: bool(follower.gaps), "the gap is told")
            await here.publish("room", "after")
            await follower.until(lambda: follower.payloads[-1:] == ["after"], "a message comes again")
            assert follower.payloads == ["before", "after"]
            assert len(follower.gaps) == 1


async def test_connections_that_redis_kills_nothing_is_lost_or_doubled(start_broker: Start) -> None:
    server: Valkey = start_broker("redis")
    async with make_hub(server.url) as here, make_hub(server.url) as there, following(there, "room") as follower:
        async with publishing(here, "room") as publisher:
            for _ in range(5):
                seen = len(follower.payloads)
                await follower.until(lambda seen=seen: len(follower.payloads) > seen + 20, "messages come")
                for which in ("normal", "pubsub"):
                    await asyncio.to_thread(server.say, "CLIENT", "KILL", "TYPE", which)
        await last_word(here, "room", follower)
        publisher.check(follower)
        assert follower.gaps == []


@pytest.mark.parametrize(
    ("kind", "options", "logged"),
    [
        ("redis", {"options": ("--client-output-buffer-limit", "pubsub 1mb 1mb 1")}, "output buffer limits"),
        ("nats", {"settings": {"max_pending": 2_000_000, "write_deadline": "1s"}}, "Slow Consumer"),
    ],
)
async def test_a_slow_process_that_the_server_drops_misses_nothing(
    kind: str, options: dict[str, Any], logged: str, start_broker: Start
) -> None:
    server: BrokerServer = start_broker(kind, **options)
    # More time than the server needs: the hub must not give up the silent connection first.
    settings: dict[str, Any] = {"history": HistoryLimits(messages=10_000), "timeout_s": 20}
    async with (
        Proxy(server.port) as proxy,
        make_hub(server.url, **settings) as here,
        make_hub(server.url.replace(str(server.port), str(proxy.port)), **settings) as there,
        following(there, "room") as follower,
    ):
        proxy.hold()
        sent = []
        async with asyncio.timeout(20):
            # The kernel's buffers come first, and they are as large as the kernel likes.
            while logged not in (server.folder / "log").read_text():
                sent.append(f"{len(sent)} " + "x" * 10_000)
                await here.publish("room", sent[-1])
        proxy.release()
        await follower.until(lambda: len(follower.payloads) >= len(sent), "everything comes")
        assert follower.payloads == sent
        assert follower.gaps == []


@kinds
async def test_a_start_without_the_broker_succeeds_when_it_comes(kind: str, start_broker: Start) -> None:
    server: BrokerServer = start_broker(kind)
    await asyncio.to_thread(server.kill)
    async with asyncio.timeout(60):
        async with make_hub(server.url) as hub:
            health = await hub.health()
            assert not health.ok
            assert f"127.0.0.1:{server.port}" in health.detail
            assert "connect" in health.detail.lower()
            with pytest.raises(BrokerUnavailable, match=f"127.0.0.1:{server.port}"):
                await hub.publish("room", "nobody hears")
            with pytest.raises(BrokerUnavailable):
                await hub.present("room")
            await asyncio.to_thread(server.start)
            await until_health(hub, True)
            async with following(hub, "room") as follower:
                await hub.publish("room", "here")
                await follower.until(lambda: follower.payloads == ["here"], "a message comes")


@kinds
async def test_nothing_hangs_when_the_hub_stops_without_its_broker(kind: str, start_broker: Start) -> None:
    server: BrokerServer = start_broker(kind)
    for fault in (server.pause, server.kill):
        hub = make_hub(server.url)
        await hub.start()
        async with following(hub, "room"):
            await asyncio.to_thread(fault)
            publishing = asyncio.create_task(hub.publish("room", "x"))
            await asyncio.sleep(0)
            async with asyncio.timeout(20):
                await hub.stop()
            publishing.cancel()
            await asyncio.wait({publishing})
        if fault == server.pause:
            server.resume()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("redis", {"options": ("--requirepass", "right")}),
        ("nats", {"settings": {"authorization": {"user": "app", "password": "right"}}}),
    ],
)
async def test_credentials_are_used_and_never_told(
    kind: str, options: dict[str, Any], start_broker: Start, caplog: pytest.LogCaptureFixture
) -> None:
    server: BrokerServer = start_broker(kind, **options)
    user = "" if kind == "redis" else "app"
    caplog.set_level(logging.DEBUG)
    async with make_hub(server.url.replace("://", f"://{user}:right@")) as hub:
        await hub.publish("room", "x")
        assert (await hub.health()).ok
    async with make_hub(server.url.replace("://", f"://{user}:wr0ng-s3cret@")) as hub:
        health = await hub.health()
        assert not health.ok
        with pytest.raises(BrokerUnavailable) as failed:
            await hub.publish("room", "x")
    told = "\n".join([caplog.text, health.detail, str(failed.value), repr(failed.value)])
    assert str(server.port) in told
    assert "s3cret" not in told


@pytest.mark.slow
async def test_paused_for_much_longer_than_the_timeout_of_a_call(start_broker: Start) -> None:
    """Both brokers side by side, because it takes so long."""
    async with asyncio.TaskGroup() as group:
        for kind in ("redis", "nats"):
            group.create_task(_paused(start_broker(kind)))


async def _paused(server: Valkey | Nats) -> None:
    async with make_hub(server.url) as here, make_hub(server.url) as there, following(there, "room") as follower:
        publisher = Publisher(here, "room")
        await publisher.publish_more(10)
        server.pause()
        try:
            resumed = asyncio.create_task(asyncio.sleep(PAUSE_S))
            # A stop takes effect a moment after the signal.
            while not publisher.unknown:
                await publisher.publish()
            health = await until_health(there, False)
            assert str(server.port) in health.detail
            while not resumed.done():
                await publisher.publish()
        finally:
            server.resume()
        await until_health(there, True)
        await publisher.publish_more(10)
        await last_word(here, "room", follower)
        publisher.check(follower)
        assert follower.gaps == []


async def test_a_node_of_the_cluster_is_killed_and_comes_back(valkey_cluster: ValkeyCluster) -> None:
    rooms = [f"node:{number}" for number in range(12)]
    async with contextlib.AsyncExitStack() as stack:
        here, there = [await stack.enter_async_context(make_hub(valkey_cluster.url)) for _ in range(2)]
        followers = [await stack.enter_async_context(following(there, room)) for room in rooms]
        publishers = [Publisher(here, room) for room in rooms]
        for publisher in publishers:
            await publisher.publish_more(3)
        await asyncio.to_thread(valkey_cluster.nodes[1].kill)
        await asyncio.gather(*(publisher.publish() for publisher in publishers))
        assert any(publisher.unknown for publisher in publishers)
        assert not all(publisher.unknown for publisher in publishers)
        await asyncio.to_thread(valkey_cluster.nodes[1].start)
        await until_health(there, True)
        for publisher, follower, room in zip(publishers, followers, rooms, strict=True):
            await publisher.publish_more(3)
            await last_word(here, room, follower)
            publisher.check(follower)
            assert follower.gaps == []


async def test_a_room_moves_to_another_node_of_the_cluster(valkey_cluster: ValkeyCluster) -> None:
    room = "moves"
    async with (
        make_hub(valkey_cluster.url) as here,
        make_hub(valkey_cluster.url) as there,
        following(there, room) as follower,
    ):
        async with publishing(here, room) as publisher:
            await follower.until(lambda: len(follower.payloads) > 50, "messages come")
            await asyncio.to_thread(valkey_cluster.move, f"falconws:{{{room}}}:log")
            seen = len(follower.payloads)
            await follower.until(lambda: len(follower.payloads) > seen + 50, "messages come again")
        await last_word(here, room, follower)
        publisher.check(follower)
        assert follower.gaps == []
