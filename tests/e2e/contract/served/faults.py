"""Faults of the application of every class, wherever code of the application runs."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import falcon
import falcon.asgi

import falconws
from falconws import Request, WebSocket, WebSocketDisconnected

from .apps import main, websocket
from .journal import Run


class OddError(BaseException):
    """Neither an Exception nor one of Python's own."""


KINDS: dict[str, type[BaseException]] = {
    "SystemExit": SystemExit,
    "KeyboardInterrupt": KeyboardInterrupt,
    "CancelledError": asyncio.CancelledError,
    "OddError": OddError,
}


class HandledError(Exception):
    """Its handler fails."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


async def _fail_in_handler(req: Request, resp: object, error: HandledError, params: object, ws: object = None) -> None:
    raise KINDS[error.kind]


main.add_error_handler(HandledError, _fail_in_handler)


class FaultMiddleware:
    """Fails where the header X-Fault says so."""

    async def process_request_ws(self, req: Request, ws: WebSocket) -> None:
        _raise_if(req, "request-middleware")

    async def process_resource_ws(self, req: Request, ws: WebSocket, resource: object, params: dict[str, Any]) -> None:
        _raise_if(req, "resource-middleware")

    async def process_request(self, req: Request, resp: object) -> None:
        _raise_if(req, "http-middleware")


main.add_middleware(FaultMiddleware())


def _raise_if(req: Request, where: str) -> None:
    if req.get_param("where") == where:
        raise KINDS[req.params["kind"]]


async def _hook(req: Request, resp: object, resource: object, params: dict[str, Any]) -> None:
    _raise_if(req, "hook")


async def _fail(kind: str) -> None:
    raise KINDS[kind]


async def _respond(req: Request, ws: WebSocket) -> None:
    kind = req.params["kind"]
    _raise_if(req, "before-accept")
    await ws.accept()
    match req.params["where"]:
        case "error-handler":
            raise HandledError(kind)
        case "scope-child":
            async with ws.task_scope() as scope:
                scope.create_task(_fail(kind))
                await ws.receive_text()
        case "scope-body":
            async with ws.task_scope():
                raise KINDS[kind]
        case "background-task":
            task = falconws.create_task(_fail(kind))
            await asyncio.wait([task])
            await asyncio.sleep(0)
            await ws.close(4000)
        case "iteration":
            async for _ in ws.iter_text():
                raise KINDS[kind]
    raise KINDS[kind]


class FaultResource:
    async def on_get(self, req: Request, resp: falcon.asgi.Response, run: str) -> None:
        raise KINDS[req.params["kind"]]

    @falcon.before(cast(Any, _hook))
    async def on_websocket(self, req: Request, ws: WebSocket, run: str) -> None:
        await _respond(req, ws)


main.add_route("/fault/{run}", FaultResource())


async def _sink(req: Request, resp: object, ws: WebSocket | None = None, **kwargs: object) -> None:
    if ws is not None:
        await ws.accept()
    raise KINDS[req.params["kind"]]


main.add_sink(_sink, "/fault-sink/")


@websocket("group")
async def group(req: Request, ws: WebSocket, run: Run) -> None:
    """Receive and send in an asyncio.TaskGroup, and handle nothing."""
    await ws.accept()
    run.note("accepted")

    async def receive() -> None:
        while True:
            await ws.receive_text()

    async def outlive() -> None:
        await ws.wait_disconnected()
        await ws.send_text("too late")

    async def fail() -> None:
        try:
            await ws.wait_disconnected()
        finally:
            raise LookupError("a fault beside the disconnect")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(receive())
        if req.get_param("with") == "two":
            tasks.create_task(outlive())
        if req.get_param("with") == "nested":
            async with asyncio.TaskGroup() as inner:
                inner.create_task(receive_media(ws))
        if req.get_param("with") == "fault":
            tasks.create_task(fail())


async def receive_media(ws: WebSocket) -> None:
    await ws.wait_disconnected()
    raise WebSocketDisconnected(ws.close_code, ws.close_reason)
