"""Join members and keep them: python -m tests.benchmarks.fanout.members URL COUNT.

Print the memory of a member in this process, in bytes, and the time that each took to join, in microseconds; then keep
all of them until the standard input ends. All members share one connection object. Each of 100 rooms has its share.
"""

import asyncio
import gc
import json
import sys
import time
import tracemalloc

from falconws import Hub, HubLimits
from tests.benchmarks.fanout.rooms import Anonymous
from tests.runtime.hub.scripted import ScriptedSocket

_ROOMS = 100
_AT_A_TIME = 100


async def keep(url: str, count: int) -> None:
    """Join *count* members."""
    socket = ScriptedSocket(Anonymous())
    async with Hub(url, limits=HubLimits(rooms=None), timeout_s=60) as hub:
        subscriptions = [hub.subscribe(socket, f"room:{n % _ROOMS}", member=f"member:{n}") for n in range(count)]
        gc.collect()
        tracemalloc.start()
        started = time.perf_counter()
        for first in range(0, count, _AT_A_TIME):
            chunk = subscriptions[first : first + _AT_A_TIME]
            await asyncio.gather(*(subscription.__aenter__() for subscription in chunk))
        join_us = (time.perf_counter() - started) / count * 1e6
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        print(json.dumps({"bytes": taken / count, "join_us": join_us}), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(keep(sys.argv[1], int(sys.argv[2])))
