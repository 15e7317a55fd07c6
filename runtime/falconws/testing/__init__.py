"""What tests of WebSocket APIs need: an in-process client, a live server, their fixtures, and ``check_broker()``.

Must not know ``falconws.server``. Names are loaded on first use, so that pytest loads the plugin without importing
Falcon and uvicorn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .brokers import BROKER_CHECKS, check_broker
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

_MODULES = {
    "BROKER_CHECKS": "brokers",
    "check_broker": "brokers",
    "Client": "client",
    "ClientWebSocket": "client",
    "HandshakeDenied": "client",
    "LifespanError": "lifespan",
    "LiveServer": "live",
    "TypedWebSocket": "conversation",
    "check_conversations": "conversation_checks",
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
