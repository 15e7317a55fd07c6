"""The benchmark of fan-out: `python -m tests.benchmarks.fanout`, from the root of the checkout.

Rounds are interleaved, and what is compared is server CPU within one run, as in the other benchmark.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.peers import ROOT, Peers, default_folder, install
from tests.benchmarks.plots import Bar, bar_chart
from tests.benchmarks.scenarios import LOAD_CORE, SERVER_CORE
from tests.benchmarks.server import Server, ServerError, free_port, running

_HERE = Path(__file__).parent
_SERVERS = _HERE / "servers"
_BYTES = 64
_IN_FLIGHT = 4
_WARM_UP_S = 0.5
_PATIENCE_S = 60.0


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


def _falconws(peers: Peers, port: int) -> list[str]:
    options = f"app_dir={str(_SERVERS)!r}, port={port}, log_level='critical', access_log=False"
    return [str(peers.python), "-c", f"from falconws.server import run; run('hub_app:app', {options})"]


def _node(peers: Peers, port: int) -> list[str]:
    target = peers.node_folder / "serve_fanout.js"
    target.write_text((_SERVERS / "serve_ws.js").read_text())
    return [peers.node, str(target), str(port)]


CONTENDERS = (
    Contender("falconws", "falconws.Hub", None, _falconws),
    Contender("litestar", "Litestar ChannelsPlugin", 1 / 4, _uvicorn("litestar_app:app")),
    Contender("falcon", "Falcon, a loop of send_text()", 1 / 2, _uvicorn("falcon_app:app")),
    Contender("node", "Node ws, a loop of send()", 2 / 3, _node),
)

Samples = dict[str, list[dict[str, float]]]


def main() -> int:
    """Measure, write docs/performance/fan-out.*, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.fanout", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each measurement (default: 5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="seconds of each measurement (default: 1)")
    parser.add_argument("--subscribers", type=int, nargs="+", default=[500, 2000])
    parser.add_argument("--growth", type=int, nargs="*", default=[10, 100, 1000, 5000], help="for falconws alone")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "performance")
    options = parser.parse_args()
    peers = install(default_folder())
    results: dict[str, dict[str, list[dict[str, float]]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        load = Path(folder) / "fanout"
        subprocess.run(["cc", "-O2", "-o", str(load), str(_HERE / "fanout.c")], check=True, timeout=60)
        for count in options.subscribers:
            results[str(count)] = _measure(load, peers, CONTENDERS, count, options.rounds, options.seconds)
        growth = {
            str(count): _measure(load, peers, CONTENDERS[:1], count, options.rounds, options.seconds)["falconws"]
            for count in options.growth
        }
    rooms = {str(count): _room_bytes(count) for count in (1_000, 10_000, 100_000)}
    _report(options.output, results, growth, rooms, options.rounds, options.seconds)
    return 0


def _measure(
    load: Path, peers: Peers, contenders: tuple[Contender, ...], subscribers: int, rounds: int, seconds: float
) -> Samples:
    samples: Samples = {}
    for number in range(rounds):
        for contender in contenders:
            port = free_port()
            try:
                # A server for each sample: only one at a time may hold the connections of thousands.
                with running(contender.command(peers, port), port, SERVER_CORE) as server:
                    sample = _sample(load, server, subscribers, seconds)
            except (ServerError, OSError, subprocess.SubprocessError) as error:
                print(f"left out: {contender.title}, {subscribers} subscribers: {error}", file=sys.stderr)
                continue
            samples.setdefault(contender.key, []).append(sample)
            print(f"{subscribers} {contender.title} {number + 1}/{rounds}: {sample['cpu_us']:.2f} us", flush=True)
    return samples


def _sample(load: Path, server: Server, subscribers: int, seconds: float) -> dict[str, float]:
    words = [server.port, subscribers, _IN_FLIGHT, _BYTES, _WARM_UP_S, seconds, ",".join(map(str, server.pids()))]
    done = subprocess.run(
        [str(load), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        preexec_fn=lambda: os.sched_setaffinity(0, {LOAD_CORE}),
    )
    if done.returncode:
        raise ServerError(done.stderr.strip())
    sample: dict[str, float] = json.loads(done.stdout)
    return sample


def _room_bytes(count: int) -> float:
    command = [sys.executable, "-m", "tests.benchmarks.fanout.rooms", str(count)]
    return float(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120).stdout)


def _report(
    output: Path,
    results: dict[str, Samples],
    growth: dict[str, list[dict[str, float]]],
    rooms: dict[str, float],
    rounds: int,
    seconds: float,
) -> None:
    lines = ["# Fan-out", "", f"One publisher, {_BYTES} bytes, server CPU for each delivery in µs; medians of {rounds}"]
    lines += [f"interleaved rounds of {seconds:g} s. Made by `python -m tests.benchmarks.fanout`.", ""]
    lines += ["| Subscribers | Server | µs CPU/delivery | falconws needs | at most |", "|---|---|---|---|---|"]
    for count, samples in results.items():
        own = _median(samples.get("falconws", []))
        bars = []
        for contender in CONTENDERS:
            values = [sample["cpu_us"] for sample in samples.get(contender.key, [])]
            if not values:
                continue
            bars.append(Bar(contender.title, values, contender.target is None))
            ratio = own / statistics.median(values)
            verdict = "" if contender.target is None else f"{contender.target:.2f}"
            if contender.target is not None:
                print(f"{count} subscribers, against {contender.title}: {ratio:.2f}; at most {contender.target:.2f}")
            lines.append(
                f"| {count} | {contender.title} | {statistics.median(values):.2f} "
                f"({min(values):.2f} to {max(values):.2f}) | {ratio:.2f} | {verdict} |"
            )
        chart = bar_chart(f"Fan-out to {count} subscribers", "µs CPU/delivery, less is better", bars)
        (output / f"fan-out-{count}.svg").write_text(chart)
    for count in results:
        lines += ["", f"![Fan-out to {count} subscribers](fan-out-{count}.svg)"]
    lines += ["", "## How it grows", "", "| Subscribers of one room | µs CPU/delivery |", "|---|---|"]
    lines += [f"| {count} | {_median(samples):.2f} |" for count, samples in growth.items()]
    bars = [Bar(f"{count} subscribers", [s["cpu_us"] for s in samples], True) for count, samples in growth.items()]
    (output / "fan-out-subscribers.svg").write_text(
        bar_chart("How fan-out grows", "µs CPU/delivery, falconws.Hub over memory://", bars)
    )
    lines += ["", "![How fan-out grows](fan-out-subscribers.svg)", "", "| Rooms, one member each | Bytes a room |"]
    lines += ["|---|---|", *(f"| {count} | {size:.0f} |" for count, size in rooms.items())]
    (output / "fan-out-rooms.svg").write_text(
        bar_chart(
            "How rooms grow", "bytes a room with one member", [Bar(f"{c} rooms", [v], True) for c, v in rooms.items()]
        )
    )
    lines += ["", "![How rooms grow](fan-out-rooms.svg)", ""]
    (output / "fan-out.md").write_text("\n".join(lines))
    print(*(f"{count} rooms: {size:.0f} bytes a room" for count, size in rooms.items()), sep="\n")


def _median(samples: list[dict[str, float]]) -> float:
    return statistics.median(sample["cpu_us"] for sample in samples)


if __name__ == "__main__":
    raise SystemExit(main())
