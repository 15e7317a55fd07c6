"""What every server serves in the contract suite: falconws applications, bare ASGI responders, and the journal.

One route a behaviour, ``/name/{run}``. A responder does what a user's would, and notes in the run's journal what it
saw.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import Any

import falcon.asgi

from falconws import Request, log_throttle

from . import bare, ending, faults, handshake, headers, messages, tasks, typed, wrapped
from .apps import app_for, main, with_hosts
from .journal import RUNS, GateResource, JournalResource, LogToJournal, current_run, describe, run_of_client

RESPONDERS = (handshake, headers, messages, tasks, ending, faults, typed, wrapped)
"""Importing them has added their routes."""


class TokenResource:
    """Tells the test that it talks to the server that it started."""

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        resp.text = os.environ.get("CONTRACT_TOKEN", "")


main.add_route("/journal/{run}", JournalResource())
main.add_route("/gates/{gate}/{run}", GateResource())
main.add_route("/token", TokenResource())


async def dispatch(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The ASGI callable: picks the app by the first segment of the path, and keeps the run's books."""
    if scope["type"] != "websocket":
        app = with_hosts if scope.get("path", "").startswith("/hosts/") else main
        await app(scope, receive, send)
        return
    _, name, *_, run_id = scope["path"].split("/")
    run = RUNS[run_id]
    current_run.set(run_id)
    host, port = scope["client"]
    run_of_client[f"{host}:{port}"] = run_id
    run.note("entered the app")
    try:
        if name in bare.RESPONDERS:
            await bare.respond(name, scope, receive, send, run)
        else:
            app = app_for(name, run_id)
            if name == wrapped.NAME:
                app = wrapped.RewriteMiddleware(app, run)
            await app(scope, receive, send)
    except BaseException as error:
        run.note("left the app", **describe(error))
        raise
    else:
        run.note("left the app", kinds=[])


def _end_with_parent() -> None:
    # Standard input is a pipe that the test process holds; it ends when that process does, however it does.
    while os.read(0, 1):
        pass
    os._exit(1)


app = dispatch
# One process serves the runs of all tests, each of which looks at its own lines.
log_throttle._MAX_REPEATS = 1_000_000
logging.getLogger().addHandler(LogToJournal())
logging.getLogger("falconws").setLevel(logging.INFO)
if "CONTRACT_TOKEN" in os.environ:
    threading.Thread(target=_end_with_parent, daemon=True).start()
