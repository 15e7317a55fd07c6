"""What a room costs a process that follows it over NATS."""

from __future__ import annotations

import asyncio
import contextlib
import tracemalloc

from falconws import Hub
from tests.e2e.hub.servers import Nats
from tests.runtime.hub.scripted import SlowSocket

ROOMS = 20
SIZE = 500_000


async def test_a_message_that_was_delivered_is_let_go(nats: Nats) -> None:
    rooms = {f"memory:{number}": SlowSocket() for number in range(ROOMS)}
    async with Hub(nats.url) as hub, contextlib.AsyncExitStack() as stack, asyncio.timeout(20):
        for room, socket in rooms.items():
            await stack.enter_async_context(hub.subscribe(socket, room))
        tracemalloc.start()
        stack.callback(tracemalloc.stop)
        for room, socket in rooms.items():
            socket.take(1)
            await hub.publish(room, bytes(SIZE))
            while not socket.sent:
                await asyncio.sleep(0)
            socket.sent.clear()
        kept, _ = tracemalloc.get_traced_memory()
        assert kept < ROOMS * SIZE / 4
