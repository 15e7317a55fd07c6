"""The loop that keeps a session with a broker: its back-off, and what it tells those who wait for a session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from falconws.hub import BrokerRefused, BrokerUnavailable
from falconws.hub.brokers import reconnect
from falconws.hub.brokers.reconnect import ReconnectLoop
from falconws.testing.broker_harness import Recorder


async def sessions_in_a_second() -> int:
    """Return how many sessions begin, each of which ends as soon as it is ready."""
    count = 0

    async def session(ready: Callable[[], None]) -> str:
        nonlocal count
        count += 1
        ready()
        return "cut off"

    loop = ReconnectLoop("server", session)
    await loop.start(Recorder())
    await asyncio.sleep(1)
    await loop.stop()
    return count


async def test_sessions_that_end_at_once_do_not_reset_the_backoff() -> None:
    # Pauses of at least 25, 50, 100, 200 and 400 ms, and the next one.
    assert await sessions_in_a_second() <= 7


async def test_sessions_that_have_lasted_reset_the_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnect, "_LASTING_S", 0.0)
    monkeypatch.setattr(reconnect, "_pauses", lambda: iter([0.001] * 3))
    # Three pauses end the iterator, unless it is begun again.
    assert await sessions_in_a_second() > 10


async def test_a_refusal_is_told_at_once_and_a_server_that_is_away_at_the_deadline() -> None:
    error: Exception = BrokerRefused("wrong password")

    async def session(ready: Callable[[], None]) -> str:
        raise error

    for error, kind in ((BrokerRefused("wrong password"), BrokerRefused), (OSError("away"), BrokerUnavailable)):
        loop = ReconnectLoop("server", session)
        await loop.start(Recorder())
        began = asyncio.get_running_loop().time()
        deadline = began + (60 if kind is BrokerRefused else 0.2)
        with pytest.raises(kind, match=f"server: {error}") as raised:
            await loop.wait_connected(deadline)
        assert type(raised.value) is kind
        assert asyncio.get_running_loop().time() - began < 30
        await loop.stop()


async def test_a_session_after_a_refusal_ends_it() -> None:
    refuse = True
    ended = asyncio.Event()

    async def session(ready: Callable[[], None]) -> str:
        if refuse:
            raise BrokerRefused("not yet")
        ready()
        await ended.wait()
        return "over"

    loop = ReconnectLoop("server", session)
    await loop.start(Recorder())
    with pytest.raises(BrokerRefused):
        await loop.wait_connected(asyncio.get_running_loop().time() + 60)
    refuse = False
    async with asyncio.timeout(20):
        while not loop.connected:
            await asyncio.sleep(0.01)
    await loop.wait_connected(0)
    await loop.stop()
