"""Closing a connection on a client that is still sending, so that it can read why.

A socket closed with unread input answers with a reset, and a reset may overtake our close frame and
take it away from the client. So the sending side is closed, what still comes is thrown away, and the
rest follows when the client has seen it, or after a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Callable
from typing import Any

try:
    from fcntl import ioctl
    from termios import TIOCOUTQ
except ImportError:  # Windows
    ioctl = None  # type: ignore[assignment]

_PARTING_S = 1.0


def linger(
    transport: Any,
    loop: asyncio.AbstractEventLoop,
    seconds: float,
    on_lost: Callable[[], object],
    *,
    patient: bool = False,
) -> None:
    """Close *transport* after the client's end of stream, or after *seconds*; then call *on_lost*.

    When *patient*, the seconds begin anew while something waits for the client, which knows by itself
    where the answer ends.
    """
    if transport.is_closing():
        # The protocol that is there will hear of the end.
        return
    transport.set_protocol(_Lingering(transport, loop, seconds, on_lost, patient=patient))
    if transport.can_write_eof():
        transport.write_eof()
    elif not patient:
        # TLS has no half-closed state, and asyncio's reads no further.
        transport.close()
    transport.resume_reading()


def part(transport: Any, loop: asyncio.AbstractEventLoop) -> None:
    """Cut *transport*, which was closed, as soon as its client has everything, and a second has passed.

    Over TLS it would stay until the client says goodbye as well, and one that is idle may not be looking.
    """
    if ioctl is not None and transport.get_extra_info("sslcontext") is not None:
        loop.call_later(_PARTING_S, _part_now, transport, loop)


def _part_now(transport: Any, loop: asyncio.AbstractEventLoop) -> None:
    # The socket is closed, or cannot tell, when this fails; how long is waited then is not ours to say.
    with contextlib.suppress(OSError, ValueError):
        (unsent,) = struct.unpack("i", ioctl(transport.get_extra_info("socket").fileno(), TIOCOUTQ, bytes(4)))
        if unsent:
            part(transport, loop)
        else:
            transport.abort()


class _Lingering(asyncio.Protocol):
    def __init__(
        self,
        transport: Any,
        loop: asyncio.AbstractEventLoop,
        seconds: float,
        on_lost: Callable[[], object],
        *,
        patient: bool,
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._seconds = seconds
        self._on_lost = on_lost
        self._patient = patient
        self._timer = loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        if self._patient and self._transport.get_write_buffer_size():
            self._timer = self._loop.call_later(self._seconds, self._give_up)
        else:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Throw it away."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._on_lost()
