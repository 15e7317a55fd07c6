"""What the hub keeps on a NATS server: a stream of rooms, and one of who is present."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from falconws.hub.broker import HistoryLimits

from .codec import anchor, place_of
from .cursor import Place
from .presence import NatsPresence
from .session import NatsSession
from .stream import Conflict, NatsStream
from .url import NatsUrl

__all__ = ("Streams", "round_s")

_ROOM_TTL_S = 3600.0
"""For so long a room keeps its place at least, though nobody follows it: so long the stream keeps a message. One that
is followed gets an anchor before that."""

_DUPLICATES_S = 60.0
"""For so long a publication that is repeated is known; calls are given up long before."""


_AGE = "falconws-history-age-s"
"""In the stream's metadata, since the stream itself keeps messages for longer."""


def round_s() -> float:
    """Return within how many seconds all rooms that are followed are to be seen to.

    An anchor is in time for three rounds. A room may have to wait for two, when others come before it and others go:
    that leaves one for a server that is away.
    """
    return _ROOM_TTL_S / 6


class Streams:
    """The two streams, in one session."""

    def __init__(self, session: NatsSession, url: NatsUrl, limits: HistoryLimits | None) -> None:
        self.session = session
        self._prefix = url.prefix
        self._given = limits
        self.limits = limits or HistoryLimits()
        """The history's: those that this process was given, else those that others have made the stream with."""
        self._kept = {"storage": url.storage, "num_replicas": url.replicas, "allow_direct": True}
        self.rooms = NatsStream(session, f"{url.prefix}-rooms")
        self.presence = NatsPresence(session, url.prefix)
        self.epoch = ""
        """That of the stream of rooms, as long as the session lasts."""
        self.over = False
        """Whether that stream is gone, and another has come in its place."""
        self.leadership: object = None
        """Who was seen to lead it, and since when."""
        self.leaderless = 0
        """How often in a row nobody was seen to."""

    async def ensure(self) -> None:
        """See to it that both are there."""
        prefix = self._prefix
        epoch = secrets.token_hex(4)
        await self.rooms.ensure(
            {
                **self._kept,
                "subjects": [f"{prefix}.room.*"],
                # One more than is served: by the message at a client's position is known that none is missing after it.
                "max_msgs_per_subject": self.limits.messages + 1,
                "metadata": {_AGE: str(float(self.limits.age_s))},
                "max_age": int((self._served_s + _ROOM_TTL_S / 2) * 1e9),
                "duplicate_window": int(_DUPLICATES_S * 1e9),
                "republish": {"src": f"{prefix}.room.*", "dest": f"{prefix}.live.{epoch}.{{{{wildcard(1)}}}}.m"},
            },
            adapt=self._given is not None,
        )
        # The epoch may be another one's, if the stream was there.
        self._see_config()
        if not self.epoch:
            raise ConnectionError(f"the stream {self.rooms.name} does not pass on what it stores")
        await self.presence.ensure(self._kept)

    @property
    def _quiet_s(self) -> float:
        # Not before all that there is has become too old to be served: an anchor takes the place of a message.
        # What the stream really keeps: another process may have been given other limits.
        kept_s = self.rooms.config.get("max_age", 0) / 1e9
        return min(self._served_s, kept_s / 2) if 0 < kept_s < self._served_s + _ROOM_TTL_S / 2 else self._served_s

    @property
    def _served_s(self) -> float:
        return max(self.limits.age_s, _ROOM_TTL_S / 2)

    def _see_config(self) -> None:
        if self._given is None:
            self.limits = _limits_of(self.rooms.config)
        if "republish" in self.rooms.config:
            self.see(self.rooms.config["republish"]["dest"].split(".")[2])

    def see(self, epoch: str) -> None:
        """Know that the stream of rooms has *epoch*; when that is another than before, the session ends."""
        if not self.epoch:
            self.epoch = epoch
        elif epoch != self.epoch and not self.over:
            self.over = True
            self.session.end(f"the stream {self.rooms.name} was made anew")

    def check(self) -> None:
        """Raise ``ConnectionError`` when what was answered may be of a stream with another epoch.

        Such a stream shows itself by the first message that is delivered, or when it is looked at, every ``timeout_s``.
        Until then its numbers are taken for those of the old one: no answer but ``STREAM.INFO`` says whose they are.
        """
        if self.over:
            raise ConnectionError(f"the stream {self.rooms.name} was made anew")

    async def look(self) -> object:
        """Look at both streams: whether that of rooms is still the same, and what time it is.

        Return the ``leadership()`` of the stream of rooms, and raise what that raises.
        """
        leadership = await self.rooms.leadership()
        self._see_config()
        # What is wrong with that of presence is told to those who need it.
        with suppress(Exception):
            await self.presence.look()
        return leadership

    def subject(self, token: str) -> str:
        """Return the subject to which the messages of a room are published."""
        return f"{self._prefix}.room.{token}"

    def needs_anchor(self, stamp: str) -> bool:
        """Whether a room may lose its place whose newest message is of that time."""
        return self.rooms.age_s(stamp) >= self._quiet_s

    async def place(self, token: str) -> Place:
        """Return where the room stands, which will be known for half of ``_ROOM_TTL_S`` at least.

        A room whose newest message is old gets an anchor, which stands for the same place and outlives that message; so
        does a room without any. Otherwise nobody could tell later whether it had messages since, that are gone.
        """
        subject = self.subject(token)
        while True:
            newest = await self.rooms.last(subject)
            if newest is None:
                before, offset = 0, None
            else:
                before, offset = newest.sequence, place_of(newest.headers, newest.sequence)
                if not self.needs_anchor(newest.stamp):
                    return Place(before, offset, newest.stamp)
            # Of several processes that see to a room one writes, and none when somebody publishes.
            headers = {**anchor(offset), "Nats-Expected-Last-Subject-Sequence": str(before)}
            with suppress(Conflict):
                sequence = await self.rooms.append(subject, b"", headers)
                return Place(sequence, sequence if offset is None else offset, "")


def _limits_of(config: Mapping[str, Any]) -> HistoryLimits:
    """Return the limits that the stream was made with; where it does not say, the default."""
    limits = HistoryLimits()
    # One made by hand may keep any number.
    with suppress(ValueError):
        limits = replace(limits, messages=config.get("max_msgs_per_subject", 0) - 1)
    # A stream that was made by hand does not say it.
    with suppress(KeyError, ValueError):
        limits = replace(limits, age_s=float(config.get("metadata", {})[_AGE]))
    return limits
