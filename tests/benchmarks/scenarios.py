"""The scenarios, and their order: rounds are interleaved (A B C A B C), so that drift affects all alike."""

import contextlib
import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.benchmarks.contenders import Contender
from tests.benchmarks.load import Load, LoadError, Sample
from tests.benchmarks.peers import Peers
from tests.benchmarks.server import Server, ServerError, running
from tests.ports import free_port

SERVER_CORE, LOAD_CORE = 0, 1
WARM_UP_S = 0.3
IDLE_CONNECTIONS = 500
_MEDIA = json.dumps({"type": "move", "player": "anna", "x": 12.5, "y": -3, "items": [1, 2, 3], "ok": True}).encode()


@dataclass(frozen=True)
class Scenario:
    """One workload, measured for each contender."""

    key: str
    title: str
    metric: str
    """The key of a sample that the table shows."""
    unit: str
    mode: str
    path: str = "/echo"
    connections: int = 32
    in_flight: int = 0
    payload: bytes = b"x" * 32
    higher_is_better: bool = False


def _echo(key: str, title: str, in_flight: int, payload: bytes, path: str = "/echo", connections: int = 32) -> Scenario:
    return Scenario(key, title, "cpu_us", "µs CPU/message", "echo", path, connections, in_flight, payload)


SCENARIOS = (
    _echo("echo-32-1", "Echo, 32 B, 1 in flight", 1, b"x" * 32),
    _echo("echo-32-16", "Echo, 32 B, 16 in flight", 16, b"x" * 32),
    _echo("echo-4k-1", "Echo, 4 kB, 1 in flight", 1, b"x" * 4096),
    _echo("echo-4k-16", "Echo, 4 kB, 16 in flight", 16, b"x" * 4096),
    _echo("echo-64k-1", "Echo, 64 kB, 1 in flight", 1, b"x" * 65536, connections=8),
    _echo("echo-64k-16", "Echo, 64 kB, 16 in flight", 16, b"x" * 65536, connections=8),
    _echo("media", f"JSON media, {len(_MEDIA)} B, 16 in flight", 16, _MEDIA, path="/media"),
    Scenario("connections", "Connect and disconnect", "cpu_us", "µs CPU/connection", "churn", connections=16),
    Scenario("latency", "Latency at half of Falcon's top rate (p99)", "p99_us", "µs", "paced"),
    Scenario("memory", "Idle connection", "kb", "kB", "fresh"),
    Scenario("start-up", "Start-up to the first handshake", "start_up_s", "s", "fresh"),
)


@dataclass
class Results:
    """Samples of every scenario and contender, in the order of the rounds."""

    samples: dict[str, dict[str, list[Sample]]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    half_rate: float | None = None
    """The messages a second of the scenario "latency"."""

    def add(self, scenario: str, contender: str, sample: Sample) -> None:
        self.samples.setdefault(scenario, {}).setdefault(contender, []).append(sample)

    def values(self, scenario: str, contender: str, metric: str) -> list[float]:
        """Return the value of each round, or an empty list if nothing was measured."""
        return [sample[metric] for sample in self.samples.get(scenario, {}).get(contender, [])]


class Bench:
    """Measures scenarios with contenders."""

    def __init__(self, peers: Peers, load: Load, *, rounds: int, seconds: float, say: Callable[[str], None]) -> None:
        self._peers = peers
        self._load = load
        self._rounds = rounds
        self._seconds = seconds
        self._say = say
        self.results = Results()

    def run(self, contenders: Sequence[Contender], scenarios: Sequence[Scenario]) -> Results:
        """Measure every scenario with every contender that can be started."""
        contenders = [contender for contender in contenders if self._is_installed(contender)]
        fresh = [scenario for scenario in scenarios if scenario.mode == "fresh"]
        loaded = [scenario for scenario in scenarios if scenario.mode != "fresh"]
        if fresh:
            self._measure_fresh(contenders, fresh)
        if loaded:
            with contextlib.ExitStack() as stack:
                servers = {}
                for contender in contenders:
                    with self._leaving_out(contender.title):
                        servers[contender.key] = stack.enter_context(self._running(contender))
                for scenario in loaded:
                    self._measure_loaded(scenario, servers)
        return self.results

    def _is_installed(self, contender: Contender) -> bool:
        package = contender.packages[0]
        if package in self._peers.versions:
            return True
        self._leave_out(f"{contender.title}: {self._peers.problems.get(package, f'{package} is not installed')}")
        return False

    def _running(self, contender: Contender) -> contextlib.AbstractContextManager[Server]:
        port = free_port()
        return running(contender.command(self._peers, port), port, SERVER_CORE)

    def _measure_fresh(self, contenders: Sequence[Contender], scenarios: Sequence[Scenario]) -> None:
        keys = {scenario.key for scenario in scenarios}
        self._say(f"{' and '.join(scenario.title for scenario in scenarios)} ...")
        failed: set[str] = set()
        for _ in range(self._rounds):
            for contender in contenders:
                if contender.key in failed:
                    continue
                failed.add(contender.key)
                with self._leaving_out(contender.title), self._running(contender) as server:
                    if "start-up" in keys:
                        self.results.add("start-up", contender.key, {"start_up_s": server.start_up_s})
                    if "memory" in keys:
                        self.results.add("memory", contender.key, {"kb": server.idle_kb(IDLE_CONNECTIONS)})
                    failed.discard(contender.key)

    def _measure_loaded(self, scenario: Scenario, servers: dict[str, Server]) -> None:
        self._say(f"{scenario.title} ...")
        amount: float = scenario.in_flight
        if scenario.mode == "paced":
            if "falcon" not in servers:
                self._leave_out(f"{scenario.title}: Falcon, which determines the rate, is not one of the contenders")
                return
            with self._leaving_out(f"{scenario.title}: Falcon"):
                amount = self._top_rate(servers["falcon"]) / 2
            if not amount:
                return
            self.results.half_rate = amount
        failed: set[str] = set()
        for _ in range(self._rounds):
            for key, server in servers.items():
                if key in failed:
                    continue
                failed.add(key)
                with self._leaving_out(f"{scenario.title}: {key}"):
                    self.results.add(scenario.key, key, self._sample(scenario, server, amount))
                    failed.discard(key)

    def _sample(self, scenario: Scenario, server: Server, amount: float) -> Sample:
        return self._load.run(
            scenario.mode,
            server.port,
            scenario.path,
            scenario.connections,
            amount,
            scenario.payload,
            warm_up_s=min(WARM_UP_S, self._seconds),
            seconds=self._seconds,
            pids=server.pids(),
        )

    def _top_rate(self, server: Server) -> float:
        saturating = next(scenario for scenario in SCENARIOS if scenario.key == "echo-32-16")
        rates = [self._sample(saturating, server, saturating.in_flight)["rate"] for _ in range(3)]
        return statistics.median(rates)

    @contextlib.contextmanager
    def _leaving_out(self, what: str) -> Iterator[None]:
        try:
            yield
        except (ServerError, LoadError, OSError) as error:
            self._leave_out(f"{what}: {error}")

    def _leave_out(self, line: str) -> None:
        if line not in self.results.left_out:
            self.results.left_out.append(line)
            self._say(f"left out: {line}")
