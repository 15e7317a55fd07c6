"""The figures as data, part by part, so that a part which is measured again leaves the others as they are."""

import json
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

Sample = dict[str, float]
"""What one round gave, by metric.

``rate``: deliveries a second. ``cpu_us``: CPU of all server processes for each. ``broker_us``: CPU of the broker for
each publication. ``fewest`` and ``most``: subscribers of one worker. ``bytes``: memory of a room.
"""


@dataclass(frozen=True)
class Row:
    """One load on one server: what tells it from the other rows, and a sample a round."""

    what: dict[str, str | int]
    samples: list[Sample]

    def values(self, metric: str) -> list[float]:
        return [sample[metric] for sample in self.samples]

    def median(self, metric: str) -> float:
        return statistics.median(self.values(metric))


@dataclass(frozen=True)
class Part:
    """What one command measured, and where."""

    command: str
    date: str
    machine: str
    rounds: int
    seconds: float
    rows: list[Row]


def read(path: Path) -> dict[str, Part]:
    """Return the parts that the file holds, by name; none where there is no file."""
    if not path.exists():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    return {name: Part(**{**facts, "rows": [Row(**row) for row in facts["rows"]]}) for name, facts in found.items()}


def save(path: Path, parts: Mapping[str, Part]) -> None:
    """Write *parts*, instead of what the file held."""
    text = json.dumps({name: asdict(part) for name, part in parts.items()}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
