"""The ASGI server: uvicorn with picows as its WebSocket engine, behind `run()` and its settings classes.

It serves any ASGI app and must not know falconws' own app, hub or CLI. Importing this package loads neither uvicorn
nor picows: each name is loaded when it is first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from falconws.server.admission import AdmissionSettings
    from falconws.server.errors import StartError
    from falconws.server.http_settings import HttpSettings
    from falconws.server.main import run
    from falconws.server.tls import TlsSettings
    from falconws.server.websocket.deflate import DeflateSettings
    from falconws.server.websocket.protocol import WebSocketProtocol
    from falconws.server.websocket.settings import ConnectionSettings

__all__ = [
    "AdmissionSettings",
    "ConnectionSettings",
    "DeflateSettings",
    "HttpSettings",
    "StartError",
    "TlsSettings",
    "WebSocketProtocol",
    "run",
]

_MODULES = {
    "AdmissionSettings": "falconws.server.admission",
    "ConnectionSettings": "falconws.server.websocket.settings",
    "DeflateSettings": "falconws.server.websocket.deflate",
    "HttpSettings": "falconws.server.http_settings",
    "StartError": "falconws.server.errors",
    "TlsSettings": "falconws.server.tls",
    "WebSocketProtocol": "falconws.server.websocket.protocol",
    "run": "falconws.server.main",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value
