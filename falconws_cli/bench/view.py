"""Shows a load test: live lines on a terminal, a line a second elsewhere, or JSON. Must not know the load."""

import json
import shutil
from collections.abc import Sequence
from typing import Protocol

import click

from falconws_cli.bench.settings import Measurement, Settings

_BUSY = 0.9


class View(Protocol):
    """Shows a load test while it runs."""

    def begin(self) -> None: ...
    def tick(self, elapsed_s: float, measurement: Measurement) -> None: ...
    def end(self, measurement: Measurement, *, interrupted: bool) -> None: ...


class PlainView:
    """Prints a line a second, for logs and pipes."""

    def __init__(self, settings: Settings, server_name: str) -> None:
        self.settings = settings
        self.server_name = server_name
        self._shown_s = 0.0

    def begin(self) -> None:
        """Show the settings of the test."""
        settings = self.settings
        kind = "BINARY" if settings.binary else "TEXT"
        click.echo(
            f"{settings.url}: {settings.connections} connections, "
            f"{settings.in_flight} in flight on each, {len(settings.message.encode())} bytes of {kind}, "
            f"{settings.duration_s:g} s"
        )

    def tick(self, elapsed_s: float, measurement: Measurement) -> None:
        """Show the last half second, every second."""
        # A tick can be late but never early, so a quarter of a second less still counts as a second.
        if elapsed_s - self._shown_s < 0.75:
            return
        self._shown_s = elapsed_s
        click.echo(f"{elapsed_s:5.1f} s  {'  '.join(value for _, value in facts(measurement, self.settings, ''))}")

    def end(self, measurement: Measurement, *, interrupted: bool) -> None:
        """Show the result of the whole test."""
        if interrupted:
            click.echo(f"Interrupted after {measurement.seconds:.1f} s.")
        click.echo(f"{measurement.messages:,} messages in {measurement.seconds:.1f} s, each with its reply")
        for name, value in facts(measurement, self.settings, self.server_name):
            click.echo(f"  {name:8} {value}")
        if measurement.generator_busy > _BUSY:
            click.echo(
                f"The load generator was busy {measurement.generator_busy:.0%} of the time, so the server may be able "
                "to handle more; its CPU time per message is accurate."
            )


class LiveView(PlainView):
    """Redraws the same few lines, on a terminal."""

    def __init__(self, settings: Settings, server_name: str) -> None:
        super().__init__(settings, server_name)
        self._drawn = 0

    def tick(self, elapsed_s: float, measurement: Measurement) -> None:
        """Show the last half second."""
        # The last tick can be late.
        elapsed_s = min(elapsed_s, self.settings.duration_s)
        lines = [f"  {name:8} {value}" for name, value in facts(measurement, self.settings, self.server_name)]
        filled = round(elapsed_s / self.settings.duration_s * 30)
        lines.append(f"  {'█' * filled}{'░' * (30 - filled)} {elapsed_s:.1f} of {self.settings.duration_s:g} s")
        self._erase()
        # A line that wraps would count as two when it is erased.
        width = shutil.get_terminal_size().columns - 1
        click.echo("\n".join(line[:width] for line in lines))
        self._drawn = len(lines)

    def end(self, measurement: Measurement, *, interrupted: bool) -> None:
        """Replace the live lines with the result of the whole test."""
        self._erase()
        super().end(measurement, interrupted=interrupted)

    def _erase(self) -> None:
        # Move up to the first drawn line, and clear to the end of the screen.
        if self._drawn:
            click.echo(f"\x1b[{self._drawn}F\x1b[J", nl=False)
            self._drawn = 0


class JsonView:
    """Prints one JSON object at the end, and nothing before it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def begin(self) -> None:
        """Show nothing."""

    def tick(self, elapsed_s: float, measurement: Measurement) -> None:
        """Show nothing."""

    def end(self, measurement: Measurement, *, interrupted: bool) -> None:
        """Print the object; the server's figures are null when its processes are unknown."""
        settings = self._settings
        click.echo(
            json.dumps(
                {
                    "url": settings.url,
                    "connections": settings.connections,
                    "in_flight": settings.in_flight,
                    "message_bytes": len(settings.message.encode()),
                    "binary": settings.binary,
                    "interrupted": interrupted,
                    "seconds": round(measurement.seconds, 6),
                    "messages": measurement.messages,
                    "rate": round(measurement.rate, 2),
                    "latency_us": {
                        "p50": measurement.p50_us,
                        "p90": measurement.p90_us,
                        "p99": measurement.p99_us,
                        "max": measurement.max_us,
                    },
                    "server_pids": settings.pids,
                    "server_cpu_us": _rounded(measurement.server_cpu_us),
                    "server_busy": _rounded(measurement.server_busy),
                    "generator_busy": _rounded(measurement.generator_busy),
                }
            )
        )


def facts(measurement: Measurement, settings: Settings, server_name: str) -> Sequence[tuple[str, str]]:
    """Return the names and values to show of a measurement."""
    found = [
        ("rate", f"{measurement.rate:,.0f} messages/s"),
        (
            "latency",
            f"p50 {_time(measurement.p50_us)}  p90 {_time(measurement.p90_us)}  p99 {_time(measurement.p99_us)}  "
            f"max {_time(measurement.max_us)}",
        ),
    ]
    cost, busy = measurement.server_cpu_us, measurement.server_busy
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
