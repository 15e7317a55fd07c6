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

_DELIVERIES_A_TURN = 20_000
"""Some ten milliseconds. More would hold the event loop."""

_TURN_S = 0.005


class Comings:
    """Those of all rooms of this process."""

    def __init__(self) -> None:
        self._periods: dict[Room, _Period] = {}
        self._stopped = False

    def tell(self, room: Room, event: Joined | Left) -> None:
        """Tell all followers of *room*, now or soon."""
        if self._stopped:
            return
        period = self._periods.get(room)
        if period is None:
            period = self._begin(room, _PERIOD_S)
        if period.told < _FEW:
            period.told += 1
            room.tell(event)
        else:
            period.waiting.append(event)

    def flush(self, room: Room) -> None:
        """Tell what waits: something else comes, and should not overtake it. It does where very many wait."""
        period = self._periods.get(room)
        if period is not None:
            period.tell_waiting(room)

    def stop(self) -> None:
        """Tell nobody any more."""
        self._stopped = True
        for period in self._periods.values():
            period.timer.cancel()
        self._periods.clear()

    def _begin(self, room: Room, seconds: float) -> _Period:
        timer = asyncio.get_running_loop().call_later(seconds, self._end, room)
        period = self._periods[room] = _Period(timer)
        return period

    def _end(self, room: Room) -> None:
        period = self._periods.pop(room)
        if period.waiting:
            told = period.tell_waiting(room)
            # What is left is told a turn later. Those who were told count for the next period: as long as many come,
            # all of them wait.
            following = self._begin(room, _TURN_S if period.waiting else _PERIOD_S)
            following.told, following.waiting = max(told, _FEW if period.waiting else 0), period.waiting


class _Period:
    __slots__ = ("timer", "told", "waiting")

    def __init__(self, timer: asyncio.TimerHandle) -> None:
        self.timer = timer
        self.told = 0
        self.waiting: list[Joined | Left] = []

    def tell_waiting(self, room: Room) -> int:
        """Tell as many as one turn of the event loop may take, and return how many that were."""
        most = max(1, _DELIVERIES_A_TURN // (len(room.followers) or 1))
        telling, self.waiting = self.waiting[:most], self.waiting[most:]
        for event in telling:
            room.tell(event)
        return len(telling)
