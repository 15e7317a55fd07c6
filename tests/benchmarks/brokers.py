"""The cost of a hub's broker: `python -m tests.benchmarks.brokers`.

Print, for each broker, the CPU time of a message in the process that publishes, in the broker and in a process that
follows the room, and the memory of a followed room. CPU time does not depend on other processes of the machine as
much as wall time does. The values are medians of interleaved rounds, with real brokers on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import falconws
from falconws.hub import HistoryLimits
from tests.benchmarks.fanout.rooms import Anonymous
from tests.e2e.hub.servers import BrokerServer, Nats, Valkey
from tests.memory import resident_bytes
from tests.runtime.hub.scripted import ScriptedSocket

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_TASKS = 16
_PAYLOAD = "x" * 64
KINDS: tuple[type[BrokerServer], ...] = (Valkey, Nats)


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def make_hub(url: str) -> falconws.Hub:
    return falconws.Hub(url, history=HistoryLimits(messages=100), timeout_s=30)


async def follow(url: str, rooms: int) -> None:
    """Follow *rooms* in this process. Print the memory of a room, or the CPU time of each message."""
    policy = falconws.Policy.disconnect(max_lag_s=60, max_bytes=1 << 30)
    async with make_hub(url) as hub:
        if rooms > _TASKS:
            before = resident_bytes(os.getpid())
            listeners = [hub.listen(f"room:{number}") for number in range(rooms)]
            for listener in listeners:
                await listener.__aenter__()
            print((resident_bytes(os.getpid()) - before) / 1024 / rooms, flush=True)
            return
        async with hub.listen(*(f"room:{number}" for number in range(rooms)), policy=policy) as messages:
            print("ready", flush=True)
            count, ended, started = 0, 0, 0.0
            async for event in messages:
                assert isinstance(event, falconws.Message), event
                started = started or time.process_time()
                count += 1
                ended += event.payload == "end"
                if ended == rooms:
                    print((time.process_time() - started) / count * 1e6, flush=True)
                    count, ended, started = 0, 0, 0.0


async def publish(hub: falconws.Hub, messages: int) -> float:
    """Publish from several tasks. Return the CPU time of one message, in microseconds."""

    async def run(room: str) -> None:
        for _ in range(messages // _TASKS):
            await hub.publish(room, _PAYLOAD)
        await hub.publish(room, "end")

    started = time.process_time()
    await asyncio.gather(*(run(f"room:{number}") for number in range(_TASKS)))
    return (time.process_time() - started) / messages * 1e6


def follower(url: str, rooms: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.benchmarks.brokers", "--follow", url, "--rooms", str(rooms)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line, "the follower process has ended"
    return line


async def measure(messages: int, rounds: int, rooms: int) -> None:
    """Measure all brokers and print the table."""
    with tempfile.TemporaryDirectory() as folder:
        servers = [kind(Path(folder) / kind.__name__) for kind in KINDS]
        followers = [follower(server.url, _TASKS) for server in servers]
        try:
            costs: dict[str, list[tuple[float, float, float]]] = {server.scheme: [] for server in servers}
            for process in followers:
                answer(process)
            for round_ in range(rounds + 1):
                for server, process in zip(servers, followers, strict=True):
                    async with make_hub(server.url) as hub:
                        before = cpu_s(server.pid)
                        publish_us = await publish(hub, messages)
                        follow_us = float(await asyncio.to_thread(answer, process))
                        broker_us = (cpu_s(server.pid) - before) / messages * 1e6
                    if round_:
                        costs[server.scheme].append((publish_us, broker_us, follow_us))
            print("| broker | publish, us | broker, us | follow, us | followed room, kB | at the broker, kB |")
            print("|---|---|---|---|---|---|")
            for server in servers:
                times = [statistics.median(part) for part in zip(*costs[server.scheme], strict=True)]
                before = resident_bytes(server.pid)
                room_kb = _room_kb(server.url, rooms)
                cells = [f"{time_us:.0f}" for time_us in times]
                cells += [f"{room_kb:.1f}", f"{(resident_bytes(server.pid) - before) / 1024 / rooms:.1f}"]
                print(f"| {server.scheme}:// | {' | '.join(cells)} |")
            print(f"| memory:// | | | | {_room_kb('memory://', rooms):.1f} | |")
        finally:
            for process in followers:
                process.kill()
                process.wait()
                assert process.stdout is not None
                process.stdout.close()
            for server in servers:
                server.stop()


async def measure_presence(members: int, rounds: int) -> None:
    """Print how long a room with *members* takes to list and to count, from another process's hub."""
    print("\n| broker | members | present(), ms | present_count(), ms |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            server = kind(Path(folder) / kind.__name__)
            try:
                async with make_hub(server.url) as hub, make_hub(server.url) as other:
                    socket = ScriptedSocket(Anonymous())
                    subscriptions = [hub.subscribe(socket, "room", member=f"m{number}") for number in range(members)]
                    for subscription in subscriptions:
                        await subscription.__aenter__()
                    listed, counted = [], []
                    for _ in range(rounds):
                        started = time.perf_counter()
                        found = await other.present("room")
                        listed.append(time.perf_counter() - started)
                        started = time.perf_counter()
                        count = await other.present_count("room")
                        counted.append(time.perf_counter() - started)
                    assert len(found) == count == members
                    cells = (f"{statistics.median(times) * 1000:.1f}" for times in (listed, counted))
                    print(f"| {server.scheme}:// | {members} | {' | '.join(cells)} |", flush=True)
            finally:
                server.stop()


def _room_kb(url: str, rooms: int) -> float:
    with follower(url, rooms) as process:
        return float(answer(process))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=4000, help="messages of 64 bytes in each round (default: 4000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default: 5)")
    parser.add_argument(
        "--rooms", type=int, default=5000, help="followed rooms, to measure the memory of one (default: 5000)"
    )
    parser.add_argument("--members", type=int, default=10_000, help="members of a room (default: 10000)")
    parser.add_argument("--follow", metavar="URL", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.follow:
        asyncio.run(follow(arguments.follow, arguments.rooms))
    else:
        asyncio.run(measure(arguments.messages, arguments.rounds, arguments.rooms))
        asyncio.run(measure_presence(arguments.members, arguments.rounds))


if __name__ == "__main__":
    main()
