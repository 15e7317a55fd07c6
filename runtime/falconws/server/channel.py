"""What both directions of a connection stand on: its state, how it ended, and who is told.

Sends and receives nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from picows import WSListener

from falconws.server.deflate import PerMessageDeflate
from falconws.server.frames import ABNORMAL
from falconws.server.settings import ConnectionSettings

CONNECTING, OPEN, CLOSING, CLOSED = range(4)


class Channel(WSListener):
    """The lowest layer of a connection.

    The layers (this, `Incoming`, `Outgoing`, `Connection`) are classes that derive from each other and not objects
    that hold each other: those made a message cost 2.3 % more instructions. A layer uses what is below it, and of
    what is above it only the ways to end: `close`, `evict` and `_fail`.
    """

    __slots__ = (
        "_callbacks",
        "_deflate",
        "_ended",
        "_loop",
        "_peer",
        "_settings",
        "_state",
        "_transport",
    )

    def __init__(self, settings: ConnectionSettings, loop: asyncio.AbstractEventLoop, peer: str) -> None:
        self._settings = settings
        self._loop = loop
        self._peer = peer
        self._state = CONNECTING
        self._ended: tuple[int, str] | None = None
        self._callbacks: list[Callable[[], object]] = []
        self._transport: Any = None
        self._deflate: PerMessageDeflate | None = None

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake; nothing happens when the connection is ending already."""
        raise NotImplementedError

    def evict(self, why: str) -> None:
        """Cut the connection of a client that does not keep up."""
        raise NotImplementedError

    def _fail(self, code: int, reason: str, *, told: bool = False) -> None:
        """Fail the connection: the client broke the protocol or a limit (RFC 6455 section 7.1.7)."""
        raise NotImplementedError

    def abort(self) -> None:
        """Cut the connection now; what waits for the client is lost."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def connecting(self) -> bool:
        """Whether the handshake is not answered yet."""
        return self._state == CONNECTING

    @property
    def closed(self) -> bool:
        return self._ended is not None

    @property
    def close_code(self) -> int | None:
        return None if self._ended is None else self._ended[0]

    @property
    def close_reason(self) -> str | None:
        return None if self._ended is None else self._ended[1]

    @property
    def buffered_amount(self) -> int:
        return self._transport.get_write_buffer_size() if self._state in (OPEN, CLOSING) else 0

    def add_disconnect_callback(self, callback: Callable[[], object]) -> None:
        if self._ended is None:
            self._callbacks.append(callback)
        else:
            callback()

    def remove_disconnect_callback(self, callback: Callable[[], object]) -> None:
        if callback in self._callbacks:
            self._callbacks.remove(callback)

    def _tell_end(self, code: int, reason: str) -> None:
        if self._ended is None:
            self._ended = (code, reason)
            callbacks, self._callbacks = self._callbacks, []
            for callback in callbacks:
                callback()

    def _describe_end(self) -> str:
        code, reason = self._ended or (ABNORMAL, "")
        return f"{code} {reason}".rstrip()
