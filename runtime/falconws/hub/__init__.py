"""The hub: rooms, their messages and members, for one process or many.

Applications use ``falconws.Hub``; a broker of your own implements ``falconws.hub.Broker``. Knows WebSocket connections
by a small protocol only, and nothing of apps and servers. Names are loaded on first use, so that what needs only events
does not import the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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

_MODULES = {
    "Broker": "broker",
    "BrokerRefused": "broker",
    "BrokerUnavailable": "broker",
    "Dropped": "stats",
    "Entry": "broker",
    "Ephemeral": "events",
    "EphemeralPublication": "broker",
    "Event": "events",
    "Gap": "events",
    "Health": "broker",
    "History": "broker",
    "HistoryLimits": "broker",
    "Hub": "hub",
    "HubLimitReached": "limits",
    "HubLimits": "limits",
    "Joined": "events",
    "Left": "events",
    "Listener": "listener",
    "ListenerTooSlow": "listener",
    "Member": "broker",
    "Message": "events",
    "Payload": "broker",
    "Policy": "policy",
    "Position": "position",
    "Publication": "broker",
    "Publisher": "publisher",
    "Sink": "broker",
    "Stats": "stats",
    "Subscription": "subscription",
    "Updated": "events",
}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
