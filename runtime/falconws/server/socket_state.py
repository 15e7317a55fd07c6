"""What the operating system knows of a connection: whether the client has left, and how much it has taken.

A transport tells neither while reading is paused or its own buffer is empty, since the kernel buffers megabytes more.
Linux tells both; elsewhere the functions fall back on what the transport tells. Knows nothing of WebSockets.
"""

from __future__ import annotations

import select
import socket
import struct
import sys
from typing import Any

try:
    from fcntl import ioctl
    from termios import TIOCOUTQ
except ImportError:  # Windows
    ioctl = None  # type: ignore[assignment]

_HAS_TCP_INFO = sys.platform == "linux"
_ACKNOWLEDGED, _RECEIVED, _TCP_INFO_BYTES = 120, 128, 136
"""Offsets of tcpi_bytes_acked and tcpi_bytes_received in struct tcp_info, and its size up to there."""


def client_has_left(transport: Any) -> bool:
    """Return whether the client has reset the connection, also while *transport* does not read."""
    # Errors and the end of both directions are reported unasked.
    return _has_event(transport, 0)


def client_sends_no_more(transport: Any) -> bool:
    """Return whether the client has closed its sending side, also while *transport* does not read.

    Elsewhere than on Linux, return only whether it has reset the connection.
    """
    return _has_event(transport, getattr(select, "POLLRDHUP", 0))


def undelivered_bytes(transport: Any) -> int:
    """Return how many bytes were written to *transport* and have not reached the client's machine."""
    return int(transport.get_write_buffer_size()) + (kernel_unsent_bytes(transport) or 0)


def kernel_unsent_bytes(transport: Any) -> int | None:
    """Return how many bytes the kernel holds that have not reached the client's machine.

    None if the operating system does not tell, or the socket is closed.
    """
    if ioctl is None:
        return None
    try:
        return int(struct.unpack("i", ioctl(_fileno(transport), TIOCOUTQ, bytes(4)))[0])
    except (OSError, ValueError):
        return None


def delivered_bytes(transport: Any) -> int:
    """Return a number that rises by every byte that the client's machine takes.

    Over TCP on Linux it is the number of bytes acknowledged. Elsewhere it counts from below zero, and falls by what is
    written.
    """
    acknowledged = _tcp_counter(transport, _ACKNOWLEDGED)
    return -undelivered_bytes(transport) if acknowledged is None else acknowledged


def sent_bytes(transport: Any) -> int:
    """Return how many bytes were written to *transport*; always 0 where the operating system does not tell."""
    return delivered_bytes(transport) + undelivered_bytes(transport)


def received_bytes(transport: Any) -> int | None:
    """Return how many bytes the client has sent; None where the operating system does not tell."""
    return _tcp_counter(transport, _RECEIVED)


def _tcp_counter(transport: Any, offset: int) -> int | None:
    if not _HAS_TCP_INFO:
        return None
    try:
        info = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    except (OSError, ValueError):
        # A Unix socket, or one that is closed.
        return None
    return int.from_bytes(info[offset : offset + 8], sys.byteorder) if len(info) == _TCP_INFO_BYTES else None


def _has_event(transport: Any, events: int) -> bool:
    if not hasattr(select, "poll") or (number := _fileno(transport)) < 0:
        return False
    poll = select.poll()
    poll.register(number, events)
    return bool(poll.poll(0))


def _fileno(transport: Any) -> int:
    socket_ = transport.get_extra_info("socket")
    # A transport that has closed may have no socket.
    return -1 if socket_ is None else int(socket_.fileno())
