"""Closing a connection on a client that is still sending, so that it can read why.

A socket closed with unread input answers with a reset, and a reset may overtake our close frame and
take it away from the client. So the sending side is closed, what still comes is thrown away, and the
rest follows when the client has seen it, or after a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


def linger(transport: Any, loop: asyncio.AbstractEventLoop, seconds: float, on_lost: Callable[[], object]) -> None:
    """Close *transport* after the client's end of stream, or after *seconds*; then call *on_lost*."""
    if transport.is_closing():
        # The protocol that is there will hear of the end.
        return
    transport.set_protocol(_Lingering(transport, loop, seconds, on_lost))
    if transport.can_write_eof():
        transport.write_eof()
    else:
        # TLS has no half-closed state.
        transport.close()
    transport.resume_reading()


class _Lingering(asyncio.Protocol):
    def __init__(
        self, transport: Any, loop: asyncio.AbstractEventLoop, seconds: float, on_lost: Callable[[], object]
    ) -> None:
        self._on_lost = on_lost
        self._timer = loop.call_later(seconds, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Throw it away."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._on_lost()
