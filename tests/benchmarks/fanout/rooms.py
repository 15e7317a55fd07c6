"""How much memory a room with one member takes: python -m tests.benchmarks.fanout.rooms COUNT; prints bytes a room.

The connection is one object for all: what is counted is the hub's, its broker's and the subscription's.
"""

import asyncio
import gc
import sys
import tracemalloc

from falconws import Hub
from tests.runtime.hub.scripted import ScriptedConnection, ScriptedSocket


class Anonymous(ScriptedConnection):
    """Keeps no callbacks: that list is the server's."""

    def add_disconnect_callback(self, callback: object) -> None: ...


async def measure(count: int) -> float:
    """Return the bytes that each of *count* rooms takes."""
    socket = ScriptedSocket(Anonymous())
    async with Hub() as hub:
        gc.collect()
        tracemalloc.start()
        subscriptions = [hub.subscribe(socket, f"room:{number}") for number in range(count)]
        for subscription in subscriptions:
            await subscription.__aenter__()
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return taken / count


if __name__ == "__main__":
    print(f"{asyncio.run(measure(int(sys.argv[1]))):.0f}")
