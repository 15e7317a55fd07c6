"""Checks of the app itself, which is imported in a process of its own: it may fail, block, or end the process."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from falconws_cli.doctor.finding import Finding, Level
from falconws_cli.project import Project

IMPORT_S = 30.0
"""Seconds for the import of the app, and for the brokers that it uses."""


def check_app(project: Project, *, timeout_s: float = IMPORT_S) -> Iterator[Finding]:
    """Yield what is found of settings, app, routes, origins and brokers."""
    found = _examine(project, timeout_s)
    problem = found.get("settings")
    if problem:
        yield Finding("settings", Level.PROBLEM, problem.rstrip("."), "correct the environment")
    elif problem is not None:
        yield Finding("settings", Level.OK, f"{project.package}.settings accepts the environment")
    if found["app"] is not None:
        yield Finding(
            "app",
            Level.PROBLEM,
            found["app"].rstrip("."),
            found.get("remedy", "correct it, or the environment that it reads"),
        )
        return
    yield Finding("app", Level.OK, f"{project.app} imports")
    count, websockets = found["routes"], found["websockets"]
    yield (
        Finding("routes", Level.OK, f"{count}, of which {websockets} take WebSockets")
        if count
        else Finding("routes", Level.WARNING, "there are none", "add one with `falconws add-resource NAME`")
    )
    if websockets and not found["origins"]:
        yield Finding(
            "origins",
            Level.WARNING,
            "any web page may open a WebSocket with its user's cookies",
            'set app.ws_options.allowed_origins to "same-origin" or to a list of origins, or to "*" if that is meant',
        )
    for ok, detail in found["hubs"]:
        yield (
            Finding("broker", Level.OK, detail)
            if ok
            else Finding("broker", Level.PROBLEM, detail.rstrip("."), "start the broker, or correct the hub's URL")
        )


def _examine(project: Project, timeout_s: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        arguments = [str(project.import_root), str(project.root), project.app, str(result)]
        process = subprocess.Popen(
            [sys.executable, "-m", "falconws_cli.doctor.app_probe", *arguments],
            cwd=project.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Whatever processes the app starts end with it.
            start_new_session=True,
        )
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return {
                "app": f"The import of {project.app} has not come to an end within {timeout_s:g} s",
                "remedy": "do what takes time, or waits, in a middleware's process_startup()",
            }
        finally:
            _end(process)
        if not result.exists():
            return {"app": f"The import of {project.app} has ended the process with code {code}"}
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return found


def _end(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
