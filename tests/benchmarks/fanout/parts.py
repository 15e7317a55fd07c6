"""The parts of the benchmark."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.benchmarks.fanout.bench import Bench, Case
from tests.benchmarks.fanout.contenders import CONTENDERS, OWN, Contender, falconws_over
from tests.benchmarks.fanout.results import Row
from tests.benchmarks.peers import ROOT
from tests.benchmarks.scenarios import LOAD_CORE
from tests.e2e.hub.servers import Valkey

PARTS = {
    "load": "falconws and its peers",
    "brokers": "a broker, compared with memory://",
    "growth": "a growing number of subscribers of one room",
    "workers": "a growing number of workers on one broker",
    "rooms": "the memory of a growing number of rooms",
}
BROKER_LOADS = ((1, 1), (16, 1), (16, 16))
"""Pairs of publications in flight and publishers."""


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


def measure_growth(bench: Bench, subscribers: Sequence[int]) -> list[Row]:
    """Measure a growing number of subscribers of one room."""
    return bench.measure([Case({"subscribers": count}, OWN.command, count) for count in subscribers])


def measure_brokers(bench: Bench, folder: Path, subscribers: int, loads: Sequence[tuple[int, int]]) -> list[Row]:
    """Compare memory:// with a Valkey server on this machine."""
    rows = []
    with _valkey(folder) as valkey:
        for in_flight, publishers in loads:
            what: dict[str, str | int] = {"subscribers": subscribers, "in_flight": in_flight, "publishers": publishers}
            cases = [
                Case({**what, "broker": name}, falconws_over(url), subscribers, publishers, in_flight)
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


@contextlib.contextmanager
def _valkey(folder: Path) -> Iterator[Valkey]:
    valkey = Valkey(folder / "valkey", persistent=False)
    try:
        for thread in os.listdir(f"/proc/{valkey.pid}/task"):
            os.sched_setaffinity(int(thread), {LOAD_CORE})
        yield valkey
    finally:
        valkey.stop()
