"""Checks of the app.

Must not import the app: the import may fail, block or end the process, so a process of its own does it.
"""

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
from falconws_cli.errors import RefusedError
from falconws_cli.project import Project

IMPORT_TIMEOUT_S = 30.0
"""The time for the import of the app and for the answers of its brokers."""


def check_app(project: Project, *, timeout_s: float = IMPORT_TIMEOUT_S) -> Iterator[Finding]:
    """Yield the findings about settings, app, routes, origins and brokers."""
    found = _probe(project, "examine", timeout_s)
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
            found.get("remedy", "correct the app, or the environment that it reads"),
        )
        return
    yield Finding("app", Level.OK, f"{project.app} imports")
    count, websockets = found["routes"], found["websockets"]
    yield (
        Finding("routes", Level.OK, f"{count}, of which {websockets} accept WebSockets")
        if count
        else Finding("routes", Level.WARNING, "there are none", "add one with `falconws add-resource NAME`")
    )
    if websockets and not found["origins"]:
        yield Finding(
            "origins",
            Level.WARNING,
            "any web page may open a WebSocket with the cookies of its user",
            'set app.ws_options.allowed_origins to "same-origin" or to a list of origins; "*" allows all',
        )
    if found["contract"] is not None:
        yield from _check_contract(found["contract"])
    for ok, detail in found["hubs"]:
        yield (
            Finding("broker", Level.OK, detail)
            if ok
            else Finding("broker", Level.PROBLEM, detail.rstrip("."), "start the broker, or correct the hub's URL")
        )


def _check_contract(contract: dict[str, Any]) -> Iterator[Finding]:
    topic = "typed routes"
    if "problem" in contract:
        yield Finding(topic, Level.PROBLEM, contract["problem"].rstrip("."), "correct the declaration")
        return
    count = contract["conversations"]
    yield Finding(topic, Level.OK, f"{count} conversation{'' if count == 1 else 's'} declared")
    for name, tag in contract["collisions"]:
        yield Finding(
            topic,
            Level.WARNING,
            f'in {name}, the client and the server have different messages with the tag "{tag}"',
            "give one of them another tag",
        )
    for name in contract["undescribed"]:
        yield Finding(topic, Level.WARNING, f"{name} has no docstring to describe it", "write one")
    if contract["outdated"]:
        yield Finding(
            topic,
            Level.WARNING,
            "asyncapi.json is out of date",
            "run `falconws asyncapi --output asyncapi.json`",
        )


def require_app(project: Project, *, timeout_s: float = IMPORT_TIMEOUT_S) -> str:
    """Return a sentence on why generated code would not work with the app; "" if it would.

    Raises:
        RefusedError: The project's "app" is not the name of an ASGI app.
    """
    found = _probe(project, "import", timeout_s)
    if found.get("target"):
        raise RefusedError(found["app"])
    if found["app"]:
        return f"The app does not load in this environment: {found['app']}"
    if found["is_plain"]:
        return (
            "The app is a falcon.asgi.App, but generated code needs its subclass falconws.App: "
            "create the app with that class."
        )
    return ""


def _probe(project: Project, how: str, timeout_s: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        arguments = [how, str(project.import_root), str(project.root), project.app, str(result)]
        process = subprocess.Popen(
            [sys.executable, "-B", "-m", "falconws_cli.doctor.app_probe", *arguments],
            cwd=project.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Processes that the app starts are ended with it.
            start_new_session=True,
        )
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return {
                "app": f"The import of {project.app} has not finished within {timeout_s:g} s",
                "remedy": "move what takes time or waits into a middleware's process_startup()",
            }
        finally:
            _end(process)
        if not result.exists():
            return {"app": f"The import of {project.app} ended the process with exit code {code}"}
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return found


def _end(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
