"""Calls for many names, some at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

__all__ = ("for_each",)


async def for_each(work: Callable[[str], Awaitable[None]], names: Iterable[str], *, at_a_time: int) -> None:
    """Await ``work(name)`` for each name, and raise the first error when all have ended."""
    waiting = iter(list(names))

    async def worker() -> None:
        for name in waiting:
            await work(name)

    results = await asyncio.gather(*(worker() for _ in range(at_a_time)), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
