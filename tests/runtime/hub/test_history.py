"""What a client that is new to a room is sent first, and paging through what the broker keeps."""

import asyncio
from typing import Any

import pytest

from falconws import HistoryLimits, Hub, Message, Policy, Position
from falconws.hub.brokers.memory import MemoryBroker
from falconws.hub.history_rules import HistoryRules

from .scripted import ScriptedConnection, ScriptedSocket, settle


@pytest.mark.parametrize(("history", "expected"), [(0, []), (3, [7, 8, 9]), (10, range(10)), (1000, range(10))])
async def test_a_new_client_is_sent_the_newest_messages_first(history: int, expected: Any) -> None:
    connection = ScriptedConnection()
    async with Hub() as hub:
        for number in range(10):
            await hub.publish("room", str(number))
        async with hub.subscribe(ScriptedSocket(connection), "room", history=history) as subscription:
            assert not subscription.gap
            await hub.publish("room", "live")
            await settle()
            assert connection.taken == [*map(str, expected), "live"]
            assert subscription.position.offset == 11


async def test_a_client_that_resumes_is_sent_what_it_missed_instead() -> None:
    connection = ScriptedConnection()
    async with Hub() as hub:
        positions = [await hub.publish(room, f"{room}{number}") for room in "ab" for number in range(5)]
        since = {"a": positions[3]}
        async with hub.subscribe(ScriptedSocket(connection), "a", "b", since=since, history=2):
            await settle()
            assert connection.taken == ["a4", "b3", "b4"]


async def test_the_latest_message_of_each_key_is_sent_on_join() -> None:
    connection = ScriptedConnection()
    async with Hub() as hub:
        for number in range(9):
            await hub.publish("prices", f"{'abc'[number % 3]}{number}", key="abc"[number % 3])
        await hub.publish("prices", "no key")
        async with hub.subscribe(ScriptedSocket(connection), "prices", latest=True, policy=Policy.conflate()) as joined:
            await settle()
            assert connection.taken == ["a6", "b7", "c8"]
            await hub.publish("other", "x", key="x")
            await joined.join("other", latest=True)
            await settle()
            assert connection.taken[3:] == ["x"]


async def test_what_is_published_while_joining_comes_once_and_after_the_history() -> None:
    class Slow(MemoryBroker):
        permits = asyncio.Semaphore(0)

        async def history(self, room: str, since: Position) -> Any:
            await self.permits.acquire()
            return await super().history(room, since)

    broker = Slow(history=HistoryLimits())
    connection = ScriptedConnection()
    async with Hub(broker) as hub:
        for number in range(3):
            await hub.publish("room", str(number))
        subscription = hub.subscribe(ScriptedSocket(connection), "room", history=2)
        entering = asyncio.create_task(subscription.__aenter__())
        await settle()
        await hub.publish("room", "3")
        broker.permits.release()
        await entering
        await settle()
        assert connection.taken == ["1", "2", "3"]
        await subscription.__aexit__(None, None, None)


async def test_older_messages_are_paged() -> None:
    async with Hub(history=HistoryLimits(messages=25)) as hub:
        for number in range(30):
            await hub.publish("room", {"number": number})
        page: list[Message] = await hub.history("room", limit=10)
        pages = [page]
        while page:
            page = await hub.history("room", limit=10, before=page[0].position)
            pages.append(page)
        numbers = [[message.media["number"] for message in page] for page in pages]
        assert numbers == [list(range(20, 30)), list(range(10, 20)), list(range(5, 10)), []]
        assert await hub.history("room", before=Position("another", 20)) == []
        assert await hub.history("nothing") == []


@pytest.mark.parametrize("arguments", [{"limit": 0}, {"limit": "1"}, {"before": "e:1"}, {"before": 3}])
async def test_arguments_of_history_are_checked(arguments: dict[str, Any]) -> None:
    async with Hub() as hub:
        with pytest.raises((TypeError, ValueError), match=r"limit|before"):
            await hub.history("room", **arguments)
        with pytest.raises(ValueError, match="history"):
            hub.subscribe(ScriptedSocket(), "room", history=-1)


# Limits by room


@pytest.mark.parametrize(
    ("room", "messages"),
    [("chat:1", 500), ("chat:help", 7), ("chat:help2", 500), ("chat", 3), ("log:1", 0), ("else", 20), ("", 20)],
)
def test_the_longest_name_or_prefix_that_fits_counts(room: str, messages: int) -> None:
    limits = {"*": 20, "chat:*": 500, "chat:help": 7, "chat*": 3, "log:*": 0}
    rules = HistoryRules({pattern: HistoryLimits(messages=count, age_s=count + 1) for pattern, count in limits.items()})
    assert rules.limits(room) == HistoryLimits(messages=messages, age_s=messages + 1)
    assert rules.largest == HistoryLimits(messages=500, age_s=501)


def test_rooms_that_nothing_fits_have_the_default() -> None:
    assert HistoryRules({"chat:*": HistoryLimits(messages=1)}).limits("else") == HistoryLimits()
    assert HistoryRules(None).limits("else") == HistoryLimits()
    assert HistoryRules(HistoryLimits(messages=1)).limits("else") == HistoryLimits(messages=1)


@pytest.mark.parametrize(
    "history", [5, "chat", {"chat:*": 5}, {5: HistoryLimits()}, {"": HistoryLimits()}, {"a*b": HistoryLimits()}]
)
def test_limits_are_checked(history: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="history"):
        Hub(history=history)


async def test_rooms_have_limits_of_their_own() -> None:
    async with Hub(history={"short:*": HistoryLimits(messages=2), "none": HistoryLimits(messages=0)}) as hub:
        for number in range(5):
            for room in ("short:1", "none", "else"):
                await hub.publish(room, str(number))
        kept = [len(await hub.history(room)) for room in ("short:1", "none", "else")]
        assert kept == [2, 0, 5]
