"""Admission: which connections and requests reach the application, and whether the server is ready.

Plain ASGI around the application, so that it holds on every engine. Owns the event that says that the server is going
away. Knows nothing of sockets.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from falconws.extension import GOING_AWAY_KEY

READY_PATH = "/readyz"
READINESS_KEY = "falconws.readiness"
"""Key in the lifespan state: a list of coroutine functions that return a line saying what is wrong, or None."""
HEALTH_PATHS = frozenset({"/healthz", READY_PATH})

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True)
class AdmissionSettings:
    """Which connections and requests a process lets in.

    Attributes:
        only: "http" or "ws" serves one kind of traffic and answers the other with 421, except for /healthz and
            /readyz; None serves both.
        limit_connections: Largest number of WebSockets and HTTP requests at a time in one process; more get 503 with
            Retry-After. None sets no limit.
        limit_connections_per_ip: The same for one client address, as trusted proxy headers give it.
    """

    only: str | None = None
    limit_connections: int | None = None
    limit_connections_per_ip: int | None = None

    def __post_init__(self) -> None:
        if self.only not in (None, "http", "ws"):
            raise ValueError(f'only is "{self.only}"; it must be "http" or "ws"')
        for name in ("limit_connections", "limit_connections_per_ip"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")


class Admission:
    """An ASGI app around the application, which refuses what the settings do not let in.

    Args:
        app: The application.
        settings: What it lets in.
        hide_cancellation: Hide the cancellation of responders at shutdown from an engine that would log it with a
            traceback.

    It is not a coroutine function: for most connections a call returns the application's own coroutine, so that an
    idle connection does not pay for a frame that does nothing.
    """

    def __init__(self, app: Any, settings: AdmissionSettings, *, hide_cancellation: bool = False) -> None:
        self._app = self._without_cancellation if hide_cancellation else app
        self._inner = app
        self._settings = settings
        self._connections = 0
        self._by_ip: Counter[str] = Counter()
        self._limited = settings.limit_connections is not None or settings.limit_connections_per_ip is not None
        self.going_away = asyncio.Event()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        kind = scope["type"]
        if kind == "websocket":
            return self._websocket(scope, receive, send)
        if kind == "http":
            return self._http(scope, receive, send)
        return self._call_app(scope, receive, send)

    def _call_app(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        result: Awaitable[None] = self._app(scope, receive, send)
        return result

    async def _without_cancellation(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._inner(scope, receive, send)
        except asyncio.CancelledError:
            if not self.going_away.is_set():
                raise

    def _websocket(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if self._settings.only == "http":
            return _deny(scope, send, 421, "This instance serves HTTP only.")
        if self.going_away.is_set():
            return _deny(scope, send, 503, "The server is restarting.", retry_after_s=1)
        scope.setdefault("extensions", {})[GOING_AWAY_KEY] = self.going_away
        if not self._limited:
            return self._call_app(scope, receive, send)
        if self._is_full(scope):
            return _deny(scope, send, 503, "Too many connections.", retry_after_s=5)
        return self._call_app_counted(scope, receive, send)

    def _http(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if path == READY_PATH:
            if self.going_away.is_set():
                return _respond(send, 503, "going away")
            checks = (scope.get("state") or {}).get(READINESS_KEY)
            if checks:
                return self._check_readiness(checks, scope, receive, send)
            return self._call_app(scope, receive, _Readiness(send))
        if path in HEALTH_PATHS:
            return self._call_app(scope, receive, send)
        if self._settings.only == "ws":
            return _respond(send, 421, "This instance serves WebSockets only.")
        if not self._limited:
            return self._call_app(scope, receive, send)
        if self._is_full(scope):
            return _respond(send, 503, "Too many connections.", retry_after_s=5)
        return self._call_app_counted(scope, receive, send)

    async def _check_readiness(
        self, checks: Iterable[Callable[[], Awaitable[str | None]]], scope: Scope, receive: Receive, send: Send
    ) -> None:
        problems = [problem for check in checks if (problem := await check()) is not None]
        if problems:
            await _respond(send, 503, "\n".join(problems))
        else:
            await self._call_app(scope, receive, _Readiness(send))

    def _is_full(self, scope: Scope) -> bool:
        settings = self._settings
        if settings.limit_connections is not None and self._connections >= settings.limit_connections:
            return True
        ip = _ip(scope)
        return (
            settings.limit_connections_per_ip is not None
            and ip is not None
            and self._by_ip[ip] >= settings.limit_connections_per_ip
        )

    async def _call_app_counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        ip = _ip(scope)
        self._connections += 1
        if ip is not None:
            self._by_ip[ip] += 1
        try:
            await self._call_app(scope, receive, send)
        finally:
            self._connections -= 1
            if ip is not None:
                self._by_ip[ip] -= 1
                if not self._by_ip[ip]:
                    del self._by_ip[ip]


class _Readiness:
    """A `send` that answers "ready" if the application has no /readyz of its own, that is, if it answers 404."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._replaced = False

    async def __call__(self, event: dict[str, Any]) -> None:
        if event["type"] == "http.response.start" and event["status"] == 404:
            self._replaced = True
            await _respond(self._send, 200, "ready")
        elif not self._replaced:
            await self._send(event)


def _ip(scope: Scope) -> str | None:
    client = scope.get("client")
    return client[0] if client and client[1] is not None else None


def _response(status: int, text: str, retry_after_s: int | None) -> tuple[dict[str, Any], dict[str, Any]]:
    body = text.encode() + b"\n"
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    if retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % retry_after_s))
    return {"status": status, "headers": headers}, {"body": body}


async def _respond(send: Send, status: int, text: str, *, retry_after_s: int | None = None) -> None:
    start, body = _response(status, text, retry_after_s)
    await send({"type": "http.response.start", **start})
    await send({"type": "http.response.body", **body})


async def _deny(scope: Scope, send: Send, status: int, text: str, *, retry_after_s: int | None = None) -> None:
    if "websocket.http.response" not in (scope.get("extensions") or ()):
        await send({"type": "websocket.close"})
        return
    start, body = _response(status, text, retry_after_s)
    await send({"type": "websocket.http.response.start", **start})
    await send({"type": "websocket.http.response.body", **body})
