"""What the hub keeps on a NATS server: a stream of rooms, and one of who is present."""

from __future__ import annotations

import secrets

from falconws.hub.broker import HistoryLimits

from .presence import NatsPresence
from .session import NatsSession
from .stream import NatsStream
from .url import NatsUrl

__all__ = ("Streams",)

_ROOM_TTL_S = 3600.0
"""For so long a room keeps its place at least."""

_DUPLICATES_S = 60.0
"""For so long a publication that is repeated is known; calls are given up long before."""


class Streams:
    """The two streams, in one session."""

    def __init__(self, session: NatsSession, url: NatsUrl, limits: HistoryLimits) -> None:
        self.session = session
        self._prefix = url.prefix
        self._limits = limits
        self._kept = {"storage": url.storage, "num_replicas": url.replicas, "allow_direct": True}
        self.rooms = NatsStream(session, f"{url.prefix}-rooms")
        self.presence = NatsPresence(session, url.prefix)
        self.epoch = ""
        """That of the stream of rooms."""
        self.leadership: object = None
        """Who was seen to lead it, and since when."""
        self.leaderless = 0
        """How often in a row nobody was seen to."""

    async def ensure(self) -> None:
        """See to it that both are there."""
        prefix = self._prefix
        epoch = secrets.token_hex(4)
        config = await self.rooms.ensure(
            {
                **self._kept,
                "subjects": [f"{prefix}.room.*"],
                # One more than is served: by the message at a client's position is known that none is missing after it.
                "max_msgs_per_subject": self._limits.messages + 1,
                "max_age": int(max(self._limits.age_s, _ROOM_TTL_S) * 1e9),
                "duplicate_window": int(_DUPLICATES_S * 1e9),
                "republish": {"src": f"{prefix}.room.*", "dest": f"{prefix}.live.{epoch}.{{{{wildcard(1)}}}}.m"},
            }
        )
        # Another one's, if the stream was there.
        self.epoch = config["republish"]["dest"].split(".")[2]
        await self.presence.ensure(self._kept)
