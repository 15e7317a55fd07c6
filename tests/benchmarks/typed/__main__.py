"""Measure echoes of one message as text, as media and as typed messages, and the import of `falconws.typed`."""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.load import Load
from tests.benchmarks.peers import ROOT
from tests.benchmarks.scenarios import LOAD_CORE, SERVER_CORE, WARM_UP_S
from tests.benchmarks.server import running
from tests.ports import free_port

MESSAGE = {"type": "said", "name": "anna", "text": "Hello to everybody in here!"}
PAYLOAD = json.dumps(MESSAGE, separators=(",", ":")).encode()
PATHS = ("/echo", "/media", "/typed", "/pydantic")
CONNECTIONS, IN_FLIGHT = 32, 16
RATIO_GOALS = {("/typed", "/media"): 0.6, ("/typed", "/echo"): 1.3, ("/pydantic", "/media"): 1.0}
IMPORT_GOAL_MS = 40.0
IMPORTS = 15
_CPU_OF_IMPORT = "import falconws.app, time; t = time.process_time(); import {}; print(time.process_time() - t)"


def echo_us(rounds: int, seconds: float) -> dict[str, list[float]]:
    """Return the CPU of the server for a message on each path and in each round, in microseconds."""
    samples: dict[str, list[float]] = {path: [] for path in PATHS}
    port = free_port()
    command = [sys.executable, "serve_falconws.py", "typed_app:app", str(port)]
    with tempfile.TemporaryDirectory() as folder, running(command, port, SERVER_CORE) as server:
        load = Load(Path(folder), LOAD_CORE)
        for _ in range(rounds):
            for path in PATHS:
                sample = load.run(
                    "echo",
                    server.port,
                    path,
                    CONNECTIONS,
                    IN_FLIGHT,
                    PAYLOAD,
                    warm_up_s=WARM_UP_S,
                    seconds=seconds,
                    pids=server.pids(),
                )
                samples[path].append(sample["cpu_us"])
    return samples


def ratio(values: list[float], others: list[float]) -> float:
    """Return the median of the ratios within a round: both were measured within seconds of each other."""
    return statistics.median(value / other for value, other in zip(values, others, strict=True))


def import_ms(module: str) -> float:
    """Return the least CPU of an import of *module* in a process that has imported an application, in milliseconds."""
    command = [sys.executable, "-c", _CPU_OF_IMPORT.format(module)]
    runs = [subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True) for _ in range(IMPORTS)]
    return min(float(run.stdout) for run in runs) * 1000


def verdict(title: str, value: float, goal: float, unit: str = "") -> str:
    """Return a line with a figure and its goal."""
    return f"{'ok    ' if value <= goal else 'missed'}  {title}: {value:.2f}{unit} (goal: at most {goal:g}{unit})"


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.typed", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each echo and round (default: 1)")
    options = parser.parse_args()
    found = echo_us(options.rounds, options.seconds)
    print(f"{len(PAYLOAD)} bytes, {CONNECTIONS} connections, {IN_FLIGHT} in flight")
    for path, microseconds in found.items():
        print(f"{path:<10} {statistics.median(microseconds):6.2f} us CPU a message")
    for (path, other), goal in RATIO_GOALS.items():
        print(verdict(f"{path} to {other}", ratio(found[path], found[other]), goal))
    print(verdict("import falconws.typed", import_ms("falconws.typed"), IMPORT_GOAL_MS, " ms"))


if __name__ == "__main__":
    main()
