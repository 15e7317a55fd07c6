"""Lingering close: close a connection whose client is still sending, so that the client can read why.

A socket that is closed with unread input answers with a reset, and a reset may overtake what the server has sent last.
So the server closes its sending side, discards what still arrives, and closes the rest at the client's end of stream or
after a timeout. Knows nothing of HTTP or WebSockets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from falconws.server.socket_state import kernel_unsent_bytes

_FLUSH_CHECK_S = 1.0


def lingering_close(
    transport: Any,
    loop: asyncio.AbstractEventLoop,
    timeout_s: float,
    on_lost: Callable[[], object],
    *,
    restart_while_sending: bool = False,
) -> None:
    """Close *transport* at the client's end of stream, or after *timeout_s*; then call *on_lost*.

    With *restart_while_sending* the timeout starts again while bytes still wait for the client.
    """
    if transport.is_closing():
        # The transport's own protocol is told of the end.
        return
    transport.set_protocol(_LingeringClose(transport, loop, timeout_s, on_lost, restart_while_sending))
    if transport.can_write_eof():
        transport.write_eof()
    elif not restart_while_sending:
        # TLS has no half-closed state, and asyncio's TLS transport reads no further.
        transport.close()
    transport.resume_reading()


def abort_when_flushed(transport: Any, loop: asyncio.AbstractEventLoop) -> None:
    """Abort the closing *transport* as soon as its client has taken every byte; check once a second.

    A TLS transport would otherwise stay until the client closes its side too, and an idle client may not do so.
    """
    if transport.get_extra_info("sslcontext") is not None:
        loop.call_later(_FLUSH_CHECK_S, _abort_if_flushed, transport, loop)


def _abort_if_flushed(transport: Any, loop: asyncio.AbstractEventLoop) -> None:
    unsent = kernel_unsent_bytes(transport)
    if unsent:
        abort_when_flushed(transport, loop)
    elif unsent == 0:
        transport.abort()
    # Else the socket is closed already, or does not tell: the transport decides how long it waits.


class _LingeringClose(asyncio.Protocol):
    def __init__(
        self,
        transport: Any,
        loop: asyncio.AbstractEventLoop,
        timeout_s: float,
        on_lost: Callable[[], object],
        restart_while_sending: bool,
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._timeout_s = timeout_s
        self._on_lost = on_lost
        self._restart_while_sending = restart_while_sending
        self._timer = loop.call_later(timeout_s, self._timed_out)

    def _timed_out(self) -> None:
        if self._restart_while_sending and self._transport.get_write_buffer_size():
            self._timer = self._loop.call_later(self._timeout_s, self._timed_out)
        else:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Discard the data."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._on_lost()
