"""The process that makes the load: `python -m falconws_cli.bench.load`.

It reads its Settings as one line of JSON from stdin, and writes lines of JSON to stdout: {"tick": Measure} every half
second, then {"summary": Measure}, or {"error": "one line"}. It stops early when stdin ends, so it never outlives
the command that started it.
"""

import asyncio
import contextlib
import json
import ssl
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from falconws_cli.bench.client import EXPECTATION, Answers, Client, Frames
from falconws_cli.bench.frames import BINARY, TEXT, client_frame
from falconws_cli.bench.latency import Histogram
from falconws_cli.bench.settings import Measure, Settings
from falconws_cli.processes import cpu_seconds

TICK_S = 0.5
_HANDSHAKE_S = 10.0
_ANSWER_S = 5.0
_AT_ONCE = 50
_END_S = 3.0


class LoadFailed(Exception):  # noqa: N818
    """The server did not do its part; one line."""


class Generator:
    """One load test."""

    def __init__(self, settings: Settings, report: Callable[[dict[str, Any]], None]) -> None:
        self._settings = settings
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._failed: asyncio.Future[None] = self._loop.create_future()
        self._stopped = asyncio.Event()
        opcode = BINARY if settings.binary else TEXT
        self._frames = Frames(client_frame(opcode, settings.message.encode()), settings.in_flight)
        self._answers = Answers(settings.in_flight, self._fail)
        self._clients: list[Client] = []

    def stop(self) -> None:
        """End the test now."""
        self._stopped.set()

    async def run(self) -> None:
        """Connect, load, report.

        Raises:
            LoadFailed: The server did not do its part.
        """
        load = asyncio.ensure_future(self._load())
        try:
            await asyncio.wait([load, self._failed], return_when=asyncio.FIRST_COMPLETED)
            if self._failed.done():
                self._failed.result()
            await load
            await self._end()
        finally:
            load.cancel()
            for client in self._clients:
                client.cut()

    async def _end(self) -> None:
        """Leave as a client should: a responder that is cut off in the middle may log an error for each connection."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_S):
                await asyncio.gather(*(client.end() for client in self._clients))

    def _fail(self, line: str) -> None:
        if not self._failed.done():
            self._failed.set_exception(LoadFailed(line))

    async def _load(self) -> None:
        settings = self._settings
        await self._connect_all()
        first = self._clients[0]
        first.send(1)
        await self._within(_ANSWER_S, first.answered.wait(), self._no_answer())
        for client in self._clients:
            client.answered.set()
            client.send(settings.in_flight)
        await self._sleep(settings.warm_up_s)
        begin = _Mark(settings)
        self._answers.histogram = Histogram()
        whole = Histogram()
        last = begin
        while not self._stopped.is_set():
            left = begin.time + settings.seconds - time.perf_counter()
            if left <= 0:
                break
            await self._sleep(min(TICK_S, left))
            counted, self._answers.histogram = self._answers.histogram, Histogram()
            mark = _Mark(settings)
            whole.merge(counted)
            if counted.count:
                self._report({"tick": mark.since(last, counted).to_json()})
                last_answer = mark.time
            elif mark.time - (last_answer if whole.count else begin.time) > _ANSWER_S:
                raise LoadFailed(f"The server has answered nothing for {_ANSWER_S:.0f} s: {EXPECTATION}.")
            last = mark
        self._report({"summary": last.since(begin, whole).to_json()})

    async def _connect_all(self) -> None:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def connect() -> None:
            async with gate:
                await self._connect()

        tasks = [asyncio.ensure_future(connect()) for _ in range(self._settings.connections)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _connect(self) -> None:
        settings = self._settings
        client = Client(settings, self._frames, self._answers)
        self._clients.append(client)
        where = f"{settings.host}:{settings.port}"
        no_answer = f"The server at {where} has not answered the handshake within {_HANDSHAKE_S:.0f} s."
        try:
            connecting = self._loop.create_connection(
                lambda: client, settings.host, settings.port, ssl=_tls(settings) if settings.tls else None
            )
            await self._within(_HANDSHAKE_S, connecting, no_answer)
        except ConnectionRefusedError as error:
            raise LoadFailed(f"Nothing listens on {where}; start the server first (falconws serve).") from error
        except ssl.SSLError as error:
            raise LoadFailed(f"No TLS with {where}: {error.reason or error}; is it ws:// instead of wss://?") from error
        except OSError as error:
            said = (error.strerror or str(error)).rstrip(".").lower()
            raise LoadFailed(f"Cannot connect to {where}: {said} (connection {len(self._clients)}).") from error
        await self._within(_HANDSHAKE_S, client.opened, no_answer)

    async def _within(self, seconds: float, what: Any, line: str) -> None:
        try:
            async with asyncio.timeout(seconds):
                await what
        except TimeoutError as error:
            raise LoadFailed(line) from error

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()

    def _no_answer(self) -> str:
        return (
            f"The server has not answered the first message within {_ANSWER_S:.0f} s: {EXPECTATION}; choose another "
            "path, or send what the app answers with --message."
        )


class _Mark:
    """A moment: the clocks that a measure is the difference of."""

    def __init__(self, settings: Settings) -> None:
        self.time = time.perf_counter()
        self.server_cpu_s = cpu_seconds(settings.pids)
        self.generator_cpu_s = time.process_time()

    def since(self, earlier: "_Mark", histogram: Histogram) -> Measure:
        known = self.server_cpu_s is not None and earlier.server_cpu_s is not None
        return Measure(
            seconds=self.time - earlier.time,
            messages=histogram.count,
            p50_us=histogram.percentile(50),
            p90_us=histogram.percentile(90),
            p99_us=histogram.percentile(99),
            max_us=histogram.largest_us,
            server_cpu_s=(self.server_cpu_s or 0) - (earlier.server_cpu_s or 0) if known else None,
            generator_cpu_s=self.generator_cpu_s - earlier.generator_cpu_s,
        )


def _tls(settings: Settings) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not settings.verify_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _allow_many_files() -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _report(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def _main(settings: Settings) -> None:
    generator = Generator(settings, _report)
    loop = asyncio.get_running_loop()

    def wait_for_the_end() -> None:
        # A thread, because on Windows no event loop can wait for a pipe that is stdin.
        sys.stdin.read()
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(generator.stop)

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    try:
        await generator.run()
    except LoadFailed as error:
        _report({"error": str(error)})


def main() -> None:
    """Run the load test that stdin describes."""
    raw = json.loads(sys.stdin.readline())
    settings = Settings(**{**raw, "headers": [(name, value) for name, value in raw["headers"]]})
    _allow_many_files()
    try:
        import uvloop
    except ImportError:
        asyncio.run(_main(settings))
    else:
        uvloop.run(_main(settings))


if __name__ == "__main__":
    main()
