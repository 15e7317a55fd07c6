"""The measured figures that pages repeat, from the results of the benchmarks. Must not know pages.

A figure stands in a page as `<!-- figure: echo-falcon -->6.8<!-- end -->`; `python -m tests.docs.blocks` writes it. A
page that says a number a second time therefore says the number of the last run.
"""

import json
import statistics
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

PERFORMANCE = Path(__file__).parents[2] / "docs" / "performance"


@cache
def _results(name: str) -> Any:
    return json.loads((PERFORMANCE / name).read_text(encoding="utf-8"))


def _fan_out(part: str, key: str, **what: object) -> float:
    """Return the median of *key* in the row of a part of fan-out.json that has all of *what*."""
    rows = [row for row in _results("fan-out.json")[part]["rows"] if what.items() <= row["what"].items()]
    assert len(rows) == 1, f"{part} has {len(rows)} rows with {what}"
    return statistics.median(sample[key] for sample in rows[0]["samples"])


def _delivery_us(server: str = "falconws", in_flight: int = 1) -> float:
    return _fan_out("load", "cpu_us", subscribers=500, in_flight=in_flight, server=server)


def _times_falconws(server: str, in_flight: int) -> str:
    return f"{_delivery_us(server, in_flight) / _delivery_us(in_flight=in_flight):.1f}"


def _values(scenario: str, contender: str, key: str) -> list[float]:
    return [sample[key] for sample in _results("results.json")["samples"][scenario][contender]]


def _echo_times_falconws(contender: str) -> str:
    """Return the median of the ratios within each round, as the page with the results does."""
    pairs = zip(_values("echo-32-16", contender, "cpu_us"), _values("echo-32-16", "falconws", "cpu_us"), strict=False)
    return f"{statistics.median(theirs / ours for theirs, ours in pairs):.1f}"


def _idle_kb() -> float:
    return statistics.median(_values("memory", "falconws", "kb"))


FIGURES: dict[str, Callable[[], str]] = {
    "delivery-us": lambda: f"{_delivery_us():.0f}",
    "delivery-together-us": lambda: f"{_delivery_us(in_flight=16):.1f}",
    "delivery-exact-us": lambda: f"{_delivery_us():.1f}",
    "send-us": lambda: f"{_delivery_us('floor'):.1f}",
    "delivery-to-1000-ms": lambda: f"{_fan_out('growth', 'cpu_us', subscribers=1000):.0f}",
    "broadcast-falcon": lambda: _times_falconws("falcon", 1),
    "broadcast-litestar": lambda: _times_falconws("litestar", 1),
    "broadcast-together-falcon": lambda: _times_falconws("falcon", 16),
    "broadcast-together-litestar": lambda: _times_falconws("litestar", 16),
    "echo-falcon": lambda: _echo_times_falconws("falcon"),
    "echo-node": lambda: _echo_times_falconws("node"),
    "idle-kb": lambda: f"{_idle_kb():.0f}",
    "idle-10000-mb": lambda: f"{_idle_kb() * 10:.0f}",
}
"""Every figure, by the name that pages use."""
