"""Interleaved rounds of loads on servers (A B C A B C), so that drift affects all cases alike."""

import contextlib
import json
import os
import resource
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.fanout.contenders import Command
from tests.benchmarks.fanout.results import Row, Sample
from tests.benchmarks.peers import Peers
from tests.benchmarks.scenarios import LOAD_CORE, SERVER_CORE
from tests.benchmarks.server import START_S, Server, ServerError, running
from tests.ports import free_port

BYTES = 64
_WARM_UP_S = 0.5
_TIMEOUT_S = 60.0
_CONNECT_S = 0.01
"""Time for each connection, on a busy machine."""


@dataclass(frozen=True)
class Case:
    """One load on one server.

    Args:
        what: Identifies the case; also identifies its row.
        command: Starts the server.
        subscribers: Connections on /sub.
        publishers: Connections on /pub, which publish one after the other.
        in_flight: Publications in flight, of all publishers together.
        batch: How many of them a publisher makes together, with ``publish_many()`` if there are several.
        workers: Worker processes of the server.
        bytes: The size of a message.
        compressed: Whether the server compresses messages, with permessage-deflate.
        broker_pid: The process of the broker, if its CPU time is measured.
    """

    what: dict[str, str | int]
    command: Command
    subscribers: int
    publishers: int = 1
    in_flight: int = 1
    batch: int = 1
    workers: int = 1
    bytes: int = BYTES
    compressed: bool = False
    broker_pid: int | None = None


@dataclass(frozen=True)
class TickerCase(Case):
    """A ticker: *subscribers* clients get the updates of *each* of *symbols*, of which there are *updates* a second."""

    symbols: int = 200
    each: int = 20
    updates: int = 2_000


@dataclass(frozen=True)
class Bench:
    """Measures cases.

    Args:
        programs: The folder with the loads, compiled.
        peers: The installed peers.
        rounds: The number of rounds of each case.
        seconds: The length of each round.
    """

    programs: Path
    peers: Peers
    rounds: int
    seconds: float

    def measure(self, cases: Sequence[Case]) -> list[Row]:
        """Return a row for each case that works, with a sample for each round. Print why the others fail."""
        _allow_files(max(case.subscribers for case in cases) + 200)
        rows = [Row(case.what, []) for case in cases]
        for number in range(self.rounds):
            for case, row in zip(cases, rows, strict=True):
                title = ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in case.what.items())
                try:
                    sample = self._sample(case)
                except (ServerError, OSError, subprocess.SubprocessError) as error:
                    print(f"left out: {title}: {error}", file=sys.stderr)
                    continue
                row.samples.append(sample)
                print(f"{title}, round {number + 1} of {self.rounds}: {_shown(sample)}", flush=True)
        return [row for row in rows if row.samples]

    def _sample(self, case: Case) -> Sample:
        port = free_port()
        # A new server for each sample, because only one at a time can hold thousands of connections.
        with running(case.command(self.peers, port), port, SERVER_CORE) as server:
            if case.workers > 1:
                _await_workers(port, case.workers)
            sample = self._load(case, server)
        if sample.pop("workers", case.workers) < case.workers:
            sample["fewest"] = 0
        return sample

    def _load(self, case: Case, server: Server) -> Sample:
        warm_up_s = min(_WARM_UP_S, self.seconds)
        pids = ",".join(map(str, server.pids()))
        if isinstance(case, TickerCase):
            counts = (case.subscribers, case.symbols, case.each, case.updates)
            return self._run("ticker", [server.port, *counts, warm_up_s, self.seconds, pids])
        words: list[str | float] = [server.port, case.subscribers, case.publishers, case.in_flight, case.batch]
        words += [case.bytes, int(case.compressed), warm_up_s, self.seconds, pids]
        if case.broker_pid is not None:
            words.append(case.broker_pid)
        return self._run("fanout", words)

    def _run(self, program: str, words: Sequence[str | float]) -> Sample:
        done = subprocess.run(
            [str(self.programs / program), *map(str, words)],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S + self.seconds + int(words[1]) * _CONNECT_S,
            preexec_fn=lambda: os.sched_setaffinity(0, {LOAD_CORE}),
        )
        if done.returncode:
            raise ServerError(done.stderr.strip())
        sample: Sample = json.loads(done.stdout)
        return sample


def compile_loads(folder: Path) -> Path:
    """Compile the loads into *folder*, and return it."""
    for name in ("fanout", "ticker"):
        source = Path(__file__).with_name(f"{name}.c")
        subprocess.run(["cc", "-O2", "-o", str(folder / name), str(source)], check=True, timeout=60)
    return folder


def _shown(sample: Sample) -> str:
    return f"{sample['cpu_us']:.2f} us" if "cpu_us" in sample else f"p99 {sample['p99_ms']:.1f} ms"


def _allow_files(count: int) -> None:
    """Allow this process, and those that it starts, *count* open files. A server that gets fewer is left out."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        # Only root may exceed the hard limit.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (count, max(count, hard)))


def _await_workers(port: int, count: int) -> None:
    """Wait until all workers serve. A worker that starts late would get no subscribers."""
    deadline = time.monotonic() + START_S
    seen: set[bytes] = set()
    while len(seen) < count:
        if time.monotonic() > deadline:
            raise ServerError(f"{len(seen)} of {count} workers answered within {START_S:.0f} s")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/worker", timeout=START_S) as response:
            seen.add(response.read())
