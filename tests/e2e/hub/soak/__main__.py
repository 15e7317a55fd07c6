"""A soak test of the hub: `python -m tests.e2e.hub.soak`, from the root of the checkout.

Two processes serve rooms over a real broker, which is killed and started again, now and then without its data. Clients
come and go, resume at either process, and some read too slowly. Each client accounts for every message of its room: it
has arrived, a policy has dropped it, or a gap was told. At the end the memory of the processes is what it was after a
warm-up. Counts decide, never times.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx

import falconws
from falconws.hub import BrokerUnavailable
from tests.e2e.hub.serve_process import ServiceProcess
from tests.e2e.hub.servers import BrokerServer, Nats, Valkey
from tests.e2e.hub.soak.visitors import KEYS, Dropper, Room, Visitor
from tests.memory import resident_bytes

BROKERS: dict[str, type[BrokerServer]] = {"redis": Valkey, "nats": Nats}
_ROOMS = 4
_MESSAGE_BYTES = 1_000
_MESSAGES_S = 40
_RESTART_S = (4.0, 8.0)
_WAIT_S = 60.0
_BLOCKS_SLACK = 1.05
"""Python's allocated blocks at the end, relative to those after the warm-up."""
_RSS_SLACK_KB = 24 * 1024


class Soak:
    """One run over one broker."""

    def __init__(self, broker: BrokerServer, urls: Sequence[str], publisher: falconws.Hub) -> None:
        self._broker = broker
        self._urls = urls
        self._publisher = publisher
        self._publishing = asyncio.Event()
        """Not set while the broker loses its data: it is not known then what becomes of a message."""
        self._publishing.set()
        self._in_flight = 0
        self.restarts = 0
        self.losses = 0

    async def run(self, seconds: float) -> list[Visitor]:
        """Load the processes for *seconds*, and return the visitors when all have the last message."""
        rooms = [Room(f"{random.randrange(1 << 32):08x}", self._broker.scheme) for _ in range(_ROOMS)]
        visitors = [visitor for room in rooms for visitor in self._visitors(room)]
        end = asyncio.get_running_loop().time() + seconds
        async with asyncio.TaskGroup() as group:
            visits = [group.create_task(visitor.run()) for visitor in visitors]
            while any(isinstance(v, Dropper) and not v.connections for v in visitors):
                await asyncio.sleep(0.05)
            publishers = [group.create_task(self._publish(room, end)) for room in rooms]
            maltreating = group.create_task(self._maltreat(end, visitors))
            await asyncio.wait([*publishers, maltreating])
            _, late = await asyncio.wait(visits, timeout=_WAIT_S)
            for visit in late:
                visit.cancel()
        for visitor in visitors:
            visitor.check()
        return visitors

    def _url(self) -> str:
        return random.choice(self._urls)

    def _visitors(self, room: Room) -> list[Visitor]:
        return [
            *(Visitor(room, f"restless{n}", self._url, restless=True) for n in range(4)),
            *(Visitor(room, f"slow{n}", self._url, slow=True) for n in range(2)),
            Visitor(room, "steady", self._url),
            *(
                Dropper(room, f"{policy}{n}", self._url, policy)
                for n in range(2)
                for policy in ("drop_oldest", "conflate")
            ),
        ]

    async def _publish(self, room: Room, end: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < end:
            await self._publish_next(room)
            await asyncio.sleep(1 / _MESSAGES_S)
        await self._publishing.wait()
        # Clients wait for a last message that was published for certain.
        room.final = room.published + 1
        while not await self._publish_next(room):
            room.final += 1

    async def _publish_next(self, room: Room) -> bool:
        await self._publishing.wait()
        room.published += 1
        number = room.published
        self._in_flight += 1
        try:
            await self._publisher.publish(room.name, f"{number} ".ljust(_MESSAGE_BYTES, "."), key=str(number % KEYS))
        except BrokerUnavailable:
            room.uncertain.add(number)
            return False
        finally:
            self._in_flight -= 1
        return True

    async def _maltreat(self, end: float, visitors: Sequence[Visitor]) -> None:
        loop = asyncio.get_running_loop()
        while (pause_s := random.uniform(*_RESTART_S)) < end - loop.time():
            await asyncio.sleep(pause_s)
            self.restarts += 1
            for visitor in visitors:
                visitor.note("the broker is restarted" + ("" if self.restarts % 3 else " without its data"))
            if self.restarts % 3:
                await asyncio.to_thread(self._broker.restart)
                continue
            self.losses += 1
            self._publishing.clear()
            while self._in_flight:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(self._lose_data)
            self._publishing.set()

    def _lose_data(self) -> None:
        self._broker.kill()
        for folder in self._broker.folder.iterdir():
            if folder.is_dir():
                shutil.rmtree(folder)
        self._broker.start()


async def _counts(urls: Sequence[str]) -> list[dict[str, Any]]:
    async with httpx.AsyncClient(timeout=_WAIT_S) as http:
        return [(await http.get(f"{url}/counts")).json() for url in urls]


async def _settled(urls: Sequence[str], is_low: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """Return the counts of the processes once they are low: replays are cached for a few seconds."""
    deadline = time.monotonic() + _WAIT_S
    while True:
        counts = await _counts(urls)
        if is_low(counts) or time.monotonic() > deadline:
            return counts
        await asyncio.sleep(1)


async def soak(kind: str, seconds: float, folder: Path) -> bool:
    """Run the test over the broker *kind*, print its counts, and return whether memory is back."""
    broker = BROKERS[kind](folder / kind)
    services: list[ServiceProcess] = []
    try:
        for number in range(2):
            log = folder / f"{kind}-{number}.log"
            app = ("soak_app:app", Path(__file__).parent)
            services.append(await asyncio.to_thread(ServiceProcess, log, broker.url, app=app))
        urls = [service.url.rstrip("/") for service in services]
        async with falconws.Hub(broker.url, timeout_s=30) as publisher:
            test = Soak(broker, urls, publisher)
            await test.run(max(seconds / 4, 3.0))
            # What is cached for a few seconds is gone then.
            await asyncio.sleep(6)
            warm = await _counts(urls)
            warm_kb = [resident_bytes(count["pid"]) // 1024 for count in warm]
            visitors = await test.run(seconds * 3 / 4)
        limits = [count["blocks"] * _BLOCKS_SLACK for count in warm]
        counts = await _settled(urls, lambda counts: all(c["blocks"] <= m for c, m in zip(counts, limits, strict=True)))
        return _report(kind, test, visitors, list(zip(warm, warm_kb, counts, strict=True)))
    finally:
        for service in services:
            with contextlib.suppress(Exception):
                service.stop()
        broker.stop()


def _report(
    kind: str, test: Soak, visitors: Sequence[Visitor], processes: Sequence[tuple[dict[str, Any], int, dict[str, Any]]]
) -> bool:
    rooms = {visitor.room for visitor in visitors}
    print(
        f"{kind}: {sum(room.published for room in rooms)} messages published "
        f"({sum(len(room.uncertain) for room in rooms)} uncertain) to {len(rooms)} rooms with {len(visitors)} clients: "
        f"{sum(v.received for v in visitors)} received, {sum(v.dropped for v in visitors)} dropped by policy, "
        f"{sum(v.told for v in visitors)} told as gaps; {sum(v.connections for v in visitors)} connections, "
        f"{test.restarts} restarts of the broker, {test.losses} of them without its data"
    )
    good = True
    for number, (warm, warm_kb, now) in enumerate(processes):
        now_kb = resident_bytes(now["pid"]) // 1024
        print(
            f"{kind}: process {number}: {now['delivered']} delivered, {now['dropped']} dropped, {now['discarded']} "
            f"discarded, {now['disconnected']} disconnected, {now['gaps']} gaps, {now['waiting']} waiting; memory "
            f"{warm['blocks']} to {now['blocks']} blocks, {warm_kb} to {now_kb} kB"
        )
        good &= now["waiting"] == 0
        good &= now["blocks"] <= warm["blocks"] * _BLOCKS_SLACK and now_kb <= warm_kb + _RSS_SLACK_KB
    if not good:
        print(f"{kind}: something waits, or the memory has grown", file=sys.stderr)
    return good


def main(words: Sequence[str]) -> int:
    """Run the test, and return an exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.hub.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of load, for each broker (default: 60)")
    parser.add_argument("--broker", choices=BROKERS, nargs="+", default=list(BROKERS), help="(default: all, together)")
    parser.add_argument("--seed", type=int, default=None, help="of what is random, to repeat a run roughly")
    options = parser.parse_args(words)
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    random.seed(seed)
    print(f"--seed {seed}", flush=True)
    # The broker is away on purpose.
    logging.getLogger("falconws.hub").setLevel(logging.ERROR)

    async def run(folder: Path) -> list[bool]:
        return await asyncio.gather(*(soak(kind, options.seconds, folder) for kind in options.broker))

    with tempfile.TemporaryDirectory() as folder:
        return 0 if all(asyncio.run(run(Path(folder)))) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
