"""The resources of the console: the page, what it shows of the application, and what it requests while it is open.

Must not know how the page looks: ``views.py`` does.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import falcon
from falcon.asgi import Response

from ..app import App
from ..closecodes import FORBIDDEN, CloseCode, http_status_to_close_code, meaning_of
from ..request import Request
from ..websocket import WebSocket
from .page import page
from .refusals import Refusals
from .rooms import Rooms
from .routes import Route, inner_app, routes_of
from .snippets import KINDS, snippet, spoken
from .views import conversations_at, free_view, room_view, rooms_view, route_view, start_view

__all__ = ("AppResource", "LiveResource", "PageResource", "RefusalResource", "SnippetResource")

_HTTP_ERRORS = range(400, 600)
_DEFAULT_BASES = ("ws://127.0.0.1:8000", "ws://localhost:8000")
_LOOK_S = 1.0
"""The interval between two looks at the rooms while a page shows them."""


class PageResource:
    """The HTML page, which is the same for all applications."""

    async def on_get(self, req: Request, resp: Response) -> None:
        """Respond with the page."""
        resp.data, policy = page()
        resp.content_type = falcon.MEDIA_HTML
        resp.set_headers(
            {
                "Cache-Control": "no-store",
                "Content-Security-Policy": policy,
                "Cross-Origin-Opener-Policy": "same-origin",
                "Referrer-Policy": "no-referrer",
                "X-Content-Type-Options": "nosniff",
                "X-Frame-Options": "DENY",
            }
        )


class AppResource:
    """What the page shows of the application: its routes, and what they speak.

    Args:
        app: The application.
        title: Its name.
        demo: The path of the console's own room; None if the application has a hub.
    """

    def __init__(self, app: Any, title: str, demo: str | None) -> None:
        self._app = app
        self._title = title
        self._demo = demo

    async def on_get(self, req: Request, resp: Response) -> None:
        """Respond with everything that the page needs to start."""
        routes = routes_of(self._app)
        document, problem = self.document()
        views = [
            {"name": "", "label": "Start", "view": start_view(self._title, routes, self._demo, problem, _base_of(req))},
            *self._routes(routes, document),
            {"name": "path", "label": "Another path", "view": free_view()},
            {"name": "rooms", "label": "Rooms", "view": rooms_view()},
        ]
        codes = [*CloseCode, FORBIDDEN, *map(http_status_to_close_code, _HTTP_ERRORS)]
        resp.media = {
            "title": self._title,
            "views": views,
            "closeCodes": {str(int(code)): text for code in codes if (text := meaning_of(code))},
        }
        resp.set_header("Cache-Control", "no-store")

    def _routes(self, routes: list[Route], document: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
        """Yield an entry for each WebSocket, and for each conversation that it speaks."""
        paths = [route.path for route in routes if route.is_websocket]
        for number, path in enumerate([*paths, self._demo] if self._demo else paths):
            names: list[str | None] = [*conversations_at(document, path)] or [None]
            for name in names:
                several = name if len(names) > 1 else None
                channel = document["channels"][name] if document and name else {}
                key = f"route{number}-{several}" if several else f"route{number}"
                yield {
                    "name": f"{path}@{several}" if several else path,
                    "label": "A room to try" if path == self._demo else f"{path} {several}" if several else path,
                    "view": route_view(key, path, document, name, is_demo=path == self._demo),
                    "closeCodes": channel.get("x-close-codes", {}),
                }

    def document(self) -> tuple[dict[str, Any] | None, str]:
        """Return the AsyncAPI document, None if nothing is typed; and why there is none though something is."""
        app = inner_app(self._app)
        # An application that has not imported it speaks no typed conversation, and may lack what it needs.
        if "falconws.typed.speaks" not in sys.modules or not isinstance(app, App):
            return None, ""
        from ..typed.asyncapi import asyncapi

        try:
            return asyncapi(app), ""
        except TypeError as error:
            return None, str(error)


def _base_of(req: Request) -> str:
    """Return the address of the application for `falconws connect`, which takes a path for port 8000."""
    scheme = "wss" if req.scheme == "https" else "ws"
    base = f"{scheme}://{req.netloc}{req.root_path}"
    return "" if base in _DEFAULT_BASES else base


class RefusalResource:
    """Why the application has refused a handshake."""

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals

    async def on_get(self, req: Request, resp: Response) -> None:
        """Respond with the last refusal of the query parameter ``target``, or null."""
        resp.media = self._refusals.take(req.get_param("target", required=True))
        resp.set_header("Cache-Control", "no-store")


class SnippetResource:
    """A conversation of the page as a command line, as TypeScript, or as a test.

    Args:
        document: Returns the AsyncAPI document of the application, or None.
    """

    def __init__(self, document: Callable[[], dict[str, Any] | None]) -> None:
        self._document = document

    async def on_post(self, req: Request, resp: Response, kind: str) -> None:
        """Respond with the text for what the page sends: URL, target, subprotocols and events."""
        if kind not in KINDS:
            raise falcon.HTTPNotFound
        media = await req.get_media()
        match media:
            case {"url": str(url), "target": str(target), "subprotocols": [*subprotocols], "events": [*events]}:
                pass
            case _:
                raise falcon.HTTPBadRequest(description="url, target, subprotocols and events are needed.")
        conversation, document = None, self._document()
        name, path = media.get("conversation"), media.get("path")
        if document is not None and name in document["channels"] and isinstance(path, str):
            conversation = spoken(document, name, path, target)
        resp.content_type = falcon.MEDIA_TEXT
        resp.text = snippet(kind, url, target, subprotocols, events, conversation)


class LiveResource:
    """The connection that the page keeps open: its end tells that the server restarts. Sends rooms on request."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def on_websocket(self, req: Request, ws: WebSocket) -> None:
        """Send the rooms when they change, from the message "rooms" on, until any other message comes."""
        await ws.accept()
        watching = asyncio.Event()
        async with ws.task_scope() as scope:
            scope.create_task(self._tell(ws, watching))
            async for text in ws.iter_text():
                if text == "rooms":
                    watching.set()
                else:
                    watching.clear()

    async def _tell(self, ws: WebSocket, watching: asyncio.Event) -> None:
        told = ""
        while True:
            await watching.wait()
            rooms = json.dumps([room_view(room) for room in await self._rooms.snapshot()])
            if rooms != told:
                await ws.send_text(rooms)
                told = rooms
            await asyncio.sleep(_LOOK_S)
