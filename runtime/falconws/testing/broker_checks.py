"""The promises of every broker of the hub, as checks that any package can run against its own.

Each check makes its brokers with a factory: several brokers stand for several processes on one server. Each check uses
rooms that no other check uses. Knows the broker port only; runs on any server that the factory connects to.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial

from falconws.hub.broker import BrokerRefused

from .broker_harness import (
    LIMITS,
    BrokerFactory,
    Check,
    Node,
    Recorder,
    check,
    expect,
    expect_chain,
    new_room,
    soon,
    started,
)
from .broker_messages import MESSAGE_CHECKS
from .broker_presence import PRESENCE_CHECKS

__all__ = ("BROKER_CHECKS", "BrokerFactory", "check_broker")

_CHECKS: list[Check] = [*MESSAGE_CHECKS, *PRESENCE_CHECKS]


@check(_CHECKS, 1)
async def a_healthy_broker_says_so(node: Node) -> None:
    health = await node.broker.health()
    expect(health.ok, True, f"health ({health.detail})")
    expect("\n" in health.detail, False, "a line break in the detail")


async def a_broker_can_be_started_again(factory: BrokerFactory) -> None:
    broker, room = factory(LIMITS), new_room()
    await soon(broker.stop(), "stop() of a broker that was never started returns")
    for _ in range(2):
        sink = Recorder()
        await soon(broker.start(sink), "start() returns")
        await broker.publish(room, "before")
        expect(sink.publications, [], "deliveries after a start without a subscription")
        await broker.subscribe(room)
        await broker.publish(room, "after")
        await sink.until_published(1, "a message comes after a start")
        expect(sink.payloads(room), ["after"], "deliveries after a start")
        await soon(broker.stop(), "stop() returns")
        await soon(broker.stop(), "the second stop() returns")


@check(_CHECKS, 1)
async def cancelled_calls_leave_it_usable(node: Node) -> None:
    room, ticks = new_room(), random.Random(1)
    start = await node.broker.subscribe(room)
    other = new_room()

    async def calls() -> None:
        await node.broker.publish(room, "cancelled")
        await node.broker.history(room, start)
        await node.broker.subscribe(other)
        await node.broker.members(room)
        await node.broker.health()
        await node.broker.unsubscribe(other)

    for _ in range(60):
        task = asyncio.create_task(calls())
        for _ in range(ticks.randrange(30)):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    last = await soon(node.broker.publish(room, "last"), "publish() returns after cancelled calls")
    await node.sink.until(lambda: node.sink.payloads(room)[-1:] == ["last"], "a message comes after cancelled calls")
    expect(node.sink.publications[-1].position, last, "its position")
    expect_chain(node.sink.publications, start, "what was delivered")
    expect((await node.broker.history(room, last)).complete, True, "the history after cancelled calls")


async def a_refused_room_is_reported(factory: BrokerFactory, refuse: Callable[[str], Awaitable[None]]) -> None:
    """Check ``Sink.refused()``. Needs a server that can withdraw a permission; see ``check_broker()``."""
    async with started(factory, 1) as [node]:
        refused, other = new_room(), new_room()
        for room in (refused, other):
            await node.broker.subscribe(room)
        await refuse(refused)
        await node.sink.until(lambda: bool(node.sink.refusals), "refused() is called")
        expect([room for room, _ in node.sink.refusals], [refused], "the rooms that are refused")
        expect("\n" in node.sink.refusals[0][1], False, "a line break in the reason")
        error = None
        try:
            await soon(node.broker.subscribe(refused), "subscribe() returns for a room that is refused")
        except BrokerRefused as caught:
            error = caught
        expect(error and error.room, refused, "the room of the error with which subscribe() is refused")
        await soon(node.broker.publish(other, "on"), "publish() returns for another room")
        await node.sink.until(lambda: node.sink.payloads(other) == ["on"], "a message of another room comes")
        expect((await node.broker.health()).ok, True, "health while one room is refused")


BROKER_CHECKS: tuple[Check, ...] = (*_CHECKS, a_broker_can_be_started_again)
"""All checks, as coroutine functions for parametrized tests: ``await check(factory)``."""


async def check_broker(factory: BrokerFactory, *, refuse: Callable[[str], Awaitable[None]] | None = None) -> None:
    """Check that a broker keeps everything that ``falconws.hub.Broker`` promises.

    Args:
        factory: Called with ``HistoryLimits``; returns a broker that is not started. All brokers that it returns share
            one server, as those of several processes do.
        refuse: Called with the name of a room that a broker follows; makes the server refuse to deliver that room, and
            no other. ``None``: the server has no permissions, and ``Sink.refused()`` is not checked.

    Raises:
        ExceptionGroup: With one error for each broken promise; each says what was expected.
    """
    failures: list[Exception] = []
    checks = {promise.__name__: promise for promise in BROKER_CHECKS}
    if refuse is not None:
        checks["a_refused_room_is_reported"] = partial(a_refused_room_is_reported, refuse=refuse)
    for name, promise in checks.items():
        try:
            await promise(factory)
        except Exception as error:
            error.add_note(f"in the check {name}")
            failures.append(error)
    if failures:
        raise ExceptionGroup("The broker does not keep what falconws.hub.Broker promises", failures)
