"""What the user sees of a load test: a few live lines on a terminal, a line a second elsewhere, JSON for machines."""

import json
import shutil
from collections.abc import Sequence
from typing import Protocol

import click

from falconws_cli.bench.settings import Measure, Settings

_BUSY = 0.9


class View(Protocol):
    """Shows a load test as it goes."""

    def begin(self) -> None: ...
    def tick(self, elapsed_s: float, measure: Measure) -> None: ...
    def end(self, measure: Measure, *, interrupted: bool) -> None: ...


class PlainView:
    """One line a second, for logs and pipes."""

    def __init__(self, settings: Settings, server_name: str) -> None:
        self.settings = settings
        self.server_name = server_name
        self._shown_s = 0.0

    def begin(self) -> None:
        """Say what is going to be done."""
        settings = self.settings
        kind = "BINARY" if settings.binary else "TEXT"
        scheme = "wss" if settings.tls else "ws"
        click.echo(
            f"{scheme}://{settings.authority}{settings.path}: {settings.connections} connections, "
            f"{settings.in_flight} in flight on each, {len(settings.message.encode())} bytes of {kind}, "
            f"{settings.seconds:g} s"
        )

    def tick(self, elapsed_s: float, measure: Measure) -> None:
        """Show the last half second, every second."""
        # Ticks come late, never early: a quarter of one is no second more.
        if elapsed_s - self._shown_s < 0.75:
            return
        self._shown_s = elapsed_s
        click.echo(f"{elapsed_s:5.1f} s  {'  '.join(value for _, value in facts(measure, self.settings, ''))}")

    def end(self, measure: Measure, *, interrupted: bool) -> None:
        """Show the whole test."""
        if interrupted:
            click.echo(f"Interrupted after {measure.seconds:.1f} s.")
        click.echo(f"{measure.messages:,} messages in {measure.seconds:.1f} s, each answered")
        for name, value in facts(measure, self.settings, self.server_name):
            click.echo(f"  {name:8} {value}")
        if measure.generator_busy > _BUSY:
            click.echo(
                f"The generator itself was busy {measure.generator_busy:.0%} of the time: the server could do more "
                "than this shows; its CPU time a message holds all the same."
            )


class LiveView(PlainView):
    """The same few lines, drawn over and over."""

    def __init__(self, settings: Settings, server_name: str) -> None:
        super().__init__(settings, server_name)
        self._drawn = 0

    def tick(self, elapsed_s: float, measure: Measure) -> None:
        """Show the last half second."""
        # The last look may be late.
        elapsed_s = min(elapsed_s, self.settings.seconds)
        lines = [f"  {name:8} {value}" for name, value in facts(measure, self.settings, self.server_name)]
        filled = round(elapsed_s / self.settings.seconds * 30)
        lines.append(f"  {'█' * filled}{'░' * (30 - filled)} {elapsed_s:.1f} of {self.settings.seconds:g} s")
        self._erase()
        # A line that wraps would count as two when it is erased.
        width = shutil.get_terminal_size().columns - 1
        click.echo("\n".join(line[:width] for line in lines))
        self._drawn = len(lines)

    def end(self, measure: Measure, *, interrupted: bool) -> None:
        """Replace the live lines with the whole test."""
        self._erase()
        super().end(measure, interrupted=interrupted)

    def _erase(self) -> None:
        # Up, to the first column, and clear to the end of the screen.
        if self._drawn:
            click.echo(f"\x1b[{self._drawn}F\x1b[J", nl=False)
            self._drawn = 0


class JsonView:
    """One JSON object at the end, and nothing before it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def begin(self) -> None:
        """Show nothing."""

    def tick(self, elapsed_s: float, measure: Measure) -> None:
        """Show nothing."""

    def end(self, measure: Measure, *, interrupted: bool) -> None:
        """Print the object. Times in its keys' units; null where the server's processes are not known."""
        settings = self._settings
        click.echo(
            json.dumps(
                {
                    "url": f"{'wss' if settings.tls else 'ws'}://{settings.authority}{settings.path}",
                    "connections": settings.connections,
                    "in_flight": settings.in_flight,
                    "message_bytes": len(settings.message.encode()),
                    "binary": settings.binary,
                    "interrupted": interrupted,
                    "seconds": round(measure.seconds, 6),
                    "messages": measure.messages,
                    "rate": round(measure.rate, 2),
                    "latency_us": {
                        "p50": measure.p50_us,
                        "p90": measure.p90_us,
                        "p99": measure.p99_us,
                        "max": measure.max_us,
                    },
                    "server_pids": settings.pids,
                    "server_cpu_us": _rounded(measure.server_cpu_us),
                    "server_busy": _rounded(measure.server_busy),
                    "generator_busy": _rounded(measure.generator_busy),
                }
            )
        )


def facts(measure: Measure, settings: Settings, server_name: str) -> Sequence[tuple[str, str]]:
    """Return name and value of what is worth showing of a measure."""
    found = [
        ("rate", f"{measure.rate:,.0f} messages/s"),
        (
            "latency",
            f"p50 {_time(measure.p50_us)}  p90 {_time(measure.p90_us)}  p99 {_time(measure.p99_us)}  "
            f"max {_time(measure.max_us)}",
        ),
    ]
    cost, busy = measure.server_cpu_us, measure.server_busy
    if cost is not None and busy is not None:
        pids = ", ".join(map(str, settings.pids))
        who = f" ({server_name}, pid {pids})" if server_name else ""
        found.append(("server", f"{cost:.1f} µs CPU/message, {busy:.0%} of a core{who}"))
    return found


def _time(microseconds: int) -> str:
    if microseconds < 1000:
        return f"{microseconds} µs"
    return f"{microseconds / 1000:.3g} ms" if microseconds < 1_000_000 else f"{microseconds / 1e6:.3g} s"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
