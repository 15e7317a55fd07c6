"""The runtime: the WebSocket API that Falcon's author proposed by example, as a drop-in for Falcon 4's own.

Must not know the CLI, ``falconws_cli``. Names are loaded on first use, because pytest loads the plugin in
``falconws.testing`` in every project, and must not import Falcon there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .lazy_names import lazy_names

if TYPE_CHECKING:
    from falcon import WebSocketPayloadType

    from .app import App
    from .closecodes import CloseCode
    from .errors import OperationNotAllowed, PayloadTypeError, WebSocketDisconnected
    from .hub import (
        BrokerUnavailable,
        Dropped,
        Ephemeral,
        Event,
        Gap,
        HistoryLimits,
        Hub,
        HubLimits,
        Joined,
        Left,
        ListenerTooSlow,
        Message,
        Policy,
        Position,
        Publisher,
        Subscription,
        Updated,
    )
    from .media import BinaryBaseHandlerWS, JSONHandlerWS, MessagePackHandlerWS, TextBaseHandlerWS
    from .options import WebSocketOptions
    from .rate_limit import RateLimit
    from .request import Request
    from .tasks import TaskScope, create_task
    from .websocket import WebSocket

__version__ = "0.3.0"

__all__ = (
    # What responders work with
    "App",
    "RateLimit",
    "Request",
    "WebSocket",
    "WebSocketOptions",
    # Media
    "BinaryBaseHandlerWS",
    "JSONHandlerWS",
    "MessagePackHandlerWS",
    "TextBaseHandlerWS",
    "WebSocketPayloadType",
    # Errors and close codes
    "CloseCode",
    "OperationNotAllowed",
    "PayloadTypeError",
    "WebSocketDisconnected",
    # Tasks
    "TaskScope",
    "create_task",
    # Broadcast
    "BrokerUnavailable",
    "Dropped",
    "Ephemeral",
    "Event",
    "Gap",
    "HistoryLimits",
    "Hub",
    "HubLimits",
    "Joined",
    "Left",
    "ListenerTooSlow",
    "Message",
    "Policy",
    "Position",
    "Publisher",
    "Subscription",
    "Updated",
)

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "hub": __all__,  # All that no other module below owns.
        "app": ("App",),
        "closecodes": ("CloseCode",),
        "errors": ("OperationNotAllowed", "PayloadTypeError", "WebSocketDisconnected"),
        "media": (
            "BinaryBaseHandlerWS",
            "JSONHandlerWS",
            "MessagePackHandlerWS",
            "TextBaseHandlerWS",
            "WebSocketPayloadType",
        ),
        "options": ("WebSocketOptions",),
        "rate_limit": ("RateLimit",),
        "request": ("Request",),
        "tasks": ("TaskScope", "create_task"),
        "websocket": ("WebSocket",),
    },
)
