"""Announces members that join and leave: at once while they are few, and batched while they are many.

Each member that joins is announced to all followers of the room. When all members of a large room reconnect after a
restart, announcing each of them at once would cost a write for every pair of them.

Events are lost while the broker is away. If the application has called ``present()`` for a room, its clients show that
list. A few seconds after an outage, these lists are compared with the broker's, and the differences are announced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from .broker import Broker, BrokerUnavailable
from .concurrency import gather_limited
from .events import Joined, Left, Updated
from .presence import decode_info
from .room import Room

__all__ = ("PresenceEvents",)

_PERIOD_S = 0.1
_MAX_IMMEDIATE = 8
"""Events of a room that are sent at once in each period; further ones are sent when the period ends."""

_MAX_DELIVERIES = 20_000
"""In one iteration of the event loop, which takes some ten milliseconds."""

_CONTINUE_S = 0.005
"""Delay before the next batch, if one iteration could not take all."""


_SETTLE_S = 5.0
"""How long after an outage the lists are compared: other processes may have to join their members again first."""
_LISTS_AT_A_TIME = 16


class PresenceEvents:
    """The presence events of all rooms of this process.

    Args:
        broker: Knows the members.
        spawn: Runs a coroutine in the background.
    """

    def __init__(self, broker: Broker, spawn: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        self._broker = broker
        self._spawn = spawn
        self._periods: dict[Room, _Period] = {}
        self._lists: dict[Room, set[str]] = {}
        """The members of each room for which ``present()`` was called, as its clients know them."""
        self._comparing: dict[Room, set[str]] = {}
        """The members that were announced since the broker was asked for the list of their room."""
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    def listed(self, room: Room, members: Iterable[str]) -> None:
        """Called when ``present()`` has returned the members of *room*: its clients show them from now on."""
        if not self._stopped:
            self._lists.setdefault(room, set(members))

    def forget(self, room: Room) -> None:
        """Called when *room* is closed."""
        self._lists.pop(room, None)

    def compare_soon(self) -> None:
        """Called when the broker is back."""
        if self._stopped:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(_SETTLE_S, self._compare_all)

    def _compare_all(self) -> None:
        self._timer = None
        self._spawn(gather_limited(self._compare, list(self._lists), limit=_LISTS_AT_A_TIME))

    async def _compare(self, room: Room) -> None:
        announced = self._comparing[room] = set()
        try:
            members = await self._broker.members(room.name)
        except BrokerUnavailable:
            # It is away again, and compare_soon() is called when it is back.
            return
        finally:
            del self._comparing[room]
        listed = self._lists.get(room, set()).copy() - announced
        for member in sorted(listed - members.keys()):
            self.announce(room, Left(room.name, member))
        for member in sorted(members.keys() - listed - announced):
            info, devices = members[member]
            self.announce(room, Joined(room.name, member, decode_info(room.name, member, info), devices))

    def announce(self, room: Room, event: Joined | Left | Updated) -> None:
        """Send *event* to all followers of *room*, now or when the period ends."""
        if self._stopped:
            return
        if room in self._comparing:
            self._comparing[room].add(event.member)
        if room in self._lists:
            members = self._lists[room]
            (members.discard if isinstance(event, Left) else members.add)(event.member)
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
        self._lists.clear()
        if self._timer is not None:
            self._timer.cancel()

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
