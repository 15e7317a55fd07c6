"""Publishers to a room with subscribers that block: one after the other, each when there is room for its message.

A broker on the network answers before the message has come back for delivery. A publisher that went on at once would
find room for its next message which the last one is about to take, and the subscriber would be disconnected although
somebody could have waited. So the next one's turn comes when the message has come back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from weakref import WeakValueDictionary

from .listener import Listener
from .position import Position
from .room import Room

__all__ = ("Turns",)


class Turns:
    """Whose turn it is, in each room of this process."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._expected: dict[Room, tuple[Position, asyncio.Future[None]]] = {}

    async def publish(
        self, room: Room, size: int, publication: Callable[[], Awaitable[Position]], timeout_s: float
    ) -> Position:
        """Make *publication*, of *size* bytes, when everybody who blocks has room for it or is disconnected.

        Args:
            room: With subscribers that block.
            size: In bytes.
            publication: Makes it.
            timeout_s: How long the message is waited for when it does not come back.
        """
        if _consumes(asyncio.current_task(), room):
            # It must not wait behind those who wait for it.
            await _wait_for_room(room, size)
            return await publication()
        lock = self._locks.get(room.name)
        if lock is None:
            lock = self._locks[room.name] = asyncio.Lock()
        async with lock:
            await _wait_for_room(room, size)
            position = await publication()
            if room.blocking and not _is_at(room, position):
                await self._come_back(room, position, timeout_s)
            return position

    async def _come_back(self, room: Room, position: Position, timeout_s: float) -> None:
        arrival: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._expected[room] = position, arrival
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await arrival
        finally:
            del self._expected[room]

    def delivered(self, room: Room) -> None:
        """Know that *room* may have got further."""
        if self._expected and room in self._expected:
            position, arrival = self._expected[room]
            if not arrival.done() and _is_at(room, position):
                arrival.set_result(None)

    def closed(self, room: Room) -> None:
        """Know that nothing is delivered to *room* any more."""
        if room in self._expected:
            _, arrival = self._expected[room]
            if not arrival.done():
                arrival.set_result(None)


def _is_at(room: Room, position: Position) -> bool:
    return room.epoch != position.epoch or room.offset >= position.offset


def _consumes(task: asyncio.Task[object] | None, room: Room) -> bool:
    return any(
        follower.blocks and isinstance(follower, Listener) and follower.is_consumed_by(task)
        for follower in room.followers
    )


async def _wait_for_room(room: Room, size: int) -> None:
    """Wait until every subscriber that blocks can take *size* bytes, or has been disconnected for that."""
    started = asyncio.get_running_loop().time()
    while True:
        full = [follower for follower in room.followers if follower.blocks and not follower.has_room(size)]
        if not full:
            return
        for follower in full:
            if isinstance(follower, Listener) and follower.is_consumed_by(asyncio.current_task()):
                raise RuntimeError(
                    f"This task listens to {room.name!r} with Policy.block(), and its backlog is full: publishing "
                    "would wait for itself for ever. Publish from another task, or listen with another policy."
                )
            await follower.wait_for_room(size, started)
