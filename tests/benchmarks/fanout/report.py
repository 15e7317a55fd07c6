"""What the benchmark of fan-out writes: a page and its charts."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.plots import Bar, bar_chart

BYTES = 64
Sample = dict[str, float]
"""``rate``: deliveries a second; ``cpu_us``: server CPU for each."""


@dataclass(frozen=True)
class Title:
    """What a contender is called, and how much of its CPU falconws may need at most."""

    text: str
    target: float | None


@dataclass
class Results:
    """What was measured; the first contender is falconws, and of each there is one sample a round."""

    load: dict[tuple[int, int], dict[str, list[Sample]]] = field(default_factory=dict)
    """By subscribers and publications in flight, then by contender."""
    growth: dict[int, list[Sample]] = field(default_factory=dict)
    """By subscribers."""
    brokers: dict[int, dict[str, list[Sample]]] = field(default_factory=dict)
    """By publications in flight, then by the scheme of the broker's URL."""
    rooms: dict[int, float] = field(default_factory=dict)
    """Bytes a room, by rooms."""


def write(output: Path, results: Results, titles: dict[str, Title], own: str, heading: Sequence[str]) -> list[str]:
    """Write fan-out.md and its charts into *output*, and return the ratios to print."""
    said: list[str] = []
    lines = ["# Fan-out", "", *heading, ""]
    lines += ["| Subscribers | In flight | Server | µs CPU/delivery | falconws needs | at most |"]
    lines += ["|---|---|---|---|---|---|"]
    charts = []
    for (count, in_flight), samples in results.load.items():
        bars = []
        mine = _median(samples[own]) if own in samples else None
        for key, title in titles.items():
            values = [sample["cpu_us"] for sample in samples.get(key, [])]
            if not values:
                continue
            bars.append(Bar(title.text, values, title.target is None))
            ratio, verdict = "", ""
            if mine is not None:
                ratio = f"{mine / statistics.median(values):.2f}"
            if mine is not None and title.target is not None:
                verdict = f"{title.target:.2f}" + ("" if float(ratio) <= round(title.target, 2) else ": missed")
                said.append(
                    f"{count} subscribers, {in_flight} in flight, against {title.text}: {ratio}; at most {verdict}"
                )
            lines.append(f"| {count} | {in_flight} | {title.text} | {_spread(values)} | {ratio} | {verdict} |")
        name, label = f"fan-out-{count}-{in_flight}.svg", f"Fan-out to {count} subscribers, {in_flight} in flight"
        (output / name).write_text(bar_chart(label, "µs CPU/delivery, less is better", bars))
        charts.append(f"![{label}]({name})")
    for chart in charts:
        lines += ["", chart]
    if results.brokers:
        lines += ["", "## Over a broker", ""]
        lines += [
            "500 subscribers in one worker; `redis://` is a Valkey server that shares the load's core. A responder"
        ]
        lines += ["that awaits each `publish()` has one message at a time on its way to the broker, however many wait"]
        lines += ["for it, so these leave one by one; over `memory://` they leave together.", ""]
        lines += ["| In flight | Broker | µs CPU/delivery | deliveries/s | of memory:// |", "|---|---|---|---|---|"]
        for in_flight, samples in results.brokers.items():
            for broker, found in samples.items():
                rate, ratio = _median(found, "rate"), ""
                if "memory" in samples:
                    ratio = f"{rate / _median(samples['memory'], 'rate'):.2f}"
                cost = _spread([sample["cpu_us"] for sample in found])
                lines.append(f"| {in_flight} | {broker}:// | {cost} | {rate:,.0f} | {ratio} |")
                said.append(f"{broker}://, {in_flight} in flight: {rate:,.0f} deliveries/s, {ratio} of memory://")
    if results.growth:
        lines += [
            "",
            "## How it grows",
            "",
            "One publication in flight.",
            "",
            "| Subscribers of one room | µs CPU/delivery |",
            "|---|---|",
        ]
        lines += [f"| {count} | {_median(samples):.2f} |" for count, samples in results.growth.items()]
        bars = [Bar(f"{n} subscribers", [s["cpu_us"] for s in found], True) for n, found in results.growth.items()]
        chart = bar_chart("How fan-out grows", "µs CPU/delivery, falconws.Hub over memory://", bars)
        (output / "fan-out-subscribers.svg").write_text(chart)
        lines += ["", "![How fan-out grows](fan-out-subscribers.svg)"]
    if results.rooms:
        lines += ["", "| Rooms, one member each | Bytes a room |", "|---|---|"]
        lines += [f"| {count} | {size:.0f} |" for count, size in results.rooms.items()]
        bars = [Bar(f"{count} rooms", [size], True) for count, size in results.rooms.items()]
        chart = bar_chart("How rooms grow", "bytes a room with one member", bars)
        (output / "fan-out-rooms.svg").write_text(chart)
        lines += ["", "![How rooms grow](fan-out-rooms.svg)"]
        said += [f"{count} rooms: {size:.0f} bytes a room" for count, size in results.rooms.items()]
    (output / "fan-out.md").write_text("\n".join([*lines, ""]))
    return said


def _median(samples: Sequence[Sample], metric: str = "cpu_us") -> float:
    return statistics.median(sample[metric] for sample in samples)


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
