"""What a test needs around a hub: followers that write down what they are told, and waits with a deadline."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import falconws
from falconws.hub import BrokerUnavailable, HistoryLimits

WAIT_S = 20.0
TIMEOUT_S = 2.0
"""What the hubs of these tests give a call to the broker."""
SLACK_S = 5.0
"""What a busy machine adds to it."""


class Follower:
    """A listener that keeps everything it is told."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self._changed = asyncio.Event()

    def take(self, event: Any) -> None:
        self.events.append(event)
        self._changed.set()

    @property
    def payloads(self) -> list[Any]:
        return [event.payload for event in self.events if isinstance(event, falconws.Message)]

    @property
    def gaps(self) -> list[falconws.Gap]:
        return [event for event in self.events if isinstance(event, falconws.Gap)]

    async def until(self, reached: Callable[[], bool], what: str, wait_s: float = WAIT_S) -> None:
        try:
            async with asyncio.timeout(wait_s):
                while not reached():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"not within {wait_s:g} s: {what}; events: {self.events!r:.2000}") from None


@contextlib.asynccontextmanager
async def following(hub: falconws.Hub, room: str) -> AsyncIterator[Follower]:
    """Follow *room* for the length of the block."""
    follower = Follower()
    ready = asyncio.Event()

    async def listen() -> None:
        listener = hub.listen(room, policy=falconws.Policy.disconnect(max_lag_s=600, max_bytes=1 << 30))
        async with listener:
            ready.set()
            async for event in listener:
                follower.take(event)

    task = asyncio.create_task(listen())
    try:
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED, timeout=WAIT_S)
        waiting.cancel()
        assert ready.is_set(), task
        yield follower
    finally:
        task.cancel()
        await asyncio.wait({task})


def make_hub(url: str, **options: Any) -> falconws.Hub:
    # Longer than what is published while a follower is away, however busy the machine is: two hubs that lose their
    # server are not back at the same moment.
    return falconws.Hub(url, **{"timeout_s": TIMEOUT_S, "history": HistoryLimits(messages=100_000), **options})


async def publish_until_told(hub: falconws.Hub, room: str, payload: str) -> None:
    """Publish, again while the broker is away; each try has to end within the stated time."""
    async with asyncio.timeout(WAIT_S):
        while True:
            with contextlib.suppress(BrokerUnavailable):
                async with asyncio.timeout(TIMEOUT_S + SLACK_S):
                    await hub.publish(room, payload)
                    return


async def until_health(hub: falconws.Hub, ok: bool, wait_s: float = WAIT_S) -> falconws.hub.Health:
    """Return the first health that is, or is not, ok."""
    async with asyncio.timeout(wait_s):
        while True:
            health = await hub.health()
            if health.ok is ok:
                return health
            await asyncio.sleep(0.02)
