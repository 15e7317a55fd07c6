"""What an application serves: its paths, and which of them are WebSockets. For Falcon's apps, and Starlette's.

Uses public interfaces only. Knows nothing of messages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import falcon.asgi
from falcon.inspect import inspect_routes

from ..app import App, middleware_of
from ..hub import Hub

__all__ = ("Route", "hubs_of", "inner_app", "routes_of")

_MAX_DEPTH = 20


@dataclass(frozen=True)
class Route:
    """A URI template, the HTTP methods that it answers, and its WebSocket responder if that is known."""

    path: str
    methods: tuple[str, ...]
    is_websocket: bool
    responder: Callable[..., Any] | None = None


def inner_app(app: Any) -> Any:
    """Return the application inside of ASGI middleware that has it as its attribute ``app``."""
    for _ in range(_MAX_DEPTH):
        if isinstance(app, falcon.asgi.App) or isinstance(getattr(app, "routes", None), list):
            break
        inner = getattr(app, "app", None)
        if inner is None:
            break
        app = inner
    return app


def routes_of(app: Any) -> list[Route]:
    """Return the routes of *app*, in the order in which they were added; none for an app of an unknown kind."""
    app = inner_app(app)
    if isinstance(app, falcon.asgi.App):
        return _falcon_routes(app)
    routes = getattr(app, "routes", None)
    return [_starlette_route(route) for route in routes if hasattr(route, "path")] if isinstance(routes, list) else []


def _falcon_routes(app: falcon.asgi.App[Any, Any]) -> list[Route]:
    responders = app.websocket_routes if isinstance(app, App) else {}
    try:
        infos = inspect_routes(app)
    except TypeError:
        # A router of the application's own, which Falcon cannot inspect.
        return [Route(path, (), True, responder) for path, responder in responders.items()]
    order = {path: place for place, path in enumerate(responders)}
    found = []
    for info in infos:
        methods = [method.method for method in info.methods if not method.internal]
        found.append(
            Route(
                info.path,
                tuple(sorted(method for method in methods if method != "WEBSOCKET")),
                "WEBSOCKET" in methods,
                responders.get(info.path),
            )
        )
    return sorted(found, key=lambda route: order.get(route.path, len(order)))


def _starlette_route(route: Any) -> Route:
    """Return what a route of Starlette says of itself; one for WebSockets has no methods."""
    methods = getattr(route, "methods", None)
    is_websocket = "websocket" in type(route).__name__.lower()
    return Route(route.path, tuple(sorted(methods or ())), is_websocket)


def hubs_of(app: Any) -> list[Hub]:
    """Return the hubs among the middleware of *app*."""
    app = inner_app(app)
    if not isinstance(app, falcon.asgi.App):
        return []
    return [middleware for middleware in middleware_of(app) if isinstance(middleware, Hub)]
