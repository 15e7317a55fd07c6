"""The WebSocket API that Falcon's author proposed by example, as a drop-in for Falcon 4's own.

``falconws.App`` takes the place of ``falcon.asgi.App``; everything else goes on as before.
"""

from __future__ import annotations

from falcon import WebSocketPayloadType

from .app import App
from .closecodes import CloseCode
from .errors import OperationNotAllowed, PayloadTypeError, WebSocketDisconnected
from .media import BinaryBaseHandlerWS, JSONHandlerWS, MessagePackHandlerWS, TextBaseHandlerWS
from .options import WebSocketOptions
from .request import Request
from .tasks import TaskScope, create_task
from .websocket import WebSocket

__version__ = "0.1.0"

__all__ = (
    # app, request, websocket: what responders work with
    "App",
    "Request",
    "WebSocket",
    "WebSocketOptions",
    # media
    "BinaryBaseHandlerWS",
    "JSONHandlerWS",
    "MessagePackHandlerWS",
    "TextBaseHandlerWS",
    "WebSocketPayloadType",
    # errors, closecodes
    "CloseCode",
    "OperationNotAllowed",
    "PayloadTypeError",
    "WebSocketDisconnected",
    # tasks
    "TaskScope",
    "create_task",
)
