"""Admission: which connections and requests reach the application, and whether the server is ready.

Plain ASGI around the application, so that it holds on every engine. Owns the event that says that the server is going
away. Knows nothing of sockets.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from falconws.extension import GOING_AWAY_KEY
from falconws.hosts import HostPolicy, host_headers
from falconws.server.addresses import network_of
from falconws.server.readiness import READINESS_KEY, Readiness, has_route

HEALTH_PATH = "/healthz"
_WRONG_HOST = "This host is not served. A development server answers localhost; --allowed-host adds names."
_MAX_PROBES = 100
"""Probes of health and readiness at a time; they do not count as connections."""

Header = tuple[bytes, bytes]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_RETRY_SOON: Header = (b"retry-after", b"1")
_RETRY_LATER: Header = (b"retry-after", b"5")
_ALLOWED_METHODS: Header = (b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
"""What `OPTIONS *` is answered with, which asks about the server itself (RFC 9110 section 9.3.7)."""


@dataclass(frozen=True)
class AdmissionSettings:
    """Which connections and requests a process lets in.

    Attributes:
        only: "http" or "ws" serves one kind of traffic, and answers the other with 421. /healthz and the readiness path
            are always answered. None serves both.
        allowed_hosts: The names that a Host header may contain, as for `App.allowed_hosts`. Requests with other names
            get 421, except for /healthz and the readiness path. None allows all names.
        limit_connections: The largest number of WebSockets and HTTP requests at the same time in one process. More get
            503 with Retry-After. None sets no limit.
        limit_connections_per_ip: The same limit for each client address. If a trusted proxy names the address in a
            header, that one counts.
        ipv6_prefix: The number of bits of an IPv6 address that identify a client: all addresses of a network of this
            size count as one.
        readiness_path: The path at which the server says whether it can accept clients: 200, or 503 with the reason. If
            the application has a route with exactly this path, the application answers. None turns it off.
    """

    only: str | None = None
    allowed_hosts: Sequence[str] | None = None
    limit_connections: int | None = None
    limit_connections_per_ip: int | None = None
    ipv6_prefix: int = 64
    readiness_path: str | None = "/readyz"

    def __post_init__(self) -> None:
        if self.only not in (None, "http", "ws"):
            raise ValueError(f'only is "{self.only}"; it must be "http" or "ws"')
        if self.allowed_hosts is not None:
            HostPolicy(self.allowed_hosts)
        for name in ("limit_connections", "limit_connections_per_ip"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        if not 1 <= self.ipv6_prefix <= 128:
            raise ValueError(f"ipv6_prefix is {self.ipv6_prefix}; it must be 1 to 128")
        if self.readiness_path is not None and not self.readiness_path.startswith("/"):
            raise ValueError(f'readiness_path is "{self.readiness_path}"; it must begin with "/"')


class Admission:
    """An ASGI app around the application, which refuses what the settings do not let in.

    Args:
        app: The application.
        settings: What it lets in.
        hide_cancellation: Hide the cancellation of a WebSocket's responder at shutdown from an engine that would log it
            with a traceback, as uvicorn's HTTP protocols do.
        prepare: Called with the scope of each request that the engine has not prepared itself.
        workers: How many processes serve the application; its lifespan's scope says so.

    It is not a coroutine function: for most connections a call returns the application's own coroutine, so that an
    idle connection does not pay for a frame that does nothing.
    """

    def __init__(
        self,
        app: Any,
        settings: AdmissionSettings,
        *,
        hide_cancellation: bool = False,
        prepare: Callable[[Scope], None] = lambda scope: None,
        prepare_websockets: bool = False,
        workers: int = 1,
    ) -> None:
        self._app = app
        self._hide_cancellation = frozenset({"http", "websocket"} if hide_cancellation else {"http"})
        self._settings = settings
        self._hosts = None if settings.allowed_hosts is None else HostPolicy(settings.allowed_hosts)
        self._connections = 0
        self._by_client: Counter[str] = Counter()
        self._limited = settings.limit_connections is not None or settings.limit_connections_per_ip is not None
        self._prepare = prepare
        self._prepare_websockets = prepare_websockets
        self._probes = 0
        self._workers = workers
        self._readiness = Readiness()
        self._app_answers: bool | None = None
        self.is_leaving = False
        """Whether the server will drain soon: it is not ready, and serves all the same."""
        self.going_away = asyncio.Event()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        kind = scope["type"]
        if kind == "websocket":
            if self._prepare_websockets:
                self._prepare(scope)
            return self._websocket(scope, receive, send)
        if kind == "http":
            self._prepare(scope)
            return self._http(scope, receive, send)
        return self._lifespan(scope, receive, send)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the lifespan. An exit or a cancellation in it is a failure, not an application without lifespan."""
        phase = "startup"
        scope.setdefault("extensions", {})["falconws.server"] = {"workers": self._workers}

        async def watching_send(event: dict[str, Any]) -> None:
            nonlocal phase
            if event["type"] == "lifespan.startup.complete":
                phase = "shutdown"
            await send(event)

        try:
            await self._call_app(scope, receive, watching_send)
        except Exception:
            raise
        except BaseException as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            message = f"The application's {phase} ended with {type(error).__name__}"
            await send(
                {"type": f"lifespan.{phase}.failed", "message": f"{message}: {error}" if str(error) else message}
            )

    def _call_app(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] in self._hide_cancellation:
            return self._call_without_cancellation(scope, receive, send)
        result: Awaitable[None] = self._app(scope, receive, send)
        return result

    async def _call_without_cancellation(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            if not self.going_away.is_set():
                raise

    def _websocket(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if self._settings.only == "http":
            return _deny(scope, send, 421, "This instance serves HTTP only.")
        if self._hosts is not None and not self._hosts.allows(host_headers(scope["headers"])):
            return _deny(scope, send, 421, _WRONG_HOST)
        if self.going_away.is_set():
            return _deny(scope, send, 503, "The server is restarting.", _RETRY_SOON)
        scope.setdefault("extensions", {})[GOING_AWAY_KEY] = self.going_away
        if not self._limited:
            return self._call_app(scope, receive, send)
        if self._is_full(scope):
            return _deny(scope, send, 503, "Too many connections.", _RETRY_LATER)
        return self._call_app_counted(scope, receive, send)

    def _http(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        path = scope["path"]
        if path == self._settings.readiness_path:
            return self._counted_probe(self._answer_readiness(scope, receive, send), send)
        if path == HEALTH_PATH:
            return self._counted_probe(self._call_app(scope, receive, send), send)
        if self._settings.only == "ws":
            return _respond(send, 421, "This instance serves WebSockets only.")
        if self._hosts is not None and not self._hosts.allows(host_headers(scope["headers"])):
            return _respond(send, 421, _WRONG_HOST)
        if path == "*":
            return _respond(send, 200, "", _ALLOWED_METHODS)
        if not self._limited:
            return self._call_app(scope, receive, send)
        if self._is_full(scope):
            return _respond(send, 503, "Too many connections.", _RETRY_LATER)
        return self._call_app_counted(scope, receive, send)

    async def _counted_probe(self, answer: Awaitable[None], send: Send) -> None:
        if self._probes >= _MAX_PROBES:
            if isinstance(answer, Coroutine):
                answer.close()
            await _respond(send, 503, "Too many probes.", _RETRY_SOON)
            return
        self._probes += 1
        try:
            await answer
        finally:
            self._probes -= 1

    async def _answer_readiness(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.is_leaving or self.going_away.is_set():
            await _respond(send, 503, "going away")
            return
        if self._app_answers is None:
            self._app_answers = has_route(self._app, scope["path"])
        if self._app_answers:
            await self._call_app(scope, receive, send)
            return
        checks = (scope.get("state") or {}).get(READINESS_KEY) or ()
        problems = await self._readiness.problems(checks) if checks else []
        if problems:
            await _respond(send, 503, "\n".join(problems))
        else:
            await _respond(send, 200, "ready")

    def _is_full(self, scope: Scope) -> bool:
        settings = self._settings
        if settings.limit_connections is not None and self._connections >= settings.limit_connections:
            return True
        client = self._client_of(scope)
        return (
            settings.limit_connections_per_ip is not None
            and client is not None
            and self._by_client[client] >= settings.limit_connections_per_ip
        )

    async def _call_app_counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = self._client_of(scope)
        self._connections += 1
        if client is not None:
            self._by_client[client] += 1
        try:
            await self._call_app(scope, receive, send)
        finally:
            self._connections -= 1
            if client is not None:
                self._by_client[client] -= 1
                if not self._by_client[client]:
                    del self._by_client[client]

    def _client_of(self, scope: Scope) -> str | None:
        """Return what counts as one client; None for a client of a Unix socket of which no proxy tells."""
        client = scope.get("client")
        if not client or client[1] is None:
            return None
        return network_of(client[0], self._settings.ipv6_prefix)


def _response(status: int, text: str, headers: Iterable[Header]) -> tuple[dict[str, Any], dict[str, Any]]:
    body = f"{text}\n".encode() if text else b""
    basic = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    return {"status": status, "headers": [*basic, *headers]}, {"body": body}


async def _respond(send: Send, status: int, text: str, *headers: Header) -> None:
    start, body = _response(status, text, headers)
    await send({"type": "http.response.start", **start})
    await send({"type": "http.response.body", **body})


async def _deny(scope: Scope, send: Send, status: int, text: str, *headers: Header) -> None:
    if "websocket.http.response" not in (scope.get("extensions") or ()):
        await send({"type": "websocket.close"})
        return
    start, body = _response(status, text, headers)
    await send({"type": "websocket.http.response.start", **start})
    await send({"type": "websocket.http.response.body", **body})
