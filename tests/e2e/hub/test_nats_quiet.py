"""What becomes of a room over NATS in which nothing is published for longer than the stream keeps a message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from falconws import HubLimits
from falconws.hub import History, HistoryLimits, Position, Publication
from falconws.hub.brokers.nats.broker import NatsBroker
from tests.e2e.hub.proxy import Proxy
from tests.e2e.hub.recorder import WAIT_S, following, make_hub
from tests.e2e.hub.servers import Nats
from tests.runtime.hub.scripted import ScriptedConnection, ScriptedSocket

TTL_S = 6.0
HUB_LIMITS = HubLimits(room_ttl_s=TTL_S)
ANCHOR = b"Falconws-Anchor: 1\r\n"


class Recorder:
    """A sink that keeps what is delivered."""

    def __init__(self) -> None:
        self.publications: asyncio.Queue[Publication] = asyncio.Queue()

    def deliver(self, publication: Publication) -> None:
        self.publications.put_nowait(publication)

    def interrupted(self, reason: str) -> None: ...
    def restored(self) -> None: ...
    def refused(self, room: str, reason: str) -> None: ...
    def joined(self, room: str, member: str, info: bytes, devices: int) -> None: ...
    def updated(self, room: str, member: str, info: bytes, devices: int) -> None: ...
    def left(self, room: str, member: str) -> None: ...


class Stream:
    """The stream of one prefix, as an administrator sees it."""

    def __init__(self, server: Nats, prefix: str) -> None:
        self._server = server
        self._prefix = prefix

    async def ask(self, what: str, body: object = None) -> dict[str, Any]:
        return await asyncio.to_thread(self._server.ask, f"$JS.API.STREAM.{what}.{self._prefix}-rooms", body)

    async def newest(self, room: str) -> int:
        answer = await self.ask("MSG.GET", {"last_by_subj": f"{self._prefix}.room.{room}"})
        return int(answer["message"]["seq"]) if "message" in answer else 0

    async def count(self, room: str) -> int:
        subject = f"{self._prefix}.room.{room}"
        answer = await self.ask("INFO", {"subjects_filter": subject})
        return int((answer["state"].get("subjects") or {}).get(subject, 0))

    async def until_gone(self, sequence: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while "message" in await self.ask("MSG.GET", {"seq": sequence}):
                await asyncio.sleep(0.05)

    async def delete(self, sequence: int) -> None:
        assert (await self.ask("MSG.DELETE", {"seq": sequence}))["success"]

    async def anchor(self, room: str, place: int | None = None) -> int:
        """Write an anchor, and return its number."""
        headers = ANCHOR if place is None else ANCHOR + f"Falconws-Stands-For: {place}\r\n".encode()
        before = await self.newest(room)
        await asyncio.to_thread(self._server.say, f"{self._prefix}.room.{room}", headers=headers)
        async with asyncio.timeout(WAIT_S):
            while (newest := await self.newest(room)) == before:
                await asyncio.sleep(0.01)
        return newest


@asynccontextmanager
async def started(broker: NatsBroker) -> AsyncIterator[tuple[NatsBroker, Recorder]]:
    sink = Recorder()
    await broker.start(sink)
    try:
        yield broker, sink
    finally:
        await broker.stop()


def told(history: History) -> tuple[bool, list[Any], int]:
    return history.complete, [publication.payload for publication in history.publications], history.top.offset


async def test_nobody_is_told_of_a_gap_where_nothing_was_published_for_long(nats: Nats) -> None:
    """In a room with a message, and in one that has never had any."""
    stream = Stream(nats, "quiet")
    async with Proxy(nats.port) as proxy:
        url = f"nats://127.0.0.1:{proxy.port}?prefix=quiet"
        client = ScriptedSocket(ScriptedConnection())
        async with (
            make_hub(
                url,
                history=HistoryLimits(messages=100, age_s=1),
                limits=HUB_LIMITS,
                timeout_s=10,
            ) as hub,
            hub.subscribe(client, "spoken") as subscription,
            following(hub, "spoken") as spoken,
            following(hub, "silent") as silent,
        ):
            position = await hub.publish("spoken", "one")
            await spoken.until(lambda: spoken.payloads == ["one"], "a message comes")
            await stream.until_gone(position.offset)
            # What stands for it goes as well, and so on.
            await stream.until_gone(await stream.newest("spoken"))
            proxy.cut()
            async with hub.listen("spoken", since=position) as listener:
                # These get through when the connection is back, and all rooms look for what they have missed.
                await hub.publish("spoken", "two")
                await hub.publish("silent", "two")
                assert (await anext(aiter(listener))).payload == "two"
            await spoken.until(lambda: len(spoken.events) == 2, "the next message comes")
            await silent.until(lambda: len(silent.events) == 1, "the next message comes")
            assert spoken.payloads == ["one", "two"]
            assert silent.payloads == ["two"]
            assert client.close_code is None
            assert not subscription.gap


async def test_without_history_a_room_keeps_its_place_too(nats: Nats) -> None:
    stream = Stream(nats, "quiet-0")
    limits = HistoryLimits(messages=0, age_s=1)
    async with started(NatsBroker(f"{nats.url}?prefix=quiet-0", history=limits, limits=HUB_LIMITS)) as (broker, sink):
        start = await broker.subscribe("room")
        await stream.until_gone(start.offset)
        assert told(await broker.history("room", start)) == (True, [], start.offset)
        position = await broker.publish("room", "one")
        assert (await sink.publications.get()).previous == start.offset
        await stream.until_gone(position.offset)
        assert told(await broker.history("room", position)) == (True, [], position.offset)
        assert told(await broker.history("room", start)) == (False, [], position.offset)
        await broker.publish("room", "two")
        assert (await sink.publications.get()).previous == position.offset


async def test_of_several_processes_one_keeps_a_room(nats: Nats) -> None:
    stream = Stream(nats, "several")
    limits = HistoryLimits(messages=100, age_s=1)
    async with AsyncExitStack() as stack:
        url = f"{nats.url}?prefix=several"
        brokers = [
            (await stack.enter_async_context(started(NatsBroker(url, history=limits, limits=HUB_LIMITS))))[0]
            for _ in range(4)
        ]
        position = await brokers[0].publish("room", "one")
        async with asyncio.timeout(WAIT_S):
            while (count := await stream.count("room")) == 1:
                places = await asyncio.gather(*(broker.subscribe("room") for broker in brokers))
                assert places == [position] * 4
                for broker in brokers:
                    await broker.unsubscribe("room")
        assert count == 2


async def test_an_anchor_stands_for_the_last_message(nats: Nats) -> None:
    prefix = "anchors"
    stream = Stream(nats, prefix)
    async with started(NatsBroker(f"{nats.url}?prefix={prefix}")) as (broker, sink):
        await broker.subscribe("room")
        first, last = [await broker.publish("room", payload) for payload in ("first", "last")]
        for place in (last.offset, last.offset):
            anchor = await stream.anchor("room", place)
        # Between messages: who stands before it gets what is behind it.
        assert told(await broker.history("room", first)) == (True, ["last"], last.offset)
        await stream.delete(first.offset)
        await stream.delete(last.offset)
        assert told(await broker.history("room", last)) == (True, [], last.offset)
        assert told(await broker.history("room", first)) == (False, [], last.offset)
        # The anchor's own number is the position of no publication; neither is one of the future.
        assert told(await broker.history("room", Position(last.epoch, anchor))) == (False, [], last.offset)
        assert told(await broker.history("room", Position(last.epoch, anchor + 1))) == (False, [], last.offset)
        async with started(NatsBroker(f"{nats.url}?prefix={prefix}")) as (other, others_sink):
            assert await other.subscribe("room") == last
            following = await broker.publish("room", "next")
            for since, complete in ((last, True), (first, False)):
                history = await broker.history("room", since)
                assert told(history) == (complete, ["next"], following.offset)
                assert history.publications[0].previous == last.offset
            # Nobody was told of an anchor, and nobody has to look for what was before.
            live = [await sink.publications.get() for _ in range(3)]
            assert [publication.payload for publication in live] == ["first", "last", "next"]
            assert live[-1].previous == (await others_sink.publications.get()).previous == last.offset


async def test_an_anchor_that_says_no_more_stands_for_itself(nats: Nats) -> None:
    """As in a room without messages, and where another program has written nonsense."""
    prefix = "anchors"
    stream = Stream(nats, prefix)
    async with started(NatsBroker(f"{nats.url}?prefix={prefix}")) as (broker, _):
        anchors = [await stream.anchor("old"), await stream.anchor("odd", 2**62)]
        for room, anchor in zip(("old", "odd"), anchors, strict=True):
            place = await broker.subscribe(room)
            assert place.offset == anchor
            assert told(await broker.history(room, place)) == (True, [], anchor)
            await broker.publish(room, "next")
            assert told(await broker.history(room, place))[:2] == (True, ["next"])


async def test_a_gap_is_told_once_though_nothing_is_left_of_the_room(nats: Nats) -> None:
    prefix = "anchors"
    stream = Stream(nats, prefix)
    async with started(NatsBroker(f"{nats.url}?prefix={prefix}")) as (broker, _):
        await broker.subscribe("lost")
        position = await broker.publish("lost", "one")
        await stream.ask("PURGE", {"filter": f"{prefix}.room.lost"})
        history = await broker.history("lost", position)
        assert not history.complete
        assert told(await broker.history("lost", history.top)) == (True, [], history.top.offset)
