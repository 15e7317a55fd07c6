"""Serve an ASGI app over WebSockets and HTTP: uvicorn, with picows as its WebSocket engine.

Importing this package costs nothing: uvicorn and picows are loaded when a name is first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from falconws.server.errors import StartError
    from falconws.server.main import run
    from falconws.server.websocket.protocol import WebSocketProtocol

__all__ = ["StartError", "WebSocketProtocol", "run"]

_HOMES = {
    "StartError": "falconws.server.errors",
    "WebSocketProtocol": "falconws.server.websocket.protocol",
    "run": "falconws.server.main",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
