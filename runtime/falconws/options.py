"""The options of a falconws application: ``app.ws_options``.

Owns defaults and checks of values. Knows nothing of connections.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from falcon import WebSocketPayloadType
from falcon.asgi import WebSocketOptions as FalconWebSocketOptions

from .log_throttle import LogThrottle
from .media import JSONHandlerWS
from .origins import OriginPolicy
from .rate_limit import RateLimit

__all__ = ("WebSocketOptions",)


class WebSocketOptions(FalconWebSocketOptions):
    """Options of all WebSocket connections of one application.

    From Falcon, with the same meaning:

    ``error_close_code`` (int, default 1011)
        Sent when a responder fails after the handshake. 3011 replaces a code that the server refuses.
    ``default_close_reasons`` (dict of int to str, default: the phrases of RFC 9110 at 3000 + status)
        The reason that is sent with a close code when ``ws.close()`` is given none.
    ``media_handlers`` (dict of WebSocketPayloadType to handler, default JSON for TEXT and MessagePack for BINARY)
        The handlers that ``send_media()`` and ``receive_media()`` use.
    ``max_receive_queue`` (messages, default 4)
        How many unread messages are taken from the ASGI server ahead of the responder. With 0, a disconnect is noticed
        only by receiving or sending.

    Added here:

    ``max_read_ahead`` (bytes, default 1 MiB)
        How many bytes of unread messages are held beyond ``max_receive_queue`` for a responder that sends without
        receiving: it can learn of a disconnect only by reading past its unread messages. Each payload counts 64 bytes
        more than its size. At the limit, reading stops until the responder catches up. 0 never reads ahead.
    ``disconnect_grace_s`` (seconds, default 10)
        How long a responder may go on after its client has left. Then it is cancelled, and the log says so. None sets
        no limit, as in Falcon.
    ``rate_limit`` (RateLimit, default None)
        How many messages and bytes a second a client may send, and what happens to a client that sends more. None sets
        no limit.
    ``allowed_origins`` (default None)
        Which pages may open a WebSocket: see the property.
    """

    disconnect_grace_s: float | None
    max_read_ahead: int
    origin_policy: OriginPolicy | None  # The compiled form of allowed_origins.
    log_throttle: LogThrottle  # Not an option: logs the lines about single connections of the application.

    # Without slots, instances would have a dict, and a misspelled option would go unnoticed.
    __slots__ = ("_rate_limit", "disconnect_grace_s", "log_throttle", "max_read_ahead", "origin_policy")

    def __init__(self) -> None:
        super().__init__()
        self.media_handlers[WebSocketPayloadType.TEXT] = JSONHandlerWS()
        self.disconnect_grace_s = 10.0
        self.max_read_ahead = 1 << 20
        self.origin_policy = None
        self._rate_limit: RateLimit | None = None
        self.log_throttle = LogThrottle(logging.getLogger("falconws"))

    @property
    def allowed_origins(self) -> str | Sequence[str] | None:
        """Which values of the ``Origin`` header may complete a handshake.

        ``"same-origin"`` compares scheme, host and port with those of the request; a sequence names origins exactly
        (``"https://example.com"``, ``"capacitor://localhost"``, ``"chrome-extension://..."``) or all subdomains
        (``"https://*.example.com"``). ``"*"`` allows every origin. None (the default) does too, with a warning at
        start-up. Other origins are refused with a 403 before any code of the application runs. Handshakes without the
        header do not come from a browser, and are accepted.

        Raises:
            ValueError: A pattern is not an origin; the message names it.

        Source: RFC 6454; RFC 6455 section 10.2.
        """
        return None if self.origin_policy is None else self.origin_policy.setting

    @allowed_origins.setter
    def allowed_origins(self, value: str | Sequence[str] | None) -> None:
        self.origin_policy = None if value is None else OriginPolicy(value)

    @property
    def rate_limit(self) -> RateLimit | None:
        """How much a client may send; None sets no limit. Setting anything else raises TypeError."""
        return self._rate_limit

    @rate_limit.setter
    def rate_limit(self, value: RateLimit | None) -> None:
        if value is not None and not isinstance(value, RateLimit):
            raise TypeError(f"rate_limit is a falconws.RateLimit or None, not {value!r}.")
        self._rate_limit = value

    def __repr__(self) -> str:
        names = "error_close_code max_receive_queue max_read_ahead disconnect_grace_s rate_limit allowed_origins"
        return f"WebSocketOptions({', '.join(f'{name}={getattr(self, name)!r}' for name in names.split())})"
