"""One call to the broker for all who ask the same thing while it is on its way.

When a server comes back, thousands of clients ask what they have missed and who is there, within a second or two.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

__all__ = ("Shared", "backoff", "for_each")


def backoff(first_s: float = 0.05, longest_s: float = 5.0) -> Iterator[float]:
    """Yield the seconds to wait before each further try, for ever.

    The bound doubles from *first_s* to *longest_s*, and each wait is a random part of it, half at least: those who lost
    the same server at the same moment do not all come back at once.
    """
    bound = first_s
    while True:
        yield bound * random.uniform(0.5, 1.0)
        bound = min(bound * 2, longest_s)


_T = TypeVar("_T")


class Shared(Generic[_T]):
    """Questions that are under way, and their answers until all who wait have taken them."""

    def __init__(self) -> None:
        self._questions: WeakValueDictionary[Hashable, _Question[_T]] = WeakValueDictionary()

    async def ask(
        self, key: Hashable, call: Callable[[], Awaitable[_T]], suits: Callable[[_T], bool] = lambda value: False
    ) -> _T:
        """Return what *call* does, or did for somebody else with the same *key*.

        What was under way before this call is taken if it *suits*: something may have happened in between. An error is
        raised for all who wait.
        """
        question = self._questions.get(key)
        if question is None:
            question = self._questions[key] = _Question()
        before = question.begun
        waited = False
        while True:
            if question.ended > before:
                return question.take()
            if waited and question.ended == before and (question.problem is not None or suits(question.value)):
                return question.take()
            if question.under_way is None:
                await question.put(call)
                return question.take()
            waited = True
            await asyncio.shield(question.under_way)


class _Question(Generic[_T]):
    __slots__ = ("__weakref__", "begun", "ended", "problem", "under_way", "value")

    value: _T

    def __init__(self) -> None:
        self.begun = 0
        """How often it was put."""
        self.ended = 0
        """Which of these was answered last."""
        self.problem: Exception | None = None
        self.under_way: asyncio.Future[None] | None = None

    async def put(self, call: Callable[[], Awaitable[_T]]) -> None:
        self.begun += 1
        under_way = self.under_way = asyncio.get_running_loop().create_future()
        try:
            self.value = await call()
            self.problem = None
            self.ended = self.begun
        except Exception as error:
            self.problem = error
            self.ended = self.begun
        finally:
            # When it was cancelled, which is nothing to the others, the next of them asks.
            self.under_way = None
            under_way.set_result(None)

    def take(self) -> _T:
        if self.problem is not None:
            # Without the frames of those who were told before.
            raise self.problem.with_traceback(None)
        return self.value


async def for_each(work: Callable[[_T], Awaitable[None]], items: Iterable[_T], *, at_a_time: int) -> None:
    """Await ``work(item)`` for each item, and raise the first error when all have ended."""
    items = list(items)
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    workers = min(at_a_time, len(items))
    results = await asyncio.gather(*(worker() for _ in range(workers)), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
