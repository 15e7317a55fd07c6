"""Fan-out: rooms, their messages and who is present, from one process to a cluster.

What most applications need is ``falconws.Hub``; brokers of your own start at ``falconws.hub.Broker``.
"""

from __future__ import annotations

from .broker import (
    Broker,
    BrokerUnavailable,
    Entry,
    Health,
    History,
    HistoryLimits,
    Payload,
    Publication,
    Sink,
)
from .events import Event, Gap, Joined, Left, Message
from .position import Position

__all__ = (
    # What subscribers get
    "Event",
    "Gap",
    "Joined",
    "Left",
    "Message",
    "Position",
    # The port
    "Broker",
    "BrokerUnavailable",
    "Entry",
    "Health",
    "History",
    "HistoryLimits",
    "Payload",
    "Publication",
    "Sink",
)
