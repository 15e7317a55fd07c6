"""The queue of rooms that need their history: bounded in number, and not held up by rooms that fail.

After the broker has come back every room needs its history. A limited number of requests is made at a time. A room
whose request fails is retried later, and a slow request does not hold up the others: part of a cluster may be away.
Knows nothing of what becomes of a history.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from .broker import Broker, BrokerUnavailable, History, Publication
from .concurrency import backoff
from .room import RECOVERING, Room

__all__ = ("RecoveryQueue",)

_MAX_REQUESTS = 16
"""Requests at a time, not counting those that are slow."""
_SLOW_S = 0.25
"""A request that takes longer is slow."""
_MAX_REQUESTS_WITH_SLOW = 256

_logger = logging.getLogger("falconws.hub")


class RecoveryQueue:
    """The rooms of this process that recover.

    Args:
        broker: Has the histories.
        take_history: Delivers the history of a room, given what was held back before the request; returns whether the
            room is in order again.
        spawn: Runs a coroutine in the background.
        tolerated_s: How long a room may fail to recover before ``problem()`` reports it.
    """

    def __init__(
        self,
        broker: Broker,
        take_history: Callable[[Room, History, tuple[Publication, ...]], bool],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        tolerated_s: float,
    ) -> None:
        self._broker = broker
        self._take_history = take_history
        self._spawn = spawn
        self._tolerated_s = tolerated_s
        self._loop = asyncio.get_running_loop()
        self._recoveries: dict[Room, _Recovery] = {}
        """In the order in which they began."""
        self._queue: deque[Room] = deque()
        self._requests = 0
        self._not_slow: set[Room] = set()
        """The rooms with a request that is not slow yet."""
        self._stopped = False

    def add(self, room: Room) -> None:
        """Request the history of *room* as soon as it is first in the queue."""
        if not self._stopped:
            self._recoveries[room] = _Recovery(self._loop.time())
            self._queue.append(room)
            self._fill()

    def retry_now(self) -> None:
        """Retry every room that waits for its next attempt: the broker is back."""
        for room, recovery in self._recoveries.items():
            recovery.outdated = True
            recovery.delays = None
            if recovery.timer is not None:
                recovery.timer.cancel()
                recovery.timer = None
                self._queue.append(room)
        self._fill()

    def stop(self) -> None:
        """Make no further requests. The owner of ``spawn`` cancels those in progress."""
        self._stopped = True
        for recovery in self._recoveries.values():
            if recovery.timer is not None:
                recovery.timer.cancel()
        self._recoveries.clear()
        self._queue.clear()

    def problem(self) -> str | None:
        """Return in one line how many rooms have failed to recover for too long, and why; None if none has."""
        before = self._loop.time() - self._tolerated_s
        reasons = [
            recovery.problem
            for room, recovery in self._recoveries.items()
            if recovery.problem is not None and recovery.began <= before and room.state == RECOVERING
        ]
        if not reasons:
            return None
        rooms = "1 room does" if len(reasons) == 1 else f"{len(reasons)} rooms do"
        return f"{rooms} not recover: {' '.join(reasons[0].split())}"

    def _fill(self) -> None:
        while (room := self._next()) is not None:
            self._spawn(self._work(room))

    def _next(self) -> Room | None:
        if not self._queue or len(self._not_slow) >= _MAX_REQUESTS or self._requests >= _MAX_REQUESTS_WITH_SLOW:
            return None
        room = self._queue.popleft()
        self._requests += 1
        self._not_slow.add(room)
        return room

    async def _work(self, room: Room | None) -> None:
        while room is not None:
            await self._request(room, self._recoveries[room])
            room = self._next()

    def _mark_slow(self, room: Room) -> None:
        self._not_slow.discard(room)
        self._fill()

    async def _request(self, room: Room, recovery: _Recovery) -> None:
        slow = self._loop.call_later(_SLOW_S, self._mark_slow, room)
        try:
            recovered = room.state != RECOVERING or await self._recover(room, recovery)
        finally:
            slow.cancel()
            self._not_slow.discard(room)
            self._requests -= 1
        if self._stopped:
            return
        if not recovered:
            if recovery.delays is None:
                recovery.delays = backoff()
            recovery.timer = self._loop.call_later(next(recovery.delays), self._retry, room)
        else:
            del self._recoveries[room]
            if recovery.outdated:
                # The broker was away after it had answered: something may be missing again.
                room.recover()

    async def _recover(self, room: Room, recovery: _Recovery) -> bool:
        recovery.outdated = False
        held = room.held
        try:
            history = await self._broker.history(room.name, room.position)
            if self._take_history(room, history, held):
                return True
            # The delay before the retry also protects a broker that breaks its promises from a busy loop.
            recovery.problem = "the broker's history lags behind what it has delivered"
        except BrokerUnavailable as error:
            recovery.problem = str(error)
            _logger.debug("Room %r is not recovered yet: %s", room.name, error)
        except Exception as error:
            recovery.problem = f"{type(error).__name__}: {error}"
            if not recovery.logged:
                recovery.logged = True
                _logger.exception("Room %r cannot be recovered; it is retried (logged once)", room.name)
        return False

    def _retry(self, room: Room) -> None:
        self._recoveries[room].timer = None
        self._queue.append(room)
        self._fill()


class _Recovery:
    __slots__ = ("began", "delays", "logged", "outdated", "problem", "timer")

    def __init__(self, began: float) -> None:
        self.began = began
        self.delays: Iterator[float] | None = None
        self.timer: asyncio.TimerHandle | None = None
        """Runs until the next attempt."""
        self.problem: str | None = None
        """Why the last attempt failed."""
        self.outdated = False
        """Whether the broker was away since the last attempt began."""
        self.logged = False
        """Whether an error that no broker may raise was logged."""
