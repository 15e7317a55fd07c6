"""Which server of a Redis cluster has which rooms, as the cluster tells.

Commands are not its business, but for the one that asks. Knows neither rooms nor members.
"""

from __future__ import annotations

import asyncio
import random
from binascii import crc_hqx
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from .connection import Line

__all__ = ("RedisCluster",)

_AT_ONCE = 3
"""Servers that are asked together: one that does not answer must not hold up the others."""


class _Slots(NamedTuple):
    first: int
    last: int
    place: str


class RedisCluster:
    """The table of slots. A *place* is "host:port" of a primary.

    Args:
        seeds: Places that are asked for the others.
        line: Returns a line to a place.
    """

    def __init__(self, seeds: Sequence[str], line: Callable[[str], Line]) -> None:
        self._seeds = seeds
        self._line = line
        self._table: list[_Slots] = []
        self._asking = asyncio.Lock()
        self._known = False

    def doubt(self) -> None:
        """Know that the table may be an old one: somebody has moved, or does not answer."""
        self._known = False

    async def ask(self) -> None:
        """Ask the cluster for the table; raise why nobody has told."""
        self._table = await self._fetch()
        self._known = True

    async def ask_in_doubt(self) -> None:
        """Do the same, unless the table is known; those who need it at the same time ask once."""
        if not self._known:
            async with self._asking:
                if not self._known:
                    await self.ask()

    def places(self) -> list[str]:
        """Return all primaries."""
        return list(dict.fromkeys(slots.place for slots in self._table))

    def place(self, key: str) -> str:
        """Return the primary of the slot that *key* belongs to.

        Raises:
            ConnectionError: None has it.
        """
        slot = _slot(key)
        index = bisect_right(self._table, slot, key=lambda slots: slots.first) - 1
        if index < 0 or slot > self._table[index].last:
            raise ConnectionError(f"no server of the cluster has slot {slot}")
        return self._table[index].place

    async def _fetch(self) -> list[_Slots]:
        # In any order: a server that is cut off from the others may have an old table, and be the first to answer.
        known = list({*self._seeds, *self.places()})
        random.shuffle(known)
        problem: BaseException = ConnectionError("no server of the cluster is known")
        for first in range(0, len(known), _AT_ONCE):
            asked = [asyncio.create_task(self._fetch_from(place)) for place in known[first : first + _AT_ONCE]]
            try:
                for answer in asyncio.as_completed(asked):
                    try:
                        return await answer
                    except Exception as error:
                        problem = error
            finally:
                for task in asked:
                    task.cancel()
                await asyncio.gather(*asked, return_exceptions=True)
        raise problem

    async def _fetch_from(self, place: str) -> list[_Slots]:
        return sorted(_read_slots(await self._line(place).execute("CLUSTER", "SLOTS"), place))


def _read_slots(answer: Any, asked: str) -> Iterable[_Slots]:
    for first, last, (host, port, *_), *_ in answer:
        # A server that does not know its own name means the one by which it was reached.
        name = host.decode() if host else asked.rpartition(":")[0]
        yield _Slots(first, last, f"{name}:{port}")


def _slot(key: str) -> int:
    """Return the slot of a key that has its room in braces (Redis cluster specification, "Hash tags")."""
    tag = key.partition("{")[2].partition("}")[0]
    return crc_hqx(tag.encode(), 0) % 16384
