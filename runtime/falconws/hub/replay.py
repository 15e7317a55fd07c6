"""What clients are sent that come back: asked of the broker once, and encoded once, for all who come at the same time.

After a restart of a server or a broker thousands come back at once, and most have stood at the same position. Knows
nothing of subscribers and backlogs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .broker import Broker, History, Publication
from .events import Message
from .outgoing import Encode, Outgoing
from .position import Position
from .room import Room

__all__ = ("Replays",)

_KEPT_S = 2.0
"""How long what was encoded is kept after the last client that came back; twice as long at most."""

_KEPT_BYTES = 4 * 1024 * 1024

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
        self._asked: dict[tuple[str, Position], asyncio.Future[History | None]] = {}
        self._made: dict[_Key, Outgoing | None] = {}
        self._made_bytes = 0
        self._used = False
        self._timer: asyncio.TimerHandle | None = None

    async def history(self, room: str, since: Position, start: Position) -> History:
        """Return what came in *room* after *since*, up to *start* at least, which has been delivered here.

        Raises:
            BrokerUnavailable: The broker cannot be reached.
        """
        while (asked := self._asked.get((room, since))) is not None:
            # Others have asked a moment ago, and what has been delivered since may not be in their answer.
            history = await asyncio.shield(asked)
            if history is not None and history.top.epoch == start.epoch and history.top.offset >= start.offset:
                return history
        answer: asyncio.Future[History | None] = asyncio.get_running_loop().create_future()
        self._asked[room, since] = answer
        try:
            history = await self._broker.history(room, since)
        except BaseException as error:
            if isinstance(error, Exception):
                answer.set_exception(error)
                # It may be that nobody shares it.
                answer.exception()
            else:
                # Cancelled, which is nothing to the others: the next of them asks.
                answer.set_result(None)
            raise
        finally:
            del self._asked[room, since]
        answer.set_result(history)
        return history

    def encode(self, room: Room, encode: Encode | None, publication: Publication) -> Outgoing | None:
        """Return what clients with *encode* are sent for *publication*; None for nothing."""
        key = (room.name, encode, publication.position, publication.previous)
        self._used = True
        if key in self._made:
            return self._made[key]
        message = self._message(publication)
        outgoing = room.encode(encode, message, key=publication.key, previous=publication.previous)
        size = 0 if outgoing is None else outgoing.size
        if self._made_bytes + size > _KEPT_BYTES:
            self.forget()
        if size <= _KEPT_BYTES:
            self._made[key] = outgoing
            self._made_bytes += size
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(_KEPT_S, self._forget_unused)
        return outgoing

    def _forget_unused(self) -> None:
        self._timer = None
        if self._used:
            self._used = False
            self._timer = asyncio.get_running_loop().call_later(_KEPT_S, self._forget_unused)
        else:
            self.forget()

    def forget(self) -> None:
        """Let go of what was encoded."""
        self._made.clear()
        self._made_bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
