"""The errors that the runtime raises.

Each is, or derives from, the one of the same name in Falcon, so that handlers written for Falcon catch it::

    falcon.WebSocketDisconnected (ConnectionError)
    └── WebSocketDisconnected        the peer's or the network's doing; code and reason say how it ended
    falcon.PayloadTypeError (TypeError)          the client's fault; unhandled, it closes with 1003
    falcon.OperationNotAllowed (ValueError)      the application's fault; unhandled, it closes with 1011
    TemporarilyUnavailable                       nobody's fault here; unhandled, it is 503, or closes with 1013
    └── BrokerUnavailable                        (in ``falconws.hub``)
"""

from __future__ import annotations

import falcon
from falcon import OperationNotAllowed, PayloadTypeError

from .closecodes import CloseCode

__all__ = ("OperationNotAllowed", "PayloadTypeError", "TemporarilyUnavailable", "WebSocketDisconnected")


class TemporarilyUnavailable(Exception):  # noqa: N818 (named for what has happened, as Falcon's errors are)
    """Something that the service needs is away for now, and clients should try again.

    Where nobody handles it, an HTTP request and a handshake are answered with 503 (RFC 9110 section 15.6.4), and an
    accepted WebSocket is closed with 1013, "Try Again Later".
    """


class WebSocketDisconnected(falcon.WebSocketDisconnected):
    """The connection is over: the client left, the network failed, or this side closed it."""

    code: int
    """The close code: the peer's own, 1005 when it gave none, 1006 when the connection was lost without a
    closing handshake."""

    reason: str
    """The close reason, or an empty string when there was none or the ASGI server does not pass it on."""

    def __init__(self, code: int | None = None, reason: str | None = None) -> None:
        super().__init__(code)
        # Falcon's class turns an unknown code into 1000, as if all had gone well.
        self.code = CloseCode.ABNORMAL if code is None else code
        self.reason = reason or ""

    def __str__(self) -> str:
        return f"WebSocket closed with code {int(self.code)}" + (f" ({self.reason})" if self.reason else "")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(code={int(self.code)}, reason={self.reason!r})"

    def __reduce__(self) -> tuple[type[WebSocketDisconnected], tuple[int, str]]:
        return type(self), (self.code, self.reason)
