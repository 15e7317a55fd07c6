"""Tools for the checks of brokers: nodes, which are brokers with a sink that records, and waits with a time limit.

Knows the broker port only, and none of the promises.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any, NamedTuple, TypeVar

from falconws.hub.broker import Broker, EphemeralPublication, HistoryLimits, Payload, Publication
from falconws.hub.position import Position

__all__ = (
    "LIMITS",
    "BrokerFactory",
    "Check",
    "Node",
    "Recorder",
    "check",
    "expect",
    "expect_chain",
    "new_room",
    "soon",
    "started",
    "until",
)

_T = TypeVar("_T")

BrokerFactory = Callable[[HistoryLimits], Broker]
"""Makes a broker that is not started. All brokers of one factory share one server."""

Check = Callable[[BrokerFactory], Awaitable[None]]
"""Checks one promise. Raises AssertionError, with what was expected."""

_WAIT_S = 20.0
"""The time limit of each wait; most take milliseconds."""

LIMITS = HistoryLimits(messages=100, age_s=60)

_names = itertools.count()


class Recorder:
    """A sink that records everything."""

    def __init__(self) -> None:
        self.publications: list[Publication] = []
        self.ephemeral: list[EphemeralPublication] = []
        self.presence: list[tuple[object, ...]] = []
        self.refusals: list[tuple[str, str]] = []
        self._changed = asyncio.Event()

    def deliver(self, publication: Publication) -> None:
        self._record(self.publications, publication)

    def deliver_ephemeral(self, message: EphemeralPublication) -> None:
        self._record(self.ephemeral, message)

    def interrupted(self, reason: str) -> None:
        pass

    def restored(self) -> None:
        pass

    def refused(self, room: str, reason: str) -> None:
        self._record(self.refusals, (room, reason))

    def joined(self, room: str, member: str, info: bytes, devices: int) -> None:
        self._record(self.presence, ("joined", room, member, info.decode(), devices))

    def updated(self, room: str, member: str, info: bytes, devices: int) -> None:
        self._record(self.presence, ("updated", room, member, info.decode(), devices))

    def left(self, room: str, member: str) -> None:
        self._record(self.presence, ("left", room, member))

    def _record(self, events: list[_T], event: _T) -> None:
        events.append(event)
        self._changed.set()

    async def until_published(self, count: int, what: str) -> None:
        """Wait until *count* messages have been delivered."""
        await self.until(lambda: len(self.publications) >= count, what)

    async def until_reported(self, event: tuple[object, ...], what: str) -> None:
        """Wait until *event*, a change of a member, has been reported."""
        await self.until(lambda: event in self.presence, what)

    def payloads(self, room: str) -> list[Payload]:
        return [publication.payload for publication in self.publications if publication.room == room]

    async def until(self, reached: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(_WAIT_S):
                while not reached():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(
                f"Not within {_WAIT_S:g} s: {what}. Delivered: {self.publications!r:.2000}; {self.presence!r:.1000}"
            ) from None


class Node(NamedTuple):
    """A started broker with its sink: one process of several."""

    broker: Broker
    sink: Recorder


@asynccontextmanager
async def started(factory: BrokerFactory, count: int, limits: HistoryLimits = LIMITS) -> AsyncIterator[list[Node]]:
    """Start *count* brokers of one server, as that many processes would, and stop them."""
    nodes = [Node(factory(limits), Recorder()) for _ in range(count)]
    try:
        for node in nodes:
            await soon(node.broker.start(node.sink), "start() returns")
        yield nodes
    finally:
        for node in nodes:
            await soon(node.broker.stop(), "stop() returns")


def check(
    checks: list[Check], count: int, limits: HistoryLimits = LIMITS
) -> Callable[[Callable[..., Awaitable[None]]], Check]:
    """Return a decorator that adds a function to *checks*. It is called with *count* nodes of one server."""

    def decorate(function: Callable[..., Awaitable[None]]) -> Check:
        @wraps(function)
        async def run(factory: BrokerFactory) -> None:
            async with started(factory, count, limits) as nodes:
                await function(*nodes)

        checks.append(run)
        return run

    return decorate


async def soon(awaitable: Awaitable[Any], what: str) -> Any:
    """Return what *awaitable* returns. Raises AssertionError with *what* when that takes too long."""
    try:
        async with asyncio.timeout(_WAIT_S):
            return await awaitable
    except TimeoutError:
        raise AssertionError(f"Not within {_WAIT_S:g} s: {what}") from None


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until *condition* returns True. It is polled: only the server knows when it changes."""

    async def poll() -> None:
        while True:
            if await condition():
                return
            await asyncio.sleep(0.02)

    await soon(poll(), what)


def new_room() -> str:
    """Return the name of a room that nobody else uses."""
    return f"check:{secrets.token_hex(4)}:{next(_names)}"


def expect(actual: object, expected: object, what: str) -> None:
    """Raise AssertionError, with *what*, unless *actual* equals *expected*."""
    if actual != expected:
        raise AssertionError(f"{what}: expected {expected!r:.1500}, got {actual!r:.1500}")


def expect_chain(publications: Sequence[Publication], since: Position, what: str) -> None:
    """Expect that each publication says it follows the one before, and the first that it follows *since*."""
    before = since
    for publication in publications:
        expect(publication.position.epoch, before.epoch, f"{what}: the epoch of {publication!r}")
        expect(publication.previous, before.offset, f"{what}: what {publication!r:.200} follows")
        if publication.position.offset <= before.offset:
            raise AssertionError(f"{what}: {publication.position} does not come after {before}")
        before = publication.position
