"""The errors that the runtime raises, who is at fault, and what happens when nobody handles one.

Each is, or derives from, Falcon's error of the same name, so that handlers written for Falcon catch it::

    ConnectionError
    └── falcon.WebSocketDisconnected
        └── WebSocketDisconnected       the client or the network; nothing is left to close
    TypeError
    └── falcon.PayloadTypeError         the client; closes with 1003
        (exported as PayloadTypeError)
    ValueError
    └── falcon.OperationNotAllowed      the application; closes with 1011
        (exported as OperationNotAllowed)
    Exception
    └── TemporarilyUnavailable          something that the service needs; 503, or closes with 1013
        └── hub.BrokerUnavailable

A ValueError of a media handler in ``receive_media()`` is the client's fault, and closes with 1007. So is the error of a
handler that cannot express what the client has sent, such as bytes of MessagePack in JSON. Any other exception is the
application's fault: a 500 before ``accept()``, 1011 afterwards (``ws_options.error_close_code``). That includes
SystemExit, KeyboardInterrupt, and a CancelledError that the application itself raises: they end one connection, not the
server. An ExceptionGroup of nothing but WebSocketDisconnected counts as one, and one with a single other error like it.

Handles no error: ``app.py`` does.
"""

from __future__ import annotations

import falcon
from falcon import OperationNotAllowed, PayloadTypeError

from .closecodes import CloseCode

__all__ = (
    "OperationNotAllowed",
    "PayloadTypeError",
    "TemporarilyUnavailable",
    "WebSocketDisconnected",
    "disconnect_in",
    "sole_error",
)


class TemporarilyUnavailable(Exception):
    """Something that the service needs is unavailable for now, and clients should try again.

    The fault lies with neither the client nor the application. Unhandled, it answers an HTTP request or a handshake
    with 503 (RFC 9110 section 15.6.4), and closes an accepted WebSocket with 1013, "Try Again Later".
    """


class WebSocketDisconnected(falcon.WebSocketDisconnected):
    """The connection is closed: the client left, the network failed, or this side closed it.

    It is not a fault of the application. Unhandled, it is one warning in the log.
    """

    code: int
    """The close code: the peer's own; 1005 when the peer gave none; 1006 when the connection was lost without a
    closing handshake."""

    reason: str
    """The close reason; empty when there was none or the ASGI server does not pass it on."""

    def __init__(self, code: int | None = None, reason: str | None = None) -> None:
        super().__init__(code)
        # Falcon's class turns a missing code into 1000, which would mean a normal close.
        self.code = CloseCode.ABNORMAL if code is None else code
        self.reason = reason or ""

    def __str__(self) -> str:
        return f"WebSocket closed with code {int(self.code)}" + (f" ({self.reason})" if self.reason else "")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(code={int(self.code)}, reason={self.reason!r})"

    def __reduce__(self) -> tuple[type[WebSocketDisconnected], tuple[int, str]]:
        return type(self), (self.code, self.reason)


def disconnect_in(error: BaseException) -> falcon.WebSocketDisconnected | None:
    """Return the WebSocketDisconnected that *error* is, or that it has when it is a group of nothing else.

    ``asyncio.TaskGroup`` raises a group when the client leaves while its tasks receive or send.
    """
    while isinstance(error, BaseExceptionGroup):
        if error.split(falcon.WebSocketDisconnected)[1] is not None:
            return None
        error = error.exceptions[0]
    return error if isinstance(error, falcon.WebSocketDisconnected) else None


def sole_error(error: BaseException) -> BaseException:
    """Return the error in *error*, if it is a group of one error and of any WebSocketDisconnected; else *error*.

    The task of an ``asyncio.TaskGroup`` that receives raises the client's fault in a group.
    """
    sole = error
    while isinstance(sole, BaseExceptionGroup):
        faults = sole.split(falcon.WebSocketDisconnected)[1]
        if faults is None or len(faults.exceptions) != 1:
            return error
        sole = faults.exceptions[0]
    return sole
