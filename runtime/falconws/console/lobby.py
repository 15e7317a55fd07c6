"""The console's own room, so that an application without a hub has one to try.

Must not know the application.
"""

from __future__ import annotations

import asyncio

from ..hub import Hub
from ..request import Request
from ..websocket import WebSocket

__all__ = ("Lobby",)

_ROOM = "lobby"
_MAX_NAME = 40
_HISTORY = 10


class Lobby:
    """A resource that broadcasts what each client says to all clients. Its hub starts with the first client."""

    def __init__(self) -> None:
        self.hub = Hub()
        self._starting = asyncio.Lock()
        self._started = False

    async def on_websocket(self, req: Request, ws: WebSocket) -> None:
        """Publish what the client says, with its name."""
        name = (req.get_param("name") or "somebody")[:_MAX_NAME]
        async with self._starting:
            if not self._started:
                await self.hub.start()
                self._started = True
        await ws.accept()
        async with self.hub.subscribe(ws, _ROOM, member=name, history=_HISTORY):
            async for text in ws.iter_text():
                await self.hub.publish(_ROOM, {"name": name, "text": text})

    async def stop(self) -> None:
        """Stop the hub, if it was started."""
        if self._started:
            self._started = False
            await self.hub.stop()
