"""What the hub counts."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ("Dropped", "Stats")


@dataclass(slots=True)
class Stats:
    """What a hub of this process has done since it was started; counters only grow."""

    published: int = 0
    """Messages that were published here."""
    delivered: int = 0
    """Messages times subscribers, be they sent at once, kept in a backlog, or dropped from it later."""
    dropped: int = 0
    """Of those, the ones that a policy has dropped, and what waited for subscribers that it has disconnected."""
    disconnected: int = 0
    """Subscribers that a policy has disconnected."""
    gaps: int = 0
    """How often a room, or a subscriber that came back, has missed messages for good."""
    failed: int = 0
    """Events that an ``encode`` function has failed to encode."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """Messages that one subscriber will not get; given to ``Hub(on_drop=...)``."""

    client: str
    """The peer's address and port, ``"listener"`` for ``listen()``."""
    room: str
    count: int
    policy: str
    """The name of the policy."""
