"""What the hub counts. Plain values; knows nothing else."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ("Dropped", "Stats")


@dataclass(slots=True)
class Stats:
    """Counters of a hub in this process since its start; they only grow."""

    published: int = 0
    """Messages published by this process."""
    delivered: int = 0
    """Messages times subscribers: sent at once, kept in a backlog, or dropped from it later."""
    dropped: int = 0
    """The part of ``delivered`` that a policy has dropped, and what waited for subscribers that it has disconnected."""
    disconnected: int = 0
    """Subscribers that a policy has disconnected."""
    gaps: int = 0
    """How often a room, or a subscriber that resumed, has lost messages for good."""
    failed: int = 0
    """Events for which an ``encode`` function has raised an error."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """Messages that one subscriber will not get; given to ``Hub(on_drop=...)``."""

    client: str
    """The address and port of the peer; ``"listener"`` for ``listen()``."""
    room: str
    count: int
    policy: str
    """The name of the policy."""
