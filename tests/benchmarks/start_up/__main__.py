"""The command line: `python -m tests.benchmarks.start_up`, from the root of the checkout."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.peers import ROOT
from tests.benchmarks.start_up.programs import default_folder, environment, install, programs, versions
from tests.benchmarks.start_up.report import table, verdicts, write
from tests.benchmarks.start_up.runs import RunError, measure


def main(words: Sequence[str]) -> int:
    """Measure, write the page and print the figures. Return an exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.start_up",
        description="Measure the commands of falconws and of their peers, as whole processes.",
    )
    parser.add_argument("--rounds", type=int, default=15, help="rounds of all commands (default: 15)")
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT / "docs" / "performance",
        help="folder for the page and the plot (default: docs/performance)",
    )
    parser.add_argument(
        "--peers",
        type=Path,
        default=default_folder(),
        help="folder to install all packages in (default: a cache folder)",
    )
    options = parser.parse_args(words)
    if options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    bin_folder = install(options.peers)
    with tempfile.TemporaryDirectory() as name:
        all_programs = programs(bin_folder, Path(name) / "templates")
        runs = measure(all_programs, environment(Path(name) / "home"), rounds=options.rounds)
    command = " ".join(["python -m tests.benchmarks.start_up", *words])
    files = write(options.output, runs, all_programs, versions(bin_folder), command=command, rounds=options.rounds)
    print(table(runs, all_programs))
    for line in verdicts(runs, all_programs):
        print(line)
    print(f"Wrote {' and '.join(str(file) for file in files)}.")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except RunError as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        sys.exit(130)
