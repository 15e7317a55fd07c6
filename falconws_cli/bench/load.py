"""The process that generates the load: `python -m falconws_cli.bench.load`. Must not know the terminal.

It reads its Settings as one line of JSON from stdin, and writes lines of JSON to stdout: {"tick": Measurement} every
half second, then {"summary": Measurement}, or {"error": "one line"}. It stops when stdin ends, so that it never
outlives the command that started it.
"""

import asyncio
import contextlib
import json
import logging
import ssl
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import picows

from falconws_cli.bench.client import EXPECTATION, Client, Load, masked_frame
from falconws_cli.bench.latency import Histogram
from falconws_cli.bench.settings import Measurement, Settings
from falconws_cli.processes import cpu_seconds

TICK_INTERVAL_S = 0.5
_HANDSHAKE_TIMEOUT_S = 10.0
_REPLY_TIMEOUT_S = 5.0
_CONCURRENT_HANDSHAKES = 50
_CLOSE_TIMEOUT_S = 3.0
_MAX_FRAME_BYTES = 64 << 20
_SHOWN_BODY_BYTES = 200


class LoadFailed(Exception):
    """The load test cannot go on; the message is one line."""


class LoadGenerator:
    """One load test."""

    def __init__(self, settings: Settings, report: Callable[[dict[str, Any]], None]) -> None:
        self._settings = settings
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._failed: asyncio.Future[None] = self._loop.create_future()
        self._stopped = asyncio.Event()
        frame = masked_frame(settings.message.encode(), binary=settings.binary)
        self._load = Load(frame, settings.in_flight, self._fail)
        self._clients: list[Client] = []

    def stop(self) -> None:
        """End the test now."""
        self._stopped.set()

    async def run(self) -> None:
        """Connect, generate the load, and report the measurements.

        Raises:
            LoadFailed: The server cannot be reached, or does not reply as expected.
        """
        load = asyncio.ensure_future(self._run_load())
        try:
            await asyncio.wait([load, self._failed], return_when=asyncio.FIRST_COMPLETED)
            if self._failed.done():
                self._failed.result()
            await load
            await self._close_all()
        finally:
            load.cancel()
            for client in self._clients:
                client.abort()

    async def _close_all(self) -> None:
        """Close every connection with a closing handshake: a dropped one can make the responder log an error."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await asyncio.gather(*(client.close() for client in self._clients))

    def _fail(self, line: str) -> None:
        if not self._failed.done():
            self._failed.set_exception(LoadFailed(line))

    async def _run_load(self) -> None:
        settings = self._settings
        await self._connect_all()
        first = self._clients[0]
        first.send(1)
        await self._within(_REPLY_TIMEOUT_S, first.replied.wait(), self._no_reply())
        for client in self._clients:
            client.replied.set()
            client.send(settings.in_flight)
        await self._sleep(settings.warm_up_s)
        begin = _Clocks(settings)
        self._load.histogram = Histogram()
        whole = Histogram()
        last = begin
        while not self._stopped.is_set():
            left = begin.time + settings.duration_s - time.perf_counter()
            if left <= 0:
                break
            await self._sleep(min(TICK_INTERVAL_S, left))
            counted, self._load.histogram = self._load.histogram, Histogram()
            mark = _Clocks(settings)
            whole.merge(counted)
            if counted.count:
                self._report({"tick": asdict(mark.since(last, counted))})
                last_reply = mark.time
            elif mark.time - (last_reply if whole.count else begin.time) > _REPLY_TIMEOUT_S:
                raise LoadFailed(f"The server has sent no reply for {_REPLY_TIMEOUT_S:.0f} s: {EXPECTATION}.")
            last = mark
        self._report({"summary": asdict(last.since(begin, whole))})

    async def _connect_all(self) -> None:
        slots = asyncio.Semaphore(_CONCURRENT_HANDSHAKES)

        async def connect() -> None:
            async with slots:
                await self._connect()

        tasks = [asyncio.ensure_future(connect()) for _ in range(self._settings.connections)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _connect(self) -> None:
        settings = self._settings
        client = Client(self._load)
        self._clients.append(client)
        where = settings.authority
        connecting = picows.ws_connect(
            lambda: client,
            settings.url,
            ssl_context=_tls(settings) if settings.tls else None,
            extra_headers=settings.headers,
            enable_auto_pong=True,
            max_frame_size=_MAX_FRAME_BYTES,
            max_redirects=0,
            websocket_handshake_timeout=None,
        )
        timed_out = f"The server at {where} has not answered the handshake within {_HANDSHAKE_TIMEOUT_S:.0f} s."
        try:
            _, listener = await self._within(_HANDSHAKE_TIMEOUT_S, connecting, timed_out)
        except ConnectionRefusedError as error:
            raise LoadFailed(f"Nothing listens on {where}; start the server first (falconws serve).") from error
        except ssl.SSLError as error:
            said = error.reason or error
            raise LoadFailed(f"TLS with {where} failed: {said}; is it ws:// instead of wss://?") from error
        except picows.WSError as error:
            raise LoadFailed(_handshake_failure(error, settings)) from error
        except OSError as error:
            said = (error.strerror or str(error)).rstrip(".").lower()
            raise LoadFailed(f"Cannot connect to {where}: {said} (connection {len(self._clients)}).") from error
        if listener is None:
            raise LoadFailed("The server closed the connection during the handshake.")

    async def _within(self, timeout_s: float, awaitable: Any, line: str) -> Any:
        try:
            async with asyncio.timeout(timeout_s):
                return await awaitable
        except TimeoutError as error:
            raise LoadFailed(line) from error

    async def _sleep(self, duration_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(duration_s):
                await self._stopped.wait()

    def _no_reply(self) -> str:
        return (
            f"The server has not replied to the first message within {_REPLY_TIMEOUT_S:.0f} s: {EXPECTATION}; "
            "choose another path, or send what the app replies to with --message."
        )


class _Clocks:
    """The clocks at one moment; a measurement is the difference of two."""

    def __init__(self, settings: Settings) -> None:
        self.time = time.perf_counter()
        self.server_cpu_s = cpu_seconds(settings.pids)
        self.generator_cpu_s = time.process_time()

    def since(self, earlier: "_Clocks", histogram: Histogram) -> Measurement:
        known = self.server_cpu_s is not None and earlier.server_cpu_s is not None
        return Measurement(
            seconds=self.time - earlier.time,
            messages=histogram.count,
            p50_us=histogram.percentile(50),
            p90_us=histogram.percentile(90),
            p99_us=histogram.percentile(99),
            max_us=histogram.largest_us,
            server_cpu_s=(self.server_cpu_s or 0) - (earlier.server_cpu_s or 0) if known else None,
            generator_cpu_s=self.generator_cpu_s - earlier.generator_cpu_s,
        )


def _handshake_failure(error: picows.WSError, settings: Settings) -> str:
    """Return the error line for a handshake that the server denied, or answered with another response."""
    response = getattr(error, "response", None)
    if isinstance(error, picows.WSInvalidStatusError) and response is not None:
        body = bytes(response.body or error.raw_body or b"")[:_SHOWN_BODY_BYTES].decode(errors="replace")
        said = f": {' '.join(body.split())}" if body.strip() else ""
        hint = settings.not_found_hint if response.status == 404 else ""
        return f"The server denied the handshake with {response.status:d} {response.status.phrase}{said}.{hint}"
    if isinstance(error, picows.WSInvalidHeaderError):
        return f"The server's {error.name} header is wrong; is it a WebSocket server?"
    if isinstance(error, picows.WSInvalidMessageError):
        return "The server does not speak HTTP; is it a WebSocket server?"
    return f"The handshake failed: {error}."


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
    generator = LoadGenerator(settings, _report)
    loop = asyncio.get_running_loop()

    def stop_at_end_of_input() -> None:
        # A thread, because on Windows an event loop cannot wait for a pipe.
        sys.stdin.read()
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(generator.stop)

    threading.Thread(target=stop_at_end_of_input, daemon=True).start()
    try:
        await generator.run()
    except LoadFailed as error:
        _report({"error": str(error)})


def main() -> None:
    """Run the load test that stdin describes."""
    raw = json.loads(sys.stdin.readline())
    settings = Settings(**{**raw, "headers": [(name, value) for name, value in raw["headers"]]})
    _allow_many_files()
    # Every failure is reported as one line instead.
    logging.getLogger("picows").addHandler(logging.NullHandler())
    try:
        import uvloop
    except ImportError:
        asyncio.run(_main(settings))
    else:
        uvloop.run(_main(settings))


if __name__ == "__main__":
    main()
