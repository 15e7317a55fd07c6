"""Replays for clients that resume: fetched from the broker once, and encoded once, for all that resume together.

After a restart of a server or a broker thousands of clients resume at once, and most of them at the same position.
Knows nothing of subscribers and backlogs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple
from weakref import WeakValueDictionary

from .broadcast import Encode, EncodedEvent
from .broker import Broker, History, Publication
from .concurrency import SingleFlight
from .events import Message
from .position import BEGINNING, Position
from .room import Room

__all__ = ("NOTHING", "Recent", "ReplayCache")

_PERIOD_S = 2.0
"""An encoded event is kept for one to two of these periods after its last use."""

_MAX_MESSAGES = 2048
_MAX_MESSAGE_BYTES = 4096
"""The limits of what is kept in each period: the number of events, and the bytes of each. That is 8 MiB."""

_Key = tuple[str, Encode | None, Position, int | None]


class Recent(NamedTuple):
    """Which messages a client that is new to a room is sent first."""

    messages: int = 0
    """The number of the newest messages."""
    latest: bool = False
    """Whether the newest message of each key is sent too."""

    def select(self, publications: Sequence[Publication]) -> list[Publication]:
        """Return the selected ones of *publications*, in their order."""
        first = len(publications) - self.messages
        newest = {publication.key: index for index, publication in enumerate(publications)} if self.latest else {}
        return [
            publication
            for index, publication in enumerate(publications)
            if index >= first or (publication.key is not None and newest.get(publication.key) == index)
        ]


NOTHING = Recent()
"""Shared: most subscriptions ask for nothing."""


class ReplayCache:
    """The replays of all rooms of this process.

    Args:
        broker: Has the histories.
        message: Makes the argument of ``encode`` functions.
    """

    def __init__(self, broker: Broker, message: Callable[[Publication], Message]) -> None:
        self._broker = broker
        self._message = message
        self._single_flight: SingleFlight[History] = SingleFlight()
        self._encoded: WeakValueDictionary[_Key, EncodedEvent] = WeakValueDictionary()
        """What waits in any backlog exists once, however large it is and however many subscribers it waits for."""
        self._current: set[EncodedEvent] = set()
        """Small events that were encoded or used in this period; kept for clients that resume a little later."""
        self._previous: set[EncodedEvent] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def history(self, room: str, since: Position | None, start: Position) -> History:
        """Return what was published to *room* after *since*; at least up to *start*, which was delivered here.

        None: all that is kept.

        Raises:
            BrokerUnavailable: The broker cannot be reached.
        """

        def covers(history: History) -> bool:
            return history.top.epoch == start.epoch and history.top.offset >= start.offset

        after = since or BEGINNING
        return await self._single_flight.do((room, after), lambda: self._broker.history(room, after), covers)

    def encode(self, room: Room, encode: Encode | None, publication: Publication) -> EncodedEvent | None:
        """Return what clients with *encode* are sent for *publication*; None for nothing."""
        key = (room.name, encode, publication.position, publication.previous)
        encoded = self._encoded.get(key)
        if encoded is None:
            message = self._message(publication)
            encoded = room.encode(encode, message, key=publication.key, previous=publication.previous)
            if encoded is None:
                return None
            self._encoded[key] = encoded
        if encoded.size <= _MAX_MESSAGE_BYTES and len(self._current) < _MAX_MESSAGES:
            self._current.add(encoded)
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(_PERIOD_S, self._begin_period)
        return encoded

    def _begin_period(self) -> None:
        self._previous, self._current = self._current, set()
        again = asyncio.get_running_loop().call_later(_PERIOD_S, self._begin_period) if self._previous else None
        self._timer = again

    def clear(self) -> None:
        """Release the encoded events."""
        self._current.clear()
        self._previous.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
