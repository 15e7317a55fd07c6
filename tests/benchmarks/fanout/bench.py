"""Interleaved rounds of loads on servers (A B C A B C), so that drift affects all cases alike."""

import json
import os
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


@dataclass(frozen=True)
class Case:
    """One load on one server.

    Args:
        what: Identifies the case; also identifies its row.
        command: Starts the server.
        subscribers: Connections on /sub.
        publishers: Connections on /pub, which publish one after the other.
        in_flight: Publications in flight, of all publishers together.
        workers: Worker processes of the server.
        broker_pid: The process of the broker, if its CPU time is measured.
    """

    what: dict[str, str | int]
    command: Command
    subscribers: int
    publishers: int = 1
    in_flight: int = 1
    workers: int = 1
    broker_pid: int | None = None


@dataclass(frozen=True)
class Bench:
    """Measures cases.

    Args:
        program: fanout.c, compiled.
        peers: The installed peers.
        rounds: The number of rounds of each case.
        seconds: The length of each round.
    """

    program: Path
    peers: Peers
    rounds: int
    seconds: float

    def measure(self, cases: Sequence[Case]) -> list[Row]:
        """Return a row for each case that works, with a sample for each round. Print why the others fail."""
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
                print(f"{title}, round {number + 1} of {self.rounds}: {sample['cpu_us']:.2f} us", flush=True)
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
        words: list[str | float] = [server.port, case.subscribers, case.publishers, case.in_flight, BYTES]
        words += [min(_WARM_UP_S, self.seconds), self.seconds, ",".join(map(str, server.pids()))]
        if case.broker_pid is not None:
            words.append(case.broker_pid)
        done = subprocess.run(
            [str(self.program), *map(str, words)],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S + self.seconds,
            preexec_fn=lambda: os.sched_setaffinity(0, {LOAD_CORE}),
        )
        if done.returncode:
            raise ServerError(done.stderr.strip())
        sample: Sample = json.loads(done.stdout)
        return sample


def compile_load(folder: Path) -> Path:
    """Return fanout.c, compiled into *folder*."""
    program = folder / "fanout"
    source = Path(__file__).parent / "fanout.c"
    subprocess.run(["cc", "-O2", "-o", str(program), str(source)], check=True, timeout=60)
    return program


def _await_workers(port: int, count: int) -> None:
    """Wait until all workers serve. A worker that starts late would get no subscribers."""
    deadline = time.monotonic() + START_S
    seen: set[bytes] = set()
    while len(seen) < count:
        if time.monotonic() > deadline:
            raise ServerError(f"{len(seen)} of {count} workers answered within {START_S:.0f} s")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/worker", timeout=START_S) as response:
            seen.add(response.read())
