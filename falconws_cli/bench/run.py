"""Runs a load test: serves the app or finds the server, starts the load generator, and shows its measurements.

Must not know how the load is generated, nor how measurements are laid out.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from falconws_cli.bench.app_server import serve_project
from falconws_cli.bench.settings import Measurement, Settings
from falconws_cli.bench.view import JsonView, LiveView, PlainView, View
from falconws_cli.errors import CommandError, RefusedError
from falconws_cli.processes import listening_pids, name_of
from falconws_cli.project import require_project
from falconws_cli.project_routes import suggest_route
from falconws_cli.urls import WebSocketUrl, is_loopback, parse_header, parse_path, parse_url, require_loopback

_MAX_IN_FLIGHT_BYTES = 1 << 30
_EXIT_TIMEOUT_S = 15.0


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
    duration_s: float,
    warm_up_s: float,
    allow_remote: bool,
    as_json: bool,
) -> None:
    """Put *where* under load: a URL, or a path of the app of the project around *start*.

    Raises:
        CommandError: The server cannot be reached, or does not reply as expected.
        RefusedError: An argument is invalid; nothing was started.
    """
    sent = "x" * size if message is None else message
    if connections * in_flight * len(sent.encode()) > _MAX_IN_FLIGHT_BYTES:
        raise RefusedError("More than 1 GiB would be in flight: lower --connections, --in-flight or --size.")
    pairs = [parse_header(header) for header in headers]
    with contextlib.ExitStack() as stack:
        if "://" in where:
            url = parse_url(where)
            if not allow_remote:
                require_loopback(url)
        else:
            path = parse_path(where)
            port = stack.enter_context(serve_project(require_project(start).root))
            url = WebSocketUrl("127.0.0.1", port, path)
        local = is_loopback(url)
        pids = listening_pids(url.port) if local else []
        settings = Settings(
            host=url.host,
            port=url.port,
            path=url.path,
            authority=url.authority,
            tls=url.tls,
            # A local server usually has a certificate for development.
            verify_tls=not local,
            headers=pairs,
            connections=connections,
            in_flight=in_flight,
            message=sent,
            binary=binary,
            warm_up_s=warm_up_s,
            duration_s=duration_s,
            pids=pids,
            not_found_hint=suggest_route(url.path, start),
        )
        _load(settings, _view(settings, as_json=as_json))


def _view(settings: Settings, *, as_json: bool) -> View:
    if as_json:
        return JsonView(settings)
    name = name_of(settings.pids[0]) if settings.pids else ""
    redraws = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    return LiveView(settings, name) if redraws else PlainView(settings, name)


def _load(settings: Settings, view: View) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "falconws_cli.bench.load"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Only this process gets the Ctrl+C signal; it then asks the generator for its summary.
        start_new_session=True,
    )
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps(asdict(settings)) + "\n")
        process.stdin.flush()
        view.begin()
        interrupted = False
        try:
            summary = _read(process, view)
        except KeyboardInterrupt:
            interrupted = True
            process.stdin.close()
            summary = _read(process, None)
        if summary is not None:
            view.end(summary, interrupted=interrupted)
        elif not interrupted:
            raise CommandError(f"The load generator ended with code {process.wait(_EXIT_TIMEOUT_S)} and no result.")
    finally:
        process.kill()
        process.wait(_EXIT_TIMEOUT_S)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def _read(process: subprocess.Popen[str], view: View | None) -> Measurement | None:
    """Read until the generator has ended; show each tick, unless *view* is None. Return the summary, if there is one.

    Raises:
        CommandError: The generator has failed.
    """
    assert process.stdout is not None
    elapsed_s, summary = 0.0, None
    for line in process.stdout:
        [(kind, value)] = json.loads(line).items()
        if kind == "error":
            raise CommandError(value)
        measurement = Measurement(**value)
        if kind == "summary":
            summary = measurement
        elif view is not None:
            elapsed_s += measurement.seconds
            view.tick(elapsed_s, measurement)
    return summary
