"""The page of the fan-out benchmark, and its charts. This module measures nothing."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.fanout.bench import BYTES
from tests.benchmarks.fanout.columns import Panel, column_chart
from tests.benchmarks.fanout.contenders import CONTENDERS, OWN
from tests.benchmarks.fanout.results import Part, Row
from tests.benchmarks.plots import Bar, bar_chart

_OF_MEMORY = 0.7
"""The least rate over a broker, relative to memory://."""
_TICKER_CPU, _TICKER_P99_MS = 0.25, 15.0
"""The most that a ticker may need."""


@dataclass(frozen=True)
class _Chart:
    file: str
    title: str
    svg: str


@dataclass(frozen=True)
class _Section:
    lines: list[str]
    charts: list[_Chart] = field(default_factory=list)


def write(output: Path, parts: Mapping[str, Part]) -> None:
    """Write fan-out.md and its charts for *parts* into *output*."""
    known = [name for name in _SECTIONS if name in parts]
    text = "\n".join([*_HEAD, *(section(name, parts[name]) for name in known)])
    (output / "fan-out.md").write_text(text, encoding="utf-8")
    for name in known:
        for chart in _SECTIONS[name](parts[name].rows).charts:
            (output / chart.file).write_text(chart.svg, encoding="utf-8")


def section(name: str, part: Part) -> str:
    """Return the section of a part."""
    made = _SECTIONS[name](part.rows)
    rounds = (
        "" if name in ("rooms", "members") else f", medians of {part.rounds} interleaved rounds of {part.seconds:g} s"
    )
    lines = [*made.lines, "", f"Measured on {part.date} with `{part.command}`{rounds}. {part.machine}."]
    if part.note:
        lines[-1] += f" {part.note}"
    for chart in made.charts:
        lines += ["", f"![{chart.title}]({chart.file})"]
    return "\n".join([*lines, ""])


_HEAD = [
    "# Fan-out",
    "",
    f"Messages have {BYTES} bytes, unless stated otherwise. CPU is the CPU time of all processes of the server, in µs",
    "for each delivery.",
    "The least and the greatest value of the rounds are in parentheses. The benchmark writes this page from",
    "`fan-out.json`, which contains every sample. The command below each table measures it again, from a checkout.",
    "",
]


def _load(rows: Sequence[Row]) -> _Section:
    lines = [
        "## Compared with its peers",
        "",
        "The publisher is the same for all servers: it keeps a number of publications in flight, and sends the next",
        "one when every subscriber has received the first of them. With one publication in flight, a delivery is one",
        "system call on every server, which is most of its cost. If several publications arrive in one iteration of",
        "the event loop, falconws writes all of them to each connection with one system call.",
        "",
        "User mode is the server's own code; system mode is the kernel's, most of it in `send()`. The kernel samples",
        "the two, 250 times a second. The last row of each load is the floor: a C program that does nothing but one",
        "`send()` for each delivery.",
        "",
        *_table(
            "Subscribers",
            "In flight",
            "Server",
            "µs CPU/delivery",
            "user",
            "system",
            "falconws needs",
            "at most",
            "of user time",
            "at most",
        ),
    ]
    charts = []
    for count, in_flight in dict.fromkeys((row.what["subscribers"], row.what["in_flight"]) for row in rows):
        found = {
            row.what["server"]: row
            for row in rows
            if (row.what["subscribers"], row.what["in_flight"]) == (count, in_flight)
        }
        bars = []
        for one in CONTENDERS:
            if one.key not in found:
                continue
            row = found[one.key]
            user_us = row.median("user_us")
            cells = [_spread(row, "cpu_us"), f"{user_us:.2f}", f"{row.median('cpu_us') - user_us:.2f}"]
            if OWN.key in found:
                own, target = found[OWN.key], one.targets.get(int(in_flight))
                cells += _verdict(own.median("cpu_us") / row.median("cpu_us"), target)
                cells += _verdict(own.median("user_us") / user_us if user_us else None, one.user_target)
            lines.append(f"| {count} | {in_flight} | {one.title} | {' | '.join(cells)} |")
            bars.append(Bar(one.title, row.values("cpu_us"), one is OWN))
        title = f"Fan-out to {count} subscribers, {in_flight} in flight"
        svg = bar_chart(title, "µs CPU/delivery; shorter is better; the line spans the rounds", bars)
        charts.append(_Chart(f"fan-out-{count}-{in_flight}.svg", title, svg))
    return _Section(lines, charts)


def _verdict(ratio: float | None, target: float | None) -> list[str]:
    """Return the cells of a ratio, and of the most that it may be."""
    if ratio is None:
        return ["", ""]
    shown = f"{ratio:.2f}"
    missed = target is not None and float(shown) > round(target, 2)
    return [shown, "" if target is None else f"{target:.2f}{': missed' if missed else ''}"]


def _compression(rows: Sequence[Row]) -> _Section:
    lines = [
        "## Compressed messages",
        "",
        "Messages of 1,000 bytes of JSON, with permessage-deflate and without. falconws compresses a message once for",
        "all connections that have agreed on the same parameters.",
        "",
        *_table("Subscribers", "In flight", "Server", "Compressed", "µs CPU/delivery", "user", "system", "of plain"),
    ]
    titles = {one.key: one.title for one in CONTENDERS}
    plain: dict[tuple[str | int, ...], float] = {}
    for row in rows:
        place = (row.what["subscribers"], row.what["in_flight"], titles[str(row.what["server"])])
        cpu_us, user_us = row.median("cpu_us"), row.median("user_us")
        ratio = ""
        if not row.what["compressed"]:
            plain[place] = cpu_us
        elif place in plain:
            ratio = f"{cpu_us / plain[place]:.2f}"
        compressed = "yes" if row.what["compressed"] else "no"
        cells = [*place, compressed, _spread(row, "cpu_us"), f"{user_us:.2f}", f"{cpu_us - user_us:.2f}", ratio]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return _Section(lines)


def _brokers(rows: Sequence[Row]) -> _Section:
    lines = [
        "## Over a broker",
        "",
        "One worker. `redis://` is a Valkey server without persistence, on the core of the load. A responder that",
        "awaits each `publish()` sends one message at a time to the broker. With one publisher, waiting messages",
        "therefore leave one by one, while over `memory://` they leave together. A typical service has as many",
        "publishers as publications in flight; then the messages leave together over both brokers. So they do if one",
        "publisher calls `publish_many()`.",
        "",
        *_table(
            "Subscribers",
            "In flight",
            "Publishers",
            "Together",
            "Broker",
            "µs CPU/delivery",
            "deliveries/s",
            "of memory://",
            "at least",
        ),
    ]
    memory = {_place(row): row for row in rows if row.what["broker"] == "memory"}
    for row in rows:
        ratio = verdict = ""
        if row.what["broker"] != "memory" and _place(row) in memory:
            ratio = f"{row.median('rate') / memory[_place(row)].median('rate'):.2f}"
            verdict = f"{_OF_MEMORY:.2f}" + ("" if float(ratio) >= _OF_MEMORY else ": missed")
        place = " | ".join(map(str, _place(row)))
        rate = f"{row.median('rate'):,.0f}"
        lines.append(f"| {place} | {row.what['broker']}:// | {_spread(row, 'cpu_us')} | {rate} | {ratio} | {verdict} |")
    return _Section(lines)


def _place(row: Row) -> tuple[str | int, ...]:
    return row.what["subscribers"], row.what["in_flight"], row.what["publishers"], row.what["together"]


def _growth(rows: Sequence[Row]) -> _Section:
    lines = [
        "## More subscribers",
        "",
        "One room over `memory://`, one publisher, one publication in flight.",
        "",
        *_table("Subscribers of one room", "µs CPU/delivery"),
        *(f"| {row.what['subscribers']} | {_spread(row, 'cpu_us')} |" for row in rows),
    ]
    panel = Panel("µs CPU/delivery, by subscribers of one room", _columns(rows, "subscribers", "cpu_us"))
    return _Section(lines, [_growth_chart("subscribers", panel)])


def _workers(rows: Sequence[Row]) -> _Section:
    lines = [
        "## More workers",
        "",
        "`falconws serve --workers N` over one Valkey server without persistence: one room that all workers follow,",
        "one publisher, one publication in flight. All workers share one core, and the load and the broker share the",
        "other one, so the deliveries a second cannot grow with the workers. The CPU time of a delivery, of the",
        "supervisor and all workers together, shows how the hub scales: it should equal the CPU time of one process",
        "with as many subscribers, whose memory does not fit into the caches of a core (see above). The broker's CPU",
        "time for a publication grows by one message for each worker.",
        "",
        *_table(
            "Workers",
            "Subscribers",
            "µs CPU/delivery",
            "broker: µs CPU/publication",
            "deliveries/s",
            "subscribers of one worker",
        ),
    ]
    for row in rows:
        costs = f"{_spread(row, 'cpu_us')} | {_spread(row, 'broker_us', 0)}"
        spread = f"{min(row.values('fewest')):.0f} to {max(row.values('most')):.0f}"
        place = f"{row.what['workers']} | {row.what['subscribers']}"
        lines.append(f"| {place} | {costs} | {row.median('rate'):,.0f} | {spread} |")
    lines += [
        "",
        "The kernel gives a connection to the worker that accepts it first. The load opens one connection after the",
        "other, and the scheduler decides which of the workers on one core runs, so their shares are unequal. The last",
        "column has the fewest and the most subscribers of one worker in any round. Workers with a core each get about",
        "equal shares.",
    ]
    panels = [
        Panel("µs CPU/delivery, by workers", _columns(rows, "workers", "cpu_us")),
        Panel("broker: µs CPU/publication, by workers", _columns(rows, "workers", "broker_us")),
    ]
    return _Section(lines, [_growth_chart("workers", *panels)])


def _ticker(rows: Sequence[Row]) -> _Section:
    lines = [
        "## A ticker",
        "",
        "2,000 updates a second on 200 symbols, each a room, arrive on one connection. 300 clients follow 20 symbols",
        "each, with `Policy.conflate()`. The age is counted from when an update is due until a client has it.",
        "",
        *_table("Clients", "updates/s", "expected", "cores", "at most", "p50, ms", "p99, ms", "at most", "longest, ms"),
    ]
    for row in rows:
        rates = f"{row.median('rate'):,.0f} | {row.median('expected'):,.0f}"
        cpu = " | ".join(_verdict(row.median("cpu"), _TICKER_CPU))
        p99 = " | ".join(_verdict(row.median("p99_ms"), _TICKER_P99_MS))
        ages = f"{row.median('p50_ms'):.1f} | {p99} | {row.median('max_ms'):.1f}"
        lines.append(f"| {row.what['clients']} | {rates} | {cpu} | {ages} |")
    return _Section(lines)


def _members(rows: Sequence[Row]) -> _Section:
    lines = [
        "## More members",
        "",
        "Members of 100 rooms, all in one process, joined 100 at a time. A process has one lease, so the commands that",
        "keep its members do not grow with them. The memory is that of the subscription and its member, without the",
        "connection.",
        "",
        *_table("Broker", "Members", "Bytes a member", "µs to join, each", "commands/s to keep all", "cores meanwhile"),
    ]
    for row in rows:
        cost = f"{row.median('bytes'):.0f} | {row.median('join_us'):.0f}"
        kept = f"{row.median('commands'):.1f} | {row.median('idle_cpu'):.3f}"
        lines.append(f"| {row.what['broker']}:// | {row.what['members']:,} | {cost} | {kept} |")
    panels = [
        Panel(f"{broker}://: commands/s, by members", _columns(of_broker, "members", "commands"))
        for broker in dict.fromkeys(row.what["broker"] for row in rows)
        for of_broker in [[row for row in rows if row.what["broker"] == broker]]
    ]
    return _Section(lines, [_growth_chart("members", *panels)])


def _rooms(rows: Sequence[Row]) -> _Section:
    lines = [
        "## More rooms",
        "",
        "The memory of the hub, its broker `memory://` and the subscription, without the connection.",
        "",
        *_table("Rooms, one subscriber each", "Bytes a room"),
        *(f"| {row.what['rooms']} | {row.median('bytes'):.0f} |" for row in rows),
    ]
    panel = Panel("bytes a room with one subscriber, by rooms", _columns(rows, "rooms", "bytes"))
    return _Section(lines, [_growth_chart("rooms", panel)])


_SECTIONS: dict[str, Callable[[Sequence[Row]], _Section]] = {
    "load": _load,
    "compression": _compression,
    "brokers": _brokers,
    "growth": _growth,
    "workers": _workers,
    "ticker": _ticker,
    "rooms": _rooms,
    "members": _members,
}


def _growth_chart(by: str, *panels: Panel) -> _Chart:
    title = f"How fan-out grows with {by}"
    return _Chart(f"fan-out-{by}.svg", title, column_chart(title, panels))


def _columns(rows: Iterable[Row], name: str, metric: str) -> list[tuple[str, list[float]]]:
    return [(f"{row.what[name]:,}", row.values(metric)) for row in rows]


def _table(*names: str) -> list[str]:
    return [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]


def _spread(row: Row, metric: str, digits: int = 2) -> str:
    values = row.values(metric)
    least, middle, most = (f"{value:.{digits}f}" for value in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({least} to {most})"
