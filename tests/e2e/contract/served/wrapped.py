"""A responder behind ASGI middleware that changes and counts what passes, in both directions."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from falconws import Request, WebSocket, WebSocketDisconnected, WebSocketPayloadType

from .apps import websocket
from .journal import Run
from .rooms import running_hub

NAME = "wrapped"


class RewriteMiddleware:
    """Replaces "question" in what comes in, and "secret" in what goes out, and counts the events."""

    def __init__(self, app: Any, run: Run) -> None:
        self._app = app
        self._run = run

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        received: Counter[str] = Counter()
        sent: Counter[str] = Counter()

        async def rewriting_receive() -> dict[str, Any]:
            event = dict(await receive())
            received[event["type"]] += 1
            return _replace(event, "question", "answered")

        async def rewriting_send(event: dict[str, Any]) -> None:
            sent[event["type"]] += 1
            await send(_replace(dict(event), "secret", "public"))

        try:
            await self._app(scope, rewriting_receive, rewriting_send)
        finally:
            self._run.note("audited", received=received, sent=sent)


def _replace(event: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    if event.get("text") is not None:
        event["text"] = event["text"].replace(old, new)
    if event.get("bytes") is not None:
        event["bytes"] = event["bytes"].replace(old.encode(), new.encode())
    return event


@websocket(NAME)
async def wrapped(req: Request, ws: WebSocket, run: Run) -> None:
    """Answer each message with the same method's counterpart, and " secret" behind it."""
    via = req.params["via"]
    if via == "deny":
        await ws.deny(400)
        return
    await ws.accept()
    with contextlib.suppress(WebSocketDisconnected):
        await _WAYS[via](ws)


async def _text(ws: WebSocket, timeout: float | None = None) -> None:
    while True:
        await ws.send_text(await ws.receive_text(timeout) + " secret")


async def _data(ws: WebSocket) -> None:
    while True:
        await ws.send_data(await ws.receive_data() + b" secret")


async def _media(ws: WebSocket, payload_type: WebSocketPayloadType = WebSocketPayloadType.TEXT) -> None:
    while True:
        await ws.send_media(await ws.receive_media() + " secret", payload_type)


async def _iteration(ws: WebSocket) -> None:
    async for media in ws:
        await ws.send_media(media + " secret")


async def _iter_text(ws: WebSocket) -> None:
    async for text in ws.iter_text():
        await ws.send_text(text + " secret")


async def _iter_data(ws: WebSocket) -> None:
    async for data in ws.iter_data():
        await ws.send_data(data + b" secret")


async def _payload(ws: WebSocket) -> None:
    while True:
        await ws.send_text(f"{await ws.receive_payload()!s} secret")


async def _iter_payloads(ws: WebSocket) -> None:
    async for payload in ws.iter_payloads():
        await ws.send_text(f"{payload!s} secret")


async def _iter_decoded(ws: WebSocket) -> None:
    async def refuse(*args: object) -> None:
        raise AssertionError

    async for text in ws.iter_decoded(str, refuse):
        await ws.send_text(text + " secret")


async def _cancelled(ws: WebSocket) -> None:
    while True:
        receiving = asyncio.create_task(ws.receive_text())
        while not (await asyncio.wait([receiving], timeout=0.01))[0]:
            receiving.cancel()
            await asyncio.wait([receiving])
            if receiving.cancelled():
                receiving = asyncio.create_task(ws.receive_text())
        await ws.send_text(receiving.result() + " secret")


async def _concurrent(ws: WebSocket) -> None:
    async with asyncio.TaskGroup() as tasks:
        async for text in ws.iter_text():
            tasks.create_task(ws.send_text(text + " secret"))


async def _room(ws: WebSocket) -> None:
    hub = await running_hub()
    room = f"wrapped {id(ws)}"
    async with hub.subscribe(ws, room):
        async for text in ws.iter_text():
            await hub.publish(room, text + " secret")


async def _close(ws: WebSocket) -> None:
    await ws.send_text("secret")
    await ws.close(4000)


async def _task_scope(ws: WebSocket) -> None:
    async with ws.task_scope() as scope:
        scope.create_task(_text(ws))


_WAYS: dict[str, Callable[[WebSocket], Awaitable[None]]] = {
    "text": _text,
    "timeout": lambda ws: _text(ws, timeout=60),
    "data": _data,
    "media": _media,
    "binary-media": lambda ws: _media(ws, WebSocketPayloadType.BINARY),
    "iteration": _iteration,
    "iter-text": _iter_text,
    "iter-data": _iter_data,
    "payload": _payload,
    "iter-payloads": _iter_payloads,
    "iter-decoded": _iter_decoded,
    "cancelled": _cancelled,
    "concurrent": _concurrent,
    "room": _room,
    "close": _close,
    "wait": WebSocket.wait_disconnected,
    "task-scope": _task_scope,
}
"""Each way to receive and send."""
