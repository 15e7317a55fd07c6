"""Who comes and who goes, told at once while they are few, and together while they are many.

Each one that comes is told to all who are there. When all of a large room come back, as they do after a restart, that
would be a write for each of them to each of them.
"""

from __future__ import annotations

import asyncio

from .events import Joined, Left
from .room import Room

__all__ = ("Comings",)

_PERIOD_S = 0.1
_FEW = 8
"""So many are told at once in each period of a room; more wait for its end."""


class Comings:
    """Those of all rooms of this process."""

    def __init__(self) -> None:
        self._periods: dict[Room, _Period] = {}

    def tell(self, room: Room, event: Joined | Left) -> None:
        """Tell all followers of *room*, now or soon."""
        period = self._periods.get(room)
        if period is None:
            period = self._begin(room)
        if period.told < _FEW:
            period.told += 1
            room.tell(event)
        else:
            period.waiting.append(event)

    def flush(self, room: Room) -> None:
        """Tell what waits: something else comes, and must not overtake it."""
        period = self._periods.get(room)
        if period is not None:
            period.tell_waiting(room)

    def stop(self) -> None:
        """Tell nobody any more."""
        for period in self._periods.values():
            period.timer.cancel()
        self._periods.clear()

    def _begin(self, room: Room) -> _Period:
        timer = asyncio.get_running_loop().call_later(_PERIOD_S, self._end, room)
        period = self._periods[room] = _Period(timer)
        return period

    def _end(self, room: Room) -> None:
        period = self._periods.pop(room)
        if period.waiting:
            # They count for the next period: as long as many come, all of them wait.
            self._begin(room).told = len(period.waiting)
            period.tell_waiting(room)


class _Period:
    __slots__ = ("timer", "told", "waiting")

    def __init__(self, timer: asyncio.TimerHandle) -> None:
        self.timer = timer
        self.told = 0
        self.waiting: list[Joined | Left] = []

    def tell_waiting(self, room: Room) -> None:
        waiting, self.waiting = self.waiting, []
        for event in waiting:
            room.tell(event)
