"""Small tools for concurrent calls to a broker: single flight, a bounded gather, backoff.

Knows nothing of rooms and brokers.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

__all__ = ("SingleFlight", "backoff", "gather_limited")

_T = TypeVar("_T")


def backoff(first_s: float = 0.05, longest_s: float = 5.0) -> Iterator[float]:
    """Yield the seconds to wait before each further attempt, without end.

    The bound doubles from *first_s* to *longest_s*. Each wait is a random part of the bound, at least half of it, so
    that clients that lost the same server at the same moment do not reconnect at the same moment.
    """
    bound = first_s
    while True:
        yield bound * random.uniform(0.5, 1.0)
        bound = min(bound * 2, longest_s)


class SingleFlight(Generic[_T]):
    """Makes one call for all callers that ask for the same key at the same time.

    When a server comes back, thousands of clients ask within a second or two what they have missed and who is present.
    """

    def __init__(self) -> None:
        self._flights: WeakValueDictionary[Hashable, _Flight[_T]] = WeakValueDictionary()
        """Calls in progress, and their results until every waiting caller has them."""

    async def do(
        self, key: Hashable, call: Callable[[], Awaitable[_T]], accepts: Callable[[_T], bool] = lambda value: False
    ) -> _T:
        """Return the result of *call*, made here or by another caller with the same *key*.

        The result is of a call that began after this one, unless it *accepts* that of an earlier one. An error is
        raised for every caller that waits.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight()
        before = flight.started
        waited = False
        while True:
            if flight.finished > before:
                return flight.result()
            if waited and flight.finished == before and (flight.error is not None or accepts(flight.value)):
                return flight.result()
            if flight.in_progress is None:
                await flight.run(call)
                return flight.result()
            waited = True
            await asyncio.shield(flight.in_progress)


class _Flight(Generic[_T]):
    __slots__ = ("__weakref__", "error", "finished", "in_progress", "started", "value")

    value: _T

    def __init__(self) -> None:
        self.started = 0
        """How many calls were started."""
        self.finished = 0
        """The number of the last call that has finished."""
        self.error: Exception | None = None
        self.in_progress: asyncio.Future[None] | None = None

    async def run(self, call: Callable[[], Awaitable[_T]]) -> None:
        self.started += 1
        in_progress = self.in_progress = asyncio.get_running_loop().create_future()
        try:
            self.value = await call()
            self.error = None
            self.finished = self.started
        except Exception as error:
            self.error = error
            self.finished = self.started
        finally:
            # If this caller was cancelled, the call has not finished, and the next caller makes it again.
            self.in_progress = None
            in_progress.set_result(None)

    def result(self) -> _T:
        if self.error is not None:
            # Without the frames of the callers that raised it before.
            raise self.error.with_traceback(None)
        return self.value


async def gather_limited(work: Callable[[_T], Awaitable[None]], items: Iterable[_T], *, limit: int) -> None:
    """Await ``work(item)`` for each item, *limit* of them at a time; raise the first error when all have finished."""
    items = list(items)
    remaining = iter(items)

    async def worker() -> None:
        for item in remaining:
            await work(item)

    results = await asyncio.gather(*(worker() for _ in range(min(limit, len(items)))), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
