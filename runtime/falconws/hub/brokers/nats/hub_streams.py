"""The hub's two streams on a NATS server: one of rooms, one of presence. Knows neither calls nor deliveries."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from falconws.hub.broker import MIN_CLAIM_S, HistoryLimits
from falconws.hub.history_rules import HistoryRules
from falconws.hub.position import Position

from .codec import anchor, offset_of, token_of
from .cursor import SubjectPosition
from .jetstream import Conflict, NatsStream
from .presence import NatsPresence, PresenceIdentity
from .session import NatsSession
from .url import NatsUrl

__all__ = ("EPHEMERAL", "HubStreams")

_DUPLICATES_S = 60.0
"""How long the stream recognizes a publication that is repeated; calls end long before."""

EPHEMERAL = "now"
"""In place of an epoch, in the subject of messages that no stream keeps."""

_AGE = "falconws-history-age-s"
"""In the stream's metadata: the history's age, since the stream itself keeps messages for longer."""


class HubStreams:
    """The two streams, in one session.

    Args:
        session: The connection.
        url: Names the streams, and how they are stored.
        history: How much of each room is kept.
        room_ttl_s: The shortest time for which the stream of rooms keeps a message, and so the position of a room
            without followers. A room that is followed gets an anchor before that.
        identity: This process, for presence.
    """

    def __init__(
        self,
        session: NatsSession,
        url: NatsUrl,
        history: HistoryRules,
        room_ttl_s: float,
        identity: PresenceIdentity,
    ) -> None:
        self.session = session
        self._room_ttl_s = room_ttl_s
        self._prefix = url.prefix
        self._history = history
        self.limits = history.largest
        """The stream's limits: those of this process, or those with which another process has created the stream."""
        self._storage = {"storage": url.storage, "num_replicas": url.replicas, "allow_direct": True}
        self.rooms = NatsStream(session, f"{url.prefix}-rooms")
        self.claims = NatsStream(session, f"{url.prefix}-claims")
        self._has_claims = False
        self.presence = NatsPresence(session, url.prefix, identity)
        self.epoch = ""
        """The epoch of the stream of rooms, for the length of the session."""
        self._replaced = False
        """Whether that stream was deleted, and created again."""
        self.leadership: object = None
        """The stream's leader at the last check, and since when."""
        self.checks_without_leader = 0
        """How many checks in a row found no leader."""

    async def ensure(self) -> None:
        """Create the streams that do not exist."""
        prefix = self._prefix
        epoch = secrets.token_hex(4)
        await self.rooms.ensure(
            {
                **self._storage,
                "subjects": [f"{prefix}.room.*"],
                # One more than is served: the message at a client's position proves that none is missing after it.
                "max_msgs_per_subject": self.limits.messages + 1,
                "metadata": {_AGE: str(float(self.limits.age_s))},
                "max_age": int(self._kept_s * 1e9),
                "duplicate_window": int(min(_DUPLICATES_S, self._kept_s) * 1e9),
                "republish": {"src": f"{prefix}.room.*", "dest": f"{prefix}.live.{epoch}.{{{{wildcard(1)}}}}.m"},
            },
            adapt=self._history.is_given,
        )
        # A stream that existed has its own epoch.
        self._read_config()
        if not self.epoch:
            raise ConnectionError(f"the stream {self.rooms.name} does not republish what it stores")
        await self.presence.ensure(self._storage)
        # It is created when it is needed.
        self._has_claims = False

    @property
    def _anchor_after_s(self) -> float:
        # Not before all messages are too old to be served: an anchor replaces a message. The stream's own limit counts:
        # another process may have set it.
        kept_s = self.rooms.config.get("max_age", 0) / 1e9
        return min(self._served_s, kept_s / 2) if 0 < kept_s < self._kept_s else self._served_s

    @property
    def _kept_s(self) -> float:
        return self._served_s + self._room_ttl_s / 2

    @property
    def _served_s(self) -> float:
        return max(self.limits.age_s, self._room_ttl_s / 2)

    def _read_config(self) -> None:
        if not self._history.is_given:
            self.limits = _limits_of(self.rooms.config)
        if "republish" in self.rooms.config:
            self.saw_epoch(self.rooms.config["republish"]["dest"].split(".")[2])

    def saw_epoch(self, epoch: str) -> None:
        """Called with the epoch of a message or of the stream; if it is a new one, the session ends."""
        if not self.epoch:
            self.epoch = epoch
        elif epoch != self.epoch and not self._replaced:
            self._replaced = True
            self.session.end(f"the stream {self.rooms.name} was created again")

    def check_epoch(self) -> None:
        """Raise ``ConnectionError`` if an answer may come from a stream with another epoch.

        Such a stream is noticed with the first message that is delivered, or by ``check()``, every ``timeout_s``. Until
        then its sequence numbers are taken for those of the old stream: only ``STREAM.INFO`` tells them apart.
        """
        if self._replaced:
            raise ConnectionError(f"the stream {self.rooms.name} was created again")

    async def check(self) -> object:
        """Read the state of both streams: the epoch of the stream of rooms, and the server's time.

        Returns the ``leadership()`` of the stream of rooms, and raises what that raises.
        """
        leadership = await self.rooms.leadership()
        self._read_config()
        # Calls that use presence report what is wrong with its stream.
        with suppress(Exception):
            await self.presence.read_clock()
        return leadership

    async def claim(self, token: str, group: str, position: Position, claimant: str) -> bool:
        """Claim a message for *claimant*, unless another one of the group has it."""
        if not self._has_claims:
            await self.claims.ensure(
                {
                    **self._storage,
                    "subjects": [f"{self._prefix}.claim.*.*.*"],
                    "max_msgs_per_subject": 1,
                    "max_age": int(max(self._kept_s, MIN_CLAIM_S) * 1e9),
                }
            )
            self._has_claims = True
        # With the epoch: this stream may outlive that of the rooms.
        subject = f"{self._prefix}.claim.{token}.{token_of(group)}.{position.epoch}-{position.offset}"
        try:
            await self.claims.append(subject, claimant.encode(), {"Nats-Expected-Last-Subject-Sequence": "0"})
        except Conflict:
            # It may be that of an attempt whose answer was lost.
            found = await self.claims.last(subject)
            return found is not None and found.data == claimant.encode()
        return True

    async def probe(self) -> None:
        """Raise what is wrong, if messages cannot be published, or members cannot be present."""
        await self.rooms.probe(self.subject("%probe"))
        await self.presence.probe()

    def limits_for(self, room: str) -> HistoryLimits:
        """Return the limits of one room; the stream may keep more."""
        return self._history.limits(room) if self._history.is_given else self.limits

    def subject(self, token: str) -> str:
        """Return the subject to which the messages of a room are published."""
        return f"{self._prefix}.room.{token}"

    def ephemeral_subject(self, token: str) -> str:
        """Return the subject of a room's messages that no stream keeps."""
        return f"{self._prefix}.live.{EPHEMERAL}.{token}.m"

    def needs_anchor(self, stamp: str) -> bool:
        """Whether a room whose newest message was stored at *stamp* may lose its position soon."""
        return self.rooms.age_s(stamp) >= self._anchor_after_s

    async def position(self, token: str) -> SubjectPosition:
        """Return the position of a room, which the stream will know for at least half of ``room_ttl_s``.

        A room whose newest message is old gets an anchor, which stands for the same offset and outlives that message.
        So does a room without messages: otherwise it would not be known later whether it had messages that are gone.
        """
        subject = self.subject(token)
        while True:
            newest = await self.rooms.last(subject)
            if newest is None:
                before, offset = 0, None
            else:
                before, offset = newest.sequence, offset_of(newest.headers, newest.sequence)
                if not self.needs_anchor(newest.stamp):
                    return SubjectPosition(before, offset, newest.stamp)
            # Of several processes one writes the anchor, and none does if a message is published.
            headers = {**anchor(offset), "Nats-Expected-Last-Subject-Sequence": str(before)}
            with suppress(Conflict):
                sequence = await self.rooms.append(subject, b"", headers)
                return SubjectPosition(sequence, sequence if offset is None else offset, "")


def _limits_of(config: Mapping[str, Any]) -> HistoryLimits:
    """Return the limits with which the stream was created, or the default where it does not say."""
    limits = HistoryLimits()
    # A stream that was created by hand may keep any number.
    with suppress(ValueError):
        limits = replace(limits, messages=config.get("max_msgs_per_subject", 0) - 1)
    # A stream that was created by hand does not say.
    with suppress(KeyError, ValueError):
        limits = replace(limits, age_s=float(config.get("metadata", {})[_AGE]))
    return limits
