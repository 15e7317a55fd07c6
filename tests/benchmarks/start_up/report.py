"""The page and the chart of a run, and the target figures."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.plots import Bar, bar_chart
from tests.benchmarks.report import machine
from tests.benchmarks.start_up.programs import BARE
from tests.benchmarks.start_up.runs import Program, Runs


@dataclass(frozen=True)
class Target:
    """The greatest ratio of CPU time between two programs, within a round."""

    key: str
    against: str
    at_most: float


TARGETS = (
    Target("help", BARE, 1.5),
    Target("new", BARE, 3.5),
    Target("add-resource", BARE, 3.2),
    Target("new", "hatch", 1.5),
    Target("new", "django", 1.0),
    Target("new", "cookiecutter", 1.0),
    Target("new", "copier", 1.0),
)


def verdicts(runs: Runs, programs: Sequence[Program]) -> list[str]:
    """Return a line for each target."""
    titles = {program.key: program.title for program in programs}
    lines = []
    for target in TARGETS:
        ratios = runs.ratios(target.key, target.against, cpu=True)
        value = statistics.median(ratios)
        lines.append(
            f"{titles[target.key]} against {titles[target.against]}: {value:.2f} ({min(ratios):.2f} to "
            f"{max(ratios):.2f}); at most {target.at_most:.2f}: {'reached' if value <= target.at_most else 'MISSED'}"
        )
    return lines


def table(runs: Runs, programs: Sequence[Program]) -> str:
    """Return the medians of all programs, the fastest first."""
    rows = []
    for program in sorted(programs, key=lambda program: statistics.median(runs.cpu_ms[program.key])):
        cpu, wall = (statistics.median(times[program.key]) for times in (runs.cpu_ms, runs.wall_ms))
        by_cpu = statistics.median(runs.ratios(program.key, BARE, cpu=True))
        by_wall = statistics.median(runs.ratios(program.key, BARE, cpu=False))
        name = f"**{program.title}**" if program.ours else program.title
        rows.append(f"| {name} | {cpu:.0f} | {by_cpu:.2f} | {wall:.0f} | {by_wall:.2f} |\n")
    head = "| | CPU, ms | times click | wall, ms | times click |\n|---|--:|--:|--:|--:|\n"
    return head + "".join(rows)


def write(
    folder: Path, runs: Runs, programs: Sequence[Program], versions: Mapping[str, str], *, command: str, rounds: int
) -> list[Path]:
    """Write the page and the chart into *folder*, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    page, plot = folder / "commands.md", folder / "commands.svg"
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    parts = [
        "# Start-up of commands\n",
        "The cost of a whole process, from its start to its exit: Python, its imports and its work. The benchmark "
        "writes this page.\n",
        "![Start-up of commands](commands.svg)\n",
        f"Medians of {rounds} rounds, measured on {datetime.now(UTC).date().isoformat()} with `{command}`. The rounds "
        "are interleaved (A B C A B C), and ratios are computed within a round. CPU is user and system time; other "
        "processes on the machine disturb the wall time far more.\n",
        table(runs, programs),
        "All programs are installed into one environment, falconws as a wheel. `cookiecutter` and `copier` render a "
        "template of the files that `falconws new` generates; `hatch` and `django-admin` generate their own, fewer.\n",
        "".join(f"- {line}\n" for line in verdicts(runs, programs)),
        f"{machine()}. {named}.\n",
    ]
    page.write_text("\n".join(parts), encoding="utf-8")
    bars = [Bar(program.title, runs.cpu_ms[program.key], program.ours) for program in programs]
    subtitle = "ms of CPU time; shorter is better; the line spans the rounds"
    plot.write_text(bar_chart("Start-up of commands", subtitle, bars), encoding="utf-8")
    return [page, plot]
