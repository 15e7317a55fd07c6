"""The parts of the benchmark."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.benchmarks.brokers import cpu_s
from tests.benchmarks.fanout.bench import Bench, Case, TickerCase
from tests.benchmarks.fanout.contenders import CONTENDERS, OWN, Contender, falconws_over
from tests.benchmarks.fanout.results import Row, Sample
from tests.benchmarks.peers import ROOT
from tests.benchmarks.scenarios import LOAD_CORE
from tests.benchmarks.server import START_S
from tests.e2e.hub.servers import BrokerServer, Nats, Valkey
from tests.ports import free_port

PARTS = {
    "load": "falconws and its peers",
    "compression": "compressed messages, compared with plain ones",
    "brokers": "a broker, compared with memory://",
    "growth": "a growing number of subscribers of one room",
    "workers": "a growing number of workers on one broker",
    "ticker": "a ticker with many symbols",
    "rooms": "the memory of a growing number of rooms",
    "members": "the cost of keeping a growing number of members",
}
BROKER_LOADS = ((1, 1, 1), (16, 1, 1), (16, 16, 1), (16, 1, 16))
"""Publications in flight, publishers, and how many of them a publisher makes together."""
_JSON_BYTES = 1000
"""The size of a message that is worth compressing."""
_IDLE_S = 10.0
"""How long the commands are counted that keep members."""
_JOIN_S = 600.0


def measure_load(
    bench: Bench, subscribers: Sequence[int], in_flight: Sequence[int], contenders: Sequence[Contender] = CONTENDERS
) -> list[Row]:
    """Compare falconws with its peers."""
    rows = []
    for count in subscribers:
        for number in in_flight:
            what: dict[str, str | int] = {"subscribers": count, "in_flight": number}
            rows += bench.measure(
                [Case({**what, "server": one.key}, one.command, count, in_flight=number) for one in contenders]
            )
    return rows


def measure_compression(
    bench: Bench, subscribers: int, in_flight: Sequence[int], contenders: Sequence[Contender] = CONTENDERS
) -> list[Row]:
    """Compare compressed messages with plain ones, on each server that compresses."""
    rows = []
    for number in in_flight:
        cases = [
            Case(
                {"subscribers": subscribers, "in_flight": number, "server": one.key, "compressed": int(compressed)},
                one.compressing if compressed else one.command,
                subscribers,
                in_flight=number,
                bytes=_JSON_BYTES,
                compressed=compressed,
            )
            for one in contenders
            if one.deflates
            for compressed in (False, True)
        ]
        rows += bench.measure(cases)
    return rows


def measure_growth(bench: Bench, subscribers: Sequence[int]) -> list[Row]:
    """Measure a growing number of subscribers of one room."""
    return bench.measure([Case({"subscribers": count}, OWN.command, count) for count in subscribers])


def measure_brokers(bench: Bench, folder: Path, subscribers: int, loads: Sequence[tuple[int, int, int]]) -> list[Row]:
    """Compare memory:// with a Valkey server on this machine."""
    rows = []
    with _valkey(folder) as valkey:
        for in_flight, publishers, together in loads:
            what: dict[str, str | int] = {"subscribers": subscribers, "in_flight": in_flight, "publishers": publishers}
            what["together"] = together
            cases = [
                Case({**what, "broker": name}, falconws_over(url), subscribers, publishers, in_flight, together)
                for name, url in (("memory", "memory://"), (valkey.scheme, valkey.url))
            ]
            rows += bench.measure(cases)
    return rows


def measure_workers(bench: Bench, folder: Path, workers: Sequence[int], subscribers: int) -> list[Row]:
    """Measure a growing number of workers on one Valkey server, each with *subscribers* of one room."""
    with _valkey(folder) as valkey:
        cases = [
            Case(
                {"workers": count, "subscribers": count * subscribers},
                falconws_over(valkey.url, count),
                count * subscribers,
                workers=count,
                broker_pid=valkey.pid,
            )
            for count in workers
        ]
        return bench.measure(cases)


def measure_rooms(counts: Sequence[int]) -> list[Row]:
    """Measure the memory of a room with one member."""
    rows = []
    for count in counts:
        command = [sys.executable, "-m", "tests.benchmarks.fanout.rooms", str(count)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
        rows.append(Row({"rooms": count}, [{"bytes": float(done.stdout)}]))
        print(f"rooms: {count}: {done.stdout.strip()} bytes", flush=True)
    return rows


def measure_ticker(bench: Bench, clients: int = 300) -> list[Row]:
    """Measure a ticker of 200 symbols, with clients of 20 each."""
    return bench.measure([TickerCase({"clients": clients}, OWN.command, clients)])


def measure_members(folder: Path, counts: Sequence[int]) -> list[Row]:
    """Measure what a process needs for its members, and how many commands keep them, over each broker."""
    rows = []
    for kind in (Valkey, Nats):
        for count in counts:
            settings = {"settings": {"http": f"127.0.0.1:{free_port()}"}} if kind is Nats else {}
            server = kind(folder / f"{kind.__name__}-{count}", persistent=False, **settings)
            try:
                sample = _keep_members(server, count)
            finally:
                server.stop()
            rows.append(Row({"broker": server.scheme, "members": count}, [sample]))
            print(f"members over {server.scheme}://: {count}: {sample}", flush=True)
    return rows


def _keep_members(server: BrokerServer, count: int) -> Sample:
    command = [sys.executable, "-m", "tests.benchmarks.fanout.members", server.url, str(count)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        timer = threading.Timer(_JOIN_S, process.kill)
        timer.start()
        try:
            assert process.stdout is not None
            sample: Sample = json.loads(process.stdout.readline())
            before, cpu_before = _commands(server), cpu_s(process.pid)
            time.sleep(_IDLE_S)
            sample["commands"] = (_commands(server) - before) / _IDLE_S
            sample["idle_cpu"] = (cpu_s(process.pid) - cpu_before) / _IDLE_S
            return sample
        finally:
            timer.cancel()
            process.kill()


def _commands(server: BrokerServer) -> int:
    """Return how many commands or messages *server* has received."""
    if isinstance(server, Valkey):
        stats = server.say("INFO", "stats")
        return int(stats.partition("total_commands_processed:")[2].split()[0])
    assert isinstance(server, Nats)
    with urllib.request.urlopen(f"http://{server.settings['http']}/varz", timeout=START_S) as answer:
        return int(json.load(answer)["in_msgs"])


@contextlib.contextmanager
def _valkey(folder: Path) -> Iterator[Valkey]:
    valkey = Valkey(folder / "valkey", persistent=False)
    try:
        for thread in os.listdir(f"/proc/{valkey.pid}/task"):
            os.sched_setaffinity(int(thread), {LOAD_CORE})
        yield valkey
    finally:
        valkey.stop()
