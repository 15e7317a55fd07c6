"""Small asyncio tools of the hub: back-off, single flight, a bounded gather. Knows no broker, room or connection."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

__all__ = ("SingleFlight", "backoff", "gather_limited")


def backoff(first_s: float = 0.05, longest_s: float = 5.0) -> Iterator[float]:
    """Yield the seconds to wait before each further attempt, without end.

    The bound doubles from *first_s* to *longest_s*. Each delay is a random value between half the bound and the bound,
    so that processes that lost the same server do not all reconnect at the same moment.
    """
    bound = first_s
    while True:
        yield bound * random.uniform(0.5, 1.0)
        bound = min(bound * 2, longest_s)


_T = TypeVar("_T")


class SingleFlight(Generic[_T]):
    """One call to the broker for all callers that ask the same question while the call is in flight.

    When a server comes back, thousands of clients ask within a second what they have missed and who is present.
    """

    def __init__(self) -> None:
        self._calls: WeakValueDictionary[Hashable, _Call[_T]] = WeakValueDictionary()

    async def do(
        self, key: Hashable, call: Callable[[], Awaitable[_T]], suits: Callable[[_T], bool] = lambda value: False
    ) -> _T:
        """Return the result of *call*, or of another caller's call with the same *key*.

        A result of a call that began before this one is used only if ``suits(result)``: something may have happened in
        between. An error is raised for all waiting callers.
        """
        flight = self._calls.get(key)
        if flight is None:
            flight = self._calls[key] = _Call()
        before = flight.begun
        waited = False
        while True:
            if flight.ended > before:
                return flight.result()
            if waited and flight.ended == before and (flight.error is not None or suits(flight.value)):
                return flight.result()
            if flight.in_flight is None:
                await flight.run(call)
                return flight.result()
            waited = True
            await asyncio.shield(flight.in_flight)


class _Call(Generic[_T]):
    __slots__ = ("__weakref__", "begun", "ended", "error", "in_flight", "value")

    value: _T

    def __init__(self) -> None:
        self.begun = 0
        """How often the call was begun."""
        self.ended = 0
        """The number of the call that ended last."""
        self.error: Exception | None = None
        self.in_flight: asyncio.Future[None] | None = None

    async def run(self, call: Callable[[], Awaitable[_T]]) -> None:
        self.begun += 1
        in_flight = self.in_flight = asyncio.get_running_loop().create_future()
        try:
            self.value = await call()
            self.error = None
            self.ended = self.begun
        except Exception as error:
            self.error = error
            self.ended = self.begun
        finally:
            # If this caller was cancelled, the next waiting caller makes the call.
            self.in_flight = None
            in_flight.set_result(None)

    def result(self) -> _T:
        if self.error is not None:
            # Without the frames of the callers that got the error before.
            raise self.error.with_traceback(None)
        return self.value


async def gather_limited(work: Callable[[_T], Awaitable[None]], items: Iterable[_T], *, limit: int) -> None:
    """Await ``work(item)`` for each item, at most *limit* at a time; raise the first error after all have ended."""
    items = list(items)
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    workers = min(limit, len(items))
    results = await asyncio.gather(*(worker() for _ in range(workers)), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
