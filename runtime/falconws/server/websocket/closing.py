"""The end of a connection that has begun to close: it comes within a bounded time, but not before the client's timeout.

Exists only while a connection closes. Knows its transport, and neither frames nor ASGI.
"""

from __future__ import annotations

import asyncio
from typing import Any

from falconws.server.socket_state import delivered_bytes, undelivered_bytes
from falconws.server.websocket.settings import ConnectionSettings


class CloseTimeout:
    """Aborts a transport whose client does not complete the closing handshake in `close_timeout_s`.

    The close frame may wait behind messages. The time starts again while the client takes these at `min_bytes_per_s`,
    and once more when it has taken them all.
    """

    __slots__ = ("_delivered", "_loop", "_settings", "_timer", "_transport", "_was_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop, settings: ConnectionSettings, transport: Any) -> None:
        self._loop = loop
        self._settings = settings
        self._transport = transport
        self._was_waiting = transport.get_write_buffer_size() > 0
        self._delivered = delivered_bytes(transport) if self._was_waiting else None
        self._timer = loop.call_later(settings.close_timeout_s, self._check)

    def _check(self) -> None:
        timeout_s = self._settings.close_timeout_s
        delivered = delivered_bytes(self._transport)
        if undelivered_bytes(self._transport):
            # The first time, it is not known yet what the client has taken before.
            min_bytes = self._settings.min_bytes_per_s * timeout_s
            alive = self._delivered is None or delivered - self._delivered >= min_bytes
            self._was_waiting = True
        else:
            alive, self._was_waiting = self._was_waiting, False
        if alive:
            self._delivered = delivered
            self._timer = self._loop.call_later(timeout_s, self._check)
        else:
            self._transport.abort()

    def stop(self) -> None:
        """Called when the transport is closed."""
        self._timer.cancel()
