"""/load: sends the machine's load average as it changes."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import falconws
from falcon.asgi import Response


def read_event() -> dict[str, object]:
    """Return the current event: the time and the load average of the last minute."""
    return {"time": datetime.now(UTC).isoformat(), "load": os.getloadavg()[0]}


class LoadResource:
    """Sends an event every *interval_s* seconds."""

    def __init__(self, interval_s: float = 1.0) -> None:
        self._interval_s = interval_s

    async def on_get(self, req: falconws.Request, resp: Response) -> None:
        """Respond with the latest event."""
        resp.media = read_event()

    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        """Send events until the client leaves, even while it waits for the next one."""
        await ws.accept()
        async with ws.task_scope() as scope:
            scope.create_task(self._send_events(ws))

    async def _send_events(self, ws: falconws.WebSocket) -> None:
        async for event in self._events():
            await ws.send_media(event)

    async def _events(self) -> AsyncIterator[dict[str, object]]:
        while True:
            yield read_event()
            await asyncio.sleep(self._interval_s)
