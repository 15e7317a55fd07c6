"""What calls to a broker leave behind that are cancelled, or refused, half-way: nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from falconws.hub import HistoryLimits, HubLimits, Publication
from falconws.hub.brokers import make_broker
from falconws.hub.brokers.nats.session import NatsSession
from falconws.hub.brokers.redis.broker import RedisBroker
from tests.e2e.hub.proxy import Proxy
from tests.e2e.hub.recorder import WAIT_S, following, make_hub
from tests.e2e.hub.servers import BrokerServer, Nats, Valkey

kinds = pytest.mark.parametrize("kind", ["redis", "nats"])


class Recorder:
    """A sink that keeps what is delivered."""

    def __init__(self) -> None:
        self.delivered: asyncio.Queue[Publication] = asyncio.Queue()

    def deliver(self, publication: Publication) -> None:
        self.delivered.put_nowait(publication)

    def interrupted(self, reason: str) -> None: ...
    def restored(self) -> None: ...
    def refused(self, room: str, reason: str) -> None: ...
    def joined(self, room: str, member: str, info: bytes, devices: int) -> None: ...
    def updated(self, room: str, member: str, info: bytes, devices: int) -> None: ...
    def left(self, room: str, member: str) -> None: ...


def broker_for(url: str) -> Any:
    return make_broker(url, history=HistoryLimits(), timeout_s=2.0, limits=HubLimits())


@pytest.fixture
async def silent_port() -> AsyncIterator[tuple[int, asyncio.Event]]:
    """A server that takes connections and says nothing, and the event that one has come."""
    connected = asyncio.Event()

    def connect() -> asyncio.Protocol:
        connected.set()
        return asyncio.Protocol()

    server = await asyncio.get_running_loop().create_server(connect, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], connected
        server.close()


@kinds
async def test_a_start_that_is_cancelled_leaves_nothing_running(
    kind: str, silent_port: tuple[int, asyncio.Event]
) -> None:
    port, connected = silent_port
    broker = broker_for(f"{kind}://127.0.0.1:{port}")
    before = asyncio.all_tasks()
    start = asyncio.create_task(broker.start(Recorder()))
    async with asyncio.timeout(WAIT_S):
        await connected.wait()
    start.cancel()
    await asyncio.wait({start}, timeout=WAIT_S)
    assert start.cancelled()
    assert asyncio.all_tasks() - before == set()


@kinds
async def test_a_stop_that_is_cancelled_leaves_nothing_running(kind: str, valkey: Valkey, nats: Nats) -> None:
    server: BrokerServer = valkey if kind == "redis" else nats
    broker = broker_for(server.url)
    before = asyncio.all_tasks()
    await broker.start(Recorder())
    await broker.publish("cancelled-stop", "x")
    stop = asyncio.create_task(broker.stop())
    await asyncio.sleep(0)
    stop.cancel()
    await asyncio.wait({stop}, timeout=WAIT_S)
    assert stop.cancelled()
    running = asyncio.all_tasks() - before
    if running:
        _, running = await asyncio.wait(running, timeout=WAIT_S)
    assert running == set()


@kinds
@pytest.mark.parametrize("attempt", range(5))
async def test_a_stop_just_when_the_connection_is_lost_leaves_nothing_running(
    kind: str, attempt: int, valkey: Valkey, nats: Nats
) -> None:
    """Where in its own end the client library is then, is luck: so there are several attempts."""
    server: BrokerServer = valkey if kind == "redis" else nats
    async with Proxy(server.port) as proxy:
        before = asyncio.all_tasks()
        broker = broker_for(server.url.replace(str(server.port), str(proxy.port)))
        await broker.start(Recorder())
        for number in range(10):
            await broker.subscribe(f"cut-{number}")
        proxy.hold()
        publishing = [asyncio.create_task(broker.publish("cut-0", "x" * 900_000)) for _ in range(30)]
        # Long enough for the kernel's buffers to be full.
        await asyncio.wait(publishing, timeout=0.3)
        proxy.cut()
        await broker.stop()
        await asyncio.wait(publishing, timeout=WAIT_S)
        for done in publishing:
            done.exception()
        assert [task for task in asyncio.all_tasks() - before if "Proxy." not in repr(task)] == []


@kinds
def test_another_start_may_be_in_another_event_loop(kind: str, valkey: Valkey, nats: Nats) -> None:
    server: BrokerServer = valkey if kind == "redis" else nats
    broker = broker_for(server.url)

    async def run() -> None:
        interruptions: list[str] = []
        sink = Recorder()
        sink.interrupted = interruptions.append
        # Two wait for the session, as after a start without a server.
        starting = asyncio.create_task(broker.start(sink))
        await asyncio.sleep(0)
        await asyncio.gather(starting, broker.publish("another-loop", "1"), broker.publish("another-loop", "2"))
        assert interruptions == []
        await broker.stop()

    for _ in range(2):
        asyncio.run(asyncio.wait_for(run(), WAIT_S))


async def test_rooms_whose_joins_are_cancelled_are_not_delivered_by_redis(valkey: Valkey) -> None:
    broker = RedisBroker(valkey.url, timeout_s=5)
    await broker.start(Recorder())
    try:
        for number in range(120):
            join = asyncio.create_task(broker.subscribe(f"cancelled-{number}"))
            for _ in range(1 + number % 6):
                await asyncio.sleep(0)
            join.cancel()
            await asyncio.wait({join}, timeout=WAIT_S)
        # Its answer comes behind those to all of them.
        await broker.subscribe("joined")
        channels = await asyncio.to_thread(valkey.say, "PUBSUB", "SHARDCHANNELS", "falconws:{cancelled-*")
        assert channels == "*0\r\n"
    finally:
        await broker.stop()


async def test_a_room_that_is_joined_after_a_cancelled_join_misses_nothing(valkey: Valkey) -> None:
    broker, other = RedisBroker(valkey.url), RedisBroker(valkey.url)
    sink = Recorder()
    await broker.start(sink)
    await other.start(Recorder())
    try:
        for number in range(120):
            room = f"again-{number}"
            join = asyncio.create_task(broker.subscribe(room))
            for _ in range(number % 6):
                await asyncio.sleep(0)
            join.cancel()
            await asyncio.wait({join}, timeout=WAIT_S)
            position = await broker.subscribe(room)
            await other.publish(room, "x")
            async with asyncio.timeout(WAIT_S):
                publication = await sink.delivered.get()
            assert (publication.room, publication.previous) == (room, position.offset)
    finally:
        await broker.stop()
        await other.stop()


async def test_a_subscription_that_is_refused_is_tried_again_over_nats(
    nats: Nats, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    subscribe, refused = NatsSession.subscribe, 0

    async def refuse_once(session: NatsSession, subject: str, callback: Any) -> Any:
        nonlocal refused
        if ".live." in subject and not refused:
            refused += 1
            raise TimeoutError("an election")
        return await subscribe(session, subject, callback)

    # Other tests may have made the stream with other limits, which is told once.
    async with make_hub(nats.url):
        caplog.clear()
    # As when the time for an attempt is over, or a leader is elected, while the client's buffer is full.
    monkeypatch.setattr(NatsSession, "subscribe", refuse_once)
    async with make_hub(nats.url) as hub, following(hub, "refused-once") as follower:
        assert refused == 1
        await hub.publish("refused-once", "x")
        await follower.until(lambda: follower.payloads == ["x"], "a message comes")
    # Not only found later, when the broker looks whether it has missed something.
    assert [record for record in caplog.records if record.name == "falconws.hub"] == []
