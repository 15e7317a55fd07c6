"""Responders at whose end the connection ends, and those that learn that it has."""

from __future__ import annotations

import asyncio

import falcon
import falcon.asgi

from falconws import Request, WebSocket, WebSocketDisconnected

from .apps import KettleError, TeapotError, customized, unusable_code, websocket
from .journal import Run, describe


@websocket("close")
async def close(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    code = req.get_param_as_int("code")
    if code is None:
        await ws.close()
    else:
        await ws.close(code, req.get_param("reason"))
    run.note("closed", code=ws.close_code, reason=ws.close_reason, closed=ws.closed, ready=ws.ready)


@websocket("invalid-close")
async def invalid_close(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    attempts: list[tuple[int, str | None]] = [
        (code, None) for code in (-1, 0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65536)
    ]
    attempts.append((4000, "ü" * 62))
    for code, reason in attempts:
        try:
            await ws.close(code, reason)
        except ValueError as error:
            run.note("refused", code=code, text=str(error), ready=ws.ready)
    await ws.send_text("still open")
    await ws.close(4999, "ü" * 61)


@websocket("return")
async def return_after_accept(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()


@websocket("fail")
async def fail(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    match req.get_param("kind"):
        case "404":
            raise falcon.HTTPNotFound(title="No such room")
        case "status":
            raise falcon.HTTPStatus(falcon.HTTP_204)
        case "teapot":
            raise TeapotError
        case "kettle":
            raise KettleError
        case _:
            raise RuntimeError("a fault of the application")


@websocket("receive-unhandled")
async def receive_unhandled(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    receive = {"text": ws.receive_text, "data": ws.receive_data, "media": ws.receive_media}[str(req.params["what"])]

    async def receive_all() -> None:
        while True:
            await receive()

    if req.get_param("in") == "task-group":
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(receive_all())
            tasks.create_task(ws.wait_disconnected())
    await receive_all()


@websocket("send-only")
async def send_only(req: Request, ws: WebSocket, run: Run) -> None:
    """Sends for ever and never receives."""
    await ws.accept()
    try:
        await ws.send_text("started")
        await run.gate("send")
        while True:
            await ws.send_text("tick")
            await asyncio.sleep(0.005)
    except WebSocketDisconnected as error:
        run.note("disconnected", **describe(error))
    run.note("state", code=ws.close_code, reason=ws.close_reason, closed=ws.closed, ready=ws.ready)


@websocket("wait-only")
async def wait_only(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    run.note("waiting")
    await ws.wait_disconnected()
    await ws.wait_disconnected()
    run.note("state", code=ws.close_code, reason=ws.close_reason, closed=ws.closed, ready=ws.ready)


@websocket("unusable-error-code", app=unusable_code)
@websocket("custom-error-code", app=customized)
async def custom_error_code(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    raise RuntimeError("a fault of the application")


@websocket("custom-disconnect-grace", app=customized)
async def goes_on(req: Request, ws: WebSocket, run: Run) -> None:
    """Waits for what never comes."""
    await ws.accept()
    run.note("waiting")
    await run.gate("never opened")


@websocket("busy")
async def busy(req: Request, ws: WebSocket, run: Run) -> None:
    """Neither sends nor receives, nor looks whether the client is still there."""
    await ws.accept()
    run.note("busy")
    await run.gate("done")


@websocket("poll-closed")
async def poll_closed(req: Request, ws: WebSocket, run: Run) -> None:
    """Does something else, and looks at ``closed`` now and then."""
    await ws.accept()
    run.note("waiting")
    while not ws.closed:
        await asyncio.sleep(0.005)
    run.note("state", code=ws.close_code, reason=ws.close_reason, closed=ws.closed, ready=ws.ready)
