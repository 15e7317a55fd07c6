"""Which rooms wait for their history, and when each is asked for: not all at once, and none behind those that fail.

After a broker has come back every room needs its history, and it is asked for a few at a time. One that cannot be had
is tried again later, and one that takes long does not keep the others waiting: of a cluster, a part may be away.
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

__all__ = ("Recoveries",)

_AT_A_TIME = 16
_LATE_S = 0.25
"""After so long without an answer the next room is asked for too."""
_MOST_AT_A_TIME = 256

_logger = logging.getLogger("falconws.hub")


class Recoveries:
    """The rooms of this process that recover.

    Args:
        broker: Has the histories.
        take: Delivers a room's history, given what was held back when it was asked for, and returns whether the room
            flows again.
        spawn: Runs a coroutine in the background.
        tolerated_s: How long a room may fail to recover before ``problem()`` says so.
    """

    def __init__(
        self,
        broker: Broker,
        take: Callable[[Room, History, tuple[Publication, ...]], bool],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        tolerated_s: float,
    ) -> None:
        self._broker = broker
        self._take = take
        self._spawn = spawn
        self._tolerated_s = tolerated_s
        self._loop = asyncio.get_running_loop()
        self._recoveries: dict[Room, _Recovery] = {}
        """The longest under way first."""
        self._queue: deque[Room] = deque()
        self._asked = 0
        self._prompt: set[Room] = set()
        """Those whose answer is not late yet."""
        self._stopped = False

    def begin(self, room: Room) -> None:
        """Have *room* recover soon."""
        if not self._stopped:
            self._recoveries[room] = _Recovery(self._loop.time())
            self._queue.append(room)
            self._ask_next()

    def hurry(self) -> None:
        """Know that the broker is back: those that wait to be tried again wait no longer."""
        for room, recovery in self._recoveries.items():
            recovery.outdated = True
            recovery.waits = None
            if recovery.timer is not None:
                recovery.timer.cancel()
                recovery.timer = None
                self._queue.append(room)
        self._ask_next()

    def stop(self) -> None:
        """Begin nothing any more. What is under way is for whoever has it run to cancel."""
        self._stopped = True
        for recovery in self._recoveries.values():
            if recovery.timer is not None:
                recovery.timer.cancel()
        self._recoveries.clear()
        self._queue.clear()

    def problem(self) -> str | None:
        """Return in one line how many rooms have failed to recover for too long, and why; None when none has."""
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

    def _ask_next(self) -> None:
        while (room := self._next()) is not None:
            self._spawn(self._work(room))

    def _next(self) -> Room | None:
        if not self._queue or len(self._prompt) >= _AT_A_TIME or self._asked >= _MOST_AT_A_TIME:
            return None
        room = self._queue.popleft()
        self._asked += 1
        self._prompt.add(room)
        return room

    async def _work(self, room: Room | None) -> None:
        while room is not None:
            await self._ask(room, self._recoveries[room])
            room = self._next()

    def _late(self, room: Room) -> None:
        self._prompt.discard(room)
        self._ask_next()

    async def _ask(self, room: Room, recovery: _Recovery) -> None:
        late = self._loop.call_later(_LATE_S, self._late, room)
        try:
            recovered = room.state != RECOVERING or await self._recover(room, recovery)
        finally:
            late.cancel()
            self._prompt.discard(room)
            self._asked -= 1
        if self._stopped:
            return
        if not recovered:
            if recovery.waits is None:
                recovery.waits = backoff()
            recovery.timer = self._loop.call_later(next(recovery.waits), self._again, room)
        else:
            del self._recoveries[room]
            if recovery.outdated:
                # The broker was away after it had answered: something may be missing again.
                room.interrupted()

    async def _recover(self, room: Room, recovery: _Recovery) -> bool:
        recovery.outdated = False
        held = room.held
        try:
            history = await self._broker.history(room.name, room.position)
            if self._take(room, history, held):
                return True
            # The wait also keeps a broker that breaks its promises from being hammered.
            recovery.problem = "the broker's history lags behind what it has delivered"
        except BrokerUnavailable as error:
            recovery.problem = str(error)
            _logger.debug("Room %r is not recovered yet: %s", room.name, error)
        except Exception as error:
            recovery.problem = f"{type(error).__name__}: {error}"
            if not recovery.logged:
                recovery.logged = True
                _logger.exception("Room %r cannot be recovered; it is tried again (said once)", room.name)
        return False

    def _again(self, room: Room) -> None:
        self._recoveries[room].timer = None
        self._queue.append(room)
        self._ask_next()


class _Recovery:
    __slots__ = ("began", "logged", "outdated", "problem", "timer", "waits")

    def __init__(self, began: float) -> None:
        self.began = began
        self.waits: Iterator[float] | None = None
        self.timer: asyncio.TimerHandle | None = None
        """Until it is tried again."""
        self.problem: str | None = None
        """Of the last try."""
        self.outdated = False
        """Whether the broker was away since the last try began."""
        self.logged = False
        """Whether an error that no broker may raise was logged."""
