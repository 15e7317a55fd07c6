"""The hub: rooms, their messages and members, for one process or many.

Applications use ``falconws.Hub``; a broker of your own implements ``falconws.hub.Broker``. Knows WebSocket connections
by a small protocol only, and nothing of apps and servers.
"""

from __future__ import annotations

from .broker import (
    Broker,
    BrokerRefused,
    BrokerUnavailable,
    Entry,
    EphemeralPublication,
    Health,
    History,
    HistoryLimits,
    Member,
    Payload,
    Publication,
    Sink,
)
from .events import Ephemeral, Event, Gap, Joined, Left, Message, Updated
from .hub import Hub
from .limits import HubLimitReached, HubLimits
from .listener import Listener, ListenerTooSlow
from .policy import Policy
from .position import Position
from .publisher import Publisher
from .stats import Dropped, Stats
from .subscription import Subscription

__all__ = (
    # What applications use
    "Hub",
    "HistoryLimits",
    "HubLimits",
    "Listener",
    "Policy",
    "Publisher",
    "Subscription",
    # What subscribers receive
    "Ephemeral",
    "Event",
    "Gap",
    "Joined",
    "Left",
    "Message",
    "Position",
    "Updated",
    # Counters and errors
    "BrokerRefused",
    "BrokerUnavailable",
    "Dropped",
    "Health",
    "HubLimitReached",
    "ListenerTooSlow",
    "Stats",
    # The port
    "Broker",
    "Entry",
    "EphemeralPublication",
    "History",
    "Member",
    "Payload",
    "Publication",
    "Sink",
)
