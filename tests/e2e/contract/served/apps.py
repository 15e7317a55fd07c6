"""The applications: their middleware, error handlers, media handlers and options, and how responders are routed.

Options are those of an application, so some promises need one of their own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, cast

import falcon
import falcon.asgi

import falconws
from falconws import Request, WebSocket, WebSocketPayloadType

from .journal import RUNS, Run

Responder = Callable[[Request, WebSocket, Run], Awaitable[None]]


# Middleware


class ProposalMiddleware:
    """With the proposal's signatures."""

    async def process_request_ws(self, req: Request) -> None:
        if req.get_header("X-Trace"):
            _run_of(req).note("proposal.process_request_ws", path=req.path)

    async def process_resource_ws(self, req: Request, resource: object, params: dict[str, Any]) -> None:
        if req.get_header("X-Trace"):
            _run_of(req).note("proposal.process_resource_ws", resource=type(resource).__name__, params=sorted(params))


class FalconMiddleware:
    """With Falcon's signatures."""

    async def process_startup(self, scope: dict[str, Any], event: dict[str, Any]) -> None:
        if "state" in scope:
            scope["state"]["greeting"] = "made at start-up"

    async def process_request_ws(self, req: Request, ws: WebSocket) -> None:
        if req.get_header("X-Trace"):
            _run_of(req).note("falcon.process_request_ws", unaccepted=ws.unaccepted)
        if req.get_header("X-Middleware") == "close":
            await ws.close()
        if req.get_header("X-Middleware") == "401":
            raise falcon.HTTPUnauthorized(
                title="Token missing", description="Send one.", challenges=['Bearer realm="contract"']
            )

    async def process_resource_ws(self, req: Request, ws: WebSocket, resource: object, params: dict[str, Any]) -> None:
        if req.get_header("X-Trace"):
            _run_of(req).note("falcon.process_resource_ws", unaccepted=ws.unaccepted)
        if req.get_header("X-Middleware") == "429":
            raise falcon.HTTPTooManyRequests(title="Slow down", retry_after=7)
        if req.get_header("X-Middleware") == "params":
            params["added"] = "by middleware"


def _run_of(req: Request) -> Run:
    return RUNS[req.path.rpartition("/")[2]]


# Error handlers


class TeapotError(Exception):
    """Handled by a handler that takes the WebSocket."""


class KettleError(Exception):
    """Handled by a handler without the ``ws`` argument."""


async def handle_teapot(
    req: Request, resp: object, error: TeapotError, params: dict[str, Any], ws: WebSocket | None = None
) -> None:
    _run_of(req).note("teapot handled", resp=resp is None, params=sorted(params), ws=type(ws).__name__)
    if ws is not None:
        await ws.close(4418, "teapot")


async def handle_kettle(req: Request, resp: object, error: KettleError, params: dict[str, Any]) -> None:
    _run_of(req).note("kettle handled")
    raise falcon.HTTPConflict(title="Kettle", headers={"X-Kettle": "on"})


# The applications

main: falconws.App[Any, Any] = falconws.App(middleware=cast(Any, [ProposalMiddleware(), FalconMiddleware()]))
main.ws_options.allowed_origins = "*"
main.add_error_handler(TeapotError, handle_teapot)
main.add_error_handler(KettleError, handle_kettle)


class ShoutHandler(falconws.TextBaseHandlerWS):
    """A custom TEXT handler."""

    def serialize(self, media: object) -> str:
        return str(media).upper()

    def deserialize(self, payload: str) -> object:
        return payload.lower()


class KindOfBytesHandler(falconws.BinaryBaseHandlerWS):
    """A custom BINARY handler whose ``serialize()`` returns each type that the proposal allows."""

    def serialize(self, media: object) -> bytes | bytearray | memoryview:
        kinds: list[Any] = [bytes, bytearray, memoryview]
        kind, text = str(media).split(":")
        payload: bytes | bytearray | memoryview = kinds[int(kind)](text.encode())
        return payload

    def deserialize(self, payload: bytes) -> object:
        return type(payload).__name__ + ":" + payload.decode()


customized: falconws.App[Any, Any] = falconws.App()
customized.ws_options.allowed_origins = "*"
customized.ws_options.media_handlers[WebSocketPayloadType.TEXT] = ShoutHandler()
customized.ws_options.media_handlers[WebSocketPayloadType.BINARY] = KindOfBytesHandler()
customized.ws_options.error_close_code = 4500
customized.ws_options.disconnect_grace_s = 0.1

unusable_code: falconws.App[Any, Any] = falconws.App()
unusable_code.ws_options.allowed_origins = "*"
unusable_code.ws_options.error_close_code = 1006


with_hosts: falconws.App[Any, Any] = falconws.App()
with_hosts.ws_options.allowed_origins = "*"
with_hosts.allowed_hosts = ["kept.example", "*.kept.example"]


limited: falconws.App[Any, Any] = falconws.App()
limited.ws_options.allowed_origins = "*"
limited.ws_options.rate_limit = falconws.RateLimit.disconnect(messages_per_s=0.01, burst_s=500)

slowed: falconws.App[Any, Any] = falconws.App()
slowed.ws_options.allowed_origins = "*"
slowed.ws_options.rate_limit = falconws.RateLimit.slow_down(messages_per_s=100, burst_s=0.05)


class OriginWitness:
    """Notes that application code ran."""

    async def process_request_ws(self, req: Request, ws: WebSocket) -> None:
        _run_of(req).note("application code ran")


# Routes

ROUTES: dict[str, Any] = {}


def websocket(name: str, app: falconws.App[Any, Any] = main) -> Callable[[Responder], Responder]:
    """Serve the decorated function at ``/name/{run}``."""

    def register(responder: Responder) -> Responder:
        class Resource:
            async def on_websocket(self, req: Request, ws: WebSocket, run: str) -> None:
                await responder(req, ws, RUNS[run])

        ROUTES[name] = Resource()
        app.add_route(f"/{name}/{{run}}", ROUTES[name])
        return responder

    return register


_ORIGINS: dict[str, Any] = {
    "same-origin": "same-origin",
    "listed-origins": ["https://app.example.com", "http://localhost:3000", "https://*.example.org"],
    "any-origin": "*",
    "no-origins-set": None,
}


def app_for(name: str, run: str) -> falconws.App[Any, Any]:
    """Return the application that serves ``/name/{run}``."""
    if name in _ORIGINS:
        return _restricted(name, run)
    if name in ("hosts", "limited", "slowed"):
        return {"hosts": with_hosts, "limited": limited, "slowed": slowed}[name]
    if name == "unusable-error-code":
        return unusable_code
    return customized if name.startswith("custom-") else main


@lru_cache(maxsize=8)
def _restricted(name: str, run: str) -> falconws.App[Any, Any]:
    # One a run, because an application warns only once.
    app: falconws.App[Any, Any] = falconws.App(middleware=cast(Any, [OriginWitness()]))
    app.ws_options.allowed_origins = _ORIGINS[name]
    app.add_route(f"/{name}/{{run}}", ROUTES["echo"])
    return app
