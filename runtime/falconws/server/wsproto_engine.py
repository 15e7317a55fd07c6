"""uvicorn's wsproto engine, made to keep what comes before the accept.

wsproto forgets frames that it is given before its answer to the handshake. Imported by uvicorn, by name, when this
engine is chosen. Must not know our own engine.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

_MAX_EARLY_BYTES = 65_536


class WsprotoProtocol(WSProtocol):
    """The WebSocket protocol class for uvicorn's `ws=` option; its first data is a whole handshake."""

    _early: bytearray | None = None
    """What has come since the handshake; None before it and after the accept."""

    def data_received(self, data: bytes) -> None:
        """Keep *data* until the accept, and give it to wsproto afterwards."""
        if self._early is None:
            super().data_received(data)
            if not self.handshake_complete:
                self._early = bytearray()
        else:
            self._early += data
            if len(self._early) > _MAX_EARLY_BYTES:
                self.transport.pause_reading()

    async def send(self, message: Any) -> None:
        """Send an ASGI event."""
        await super().send(message)
        if self._early is not None and self.handshake_complete:
            early, self._early = bytes(self._early), None
            if early and not self.disconnected:
                self.transport.resume_reading()
                self.data_received(early)
