"""The two callables of an ASGI server under a test's control, for what no real server does on command."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

Event = dict[str, Any]

_recent: deque[ScriptedServer] = deque(maxlen=100)
"""Keeps the servers of a test alive until its event loop has ended. Tasks that wait for one of them refer to each other
only: the garbage collector could take them first, and asyncio would report that they are pending."""


class ScriptedServer:
    """``receive()`` returns what ``put()`` was given; ``send()`` waits at a gate, fails with ``failure`` or records."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[Event] = asyncio.Queue()
        self.sent: list[Event] = []
        self.failure: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.receives = 0
        _recent.append(self)

    async def receive(self) -> Event:
        self.receives += 1
        return await self.incoming.get()

    async def send(self, event: Event) -> None:
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.sent.append(event)

    def put(self, *texts: str) -> None:
        for text in texts:
            self.incoming.put_nowait({"type": "websocket.receive", "text": text})

    def disconnect(self, **fields: Any) -> None:
        self.incoming.put_nowait({"type": "websocket.disconnect", **fields})


class FutureServer(ScriptedServer):
    """Like granian: ``receive()`` returns a future, and one that is cancelled takes its message along."""

    def receive(self) -> asyncio.Future[Event]:
        self.receives += 1
        future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().create_task(self._fill(future))
        return future

    async def _fill(self, future: asyncio.Future[Event]) -> None:
        event = await self.incoming.get()
        if not future.cancelled():
            future.set_result(event)
