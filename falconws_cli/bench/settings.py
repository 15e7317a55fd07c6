"""What the generator is told, and what it reports: plain data that crosses a pipe as JSON lines. Pure."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Settings:
    """One load test."""

    host: str
    port: int
    path: str
    authority: str
    tls: bool
    verify_tls: bool
    headers: list[tuple[str, str]]
    connections: int
    in_flight: int
    """Messages of one connection that wait for their answer."""
    message: str
    binary: bool
    warm_up_s: float
    seconds: float
    pids: list[int]
    """The server's processes, whose CPU time is read; empty when they are not known."""
    not_found_hint: str = " Is the path right?"
    """What to add when the server answers 404."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Measure:
    """Some stretch of the test: the last second, or all of it."""

    seconds: float
    messages: int
    p50_us: int
    p90_us: int
    p99_us: int
    max_us: int
    server_cpu_s: float | None
    """CPU time of the server's processes; None when it is not known."""
    generator_cpu_s: float

    @property
    def rate(self) -> float:
        """Messages a second, there and back."""
        return self.messages / self.seconds if self.seconds else 0.0

    @property
    def server_cpu_us(self) -> float | None:
        """Microseconds of the server's CPU time for a message."""
        if self.server_cpu_s is None or not self.messages:
            return None
        return self.server_cpu_s / self.messages * 1e6

    @property
    def server_busy(self) -> float | None:
        """Cores that the server kept busy: 0.5 is half of one."""
        return None if self.server_cpu_s is None or not self.seconds else self.server_cpu_s / self.seconds

    @property
    def generator_busy(self) -> float:
        """Cores that the generator kept busy; near 1 it, and not the server, sets the rate."""
        return self.generator_cpu_s / self.seconds if self.seconds else 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
