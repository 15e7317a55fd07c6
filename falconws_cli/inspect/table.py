"""A survey in columns. Pure."""

import json
from collections.abc import Iterable, Sequence

from falconws_cli.inspect.survey import Component, Survey


def table(survey: Survey) -> str:
    """Return the survey as a table for each part of the app that there is."""
    sections: list[tuple[str, Sequence[tuple[str, ...]]]] = [
        (
            "Routes",
            [
                (route.path, _names(route.resource) or "no responders", route.resource.name, route.resource.source)
                for route in survey.routes
            ],
        ),
        ("Sinks", [(sink.pattern, sink.name, sink.source) for sink in survey.sinks]),
        (
            "Static routes",
            [(static.prefix, static.directory, static.fallback or "") for static in survey.static_routes],
        ),
        ("Middleware, in the order in which they are asked", _components(survey.middleware)),
        ("Lifespan hooks", _components(survey.lifespan)),
        ("Error handlers", [(handler.pattern, handler.name, handler.source) for handler in survey.error_handlers]),
        ("Media handlers", media_rows(survey)),
        ("ws_options", [(name, json.dumps(value)) for name, value in survey.ws_options.items()]),
    ]
    shown = [f"{title}\n{_columns(rows)}" for title, rows in sections if rows]
    return "\n\n".join([f"{survey.target} is a {survey.kind}", *shown])


def media_rows(survey: Survey) -> list[tuple[str, str]]:
    """Return a row for each media handler; one that requests and responses share has one row."""
    handlers = survey.media_handlers
    rows = [(f"WebSocket {payload}", name) for payload, name in handlers.websocket.items()]
    for media_type, name in handlers.request.items():
        both = handlers.response.get(media_type) == name
        rows.append((f"HTTP {media_type}" if both else f"HTTP request {media_type}", name))
    rows += [
        (f"HTTP response {media_type}", name)
        for media_type, name in handlers.response.items()
        if handlers.request.get(media_type) != name
    ]
    return rows


def _components(components: Iterable[Component]) -> list[tuple[str, ...]]:
    return [(part.name, _names(part), part.source) for part in components]


def _names(component: Component) -> str:
    return ", ".join(method.name for method in component.methods)


def _columns(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(f"  {line}".rstrip() for line in lines)
