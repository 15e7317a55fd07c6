"""What the hub counts. Plain values; knows nothing else."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ("Dropped", "Stats")


@dataclass(slots=True)
class Stats:
    """Counters of a hub in this process since its start, and the state of its backlogs.

    Each message is counted once for each subscriber of its room: as delivered, dropped, discarded, failed, or waiting;
    unless a ``Gap`` is sent in its place.
    """

    published: int = 0
    """Messages published by this process."""
    delivered: int = 0
    """Messages times subscribers: handed to the server for the client, or to the loop of a listener."""
    dropped: int = 0
    """Messages times subscribers: dropped by a policy, or waiting for a subscriber when a policy disconnected it."""
    discarded: int = 0
    """Messages times subscribers: waiting when the subscriber left the room or its connection ended."""
    disconnected: int = 0
    """Subscribers that a policy has disconnected."""
    gaps: int = 0
    """How often a room, or a subscriber that resumed, has lost messages for good."""
    failed: int = 0
    """Events times subscribers: not sent because the ``encode`` function raised an error."""
    refused: int = 0
    """Rooms that were not joined or published to because of ``HubLimits``."""
    waiting: int = 0
    """Messages times subscribers: in the backlogs now."""
    lag_s: float = 0.0
    """For how many seconds the next message of the slowest subscriber has waited."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """Messages that one subscriber will not get; given to ``Hub(on_drop=...)``."""

    client: str
    """The address and port of the peer; ``"listener"`` for ``listen()``."""
    room: str
    count: int
    policy: str
    """The name of the policy."""
