"""Tools to test WebSocket APIs: an in-process client, a live server, their fixtures, and ``check_broker()``.

Must not know ``falconws.server``. Names are loaded on first use, so that pytest loads the plugin without importing
Falcon and uvicorn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy_names import lazy_names

if TYPE_CHECKING:
    from .broker_checks import BROKER_CHECKS, check_broker
    from .client import Client, ClientWebSocket, HandshakeDenied
    from .conversation import TypedWebSocket
    from .conversation_checks import check_conversations
    from .lifespan import LifespanError
    from .live import LiveServer

__all__ = (
    "BROKER_CHECKS",
    "Client",
    "ClientWebSocket",
    "HandshakeDenied",
    "LifespanError",
    "LiveServer",
    "TypedWebSocket",
    "check_broker",
    "check_conversations",
)

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "broker_checks": ("BROKER_CHECKS", "check_broker"),
        "client": ("Client", "ClientWebSocket", "HandshakeDenied"),
        "conversation": ("TypedWebSocket",),
        "conversation_checks": ("check_conversations",),
        "lifespan": ("LifespanError",),
        "live": ("LiveServer",),
    },
)
