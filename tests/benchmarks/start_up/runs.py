"""Runs of whole processes, in interleaved rounds. This module does not know what they do."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory


class RunError(Exception):
    """A program failed. The message contains its output."""


@dataclass(frozen=True)
class Program:
    """One command line, and the folder that it starts in."""

    key: str
    title: str
    words: tuple[str, ...]
    prepare: Callable[[Path], None]
    """Fills the empty folder that the command runs in; its time is not measured."""
    makes: str = ""
    """A file that the command creates."""
    ours: bool = False


@dataclass
class Runs:
    """The milliseconds of every run, by program, in the order of the rounds."""

    wall_ms: dict[str, list[float]] = field(default_factory=dict)
    cpu_ms: dict[str, list[float]] = field(default_factory=dict)

    def ratios(self, key: str, other: str, *, cpu: bool) -> list[float]:
        """Return the time of *key* divided by the time of *other*, for each round."""
        times = self.cpu_ms if cpu else self.wall_ms
        return [one / two for one, two in zip(times[key], times[other], strict=True)]


def measure(programs: Sequence[Program], environ: Mapping[str, str], *, rounds: int) -> Runs:
    """Run each program *rounds* times (A B C A B C), after one warm-up run of each.

    Raises:
        RunError: A program failed.
    """
    runs = Runs({program.key: [] for program in programs}, {program.key: [] for program in programs})
    for number in range(-1, rounds):
        for program in programs:
            wall_ms, cpu_ms = run_once(program, environ)
            if number >= 0:
                runs.wall_ms[program.key].append(wall_ms)
                runs.cpu_ms[program.key].append(cpu_ms)
    return runs


def run_once(program: Program, environ: Mapping[str, str]) -> tuple[float, float]:
    """Return the wall time and the CPU time (user and system) of one run, in milliseconds.

    Raises:
        RunError: The program failed, or has not created its file.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        program.prepare(folder)
        # The output goes to a file, because this process cannot read a pipe while it measures.
        with (folder.parent / f"{folder.name}.out").open("w+b") as output:
            try:
                started = time.perf_counter()
                process = subprocess.Popen(
                    program.words, cwd=folder, env=dict(environ), stdin=subprocess.DEVNULL, stdout=output, stderr=output
                )
                _, status, usage = os.wait4(process.pid, 0)
                ended = time.perf_counter()
                process.returncode = os.waitstatus_to_exitcode(status)
                if process.returncode or not (folder / program.makes).exists():
                    output.seek(0)
                    text = output.read().decode(errors="replace").strip()
                    raise RunError(f"{' '.join(program.words)} exited with {process.returncode}: {text[-400:]}")
            finally:
                os.unlink(output.name)
    return (ended - started) * 1000, (usage.ru_utime + usage.ru_stime) * 1000
