"""Wraps an application in the console, as plain ASGI middleware. The application need not know of it.

An application that has routes below the console's path keeps them, and there is no console then.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ..app import App
from ..hosts import HostPolicy, host_headers
from . import EXTENSION, PATH
from .lobby import Lobby
from .refusals import Refusals
from .resources import AppResource, LiveResource, PageResource, RefusalResource, SnippetResource
from .rooms import Rooms
from .routes import hubs_of, routes_of

__all__ = ("Console",)

_DEMO = f"{PATH}lobby"
_FOUND = 302
_NOT_FOUND = 404

_logger = logging.getLogger("falconws")

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Console:
    """An ASGI app: the console at its path, and *app* everywhere else.

    A browser that asks for ``/`` is redirected to the console where *app* would respond with a 404.

    Args:
        app: The application.
        title: Its name, for the page.
        hosts: Names in the Host header that the console answers, as for ``App.allowed_hosts``; requests for others
            reach the application.
    """

    def __init__(self, app: Any, title: str, hosts: Sequence[str]) -> None:
        self.app = app
        self._hosts = HostPolicy(hosts)
        self._refusals = Refusals()
        hubs = hubs_of(app)
        self._lobby = None if hubs else Lobby()
        paths = [route.path for route in routes_of(app)]
        self._greets = "/" not in paths
        taken = [path for path in paths if f"{path}/".startswith(PATH)]
        if taken:
            _logger.warning("There is no console: the application has the route %s", taken[0])
        self._console = None if taken else self._make(title, hubs)

    def _make(self, title: str, hubs: list[Any]) -> App:
        console = App()
        console.ws_options.allowed_origins = "same-origin"
        console.add_route(PATH, PageResource())
        described = AppResource(self.app, title, _DEMO if self._lobby else None)
        console.add_route(f"{PATH}app", described)
        console.add_route(f"{PATH}refusal", RefusalResource(self._refusals))
        console.add_route(f"{PATH}snippet/{{kind}}", SnippetResource(lambda: described.document()[0]))
        console.add_route(f"{PATH}live", LiveResource(Rooms([self._lobby.hub] if self._lobby else hubs)))
        if self._lobby is not None:
            console.add_route(_DEMO, self._lobby)
        return console

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve *scope*."""
        kind = scope["type"]
        if kind == "lifespan":
            await self.app(scope, self._stopping(receive), send)
            return
        # Any iterables will do (ASGI "HTTP connection scope"), perhaps ones that can be read once.
        scope["headers"] = [tuple(header) for header in scope["headers"]]
        console = self._console if self._hosts.allows(host_headers(scope["headers"])) else None
        path = scope["path"]
        if console is not None:
            scope.setdefault("extensions", {})[EXTENSION] = {}
        if console is not None and path.startswith(PATH):
            await console(scope, receive, send)
        elif console is not None and path == PATH[:-1] and kind == "http":
            await _redirect(scope, send)
        elif console is not None and kind == "websocket":
            await self._refusals.watch(self.app, scope, receive, send)
        elif console is not None and self._greets and path == "/" and _is_browser(scope):
            await self.app(scope, receive, _greeting(scope, send))
        else:
            await self.app(scope, receive, send)

    def _stopping(self, receive: Receive) -> Receive:
        """Return *receive* of the lifespan, which also stops the console's own room."""

        async def stopping_receive() -> dict[str, Any]:
            event = await receive()
            if event["type"] == "lifespan.shutdown" and self._lobby is not None:
                await self._lobby.stop()
            return event

        return stopping_receive


def _is_browser(scope: Scope) -> bool:
    return scope["method"] == "GET" and any(
        name == b"accept" and b"text/html" in value.lower() for name, value in scope["headers"]
    )


def _greeting(scope: Scope, send: Send) -> Send:
    """Return *send*, which sends a redirection to the console in place of a 404."""
    replaced = False

    async def greeting_send(event: dict[str, Any]) -> None:
        nonlocal replaced
        if event["type"] == "http.response.start" and event["status"] == _NOT_FOUND:
            replaced = True
            await _redirect(scope, send)
        elif not replaced:
            await send(event)

    return greeting_send


async def _redirect(scope: Scope, send: Send) -> None:
    # Relative where the root path is not known: a proxy may have stripped one.
    root_path = scope.get("root_path", "").rstrip("/")
    location = f"{root_path}{PATH}" if root_path else PATH[1:]
    headers = [(b"location", location.encode()), (b"cache-control", b"no-store"), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": _FOUND, "headers": headers})
    await send({"type": "http.response.body"})
