"""Announces members that join and leave: at once while they are few, and batched while they are many.

Each member that joins is announced to all followers of the room. When all members of a large room reconnect after a
restart, announcing each of them at once would cost a write for every pair of them.
"""

from __future__ import annotations

import asyncio

from .events import Joined, Left, Updated
from .room import Room

__all__ = ("PresenceEvents",)

_PERIOD_S = 0.1
_MAX_IMMEDIATE = 8
"""Events of a room that are sent at once in each period; further ones are sent when the period ends."""

_MAX_DELIVERIES = 20_000
"""In one iteration of the event loop, which takes some ten milliseconds."""

_CONTINUE_S = 0.005
"""Delay before the next batch, if one iteration could not take all."""


class PresenceEvents:
    """The presence events of all rooms of this process."""

    def __init__(self) -> None:
        self._periods: dict[Room, _Period] = {}
        self._stopped = False

    def announce(self, room: Room, event: Joined | Left | Updated) -> None:
        """Send *event* to all followers of *room*, now or when the period ends."""
        if self._stopped:
            return
        period = self._periods.get(room)
        if period is None:
            period = self._begin(room, _PERIOD_S)
        if period.sent < _MAX_IMMEDIATE:
            period.sent += 1
            room.send(event)
        else:
            period.waiting.append(event)

    def flush(self, room: Room) -> None:
        """Send what waits, so that a message does not overtake it; unless too many events wait for one iteration."""
        period = self._periods.get(room)
        if period is not None:
            period.send_waiting(room)

    def stop(self) -> None:
        """Send nothing from now on."""
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
            sent = period.send_waiting(room)
            # The rest is sent a little later. What was sent counts for the next period: while many join, all wait.
            following = self._begin(room, _CONTINUE_S if period.waiting else _PERIOD_S)
            following.sent, following.waiting = max(sent, _MAX_IMMEDIATE if period.waiting else 0), period.waiting


class _Period:
    __slots__ = ("sent", "timer", "waiting")

    def __init__(self, timer: asyncio.TimerHandle) -> None:
        self.timer = timer
        self.sent = 0
        self.waiting: list[Joined | Left | Updated] = []

    def send_waiting(self, room: Room) -> int:
        """Send as many events as one iteration of the event loop may take, and return their number."""
        limit = max(1, _MAX_DELIVERIES // (len(room.followers) or 1))
        batch, self.waiting = self.waiting[:limit], self.waiting[limit:]
        for event in batch:
            room.send(event)
        return len(batch)
