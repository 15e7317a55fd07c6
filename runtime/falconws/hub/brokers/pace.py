"""Calls for many, some at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

__all__ = ("for_each",)

_T = TypeVar("_T")


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
