"""Which node has which rooms, as a cluster reports it; or which server is the master, as Sentinel reports it.

Sends no other command than those that ask. Knows neither rooms nor members.
"""

from __future__ import annotations

import asyncio
import random
from binascii import crc_hqx
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from .resp import Pipeline

__all__ = ("SentinelMap", "SlotMap")

_SLOTS = 16384
_AT_ONCE = 3
"""How many nodes are asked together: a node that does not answer must not delay the others."""


class _SlotRange(NamedTuple):
    first: int
    last: int
    node: str


class SlotMap:
    """The slot ranges of a cluster. A *node* is "host:port" of a primary.

    Args:
        seeds: Nodes that are asked first.
        pipeline: Returns a pipeline to a node.
        reachable: Returns the address of a node that is announced.
    """

    def __init__(
        self, seeds: Sequence[str], pipeline: Callable[[str], Pipeline], reachable: Callable[[str], str]
    ) -> None:
        self._seeds = seeds
        self._pipeline = pipeline
        self._reachable = reachable
        self._ranges: list[_SlotRange] = []
        self._refreshing = asyncio.Lock()
        self._fresh = False

    def invalidate(self) -> None:
        """Mark the map as stale: a slot has moved, or a node does not answer."""
        self._fresh = False

    async def refresh(self) -> None:
        """Ask the cluster for the map; raise the error of the last node if no node answers."""
        self._ranges = await self._fetch()
        self._fresh = True

    async def refresh_if_stale(self) -> None:
        """Refresh a map that is stale; concurrent callers send one request."""
        if not self._fresh:
            async with self._refreshing:
                if not self._fresh:
                    await self.refresh()

    def nodes(self) -> list[str]:
        """Return all primaries."""
        return list(dict.fromkeys(slots.node for slots in self._ranges))

    def node(self, key: str) -> str:
        """Return the primary that has the slot of *key*.

        Raises:
            ConnectionError: No primary has it.
        """
        slot = _slot(key)
        index = bisect_right(self._ranges, slot, key=lambda slots: slots.first) - 1
        if index < 0 or slot > self._ranges[index].last:
            raise ConnectionError(f"no server of the cluster has slot {slot}")
        return self._ranges[index].node

    async def _fetch(self) -> list[_SlotRange]:
        # In random order: a node that is cut off from the others may have an old map, and be the first to answer.
        known = self._known()
        random.shuffle(known)
        problem: BaseException = ConnectionError("no server of the cluster is known")
        for first in range(0, len(known), _AT_ONCE):
            requests = [asyncio.create_task(self._fetch_from(node)) for node in known[first : first + _AT_ONCE]]
            try:
                for request in asyncio.as_completed(requests):
                    try:
                        return await request
                    except Exception as error:
                        problem = error
            finally:
                for task in requests:
                    task.cancel()
                await asyncio.gather(*requests, return_exceptions=True)
        raise problem

    def _known(self) -> list[str]:
        return list({*self._seeds, *self.nodes()})

    async def _fetch_from(self, node: str) -> list[_SlotRange]:
        answer = await self._pipeline(node).execute("CLUSTER", "SLOTS")
        return sorted(_SlotRange(*slots[:2], self._reachable(slots.node)) for slots in _parse_slots(answer, node))


class SentinelMap(SlotMap):
    """A single server that Sentinel finds: the master has all slots.

    Args:
        sentinels: "host:port" of the sentinels.
        service: The name by which they know the server.
        pipeline: Returns a pipeline to a sentinel.
        reachable: Returns the address of a server that is announced.
    """

    def __init__(
        self,
        sentinels: Sequence[str],
        service: str,
        pipeline: Callable[[str], Pipeline],
        reachable: Callable[[str], str],
    ) -> None:
        super().__init__(sentinels, pipeline, reachable)
        self._service = service

    def _known(self) -> list[str]:
        return list(self._seeds)

    async def _fetch_from(self, node: str) -> list[_SlotRange]:
        answer = await self._pipeline(node).execute("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)
        if not answer:
            raise ConnectionError(f"the sentinel {node} does not know the service {self._service}")
        host, port = answer
        return [_SlotRange(0, _SLOTS - 1, self._reachable(f"{host.decode()}:{port.decode()}"))]


def _parse_slots(answer: Any, asked: str) -> Iterable[_SlotRange]:
    for first, last, (host, port, *_), *_ in answer:
        # A node that does not know its own name means the address by which it was reached.
        name = host.decode() if host else asked.rpartition(":")[0]
        yield _SlotRange(first, last, f"{name}:{port}")


def _slot(key: str) -> int:
    """Return the slot of a key that has its room in braces (Redis cluster specification, "Hash tags")."""
    tag = key.partition("{")[2].partition("}")[0]
    return crc_hqx(tag.encode(), 0) % _SLOTS
