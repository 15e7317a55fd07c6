"""Members that join or leave are announced at once; many of them in batches, and never after their messages."""

import asyncio
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Any

import pytest

from falconws import Hub, Joined, Left, Message
from falconws.hub.brokers.memory import MemoryBroker

from .scripted import ScriptedConnection, ScriptedSocket, eventually, settle


def describe(event: Any) -> str:
    match event:
        case Joined():
            return f"+{event.member}"
        case Left():
            return f"-{event.member}"
        case Message():
            return str(event.payload)
        case _:
            raise AssertionError(event)


async def test_few_members_are_announced_at_once() -> None:
    watching = ScriptedConnection()
    async with Hub() as hub, hub.subscribe(ScriptedSocket(watching), "room", encode=describe):
        await settle()
        async with hub.subscribe(ScriptedSocket(ScriptedConnection()), "room", member="ada"):
            assert watching.taken == ["+ada"]
        assert watching.taken == ["+ada", "-ada"]


async def test_what_was_missed_while_the_broker_was_away_is_announced_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the rooms of which the application has asked who is present: it shows that list."""
    monkeypatch.setattr("falconws.hub.presence_events._SETTLE_S", 0.0)

    class Deaf(MemoryBroker):
        is_deaf = False

        def _sinks(self, room: str) -> list[Any]:
            return [] if self.is_deaf else super()._sinks(room)

    listed, other = ScriptedConnection(), ScriptedConnection()
    broker = Deaf()
    async with (
        Hub(broker) as hub,
        hub.subscribe(ScriptedSocket(listed), "listed", encode=describe),
        hub.subscribe(ScriptedSocket(other), "other", encode=describe),
    ):
        rooms = ("listed", "other")
        async with hub.subscribe(ScriptedSocket(ScriptedConnection()), *rooms, member="stays"):
            async with hub.subscribe(ScriptedSocket(ScriptedConnection()), *rooms, member="goes"):
                assert set(await hub.present("listed")) == {"stays", "goes"}
                broker.is_deaf = True
            async with hub.subscribe(ScriptedSocket(ScriptedConnection()), *rooms, member="comes"):
                broker.is_deaf = False
                assert hub._dispatcher is not None
                for _ in range(2):
                    hub._dispatcher.interrupted("the test says so")
                    hub._dispatcher.restored()
                    await eventually(lambda: "+comes" in listed.taken)
                    await asyncio.sleep(0.01)
                    await settle()
                assert listed.taken == ["+stays", "+goes", "-goes", "+comes"]
                assert other.taken == ["+stays", "+goes"]


async def test_many_members_are_announced_in_batches_in_order_and_once() -> None:
    watching = ScriptedConnection()
    names = [f"u{number}" for number in range(100)]
    expected = [f"+{name}" for name in names] + [f"-{name}" for name in reversed(names)]
    async with Hub() as hub, hub.subscribe(ScriptedSocket(watching), "room", encode=describe):
        await settle()
        async with AsyncExitStack() as everybody:
            for name in names:
                subscription = hub.subscribe(ScriptedSocket(ScriptedConnection()), "room", member=name)
                await everybody.enter_async_context(subscription)
            soon = list(watching.taken)
        assert 0 < len(soon) < len(names)
        async with asyncio.timeout(20):
            while len(watching.taken) < len(expected):
                await asyncio.sleep(0.01)
        assert watching.taken == expected
        # Later, the next member is announced at once again.
        async with asyncio.timeout(20):
            while True:
                before = len(watching.taken)
                async with hub.subscribe(ScriptedSocket(ScriptedConnection()), "room", member="late"):
                    if watching.taken[before:] == ["+late"]:
                        break
                await asyncio.sleep(0.05)


async def test_a_message_does_not_overtake_members_that_joined_before_it() -> None:
    watching = ScriptedConnection()
    names = [f"u{number}" for number in range(50)]
    async with (
        Hub() as hub,
        hub.subscribe(ScriptedSocket(watching), "room", encode=describe),
        AsyncExitStack() as crowd,
    ):
        await settle()
        for name in names:
            subscription = hub.subscribe(ScriptedSocket(ScriptedConnection()), "room", member=name)
            await crowd.enter_async_context(subscription)
        assert len(watching.taken) < len(names)
        await hub.publish("room", "hello")
        assert watching.taken == [*(f"+{name}" for name in names), "hello"]


async def test_a_stopped_hub_announces_nothing() -> None:
    watching = ScriptedConnection()
    async with Hub() as hub:
        await hub.subscribe(ScriptedSocket(watching), "room", encode=describe).__aenter__()
        await settle()
        for number in range(50):
            subscription = hub.subscribe(ScriptedSocket(ScriptedConnection()), "room", member=f"u{number}")
            await subscription.__aenter__()
        told = len(watching.taken)
    await asyncio.sleep(0.15)
    assert len(watching.taken) == told


async def test_thousands_of_deliveries_are_spread_over_iterations_of_the_event_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("falconws.hub.presence_events._MAX_DELIVERIES", 20)
    watching = ScriptedConnection()
    names = [f"u{number}" for number in range(40)]
    async with (
        Hub() as hub,
        hub.subscribe(ScriptedSocket(watching), "room", encode=describe),
        AsyncExitStack() as crowd,
    ):
        await settle()
        for name in names:
            subscription = hub.subscribe(ScriptedSocket(ScriptedConnection()), "room", member=name)
            await crowd.enter_async_context(subscription)
        seen = [len(watching.taken)]
        async with asyncio.timeout(20):
            while seen[-1] < len(names):
                await asyncio.sleep(0.001)
                seen.append(len(watching.taken))
        # 41 followers and 20 deliveries: one event for each iteration.
        assert max(after - before for before, after in pairwise(seen)) < 10
        assert watching.taken == [f"+{name}" for name in names]
