"""Calls to a NATS server: each is repeated in a session, or in the next one, until it succeeds or the time is over.

Knows neither rooms' contents nor deliveries.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from falconws.hub.broker import BrokerRefused, BrokerUnavailable
from falconws.hub.brokers.reconnect import ReconnectLoop
from falconws.hub.brokers.url import describe
from falconws.hub.concurrency import backoff

from .hub_streams import HubStreams
from .session import ApiError, RefusedError, TooLargeError, is_refusal

__all__ = ("Calls",)

T = TypeVar("T")


class Calls:
    """Makes calls in whatever session there is.

    Args:
        name: The server without credentials, for messages.
        timeout_s: Bounds each call.
        reconnect: Makes the sessions.
        current: Returns the streams of the session, or None.
    """

    def __init__(
        self, name: str, timeout_s: float, reconnect: ReconnectLoop, current: Callable[[], HubStreams | None]
    ) -> None:
        self._name = name
        self._timeout_s = timeout_s
        self._reconnect = reconnect
        self._current = current
        self._attempts: set[asyncio.Timeout] = set()
        self.misses = 0
        """How often deliveries may have been missed while the connection held."""

    async def run(self, work: Callable[[HubStreams], Awaitable[T]], room: str | None = None) -> T:
        """Return what *work* returns in a session; retry until it succeeds or the time is over.

        *room* is the only one that a missing permission concerns.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_s
        pauses = backoff(longest_s=1.0)
        may_have_run = False
        while True:
            streams = None
            try:
                await self._reconnect.wait_connected(deadline)
                streams = self._current()
                if streams is None:
                    raise ConnectionError("no session")
                streams.check_epoch()
                async with self._attempt(min(deadline, loop.time() + self._timeout_s / 2)):
                    return await work(streams)
            except TooLargeError:
                raise
            except BrokerUnavailable as error:
                if may_have_run and isinstance(error, BrokerRefused):
                    raise BrokerUnavailable(f"{error}; an earlier attempt may have succeeded") from error
                raise
            except Exception as error:
                if is_refusal(error):
                    message = f"{self._name}: {describe(error)}"
                    if may_have_run:
                        raise BrokerUnavailable(f"{message}; an earlier attempt may have succeeded") from error
                    concerns = room if isinstance(error, RefusedError) else None
                    raise BrokerRefused(message, room=concerns) from error
                may_have_run = may_have_run or not isinstance(error, ApiError)
                pause = next(pauses)
                if loop.time() + pause >= deadline:
                    raise BrokerUnavailable(f"{self._name}: {describe(error)}") from error
                if streams is not None and streams is self._current():
                    # The streams may be gone, with the server's memory or deleted by hand.
                    with suppress(Exception):
                        async with self._attempt(min(deadline, loop.time() + self._timeout_s / 4)):
                            await streams.ensure()
            await asyncio.sleep(pause)

    @asynccontextmanager
    async def _attempt(self, deadline: float) -> AsyncIterator[None]:
        """Bound the block by *deadline*, or by the next election: requests to the old leader get no answer."""
        async with asyncio.timeout_at(deadline) as attempt:
            self._attempts.add(attempt)
            try:
                yield
            finally:
                self._attempts.discard(attempt)

    async def run_without_misses(self, work: Callable[[HubStreams], Awaitable[T]], room: str) -> T:
        """Like ``run()``; retry *work* also if deliveries were missed while it ran, of which it may not know."""

        async def check(streams: HubStreams) -> T:
            misses = self.misses
            result = await work(streams)
            streams.check_epoch()
            if misses != self.misses:
                raise ConnectionError("deliveries were missed meanwhile")
            return result

        return await self.run(check, room)

    def retry_now(self) -> None:
        """Begin the next attempt of each call now: the stream has another leader."""
        now = asyncio.get_running_loop().time()
        for attempt in self._attempts:
            if not attempt.expired():
                attempt.reschedule(now)
