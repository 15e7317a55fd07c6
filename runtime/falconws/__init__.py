"""The runtime: the WebSocket API that Falcon's author proposed by example, as a drop-in for Falcon 4's own.

Must not know the CLI, ``falconws_cli``. Names are loaded on first use, because pytest loads the plugin in
``falconws.testing`` in every project, and must not import Falcon there.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

_OWNERS = {
    "App": "app",
    "RateLimit": "rate_limit",
    "Request": "request",
    "WebSocket": "websocket",
    "WebSocketOptions": "options",
    "BinaryBaseHandlerWS": "media",
    "JSONHandlerWS": "media",
    "MessagePackHandlerWS": "media",
    "TextBaseHandlerWS": "media",
    "WebSocketPayloadType": "media",
    "CloseCode": "closecodes",
    "OperationNotAllowed": "errors",
    "PayloadTypeError": "errors",
    "WebSocketDisconnected": "errors",
    "TaskScope": "tasks",
    "create_task": "tasks",
    "BrokerUnavailable": "hub",
    "Dropped": "hub",
    "Ephemeral": "hub",
    "Event": "hub",
    "Gap": "hub",
    "HistoryLimits": "hub",
    "Hub": "hub",
    "HubLimits": "hub",
    "Joined": "hub",
    "Left": "hub",
    "ListenerTooSlow": "hub",
    "Message": "hub",
    "Policy": "hub",
    "Position": "hub",
    "Publisher": "hub",
    "Subscription": "hub",
    "Updated": "hub",
}
"""Which module owns each public name."""


def __getattr__(name: str) -> Any:
    owner = _OWNERS.get(name)
    if owner is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{owner}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
