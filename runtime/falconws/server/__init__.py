"""The ASGI server: uvicorn with picows as its WebSocket engine, behind `run()` and its settings classes.

It serves any ASGI app and must not know falconws' own app, hub or CLI. Importing this package loads neither uvicorn
nor picows: each name is loaded when it is first used.
"""

from typing import TYPE_CHECKING

from falconws.lazy_names import lazy_names

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

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "admission": ("AdmissionSettings",),
        "errors": ("StartError",),
        "http_settings": ("HttpSettings",),
        "main": ("run",),
        "tls": ("TlsSettings",),
        "websocket.deflate": ("DeflateSettings",),
        "websocket.protocol": ("WebSocketProtocol",),
        "websocket.settings": ("ConnectionSettings",),
    },
)
