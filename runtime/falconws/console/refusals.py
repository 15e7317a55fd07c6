"""Remembers handshakes that the application has refused: a browser does not tell a page why one failed.

Plain ASGI. What the server itself refuses, before the application is called, is not here. Must not know the page.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

__all__ = ("Refusals",)

_KEPT = 50
_KEPT_S = 30.0
_MAX_BODY_BYTES = 4000
_FORBIDDEN = 403
"""The status of a handshake that is closed before it is accepted (ASGI "Close - send event")."""
_FAILED = 500
_UNAUTHORIZED = (401, 403)
_COOKIE_HINT = (
    "A browser sends cookies with a handshake, but no headers. Sign in on a page of this server, or use "
    "falconws connect --header."
)

Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Refusals:
    """The last refusals of this process, by path and query."""

    def __init__(self) -> None:
        self._found: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def take(self, target: str) -> dict[str, Any] | None:
        """Return ``status``, ``text`` and ``hint`` of the last refusal of *target*, and forget it; None without one.

        *target* is a path as the browser sends it, with its query, below the application's root path.
        """
        found = self._found.pop(target, None)
        if found is None or time.monotonic() - found["at"] > _KEPT_S:
            return None
        status = found["status"]
        text = f"{status} {_phrase(status)}\n{_readable(found['body'].decode(errors='replace'))}".strip()
        return {"status": status, "text": text, "hint": _COOKIE_HINT if status in _UNAUTHORIZED else ""}

    async def watch(
        self, app: Callable[..., Awaitable[None]], scope: Scope, receive: Callable[[], Awaitable[Any]], send: Send
    ) -> None:
        """Call *app*, and remember the refusal if it refuses the handshake."""
        waiting = True

        async def watching_send(event: dict[str, Any]) -> None:
            nonlocal waiting
            if waiting:
                match event["type"]:
                    case "websocket.accept":
                        waiting = False
                    case "websocket.close":
                        waiting = False
                        self._add(scope, _FORBIDDEN)
                    case "websocket.http.response.start":
                        self._add(scope, event["status"])
                    case "websocket.http.response.body":
                        waiting = event.get("more_body", False)
                        self._extend(scope, event.get("body", b""))
            await send(event)

        try:
            await app(scope, receive, watching_send)
        except Exception:
            if waiting:
                self._add(scope, _FAILED)
            raise

    def _add(self, scope: Scope, status: int) -> None:
        target = _target_of(scope)
        self._found[target] = {"at": time.monotonic(), "status": status, "body": b""}
        self._found.move_to_end(target)
        while len(self._found) > _KEPT:
            self._found.popitem(last=False)

    def _extend(self, scope: Scope, body: bytes) -> None:
        found = self._found.get(_target_of(scope))
        if found is not None:
            found["body"] = (found["body"] + body)[:_MAX_BODY_BYTES]


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _readable(body: str) -> str:
    """Return what Falcon's JSON of an error says, a line each; any other body as it is."""
    try:
        error = json.loads(body)
    except ValueError:
        return body
    if not isinstance(error, dict):
        return body
    title, description = error.get("title"), error.get("description")
    # The title of most errors is the status once more.
    shown = (title if not str(title)[:3].isdecimal() else None, description)
    return "\n".join(str(each) for each in shown if each) or ("" if title else body)


def _target_of(scope: Scope) -> str:
    raw = scope.get("raw_path")
    path = quote(scope["path"]) if raw is None else raw.decode("latin-1")
    query = scope.get("query_string", b"").decode("latin-1")
    return f"{path}?{query}" if query else path
