"""Commands that share a connection to Redis: each gets its own answer, whatever becomes of the others."""

from __future__ import annotations

import asyncio
import contextlib
import random
import tracemalloc
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from falconws.hub import BrokerUnavailable, Entry, HistoryLimits, HubLimits, Position
from falconws.hub.brokers import make_broker
from falconws.hub.brokers.redis.broker import RedisBroker
from falconws.hub.brokers.redis.resp import Pipeline
from falconws.hub.brokers.redis.url import RedisUrl
from tests.e2e.hub.proxy import Proxy
from tests.e2e.hub.recorder import WAIT_S, following, make_hub, publish_until_told
from tests.e2e.hub.servers import Valkey
from tests.e2e.hub.test_cancelled import Recorder
from tests.ports import free_port

LARGE = 16 * 1024 * 1024


@pytest.fixture
async def proxy(valkey: Valkey) -> AsyncIterator[Proxy]:
    async with Proxy(valkey.port) as proxy:
        yield proxy


def open_pipeline(port: int, timeout_s: float = WAIT_S) -> Pipeline:
    return Pipeline(RedisUrl(f"redis://127.0.0.1:{port}").connection(timeout_s=timeout_s), timeout_s)


async def soon(awaitable: Any) -> Any:
    async with asyncio.timeout(WAIT_S):
        return await awaitable


async def test_answers_behind_a_cancelled_command_go_to_those_who_asked(valkey: Valkey) -> None:
    pipeline, chance = open_pipeline(valkey.port), random.Random(1)
    try:
        for _ in range(50):
            answers = [(f"{number}", pipeline.execute("ECHO", f"{number}")) for number in range(20)]
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            for _, answer in chance.sample(answers, 7):
                answer.cancel()
            for sent, answer in answers:
                if not answer.cancelled():
                    assert await soon(answer) == sent.encode()
    finally:
        await asyncio.wait({pipeline.close()}, timeout=WAIT_S)


async def test_an_error_goes_to_who_asked_and_the_line_goes_on(valkey: Valkey) -> None:
    pipeline = open_pipeline(valkey.port)
    try:
        first, wrong, gone, last = (pipeline.execute(*c.split()) for c in ("ECHO 1", "NONSENSE", "NONSENSE", "ECHO 2"))
        gone.cancel()
        assert (await soon(first), await soon(last)) == (b"1", b"2")
        with pytest.raises(Exception, match="unknown command"):
            await wrong
    finally:
        await asyncio.wait({pipeline.close()}, timeout=WAIT_S)


async def test_a_connection_that_is_lost_before_the_answers_ends_all_that_is_under_way(proxy: Proxy) -> None:
    pipeline = open_pipeline(proxy.port)
    assert await soon(pipeline.execute("ECHO", "1")) == b"1"
    proxy.hold()
    answers = [pipeline.execute("ECHO", "2") for _ in range(100)]
    answers[50].cancel()
    await asyncio.sleep(0)
    proxy.cut()
    for answer in answers:
        if not answer.cancelled():
            with pytest.raises(ConnectionError):
                await soon(answer)
    assert pipeline.ended
    await asyncio.wait({pipeline.close()}, timeout=WAIT_S)


async def test_closed_before_it_was_opened_a_line_answers_too(valkey: Valkey) -> None:
    pipeline = open_pipeline(valkey.port)
    answer = pipeline.execute("PING")
    pipeline.close()
    with pytest.raises(ConnectionError):
        await soon(answer)


async def test_a_server_that_hangs_does_not_make_what_is_unsent_pile_up(start_broker: Callable[..., Any]) -> None:
    """Those who publish may have less patience than the hub: then nobody is left to see that nothing is answered."""
    server: Valkey = start_broker("redis")
    broker = RedisBroker(server.url, timeout_s=0.5)
    await broker.start(Recorder())
    try:
        await broker.publish("impatient", "before")
        server.pause()
        tracemalloc.start()
        # Each takes at least a hundredth of a second: that is five times the timeout, or more on a slow machine.
        for _ in range(250):
            with contextlib.suppress(BrokerUnavailable, TimeoutError):
                async with asyncio.timeout(0.01):
                    await broker.publish("impatient", bytes(1_000_000))
        kept, _ = tracemalloc.get_traced_memory()
        # What comes within the timeout, and some more.
        assert kept < 250 * 1_000_000 / 2
        server.resume()
        async with make_hub(server.url) as hub:
            await publish_until_told(hub, "impatient", "after")
    finally:
        tracemalloc.stop()
        await broker.stop()


async def test_twenty_thousand_publications_at_once_keep_their_order(valkey: Valkey) -> None:
    broker = RedisBroker(valkey.url, timeout_s=60)
    await broker.start(Recorder())
    try:
        async with asyncio.timeout(60):
            positions: list[Position] = await asyncio.gather(
                *(broker.publish("twenty-thousand", str(number)) for number in range(20_000))
            )
        offsets = [position.offset for position in positions]
        assert offsets == sorted(set(offsets))
        history = await broker.history("twenty-thousand", positions[-4])
        assert [publication.payload for publication in history.publications] == ["19997", "19998", "19999"]
        assert history.complete
    finally:
        await broker.stop()


@pytest.mark.parametrize("payload", ["\xe4" * (LARGE // 2), b"\xff\r\n$" * (LARGE // 4)], ids=["text", "binary"])
async def test_large_messages_come_whole(payload: str | bytes, valkey: Valkey) -> None:
    room = f"large-{type(payload).__name__}"
    async with make_hub(valkey.url, timeout_s=20) as hub, following(hub, room) as follower:
        before = await hub.publish(room, "before")
        beside = await asyncio.gather(hub.publish(room, payload), hub.publish(room, "after"))
        await follower.until(lambda: len(follower.events) == 3, "three messages come")
        # Not shown where they differ.
        assert follower.payloads[0] == "before"
        assert follower.payloads[2] == "after"
        assert bool(follower.payloads[1] == payload)
        async with asyncio.timeout(WAIT_S), hub.listen(room, since=before) as listener:
            messages = aiter(listener)
            again = [await anext(messages) for _ in range(2)]
        assert [event.position for event in again] == beside
        assert bool(again[0].payload == payload)


async def test_stop_ends_what_is_under_way_at_once(proxy: Proxy) -> None:
    broker = RedisBroker(f"redis://127.0.0.1:{proxy.port}", timeout_s=300)
    await broker.start(Recorder())
    position = await broker.publish("stopped", "x")
    proxy.hold()
    calls: list[asyncio.Task[Any]] = [
        asyncio.create_task(call)
        for call in (
            broker.publish("stopped", "y"),
            broker.history("stopped", position),
            broker.subscribe("stopped"),
            broker.join(Entry("stopped", "ada", "1"), b"{}"),
            broker.members("stopped"),
        )
    ]
    await asyncio.sleep(0)
    await soon(broker.stop())
    _, pending = await asyncio.wait(calls, timeout=WAIT_S)
    assert pending == set()
    assert {type(call.exception()) for call in calls} == {BrokerUnavailable}


@pytest.mark.parametrize("kind", ["redis", "nats"])
async def test_stop_ends_who_waits_for_a_session(kind: str) -> None:
    broker = make_broker(
        f"{kind}://127.0.0.1:{free_port()}", history=HistoryLimits(), timeout_s=300, limits=HubLimits()
    )
    await broker.start(Recorder())
    call = asyncio.create_task(broker.subscribe("stopped"))
    await asyncio.sleep(0)
    await soon(broker.stop())
    with pytest.raises(BrokerUnavailable):
        await soon(call)
