"""What clients are sent that come back: asked of the broker once, and encoded once, for all who come at the same time.

After a restart of a server or a broker thousands come back at once, and most have stood at the same position. Knows
nothing of subscribers and backlogs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from weakref import WeakValueDictionary

from .broadcast import Encode, Outgoing
from .broker import Broker, History, Publication
from .concurrency import SingleFlight
from .events import Message
from .position import Position
from .room import Room

__all__ = ("Replays",)

_KEPT_S = 2.0
"""How long what was encoded is kept after it was used last; twice as long at most."""

_KEPT_MESSAGES = 2048
_KEPT_BYTES = 4096
"""So many in each period, and none that is larger: 16 MiB of payload."""

_Key = tuple[str, Encode | None, Position, int | None]


class Replays:
    """The replays of all rooms of this process.

    Args:
        broker: Has the histories.
        message: Makes what ``encode`` functions take.
    """

    def __init__(self, broker: Broker, message: Callable[[Publication], Message]) -> None:
        self._broker = broker
        self._message = message
        self._flights: SingleFlight[History] = SingleFlight()
        self._made: WeakValueDictionary[_Key, Outgoing] = WeakValueDictionary()
        """What waits in any backlog is there once, whatever its size and however many it waits for."""
        self._young: set[Outgoing] = set()
        """What is small, and was encoded, or used again, in this period: kept for those who come a little later."""
        self._old: set[Outgoing] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def history(self, room: str, since: Position, start: Position) -> History:
        """Return what came in *room* after *since*, up to *start* at least, which has been delivered here.

        Raises:
            BrokerUnavailable: The broker cannot be reached.
        """

        def covers(history: History) -> bool:
            return history.top.epoch == start.epoch and history.top.offset >= start.offset

        return await self._flights.do((room, since), lambda: self._broker.history(room, since), covers)

    def encode(self, room: Room, encode: Encode | None, publication: Publication) -> Outgoing | None:
        """Return what clients with *encode* are sent for *publication*; None for nothing."""
        key = (room.name, encode, publication.position, publication.previous)
        outgoing = self._made.get(key)
        if outgoing is None:
            message = self._message(publication)
            outgoing = room.encode(encode, message, key=publication.key, previous=publication.previous)
            if outgoing is None:
                return None
            self._made[key] = outgoing
        if outgoing.size <= _KEPT_BYTES and len(self._young) < _KEPT_MESSAGES:
            self._young.add(outgoing)
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(_KEPT_S, self._age)
        return outgoing

    def _age(self) -> None:
        self._old, self._young = self._young, set()
        self._timer = asyncio.get_running_loop().call_later(_KEPT_S, self._age) if self._old else None

    def forget(self) -> None:
        """Let go of what was encoded."""
        self._young.clear()
        self._old.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
