"""The figures as data, separate for each part, so that one part can be measured again."""

import json
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

Sample = dict[str, float]
"""The values of one round, by metric.

``rate``: deliveries a second. ``cpu_us``: CPU time of all server processes for each. ``broker_us``: CPU time of the
broker for each publication. ``fewest`` and ``most``: subscribers of one worker. ``bytes``: memory of a room or member.
``user_us``: the part of ``cpu_us`` in user mode. ``cpu`` and ``idle_cpu``: cores in use. ``expected``: the rate if no
message is missing. ``p50_ms``, ``p99_ms``, ``max_ms``: the age of messages at the client. ``join_us``: time for each
member. ``commands``: those that the broker gets a second.
"""


@dataclass(frozen=True)
class Row:
    """One load on one server: what identifies it, and a sample for each round."""

    what: dict[str, str | int]
    samples: list[Sample]

    def values(self, metric: str) -> list[float]:
        return [sample[metric] for sample in self.samples]

    def median(self, metric: str) -> float:
        return statistics.median(self.values(metric))


@dataclass(frozen=True)
class Part:
    """The result of one command, and the machine that it ran on."""

    command: str
    date: str
    machine: str
    rounds: int
    seconds: float
    rows: list[Row]
    note: str = ""
    """What readers have to know of the circumstances."""


def read(path: Path) -> dict[str, Part]:
    """Return the parts in the file, by name. A missing file has no parts."""
    if not path.exists():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    return {name: Part(**{**facts, "rows": [Row(**row) for row in facts["rows"]]}) for name, facts in found.items()}


def save(path: Path, parts: Mapping[str, Part]) -> None:
    """Replace the contents of the file with *parts*."""
    text = json.dumps({name: asdict(part) for name, part in parts.items()}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
