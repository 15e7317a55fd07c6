"""Print the memory of a room with one member, in bytes: python -m tests.benchmarks.fanout.rooms COUNT.

All rooms share one connection object, so the result is the memory of the hub, its broker and the subscription.
"""

import asyncio
import gc
import sys
import tracemalloc

from falconws import Hub, HubLimits
from tests.runtime.hub.scripted import ScriptedConnection, ScriptedSocket


class Anonymous(ScriptedConnection):
    """A connection that stores no callbacks, because that list belongs to the server."""

    def add_disconnect_callback(self, callback: object) -> None: ...


async def measure(count: int) -> float:
    """Return the bytes of each of *count* rooms."""
    socket = ScriptedSocket(Anonymous())
    async with Hub(limits=HubLimits(rooms=None)) as hub:
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
