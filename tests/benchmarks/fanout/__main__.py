"""The command line: `python -m tests.benchmarks.fanout`, from the root of the checkout."""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.fanout.bench import Bench, compile_loads
from tests.benchmarks.fanout.parts import (
    BROKER_LOADS,
    PARTS,
    measure_brokers,
    measure_compression,
    measure_growth,
    measure_load,
    measure_members,
    measure_rooms,
    measure_ticker,
    measure_workers,
)
from tests.benchmarks.fanout.report import section, write
from tests.benchmarks.fanout.results import Part, Row, read, save
from tests.benchmarks.peers import ROOT, Peers, default_folder, install
from tests.benchmarks.report import machine
from tests.benchmarks.scenarios import LOAD_CORE, SERVER_CORE

_TIMES = ("rounds", "seconds")
_OPTIONS = {
    "load": (*_TIMES, "subscribers", "in_flight"),
    "compression": (*_TIMES, "in_flight"),
    "brokers": _TIMES,
    "growth": (*_TIMES, "growth"),
    "workers": (*_TIMES, "workers"),
    "ticker": _TIMES,
    "rooms": ("rooms",),
    "members": ("members",),
}
"""The options that each part depends on."""
_SUBSCRIBERS = 500
"""The number of subscribers with compression, and of a worker over a broker."""
_EPILOG = """\
examples:
  python -m tests.benchmarks.fanout
  python -m tests.benchmarks.fanout --only workers brokers --rounds 7
  python -m tests.benchmarks.fanout --only workers --workers 1 2 4 8 --output figures

parts:
""" + "\n".join(f"  {name:11} {about}" for name, about in PARTS.items())


def main(words: Sequence[str]) -> int:
    """Measure, write the files and print the tables. Return an exit code."""
    parser = _parser()
    options = parser.parse_args(words)
    if options.rounds < 1 or not 0.05 <= options.seconds <= 60:
        parser.error("--rounds must be 1 or more, and --seconds between 0.05 and 60")
    if (
        min(
            *options.subscribers,
            *options.in_flight,
            *options.growth,
            *options.workers,
            *options.rooms,
            *options.members,
        )
        < 1
    ):
        parser.error("all numbers must be 1 or more")
    if not {"rooms", "members"}.issuperset(options.only):
        if not hasattr(os, "sched_setaffinity") or not {SERVER_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
            print(f"The benchmark needs Linux and the cores {SERVER_CORE} and {LOAD_CORE}.", file=sys.stderr)
            return 1
        if shutil.which("cc") is None:
            print("The benchmark needs a C compiler, as cc.", file=sys.stderr)
            return 1
    options.output.mkdir(parents=True, exist_ok=True)
    data = options.output / "fan-out.json"
    parts = read(data)
    with tempfile.TemporaryDirectory() as folder:
        measures = _measures(options, Path(folder))
        for name in options.only:
            rows = measures[name]()
            if not rows:
                print(f'The part "{name}" has no result; its previous figures stay.', file=sys.stderr)
                return 1
            command = _command(parser, options, name)
            date = datetime.now(UTC).date().isoformat()
            parts[name] = Part(command, date, machine(), options.rounds, options.seconds, rows, options.note)
            # Save after each part, so that a later part that fails does not discard it.
            save(data, parts)
            write(options.output, parts)
    for name in options.only:
        print("", section(name, parts[name]), sep="\n")
    print(f"Wrote {options.output / 'fan-out.md'}.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.fanout",
        description="Measure the cost of a delivery, beside its peers and with growing load, on two cores of Linux.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only",
        nargs="+",
        default=list(PARTS),
        choices=PARTS,
        metavar="PART",
        help="parts to measure, see below (default: all); the other parts keep their figures",
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each measurement (default: 5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="seconds of each measurement (default: 1)")

    parser.add_argument("--note", default="", help="a sentence on the circumstances, for the page")

    def add_counts(name: str, default: list[int], about: str) -> None:
        shown = " ".join(map(str, default))
        parser.add_argument(name, type=int, nargs="+", default=default, metavar="N", help=f"{about} (default: {shown})")

    add_counts("--subscribers", [500, 2000], "load: subscribers of the room")
    add_counts("--in-flight", [1, 16], "load, compression: publications in flight")
    # A little less than 20,000: many systems allow a process that many open files.
    add_counts("--growth", [100, 1000, 5000, 19_500], "growth: subscribers of the room")
    add_counts("--workers", [1, 2, 4], f"workers: worker processes, with {_SUBSCRIBERS} subscribers each")
    add_counts("--rooms", [1_000, 10_000, 100_000, 200_000], "rooms: rooms with one subscriber")
    add_counts("--members", [1_000, 10_000, 100_000], "members: members of 100 rooms, in one process")
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT / "docs" / "performance",
        help="folder for fan-out.md, its plots and fan-out.json, the data (default: docs/performance)",
    )
    return parser


def _measures(options: argparse.Namespace, folder: Path) -> dict[str, Callable[[], list[Row]]]:
    def bench(peers: Peers | None = None) -> Bench:
        own = Peers(Path(sys.executable), "", folder)
        return Bench(compile_loads(folder), peers or own, options.rounds, options.seconds)

    return {
        "load": lambda: measure_load(bench(install(default_folder())), options.subscribers, options.in_flight),
        "compression": lambda: measure_compression(bench(install(default_folder())), _SUBSCRIBERS, options.in_flight),
        "brokers": lambda: measure_brokers(bench(), folder, _SUBSCRIBERS, BROKER_LOADS),
        "growth": lambda: measure_growth(bench(), options.growth),
        "workers": lambda: measure_workers(bench(), folder, options.workers, _SUBSCRIBERS),
        "ticker": lambda: measure_ticker(bench()),
        "rooms": lambda: measure_rooms(options.rooms),
        "members": lambda: measure_members(folder, options.members),
    }


def _command(parser: argparse.ArgumentParser, options: argparse.Namespace, part: str) -> str:
    """Return the command that measures a part again, with the options that are not the default."""
    words = ["python -m tests.benchmarks.fanout --only", part]
    for name in _OPTIONS[part]:
        value = getattr(options, name)
        if value != parser.get_default(name):
            values = value if isinstance(value, list) else [value]
            words += [f"--{name.replace('_', '-')}", *(f"{value:g}" for value in values)]
    return " ".join(words)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
