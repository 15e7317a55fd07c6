"""Bare ASGI responders, without falconws: what they cannot do is the server's limit, not ours.

Served at ``/bare-name/{run}`` beside the contract app.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from .journal import Run

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def receive_until_end(scope: Scope, receive: Receive, send: Send, run: Run) -> None:
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] != "websocket.disconnect":
        pass
    code = event.get("code")
    run.note("disconnected", code=1005 if code is None else code, reason=event.get("reason") or "")


async def answer_late(scope: Scope, receive: Receive, send: Send, run: Run) -> None:
    """Receive the disconnect, and go on for a while."""
    await receive_until_end(scope, receive, send, run)
    await run.gate("done")


async def accept_headers(scope: Scope, receive: Receive, send: Send, run: Run) -> None:
    await send({"type": "websocket.accept", "headers": [(b"x-contract", b"kept")]})
    await receive()


async def state(scope: Scope, receive: Receive, send: Send, run: Run) -> None:
    run.note("state", state=scope.get("state", {}))
    await send({"type": "websocket.close"})


async def before_accept(scope: Scope, receive: Receive, send: Send, run: Run) -> None:
    run.note("waiting")
    event = await receive()
    run.note("state", code=event.get("code"))


async def accept_late(scope: Scope, receive: Receive, send: Send, run: Run) -> None:
    run.note("waiting")
    await run.gate("accept")
    try:
        await send({"type": "websocket.accept"})
        event = await receive()
        run.note("disconnected", code=event.get("code"))
    except OSError:
        run.note("disconnected", code=1006)


async def deny(scope: Scope, receive: Receive, send: Send, run: Run) -> None:
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close"})
        return
    await send({"type": "websocket.http.response.start", "status": 429, "headers": [(b"retry-after", b"7")]})
    await send({"type": "websocket.http.response.body", "body": b"slow down"})


async def send_empty(scope: Scope, receive: Receive, send: Send, run: Run) -> None:
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": ""})
    await receive()


async def close(scope: Scope, receive: Receive, send: Send, run: Run) -> None:
    query = parse_qs(scope["query_string"].decode())
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": int(query["code"][0]), "reason": "bare"})


async def echo_late(scope: Scope, receive: Receive, send: Send, run: Run) -> None:
    run.note("waiting")
    await run.gate("accept")
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": event["text"]})


RESPONDERS: dict[str, Callable[[Scope, Receive, Send, Run], Awaitable[None]]] = {
    "bare-receive": receive_until_end,
    "bare-answer-late": answer_late,
    "bare-accept-headers": accept_headers,
    "bare-state": state,
    "bare-before-accept": before_accept,
    "bare-accept-late": accept_late,
    "bare-deny": deny,
    "bare-send-empty": send_empty,
    "bare-close": close,
    "bare-echo-late": echo_late,
}


async def respond(name: str, scope: Scope, receive: Receive, send: Send, run: Run) -> None:
    """Run the responder called *name*."""
    await receive()
    await RESPONDERS[name](scope, receive, send, run)
