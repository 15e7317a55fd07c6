"""The settings of a load test and its measurements, which cross a pipe as JSON lines. Pure."""

from dataclasses import dataclass


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
    """Messages of one connection that wait for a reply."""
    message: str
    binary: bool
    warm_up_s: float
    duration_s: float
    pids: list[int]
    """The server's processes, whose CPU time is read; empty when unknown."""
    not_found_hint: str = " Is the path right?"
    """The text to add when the server answers 404."""

    @property
    def url(self) -> str:
        return f"{'wss' if self.tls else 'ws'}://{self.authority}{self.path}"


@dataclass(frozen=True)
class Measurement:
    """The measurement of a part of the test, or of all of it."""

    seconds: float
    messages: int
    p50_us: int
    p90_us: int
    p99_us: int
    max_us: int
    server_cpu_s: float | None
    """CPU time of the server's processes; None when unknown."""
    generator_cpu_s: float

    @property
    def rate(self) -> float:
        """Messages a second; each is sent and gets a reply."""
        return self.messages / self.seconds if self.seconds else 0.0

    @property
    def server_cpu_us(self) -> float | None:
        """Microseconds of the server's CPU time per message."""
        if self.server_cpu_s is None or not self.messages:
            return None
        return self.server_cpu_s / self.messages * 1e6

    @property
    def server_busy(self) -> float | None:
        """Cores that the server kept busy; 0.5 is half a core."""
        return None if self.server_cpu_s is None or not self.seconds else self.server_cpu_s / self.seconds

    @property
    def generator_busy(self) -> float:
        """Cores that the generator kept busy; near 1, the generator and not the server limits the rate."""
        return self.generator_cpu_s / self.seconds if self.seconds else 0.0
