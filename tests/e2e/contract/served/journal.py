"""What the contract app's responders saw, and the gates they wait at, both reached over HTTP by the test.

A *run* is one test on one server; its id is the last segment of every path it uses. Log records written on behalf of a
run's connections are part of its journal.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import defaultdict
from contextvars import ContextVar
from typing import Any

import falcon
from falcon.asgi import Request, Response

current_run: ContextVar[str | None] = ContextVar("current_run", default=None)


class Run:
    """The journal and the gates of one run."""

    def __init__(self) -> None:
        self.notes: list[dict[str, Any]] = []
        self._changed = asyncio.Event()
        self._gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def note(self, event: str, **data: Any) -> None:
        """Add a note: *event* is its name, *data* must be fit for JSON."""
        self.notes.append({"event": event, **data})
        self._changed.set()
        self._changed = asyncio.Event()

    async def newer_than(self, count: int, wait_s: float) -> list[dict[str, Any]]:
        """Return the notes after the first *count*, once there is one (or none when none comes in *wait_s*)."""
        try:
            async with asyncio.timeout(wait_s):
                while len(self.notes) <= count:
                    await self._changed.wait()
        except TimeoutError:
            pass
        return self.notes[count:]

    def open(self, gate: str) -> None:
        self._gates[gate].set()

    async def gate(self, name: str) -> None:
        """Wait until the test opens the gate."""
        await self._gates[name].wait()


RUNS: defaultdict[str, Run] = defaultdict(Run)

run_of_client: dict[str, str] = {}
"""The run of each client by its address and port: a server may log outside of the context of the connection's task."""

_ADDRESS = re.compile(r"127\.0\.0\.1:\d+")


class LogToJournal(logging.Handler):
    """Writes every record of level INFO and above that a run's connection causes into the run's journal."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        run = current_run.get()
        if run is None and (address := _ADDRESS.search(record.getMessage())) is not None:
            run = run_of_client.get(address[0])
        if run is not None:
            RUNS[run].note(
                "log",
                logger=record.name,
                level=record.levelname,
                message=record.getMessage(),
                traceback=bool(record.exc_info),
            )


def describe(error: BaseException) -> dict[str, Any]:
    """Return what a test wants to know of an error, fit for JSON."""
    kinds = [kind.__name__ for kind in type(error).__mro__[:-3]]
    details = {name: getattr(error, name) for name in ("code", "reason") if hasattr(error, name)}
    return {"kinds": kinds, "text": str(error), **details}


class JournalResource:
    """``GET /journal/{run}?after=N&wait=S``: the notes after the first N, as soon as there is one."""

    async def on_get(self, req: Request, resp: Response, run: str) -> None:
        after = req.get_param_as_int("after", default=0)
        resp.media = await RUNS[run].newer_than(after, req.get_param_as_float("wait", default=0.0))


class GateResource:
    """``POST /gates/{gate}/{run}`` opens a gate."""

    async def on_post(self, req: Request, resp: Response, gate: str, run: str) -> None:
        RUNS[run].open(gate)
        resp.status = falcon.HTTP_204
