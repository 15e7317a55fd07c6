"""What happens to a subscriber that does not keep up. Pure: knows neither connections nor rooms.

The backlog of a subscriber holds what it could not take at once. The policy says when the backlog is too long, and
what happens then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from .checks import check_count, check_seconds

__all__ = ("Policy",)

_MAX_MESSAGES = 256
_MAX_BYTES = 256 * 1024
_MAX_LAG_S = 5.0
_MAX_LAGGING_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Policy:
    """What happens to a subscriber that does not keep up; made by the class methods, each named for what it does.

    What a connection cannot take at once waits in its backlog, one for each subscription. Messages published while the
    subscription joins a room, and what is replayed to a client that resumes, are limited by the history of the room
    only. Events that report members are limited by their bytes only.

    For the policies that drop messages, ``falconws serve`` keeps its own write buffer and the kernel's small, so that
    what a slow client receives is recent. Other servers have write buffers of their own.
    """

    name: str
    """The name of the class method."""
    max_bytes: int
    """Bytes of payload that may wait. A larger message may wait alone."""
    max_messages: int | None = None
    """Messages that may wait; None: no limit."""
    max_lag_s: float | None = None
    """Seconds for which a message may wait before the subscriber is disconnected; None: no limit."""

    @property
    def drops(self) -> bool:
        """Whether a subscriber that does not keep up misses messages and stays; otherwise it is disconnected."""
        return self.max_lag_s is None

    def __post_init__(self) -> None:
        call = f"Policy.{self.name}"
        if self.drops:
            check_count(call, "max_messages", self.max_messages)
        else:
            check_seconds(call, "max_lag_s", self.max_lag_s)
        check_count(call, "max_bytes", self.max_bytes)

    @classmethod
    def drop_oldest(cls, *, max_messages: int = _MAX_MESSAGES, max_bytes: int = _MAX_BYTES) -> Self:
        """Drop the messages that have waited longest: for feeds of which the latest matters."""
        return cls("drop_oldest", max_bytes, max_messages)

    @classmethod
    def drop_newest(cls, *, max_messages: int = _MAX_MESSAGES, max_bytes: int = _MAX_BYTES) -> Self:
        """Drop the new message: for clients that need an unbroken beginning."""
        return cls("drop_newest", max_bytes, max_messages)

    @classmethod
    def conflate(cls, *, max_messages: int = _MAX_MESSAGES, max_bytes: int = _MAX_BYTES) -> Self:
        """Keep only the newest of the messages with the same ``key``: for state, such as prices or positions on a map.

        The new message takes the place of the one that waits, so that a key that changes often is not delayed. Order
        holds for the messages of a key, not between keys. Messages without a key stay. At the limit, the messages that
        have waited longest are dropped.
        """
        return cls("conflate", max_bytes, max_messages)

    @classmethod
    def disconnect(cls, *, max_lag_s: float = _MAX_LAG_S, max_bytes: int = _MAX_LAGGING_BYTES) -> Self:
        """Close the connection with 1013 and the reason "client too slow"; the client resumes with ``since=``.

        The default: with a history, nothing is lost. A client is too slow if a message has waited for it for
        *max_lag_s* seconds, or if more than *max_bytes* wait after the server has tried to send. A burst of messages
        alone makes no client too slow.
        """
        return cls("disconnect", max_bytes, max_lag_s=max_lag_s)
