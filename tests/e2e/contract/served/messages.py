"""Responders that exchange messages, one task at a time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from falconws import Request, WebSocket, WebSocketDisconnected, WebSocketPayloadType

from .apps import customized, limited, slowed, websocket
from .journal import Run, describe

TEXT, BINARY = WebSocketPayloadType.TEXT, WebSocketPayloadType.BINARY


@websocket("echo")
async def echo(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    while True:
        try:
            await ws.send_text(await ws.receive_text())
        except WebSocketDisconnected as error:
            run.note("disconnected", **describe(error))
            return


@websocket("accept-late-and-echo")
async def accept_late_and_echo(req: Request, ws: WebSocket, run: Run) -> None:
    run.note("waiting")
    await run.gate("accept")
    await ws.accept()
    async for text in ws.iter_text():
        await ws.send_text(text)


@websocket("echo-data")
async def echo_data(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    while True:
        try:
            payload = await ws.receive_data()
            run.note("received", type=type(payload).__name__, size=len(payload))
            await ws.send_data(payload)
        except WebSocketDisconnected:
            return


@websocket("echo-media")
async def echo_media(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    async for media in ws:
        run.note("received", type=type(media).__name__, media=repr(media))
        kind = BINARY if req.get_param_as_bool("binary") else TEXT
        await ws.send_media(media, payload_type=kind)


@websocket("send-kinds")
async def send_kinds(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    await ws.send_data(b"bytes")
    buffer = bytearray(b"bytearray")
    await ws.send_data(buffer)
    buffer[:] = b"overwrite"
    await ws.send_data(memoryview(b"a memoryview!")[2:12])
    for wrong in (ws.send_text(b"bytes"), ws.send_data("text")):
        try:
            await wrong
        except TypeError as error:
            run.note("refused", **describe(error))
    await ws.send_text("done")


@websocket("send-media")
async def send_media(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    await ws.send_media({"event": "message", "ü": [1, None, 2.5]})
    await ws.send_media({"event": "message", "raw": b"\x00\xff"}, payload_type=BINARY)
    try:
        await ws.send_media(float("nan"))
    except ValueError:
        await ws.send_media("NaN is not JSON")


@websocket("custom-media", app=customized)
async def custom(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    await ws.send_media("loud")
    for kind in range(3):
        await ws.send_media(f"{kind}:payload", payload_type=BINARY)
    run.note("received", media=[await ws.receive_media(), await ws.receive_media()])


@websocket("recover")
async def recover(req: Request, ws: WebSocket, run: Run) -> None:
    """The proposal's loop: errors in what the client sent do not end the conversation."""
    await ws.accept()
    receive = {"text": ws.receive_text, "data": ws.receive_data, "media": ws.receive_media}[str(req.params["what"])]
    while True:
        try:
            await receive()
            await ws.send_text("fine")
        except WebSocketDisconnected:
            return
        except TypeError as error:
            run.note("failed", **describe(error))
            await ws.send_text("type")
        except json.JSONDecodeError as error:
            run.note("failed", **describe(error))
            await ws.send_text("json")
        except ValueError as error:
            run.note("failed", **describe(error))
            await ws.send_text("value")


@websocket("iterate")
async def iterate(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    messages: Any = {"media": ws, "text": ws.iter_text(), "data": ws.iter_data()}[str(req.params["what"])]
    async for message in messages:
        run.note("message", type=type(message).__name__)
        await ws.send_text("next")
    run.note("loop ended", code=ws.close_code, reason=ws.close_reason, closed=ws.closed, ready=ws.ready)


@websocket("collect")
async def collect(req: Request, ws: WebSocket, run: Run) -> None:
    """Accept, wait at the gate, and receive all that the client sent before it left."""
    await ws.accept()
    await run.gate("receive")
    got = []
    try:
        while True:
            got.append(await ws.receive_text())
    except WebSocketDisconnected as error:
        run.note("collected", got=got, **describe(error))
    try:
        await ws.receive_text()
    except WebSocketDisconnected as error:
        run.note("again", **describe(error))


@websocket("receive-timeout")
async def receive_timeout(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    for timeout in (0.01, 0.05):
        try:
            await ws.receive_text(timeout=timeout)
        except TimeoutError as error:
            await ws.send_text("timed out")
            run.note("timed out", **describe(error))
    got: list[str] = []
    timeouts = 0
    while not got or got[-1] != "end":
        try:
            got.append(await ws.receive_text(timeout=0.001))
        except TimeoutError:
            timeouts += 1
    run.note("collected", got=got, timeouts=timeouts)


@websocket("convert")
async def convert(req: Request, ws: WebSocket, run: Run) -> None:
    """Send what comes in messages of the other type, or as part of something else."""
    await ws.accept()
    kind = WebSocketPayloadType.TEXT if req.params["to"] == "text" else BINARY
    match req.params["as"]:
        case "iteration":
            async for media in ws:
                await ws.send_media(media, payload_type=kind)
        case "part":
            while True:
                await ws.send_media({"you": await ws.receive_media()}, payload_type=kind)
        case "one-of-it":
            while True:
                await ws.send_media((await ws.receive_media())["it"], payload_type=kind)
        case "own-fault":
            async for _ in ws:
                await ws.send_media(object(), payload_type=kind)
        case "task-group" | "task-scope" as how:
            # What is sent is not what was received last.
            received: asyncio.Queue[Any] = asyncio.Queue()

            async def receive() -> None:
                async for media in ws:
                    received.put_nowait(media)

            async def send() -> None:
                while True:
                    await ws.send_media({"you": await received.get()}, payload_type=kind)

            async with asyncio.TaskGroup() if how == "task-group" else ws.task_scope() as tasks:
                tasks.create_task(receive())
                tasks.create_task(send())


@websocket("limited", app=limited)
@websocket("slowed", app=slowed)
async def under_a_rate_limit(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    async for text in ws.iter_text():
        await ws.send_text(text)
