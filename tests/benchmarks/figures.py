"""The target figures of falconws: each is a ratio within one run. This module measures nothing."""

import statistics
from dataclasses import dataclass

from tests.benchmarks.scenarios import Results


@dataclass(frozen=True)
class Figure:
    """A ratio between two contenders, or a plain value, with its target."""

    title: str
    scenario: str
    metric: str
    contender: str
    against: str | None
    target: float
    at_least: bool = False
    unit: str = ""
    other_over_own: bool = False
    """Divide the value of the other contender by the value of falconws, not the other way round."""


FIGURES = (
    Figure("echo 32 B, 1 in flight, against Node ws", "echo-32-1", "cpu_us", "falconws", "node", 1.0),
    Figure("echo 32 B, 1 in flight, against socketify", "echo-32-1", "cpu_us", "falconws", "socketify", 1.0),
    Figure("echo 32 B, 1 in flight, against Bun", "echo-32-1", "cpu_us", "falconws", "bun", 1.6),
    Figure("echo 32 B, 1 in flight, against Falcon", "echo-32-1", "cpu_us", "falconws", "falcon", 0.4),
    Figure("echo 32 B, 16 in flight, against Bun", "echo-32-16", "cpu_us", "falconws", "bun", 3.0),
    Figure("echo 32 B, 16 in flight, against Falcon", "echo-32-16", "cpu_us", "falconws", "falcon", 1 / 3),
    Figure("echo 32 B, 16 in flight, against bare ASGI on uvicorn", "echo-32-16", "cpu_us", "falconws", "bare", 0.55),
    Figure("echo 32 B, 16 in flight, against picows' async API", "echo-32-16", "cpu_us", "falconws", "picows", 1.3),
    Figure("echo 32 B, 16 in flight, against Node ws", "echo-32-16", "cpu_us", "falconws", "node", 0.95),
    Figure("echo 4 kB, 16 in flight, against picows' async API", "echo-4k-16", "cpu_us", "falconws", "picows", 1.0),
    Figure(
        "echo 64 kB, 16 in flight, against bare ASGI on our engine",
        "echo-64k-16",
        "cpu_us",
        "falconws",
        "bare-engine",
        1.05,
    ),
    Figure("connect and disconnect, against Node ws", "connections", "cpu_us", "falconws", "node", 1.0),
    Figure(
        "connects and disconnects a CPU second, against Falcon",
        "connections",
        "cpu_us",
        "falconws",
        "falcon",
        1.6,
        at_least=True,
        unit=" x",
        other_over_own=True,
    ),
    Figure("idle connection, a responder waiting", "memory", "kb", "falconws", None, 11.0, unit=" kB"),
    Figure(
        "start-up to the first handshake, against bare ASGI on uvicorn",
        "start-up",
        "start_up_s",
        "falconws",
        "bare",
        1.5,
    ),
    Figure("echo 64 kB, 16 in flight, against Falcon", "echo-64k-16", "cpu_us", "falconws", "falcon", 0.8),
    Figure("p99 latency at half of Falcon's top rate, against Falcon", "latency", "p99_us", "falconws", "falcon", 0.7),
    Figure(
        "echo 32 B, 16 in flight, on uvicorn's engine, against bare ASGI there",
        "echo-32-16",
        "cpu_us",
        "falconws-uvicorn",
        "bare",
        1.1,
    ),
)


@dataclass(frozen=True)
class Outcome:
    """The measured value of a figure."""

    figure: Figure
    value: float
    low: float
    high: float

    @property
    def reached(self) -> bool:
        return self.value >= self.figure.target if self.figure.at_least else self.value <= self.figure.target

    def __str__(self) -> str:
        figure = self.figure
        bound = "at least" if figure.at_least else "at most"
        verdict = "reached" if self.reached else "MISSED"
        spread = f"{self.low:.2f} to {self.high:.2f}"
        return f"{figure.title}: {self.value:.2f}{figure.unit} ({spread}); {bound} {figure.target:.2f}: {verdict}"


def outcomes(results: Results) -> list[Outcome]:
    """Return every figure whose contenders were measured. The value is the median of the ratios of all rounds."""
    found = []
    for figure in FIGURES:
        values = results.values(figure.scenario, figure.contender, figure.metric)
        if figure.against is not None:
            others = results.values(figure.scenario, figure.against, figure.metric)
            # Ratios within a round, because both values were measured within seconds of each other.
            pairs = zip(values, others, strict=False)
            values = [other / own if figure.other_over_own else own / other for own, other in pairs]
        if values:
            found.append(Outcome(figure, statistics.median(values), min(values), max(values)))
    return found
