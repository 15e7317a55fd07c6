"""The command line: `python -m tests.benchmarks`, from the root of the checkout."""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from tests.benchmarks.contenders import CONTENDERS, Contender
from tests.benchmarks.figures import outcomes
from tests.benchmarks.load import Load
from tests.benchmarks.peers import ROOT, default_folder, install
from tests.benchmarks.report import write
from tests.benchmarks.scenarios import LOAD_CORE, SCENARIOS, SERVER_CORE, Bench, Scenario

_Keyed = TypeVar("_Keyed", Contender, Scenario)


def main(words: Sequence[str]) -> int:
    """Measure, write the files and print the figures. Return an exit code."""
    parser = _parser()
    options = parser.parse_args(words)
    if options.list:
        for thing in (*CONTENDERS, *SCENARIOS):
            print(f"{thing.key:18} {thing.title}")
        return 0
    names = [name for value in options.only for name in value.split(",")]
    unknown = sorted(set(names) - {thing.key for thing in (*CONTENDERS, *SCENARIOS)})
    if unknown:
        parser.error(f"there is no contender or scenario {', '.join(unknown)}; --list shows them all")
    if options.rounds < 1 or not 0.05 <= options.seconds <= 60:
        parser.error("--rounds must be 1 or more, and --seconds between 0.05 and 60")
    if not hasattr(os, "sched_setaffinity") or not {SERVER_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        print(f"The benchmark needs Linux and the cores {SERVER_CORE} and {LOAD_CORE}.", file=sys.stderr)
        return 1
    contenders, scenarios = _chosen(CONTENDERS, names), _chosen(SCENARIOS, names)
    peers = install(options.peers)
    with tempfile.TemporaryDirectory() as folder:
        load = Load(Path(folder), LOAD_CORE)
        bench = Bench(peers, load, rounds=options.rounds, seconds=options.seconds, say=_say)
        results = bench.run(contenders, scenarios)
    command = " ".join(["python -m tests.benchmarks", *words])
    files = write(
        options.output,
        results,
        contenders,
        scenarios,
        peers=peers,
        generator=load.title,
        command=command,
        rounds=options.rounds,
        seconds=options.seconds,
    )
    for outcome in outcomes(results):
        print(outcome)
    print(f"Wrote {len(files)} files to {options.output}.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description="Compare falconws with its peers, on Linux with two cores."
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME,...",
        help="contenders and scenarios to measure (see --list); the default is all contenders and all scenarios",
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each scenario (default: 3)")
    parser.add_argument("--seconds", type=float, default=1.0, help="seconds of each measurement (default: 1)")
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT / "docs" / "performance",
        help="folder for the tables and plots (default: docs/performance)",
    )
    parser.add_argument(
        "--peers",
        type=Path,
        default=default_folder(),
        help="folder for the packages of the peers (default: a cache folder)",
    )
    parser.add_argument("--list", action="store_true", help="list the contenders and scenarios, and exit")
    return parser


def _chosen(things: Sequence[_Keyed], names: Sequence[str]) -> list[_Keyed]:
    named = [thing for thing in things if thing.key in names]
    return named or list(things)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
