"""Runs of whole processes, in interleaved rounds. Knows nothing of what they do."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory


class RunError(Exception):
    """A program did not do what it is measured for; the message says what it said."""


@dataclass(frozen=True)
class Program:
    """One command line, and the folder that it starts in."""

    key: str
    title: str
    words: tuple[str, ...]
    prepare: Callable[[Path], None]
    """Fills the empty folder that the command runs in; not measured."""
    makes: str = ""
    """A file that is there when the command has done its work."""
    ours: bool = False


@dataclass
class Runs:
    """Milliseconds of every run, by program, in the order of the rounds."""

    wall_ms: dict[str, list[float]] = field(default_factory=dict)
    cpu_ms: dict[str, list[float]] = field(default_factory=dict)

    def ratios(self, key: str, other: str, *, cpu: bool) -> list[float]:
        """Return how many times as long *key* took as *other* in each round."""
        times = self.cpu_ms if cpu else self.wall_ms
        return [one / two for one, two in zip(times[key], times[other], strict=True)]


def measure(programs: Sequence[Program], environ: Mapping[str, str], *, rounds: int) -> Runs:
    """Return *rounds* runs of each program: A B C A B C, after one of each that does not count.

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
    """Return the milliseconds of one run by the wall clock, and those of the CPU (user and system).

    Raises:
        RunError: It failed, or has not made its file.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        program.prepare(folder)
        # A file takes all of the output: a pipe would be read by this process while it measures.
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
                    said = output.read().decode(errors="replace").strip()
                    raise RunError(f"{' '.join(program.words)} ended with {process.returncode}: {said[-400:]}")
            finally:
                os.unlink(output.name)
    return (ended - started) * 1000, (usage.ru_utime + usage.ru_stime) * 1000
