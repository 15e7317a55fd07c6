"""Readiness: the server's answer to load balancers that ask whether it can take clients.

Asks the checks that the application has registered in the lifespan state, at most once a second. Knows nothing of
sockets.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

READINESS_KEY = "falconws.readiness"
"""Key in the lifespan state: a list of coroutine functions that return a line saying what is wrong, or None."""

Check = Callable[[], Awaitable[str | None]]

_FRESH_S = 1.0
"""How long an answer of the checks is used."""
_CHECK_TIMEOUT_S = 5.0
_LOG_INTERVAL_S = 10.0
_ADDRESS = re.compile(
    r"[a-z][a-z0-9+.\-]*://[^\s,;]+"  # URLs
    r"|\[?[0-9A-Fa-f]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*\]?(?::\d+)?"  # IPv6
    r"|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?"  # IPv4
    r"|\b[\w\-]+(?:\.[\w\-]+)*:\d{2,5}\b"  # host:port
    r"|\('[^']*', \d+(?:, \d+)*\)"  # Python's socket addresses
)

_logger = logging.getLogger("falconws.server")


class Readiness:
    """Asks the checks once for all probes that come in the meantime."""

    def __init__(self) -> None:
        self._asking: asyncio.Task[list[str]] | None = None
        self._fresh_until = 0.0
        self._log_at = 0.0

    async def problems(self, checks: Iterable[Check]) -> list[str]:
        """Return what is wrong, a line each, without addresses."""
        loop = asyncio.get_running_loop()
        if self._asking is None or (self._asking.done() and loop.time() >= self._fresh_until):
            self._asking = loop.create_task(self._ask(list(checks)))
        # One probe that leaves must not take the answer away from the others.
        return await asyncio.shield(self._asking)

    async def _ask(self, checks: list[Check]) -> list[str]:
        loop = asyncio.get_running_loop()
        problems = []
        for check in checks:
            try:
                async with asyncio.timeout(_CHECK_TIMEOUT_S):
                    problem = await check()
            except TimeoutError:
                problem = "a readiness check does not answer"
            except Exception as error:
                _logger.exception("A readiness check failed")
                problem = f"a readiness check failed: {type(error).__name__}"
            if problem is not None:
                problems.append(problem)
        self._fresh_until = loop.time() + _FRESH_S
        if problems and loop.time() >= self._log_at:
            self._log_at = loop.time() + _LOG_INTERVAL_S
            _logger.warning("Not ready: %s", "; ".join(problems))
        return [_ADDRESS.sub("[address]", problem) for problem in problems]


def has_route(app: Any, path: str) -> bool:
    """Return whether *app*, or the app inside its middleware, has a route for exactly *path*.

    It can tell for Falcon's applications, and for those with a list `routes` as Starlette has.
    """
    for _ in range(20):
        routes = _routes_of(app)
        if routes is not None:
            return path in routes
        app = getattr(app, "app", None)
        if app is None:
            return False
    return False


def _routes_of(app: Any) -> set[str] | None:
    falcon = sys.modules.get("falcon")
    if falcon is not None and isinstance(app, falcon.App):
        from falcon.inspect import inspect_routes

        try:
            return {route.path for route in inspect_routes(app)}
        except TypeError:
            # A router of the application's own that falcon.inspect does not know.
            return set()
    routes = getattr(app, "routes", None)
    if isinstance(routes, list):
        return {path for route in routes if isinstance(path := getattr(route, "path", None), str)}
    return None
