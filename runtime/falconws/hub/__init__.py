"""The hub: rooms, their messages and members, for one process or many.

Applications use ``falconws.Hub``; a broker of your own implements ``falconws.hub.Broker``. Knows WebSocket connections
by a small protocol only, and nothing of apps and servers. Names are loaded on first use, so that what needs only events
does not import the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy_names import lazy_names

if TYPE_CHECKING:
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

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "broker": (
            "Broker",
            "BrokerRefused",
            "BrokerUnavailable",
            "Entry",
            "EphemeralPublication",
            "Health",
            "History",
            "HistoryLimits",
            "Member",
            "Payload",
            "Publication",
            "Sink",
        ),
        "events": ("Ephemeral", "Event", "Gap", "Joined", "Left", "Message", "Updated"),
        "hub": ("Hub",),
        "limits": ("HubLimitReached", "HubLimits"),
        "listener": ("Listener", "ListenerTooSlow"),
        "policy": ("Policy",),
        "position": ("Position",),
        "publisher": ("Publisher",),
        "stats": ("Dropped", "Stats"),
        "subscription": ("Subscription",),
    },
)
