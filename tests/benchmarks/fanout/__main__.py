"""The benchmark of fan-out: `python -m tests.benchmarks.fanout`, from the root of the checkout.

Rounds are interleaved, and what is compared is server CPU within one run, as in the other benchmark.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.benchmarks.fanout.report import BYTES, Results, Sample, Title, write
from tests.benchmarks.peers import ROOT, Peers, default_folder, install
from tests.benchmarks.scenarios import LOAD_CORE, SERVER_CORE
from tests.benchmarks.server import Server, ServerError, free_port, running
from tests.e2e.hub.servers import Valkey

_HERE = Path(__file__).parent
_SERVERS = _HERE / "servers"
_WARM_UP_S = 0.5
_PATIENCE_S = 60.0
_BROKER_SUBSCRIBERS = 500


@dataclass(frozen=True)
class Contender:
    """One server that sends what comes on /pub to everybody on /sub."""

    key: str
    title: str
    target: float | None
    """How much of its CPU falconws may need at most."""
    command: Callable[[Peers, int], list[str]]


def _uvicorn(app: str) -> Callable[[Peers, int], list[str]]:
    options = ["--log-level", "critical", "--app-dir", str(_SERVERS)]
    return lambda peers, port: [str(peers.python), "-m", "uvicorn", app, "--port", str(port), *options]


def _falconws_over(url: str) -> Callable[[Peers, int], list[str]]:
    def command(peers: Peers, port: int) -> list[str]:
        options = f"app_dir={str(_SERVERS)!r}, port={port}, log_level='critical', access_log=False"
        code = f"from falconws.server import run; run('hub_app:app', {options})"
        return ["env", f"FANOUT_HUB_URL={url}", str(peers.python), "-c", code]

    return command


def _node(peers: Peers, port: int) -> list[str]:
    target = peers.node_folder / "serve_fanout.js"
    target.write_text((_SERVERS / "serve_ws.js").read_text())
    return [peers.node, str(target), str(port)]


CONTENDERS = (
    Contender("falconws", "falconws.Hub", None, _falconws_over("memory://")),
    Contender("litestar", "Litestar ChannelsPlugin", 1 / 4, _uvicorn("litestar_app:app")),
    Contender("falcon", "Falcon, a loop of send_text()", 1 / 2, _uvicorn("falcon_app:app")),
    Contender("node", "Node ws, a loop of send()", 2 / 3, _node),
)

TITLES = {contender.key: Title(contender.title, contender.target) for contender in CONTENDERS}
Samples = dict[str, list[Sample]]


@dataclass(frozen=True)
class Bench:
    """Rounds of one load, server by server.

    Args:
        program: fanout.c, compiled.
        peers: What the servers run on.
        rounds: Of each measurement.
        seconds: Of each measurement.
    """

    program: Path
    peers: Peers
    rounds: int
    seconds: float

    def measure(self, contenders: Sequence[Contender], subscribers: int, in_flight: int) -> Samples:
        """Return a sample a round of each contender that works; of those that do not, say why."""
        samples: Samples = {}
        for number in range(self.rounds):
            for contender in contenders:
                port = free_port()
                try:
                    # A server for each sample: only one at a time may hold the connections of thousands.
                    with running(contender.command(self.peers, port), port, SERVER_CORE) as server:
                        sample = self._sample(server, subscribers, in_flight)
                except (ServerError, OSError, subprocess.SubprocessError) as error:
                    print(f"left out: {contender.title}, {subscribers} subscribers: {error}", file=sys.stderr)
                    continue
                samples.setdefault(contender.key, []).append(sample)
                load = f"{subscribers} subscribers, {in_flight} in flight"
                print(f"{load}, {contender.title} {number + 1}/{self.rounds}: {sample['cpu_us']:.2f} us", flush=True)
        return samples

    def _sample(self, server: Server, subscribers: int, in_flight: int) -> Sample:
        words = [server.port, subscribers, in_flight, BYTES, _WARM_UP_S, self.seconds]
        done = subprocess.run(
            [str(self.program), *map(str, words), ",".join(map(str, server.pids()))],
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            preexec_fn=lambda: os.sched_setaffinity(0, {LOAD_CORE}),
        )
        if done.returncode:
            raise ServerError(done.stderr.strip())
        sample: Sample = json.loads(done.stdout)
        return sample


def measure_brokers(bench: Bench, folder: Path, in_flight: Sequence[int]) -> dict[int, Samples]:
    """Compare memory:// with a Valkey server of this machine, on the interpreter that runs this: it has the drivers."""
    own = replace(bench, peers=replace(bench.peers, python=Path(sys.executable)))
    valkey = Valkey(folder / "valkey")
    try:
        brokers = {"memory": "memory://", valkey.scheme: valkey.url}
        contenders = [Contender(key, f"over {key}://", None, _falconws_over(url)) for key, url in brokers.items()]
        return {number: own.measure(contenders, _BROKER_SUBSCRIBERS, number) for number in in_flight}
    finally:
        valkey.stop()


def compile_load(folder: Path) -> Path:
    """Return fanout.c, compiled into *folder*."""
    program = folder / "fanout"
    subprocess.run(["cc", "-O2", "-o", str(program), str(_HERE / "fanout.c")], check=True, timeout=60)
    return program


def main() -> int:
    """Measure, write docs/performance/fan-out.*, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.fanout", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each measurement (default: 5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="seconds of each measurement (default: 1)")
    parser.add_argument("--subscribers", type=int, nargs="+", default=[500, 2000])
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 16], help="publications on their way at a time")
    parser.add_argument("--growth", type=int, nargs="*", default=[10, 100, 1000, 5000], help="for falconws alone")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "performance")
    options = parser.parse_args()
    results = Results()
    with tempfile.TemporaryDirectory() as folder:
        program = compile_load(Path(folder))
        bench = Bench(program, install(default_folder()), options.rounds, options.seconds)
        for count in options.subscribers:
            for in_flight in options.in_flight:
                results.load[count, in_flight] = bench.measure(CONTENDERS, count, in_flight)
        for count in options.growth:
            results.growth[count] = bench.measure(CONTENDERS[:1], count, 1)["falconws"]
        results.brokers = measure_brokers(bench, Path(folder), options.in_flight)
    results.rooms = {count: _room_bytes(count) for count in (1_000, 10_000, 100_000)}
    heading = _heading(options.rounds, options.seconds, options.in_flight)
    print(*write(options.output, results, TITLES, "falconws", heading), sep="\n")
    return 0


def _heading(rounds: int, seconds: float, in_flight: Sequence[int]) -> list[str]:
    numbers = " or ".join(map(str, in_flight))
    return [
        f"One publisher, {BYTES} bytes, server CPU for each delivery in µs; medians of {rounds}",
        f"interleaved rounds of {seconds:g} s. Made by `python -m tests.benchmarks.fanout`.",
        "",
        f"The publisher is the same for all: it keeps {numbers} publications in flight, and sends the next",
        "one when every subscriber has got the first of them. With one in flight, a delivery is one",
        "system call on every server, and most of its cost. Where several publications come in one turn",
        "of the event loop, falconws sends each connection one write for all of them.",
    ]


def _room_bytes(count: int) -> float:
    command = [sys.executable, "-m", "tests.benchmarks.fanout.rooms", str(count)]
    return float(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120).stdout)


if __name__ == "__main__":
    raise SystemExit(main())
