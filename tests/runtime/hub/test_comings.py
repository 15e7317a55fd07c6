"""Who comes and goes is told at once; when many do, together, and never behind what they say."""

import asyncio
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Any

import pytest

from falconws import Hub, Joined, Left, Message

from .scripted import ScriptedConnection, ScriptedSocket, settle


def tell(event: Any) -> str:
    match event:
        case Joined():
            return f"+{event.member}"
        case Left():
            return f"-{event.member}"
        case Message():
            return str(event.payload)
        case _:
            raise AssertionError(event)


async def test_few_are_told_at_once() -> None:
    watching = ScriptedConnection()
    async with Hub() as hub, hub.subscribe(ScriptedSocket(watching), "room", encode=tell):
        await settle()
        async with hub.subscribe(ScriptedSocket(ScriptedConnection()), "room", member="ada"):
            assert watching.taken == ["+ada"]
        assert watching.taken == ["+ada", "-ada"]


async def test_many_are_told_together_in_order_and_each_once() -> None:
    watching = ScriptedConnection()
    names = [f"u{number}" for number in range(100)]
    expected = [f"+{name}" for name in names] + [f"-{name}" for name in reversed(names)]
    async with Hub() as hub, hub.subscribe(ScriptedSocket(watching), "room", encode=tell):
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
        # The crowd is over: the next is told at once again, a moment later.
        async with asyncio.timeout(20):
            while True:
                before = len(watching.taken)
                async with hub.subscribe(ScriptedSocket(ScriptedConnection()), "room", member="late"):
                    if watching.taken[before:] == ["+late"]:
                        break
                await asyncio.sleep(0.05)


async def test_a_message_does_not_overtake_those_who_came_before_it() -> None:
    watching = ScriptedConnection()
    names = [f"u{number}" for number in range(50)]
    async with Hub() as hub, hub.subscribe(ScriptedSocket(watching), "room", encode=tell), AsyncExitStack() as crowd:
        await settle()
        for name in names:
            subscription = hub.subscribe(ScriptedSocket(ScriptedConnection()), "room", member=name)
            await crowd.enter_async_context(subscription)
        assert len(watching.taken) < len(names)
        await hub.publish("room", "hello")
        assert watching.taken == [*(f"+{name}" for name in names), "hello"]


async def test_a_hub_that_stops_tells_nobody_any_more() -> None:
    watching = ScriptedConnection()
    async with Hub() as hub:
        await hub.subscribe(ScriptedSocket(watching), "room", encode=tell).__aenter__()
        await settle()
        for number in range(50):
            subscription = hub.subscribe(ScriptedSocket(ScriptedConnection()), "room", member=f"u{number}")
            await subscription.__aenter__()
        told = len(watching.taken)
    await asyncio.sleep(0.15)
    assert len(watching.taken) == told


async def test_thousands_of_deliveries_do_not_hold_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("falconws.hub.presence_events._DELIVERIES_A_TURN", 20)
    watching = ScriptedConnection()
    names = [f"u{number}" for number in range(40)]
    async with Hub() as hub, hub.subscribe(ScriptedSocket(watching), "room", encode=tell), AsyncExitStack() as crowd:
        await settle()
        for name in names:
            subscription = hub.subscribe(ScriptedSocket(ScriptedConnection()), "room", member=name)
            await crowd.enter_async_context(subscription)
        seen = [len(watching.taken)]
        async with asyncio.timeout(20):
            while seen[-1] < len(names):
                await asyncio.sleep(0.001)
                seen.append(len(watching.taken))
        # 41 followers: one is told in a turn, or two.
        assert max(after - before for before, after in pairwise(seen)) < 10
        assert watching.taken == [f"+{name}" for name in names]
