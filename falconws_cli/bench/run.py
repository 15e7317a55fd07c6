"""A load test from end to end: find or serve the app, start the generator, show what it reports."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from falconws_cli.bench.settings import Measure, Settings
from falconws_cli.bench.subject import served
from falconws_cli.bench.view import JsonView, LiveView, PlainView, View
from falconws_cli.errors import CommandError, RefusedError
from falconws_cli.processes import listening_pids, name_of
from falconws_cli.project import require_project
from falconws_cli.project_routes import suggest_route
from falconws_cli.urls import Target, is_loopback, parse_header, parse_path, parse_url, require_loopback

_MAX_IN_FLIGHT_BYTES = 1 << 30
_END_S = 15.0


def bench(
    where: str,
    start: Path,
    *,
    connections: int,
    in_flight: int,
    size: int,
    message: str | None,
    binary: bool,
    headers: Sequence[str],
    seconds: float,
    warm_up: float,
    allow_remote: bool,
    as_json: bool,
) -> None:
    """Put *where* under load: a URL, or a path of the app of the project around *start*.

    Raises:
        CommandError: The server cannot be reached, or does not answer as a load test needs it.
        RefusedError: The load test cannot be carried out as typed; nothing was started.
    """
    sent = "x" * size if message is None else message
    if connections * in_flight * len(sent.encode()) > _MAX_IN_FLIGHT_BYTES:
        raise RefusedError("More than 1 GiB would be in flight: lower --connections, --in-flight or --size.")
    pairs = [parse_header(header) for header in headers]
    with contextlib.ExitStack() as stack:
        if "://" in where:
            target = parse_url(where)
            if not allow_remote:
                require_loopback(target)
        else:
            path = parse_path(where)
            port = stack.enter_context(served(require_project(start).root))
            target = Target("127.0.0.1", port, path)
        local = is_loopback(target)
        pids = listening_pids(target.port) if local else []
        settings = Settings(
            host=target.host,
            port=target.port,
            path=target.path,
            authority=target.authority,
            tls=target.tls,
            # A certificate for development is nobody's but this machine's.
            verify_tls=not local,
            headers=pairs,
            connections=connections,
            in_flight=in_flight,
            message=sent,
            binary=binary,
            warm_up_s=warm_up,
            seconds=seconds,
            pids=pids,
            not_found_hint=suggest_route(target.path, start),
        )
        _load(settings, _view(settings, as_json=as_json))


def _view(settings: Settings, *, as_json: bool) -> View:
    if as_json:
        return JsonView(settings)
    name = name_of(settings.pids[0]) if settings.pids else ""
    return LiveView(settings, name) if sys.stdout.isatty() else PlainView(settings, name)


def _load(settings: Settings, view: View) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "falconws_cli.bench.load"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C is for this process, which then asks the generator for its summary.
        start_new_session=True,
    )
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps(settings.to_json()) + "\n")
        process.stdin.flush()
        view.begin()
        interrupted = False
        reader = _Reader(process, view)
        try:
            reader.read()
        except KeyboardInterrupt:
            interrupted = True
            process.stdin.close()
            reader.read(silent=True)
        if reader.error is not None:
            raise CommandError(reader.error)
        if reader.summary is not None:
            view.end(reader.summary, interrupted=interrupted)
        elif not interrupted:
            raise CommandError(f"The load generator ended with code {process.wait(_END_S)} and no word.")
    finally:
        process.kill()
        process.wait(_END_S)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


class _Reader:
    """Takes the generator's lines."""

    def __init__(self, process: subprocess.Popen[str], view: View) -> None:
        self.summary: Measure | None = None
        self.error: str | None = None
        self._process = process
        self._view = view
        self._elapsed_s = 0.0

    def read(self, *, silent: bool = False) -> None:
        """Read until the generator has ended; show each tick unless *silent*."""
        take: dict[str, Callable[[Any], None]] = {
            "tick": (lambda value: None) if silent else self._tick,
            "summary": self._end,
            "error": self._fail,
        }
        assert self._process.stdout is not None
        for line in self._process.stdout:
            for kind, value in json.loads(line).items():
                take[kind](value)

    def _tick(self, value: dict[str, Any]) -> None:
        measure = Measure(**value)
        self._elapsed_s += measure.seconds
        self._view.tick(self._elapsed_s, measure)

    def _end(self, value: dict[str, Any]) -> None:
        self.summary = Measure(**value)

    def _fail(self, value: str) -> None:
        self.error = value
