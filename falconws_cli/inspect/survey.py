"""Reads an app with Falcon's public inspection: routes, middleware and options. Must not know how they are shown."""

import inspect
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import falcon.asgi
import falcon.inspect

import falconws
from falconws.app import middleware_of
from falconws_cli.errors import CommandError

_LIFESPAN = ("process_startup", "process_shutdown")
_STAGES = ("process_request", "process_resource", "process_response")
_METHODS = tuple(f"{stage}{suffix}" for stage in _STAGES for suffix in ("", "_async", "_ws"))


@dataclass(frozen=True)
class Method:
    """A function that the app calls, with the file and line of its definition."""

    name: str
    """An HTTP method, WEBSOCKET, or the name of the function."""
    function: str
    source: str


@dataclass(frozen=True)
class Component:
    """A resource or a middleware."""

    name: str
    """The name of its class."""
    source: str
    methods: tuple[Method, ...]


@dataclass(frozen=True)
class Route:
    """A URI template and its resource."""

    path: str
    resource: Component
    speaks: tuple[str, ...]
    """The names of the typed conversations that its WebSockets speak."""


@dataclass(frozen=True)
class Sink:
    """A function that answers when no route matches."""

    pattern: str
    name: str
    source: str


@dataclass(frozen=True)
class StaticRoute:
    """A folder whose files are served."""

    prefix: str
    directory: str
    fallback: str | None


@dataclass(frozen=True)
class MediaHandlers:
    """The classes of the media handlers, by media type for HTTP and by payload type for WebSockets."""

    request: dict[str, str]
    response: dict[str, str]
    websocket: dict[str, str]


@dataclass(frozen=True)
class Survey:
    """The parts of an app."""

    app: str
    kind: str
    """The class of the app."""
    routes: tuple[Route, ...]
    sinks: tuple[Sink, ...]
    static_routes: tuple[StaticRoute, ...]
    middleware: tuple[Component, ...]
    """In the order in which they are called."""
    lifespan: tuple[Component, ...]
    error_handlers: tuple[Sink, ...]
    """Those that the app has added: the exception and its handler."""
    media_handlers: MediaHandlers
    ws_options: dict[str, Any]
    default_media_handlers: MediaHandlers
    """Those of a new app of the same framework."""
    default_ws_options: dict[str, Any]


def survey(app: object, name: str, root: Path) -> Survey:
    """Return the parts of *app*; files below *root* are named relative to it.

    Raises:
        CommandError: It is not an ASGI app of Falcon, or its router cannot be inspected.
    """
    if not isinstance(app, falcon.asgi.App):
        raise CommandError(
            f'"{name}" is a {_dotted(type(app))}, not an ASGI app of Falcon: name the app itself, or its factory.'
        )
    try:
        routes = falcon.inspect.inspect_routes(app)
    except TypeError as error:
        raise CommandError(f'The routes of "{name}" cannot be read: {error}.') from error
    middleware = middleware_of(app)
    # Falcon's own App does not have it.
    responders = getattr(app, "websocket_routes", {})
    # Falcon does not count the handlers of a subclass as internal.
    ours = str(Path(falconws.__file__).parent)
    new = falconws.App() if isinstance(app, falconws.App) else falcon.asgi.App()
    return Survey(
        app=name,
        kind=_dotted(type(app)),
        routes=tuple(_route(route, responders.get(route.path), root) for route in routes),
        sinks=tuple(
            Sink(sink.prefix, sink.name, _falcon_source(sink.source_info, root))
            for sink in falcon.inspect.inspect_sinks(app)
        ),
        static_routes=tuple(
            StaticRoute(static.prefix, _relative(str(static.directory), root), static.fallback_filename)
            for static in falcon.inspect.inspect_static_routes(app)
        ),
        middleware=_components(middleware, _METHODS, root),
        lifespan=_components(middleware, _LIFESPAN, root),
        error_handlers=tuple(
            Sink(handler.error, handler.name, _falcon_source(handler.source_info, root))
            for handler in falcon.inspect.inspect_error_handlers(app)
            if not handler.internal and not handler.source_info.startswith(ours)
        ),
        media_handlers=_media_handlers(app),
        ws_options=_options(app.ws_options),
        default_media_handlers=_media_handlers(new),
        default_ws_options=_options(new.ws_options),
    )


def _route(route: falcon.inspect.RouteInfo, responder: object, root: Path) -> Route:
    """Return a route; *responder* is that of its WebSockets, None if it accepts none."""
    methods = tuple(
        Method(
            method.method,
            method.function_name,
            # Falcon reports where a decorated responder was decorated.
            _source(responder, root)
            if method.method == "WEBSOCKET" and responder is not None
            else _falcon_source(method.source_info, root),
        )
        for method in sorted(route.methods, key=lambda method: (method.method == "WEBSOCKET", method.method))
        if not method.internal
    )
    resource = Component(route.class_name, _falcon_source(route.source_info, root), methods)
    return Route(route.path, resource, _conversations(responder))


def _conversations(responder: object) -> tuple[str, ...]:
    """Return the names of the typed conversations that a responder speaks."""
    # An app with typed routes has imported this module.
    module = sys.modules.get("falconws.typed.speaks")
    return () if module is None else tuple(each.__name__ for each in module.conversations_of(responder))


def _components(parts: Iterable[object], names: tuple[str, ...], root: Path) -> tuple[Component, ...]:
    """Return those of *parts* that have one of the methods *names*."""
    components = (_component(part, names, root) for part in parts)
    return tuple(component for component in components if component.methods)


def _component(part: object, names: tuple[str, ...], root: Path) -> Component:
    methods = [(name, getattr(part, name, None)) for name in names]
    kind = type(part)
    # A module can be a middleware.
    shown = part.__name__ if isinstance(part, ModuleType) else kind.__name__
    return Component(
        shown,
        _source(part if isinstance(part, ModuleType) else kind, root),
        tuple(Method(name, name, _source(method, root)) for name, method in methods if callable(method)),
    )


@cache
def _first_line() -> int:
    """Return the number of the first line in Falcon's inspection: 0 in Falcon 4.4."""

    async def probe(req: falcon.asgi.Request, resp: falcon.asgi.Response | None, **kwargs: Any) -> None: ...

    app = falcon.asgi.App()
    app.add_sink(probe)
    [sink] = falcon.inspect.inspect_sinks(app)
    line = sink.source_info.rpartition(":")[2]
    return int(line) - probe.__code__.co_firstlineno + 1 if line.isdecimal() else 1


def _falcon_source(source_info: str, root: Path) -> str:
    """Return the file and line of Falcon's inspection, with lines that count from 1."""
    file, _, line = source_info.rpartition(":")
    if not line.isdecimal():
        return ""
    return _relative(f"{file}:{int(line) - _first_line() + 1}", root)


def _source(thing: Any, root: Path) -> str:
    try:
        thing = inspect.unwrap(thing)
        file = inspect.getsourcefile(thing)
        line = inspect.getsourcelines(thing)[1]
    except (OSError, TypeError, ValueError):
        return ""
    # inspect reports line 0 for a module.
    return _relative(f"{file}:{line or 1}", root)


def _relative(path: str, root: Path) -> str:
    try:
        return Path(path).relative_to(root).as_posix()
    except ValueError:
        return path


def _media_handlers(app: falcon.asgi.App[Any, Any]) -> MediaHandlers:
    return MediaHandlers(
        _classes(app.req_options.media_handlers),
        _classes(app.resp_options.media_handlers),
        {kind.name: _dotted(type(handler)) for kind, handler in app.ws_options.media_handlers.items()},
    )


def _classes(handlers: Mapping[str, object]) -> dict[str, str]:
    return {kind: _dotted(type(handler)) for kind, handler in sorted(handlers.items())}


def _options(options: object) -> dict[str, Any]:
    """Return the options with plain values, without handlers and compiled forms of other options."""
    hidden = ("media_handlers", "origin_policy", "log_throttle", "default_close_reasons")
    names = [name for name in dir(options) if not name.startswith("_") and name not in hidden]
    found = {name: getattr(options, name) for name in names}
    return {name: _plain(value) for name, value in found.items() if not callable(value)}


def _plain(value: object) -> object:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return [str(item) for item in value] if isinstance(value, (list, tuple, set, frozenset)) else str(value)


def _dotted(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
