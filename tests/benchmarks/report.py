"""The files of a run: results.md (tables), results.json (every sample), and one SVG for each scenario."""

import json
import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.contenders import Contender
from tests.benchmarks.figures import outcomes
from tests.benchmarks.peers import Peers
from tests.benchmarks.plots import Bar, bar_chart, shown
from tests.benchmarks.scenarios import LOAD_CORE, SERVER_CORE, Results, Scenario

_PERCENTILES = ("p50_us", "p90_us", "p99_us", "p99.9_us")


def write(
    folder: Path,
    results: Results,
    contenders: Sequence[Contender],
    scenarios: Sequence[Scenario],
    *,
    peers: Peers,
    generator: str,
    command: str,
    rounds: int,
    seconds: float,
) -> list[Path]:
    """Create *folder*, write the files into it, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    measured = [scenario for scenario in scenarios if results.samples.get(scenario.key)]
    files = []

    def put(name: str, text: str) -> None:
        path = folder / name
        path.write_text(text, encoding="utf-8")
        files.append(path)

    facts = {
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "generator": generator,
        "rounds": rounds,
        "seconds": seconds,
        "half_rate": results.half_rate,
        "versions": {c.key: {p: peers.versions.get(p, "") for p in c.packages} for c in contenders},
        "left_out": results.left_out,
    }
    put("results.json", json.dumps({**facts, "samples": results.samples}, indent=1) + "\n")
    for scenario in measured:
        put(f"{scenario.key}.svg", _plot(scenario, results, contenders))
    sections = [
        _run_section(command, rounds, seconds, generator),
        _figures_section(results),
        *(_scenario_section(scenario, results, contenders) for scenario in measured),
        _rates_section(measured, results, contenders),
        _latency_section(results, contenders),
        _versions_section(contenders, peers, results),
    ]
    put("results.md", "\n".join(section for section in sections if section))
    return files


def machine() -> str:
    """Return a description of this machine."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    return f"{model}, {os.cpu_count()} cores, {system}, Linux {platform.release()}, Python {platform.python_version()}"


def _run_section(command: str, rounds: int, seconds: float, generator: str) -> str:
    return (
        "# Results\n\nThe benchmark writes this page. [Performance](index.md) explains how to read it.\n\n"
        f"Measured on {datetime.now(UTC).date().isoformat()} with `{command}`: {rounds} rounds of {seconds:g} s, "
        f"servers on core {SERVER_CORE}, load ({generator}) on core {LOAD_CORE}.\n\n{machine()}.\n"
    )


def _figures_section(results: Results) -> str:
    rows = []
    for outcome in outcomes(results):
        figure = outcome.figure
        bound = "≥" if figure.at_least else "≤"
        rows.append(
            f"| {figure.title} | {bound} {figure.target:.2f}{figure.unit} | {outcome.value:.2f}{figure.unit} "
            f"| {outcome.low:.2f} to {outcome.high:.2f} | {'yes' if outcome.reached else '**no**'} |"
        )
    if not rows:
        return ""
    head = "| falconws | target | median | rounds | reached |\n|---|---|---|---|---|\n"
    return (
        "## Targets\n\nRatios of server CPU time (or latency, or memory) within each round.\n\n" + head + _lines(rows)
    )


def _scenario_section(scenario: Scenario, results: Results, contenders: Sequence[Contender]) -> str:
    own = results.values(scenario.key, "falconws", scenario.metric)
    is_split = any(_halves(scenario, results, contender)[0] for contender in contenders)
    rows = []
    for contender in contenders:
        values = results.values(scenario.key, contender.key, scenario.metric)
        if not values:
            continue
        pairs = list(zip(values, own, strict=False))
        ratio = f"{statistics.median(theirs / ours for theirs, ours in pairs):.2f}" if pairs else ""
        spread = f"{shown(min(values))} to {shown(max(values))}"
        halves = "".join(f" {cell} |" for cell in _halves(scenario, results, contender)) if is_split else ""
        rows.append(f"| {contender.title} | {shown(statistics.median(values))} |{halves} {spread} | {ratio} |")
    split_head, split_line = (" user | system |", "--:|--:|") if is_split else ("", "")
    head = f"| | {scenario.unit} |{split_head} rounds | times falconws |\n|---|--:|{split_line}--:|--:|\n"
    picture = f"![{scenario.title}]({scenario.key}.svg)\n\n"
    return f"## {scenario.title}\n\n{picture}{head}{_lines(rows)}"


def _halves(scenario: Scenario, results: Results, contender: Contender) -> tuple[str, str]:
    """Return the CPU time in user mode and in the kernel, or two empty strings where it was not measured."""
    if scenario.metric != "cpu_us":
        return "", ""
    samples = results.samples.get(scenario.key, {}).get(contender.key, [])
    user, system = ([sample[key] for sample in samples if key in sample] for key in ("user_us", "system_us"))
    return (shown(statistics.median(user)), shown(statistics.median(system))) if user else ("", "")


def _rates_section(scenarios: Sequence[Scenario], results: Results, contenders: Sequence[Contender]) -> str:
    """Return the rates by the wall clock, which other processes disturb more than CPU time."""
    columns = [scenario for scenario in scenarios if scenario.mode in ("echo", "churn")]
    if not columns:
        return ""
    rows = []
    for contender in contenders:
        cells = []
        for scenario in columns:
            rates = results.values(scenario.key, contender.key, "rate")
            cells.append(shown(statistics.median(rates)) if rates else "")
        rows.append(f"| {contender.title} | {' | '.join(cells)} |")
    head = f"| | {' | '.join(scenario.key for scenario in columns)} |\n|---|{'--:|' * len(columns)}\n"
    return "## Messages and connections a second\n\nBy the wall clock, one server process.\n\n" + head + _lines(rows)


def _latency_section(results: Results, contenders: Sequence[Contender]) -> str:
    if results.half_rate is None:
        return ""
    rows = []
    for contender in contenders:
        cells = []
        for percentile in _PERCENTILES:
            values = results.values("latency", contender.key, percentile)
            cells.append(shown(statistics.median(values)) if values else "")
        if any(cells):
            rows.append(f"| {contender.title} | {' | '.join(cells)} |")
    head = "| µs | p50 | p90 | p99 | p99.9 |\n|---|--:|--:|--:|--:|\n"
    about = f"All at {results.half_rate:,.0f} messages of 32 B a second, half of what Falcon reached in this run.\n\n"
    return "## Latency percentiles\n\n" + about + head + _lines(rows)


def _versions_section(contenders: Sequence[Contender], peers: Peers, results: Results) -> str:
    rows = []
    for contender in contenders:
        versions = ", ".join(f"{name} {peers.versions[name]}" for name in contender.packages if name in peers.versions)
        rows.append(f"| {contender.title} | {versions} |")
    left_out = "".join(f"\nLeft out: {line}.\n" for line in results.left_out)
    return "## Versions\n\n| | |\n|---|---|\n" + _lines(rows) + left_out


def _plot(scenario: Scenario, results: Results, contenders: Sequence[Contender]) -> str:
    bars = []
    for contender in contenders:
        values = results.values(scenario.key, contender.key, scenario.metric)
        if values:
            bars.append(Bar(contender.title, values, contender.ours))
    better = "longer" if scenario.higher_is_better else "shorter"
    return bar_chart(scenario.title, f"{scenario.unit}; {better} is better; the line spans the rounds", bars)


def _lines(rows: Sequence[str]) -> str:
    return "".join(f"{row}\n" for row in rows)
