"""Fan-out: rooms, their messages and who is present, from one process to a cluster.

What most applications need is ``falconws.Hub``; brokers of your own start at ``falconws.hub.Broker``.
"""

from __future__ import annotations

from .broker import Broker, BrokerUnavailable, Entry, Health, History, HistoryLimits, Payload, Publication, Sink
from .events import Event, Gap, Joined, Left, Message
from .hub import Hub
from .listener import Listener, ListenerTooSlow
from .policy import Policy
from .position import Position
from .stats import Dropped, Stats
from .subscription import Subscription

__all__ = (
    # What applications use
    "Hub",
    "HistoryLimits",
    "Listener",
    "Policy",
    "Subscription",
    # What subscribers get
    "Event",
    "Gap",
    "Joined",
    "Left",
    "Message",
    "Position",
    # What is counted, and what goes wrong
    "BrokerUnavailable",
    "Dropped",
    "Health",
    "ListenerTooSlow",
    "Stats",
    # The port
    "Broker",
    "Entry",
    "History",
    "Payload",
    "Publication",
    "Sink",
)
