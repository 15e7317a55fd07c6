"""Shows a survey as tables or as a tree. Pure; must not know Falcon."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from falconws_cli.inspect.survey import Component, MediaHandlers, Route, Survey

_Value = TypeVar("_Value")


_DIFFERENT = " that differ from the defaults"


def without_defaults(survey: Survey) -> Survey:
    """Return the survey with those media handlers and options that differ from the defaults."""
    there, usual = survey.media_handlers, survey.default_media_handlers
    handlers = MediaHandlers(
        _different(there.request, usual.request),
        _different(there.response, usual.response),
        _different(there.websocket, usual.websocket),
    )
    return replace(survey, media_handlers=handlers, ws_options=_different(survey.ws_options, survey.default_ws_options))


def _different(values: dict[str, _Value], usual: dict[str, _Value]) -> dict[str, _Value]:
    return {name: value for name, value in values.items() if name not in usual or usual[name] != value}


def table(survey: Survey, *, everything: bool) -> str:
    """Return the survey with a table for each part that the app has.

    Args:
        survey: The parts.
        everything: Whether media handlers and options that are as in a new app are shown too.
    """
    which = "" if everything else _DIFFERENT
    survey = survey if everything else without_defaults(survey)
    typed = any(route.speaks for route in survey.routes)
    sections: list[tuple[str, Sequence[tuple[str, ...]]]] = [
        (
            "Routes",
            [
                (
                    route.path,
                    _method_names(route.resource) or "no responders",
                    route.resource.name,
                    *([_speaks(route)] if typed else []),
                    route.resource.source,
                )
                for route in survey.routes
            ],
        ),
        ("Sinks", [(sink.pattern, sink.name, sink.source) for sink in survey.sinks]),
        (
            "Static routes",
            [(static.prefix, static.directory, static.fallback or "") for static in survey.static_routes],
        ),
        ("Middleware, in the order in which they are called", _component_rows(survey.middleware)),
        ("Lifespan hooks", _component_rows(survey.lifespan)),
        ("Error handlers", [(handler.pattern, handler.name, handler.source) for handler in survey.error_handlers]),
        (f"Media handlers{which}", _media_rows(survey)),
        (f"ws_options{which}", [(name, json.dumps(value)) for name, value in survey.ws_options.items()]),
    ]
    shown = [f"{title}\n{_columns(rows)}" for title, rows in sections if rows]
    return "\n\n".join([f"{survey.app} is a {survey.kind}", *shown])


def _speaks(route: Route) -> str:
    return f"speaks {', '.join(route.speaks)}" if route.speaks else ""


def _media_rows(survey: Survey) -> list[tuple[str, str]]:
    """Return a row for each media handler; requests and responses with the same handler share a row."""
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


def _component_rows(components: Iterable[Component]) -> list[tuple[str, ...]]:
    return [(part.name, _method_names(part), part.source) for part in components]


def _method_names(component: Component) -> str:
    return ", ".join(method.name for method in component.methods)


def _columns(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(f"  {line}".rstrip() for line in lines)


@dataclass(frozen=True)
class TreeNode:
    """A line of the tree, and the lines below it."""

    label: str
    children: tuple["TreeNode", ...] = ()


def tree(survey: Survey, *, everything: bool) -> str:
    """Return the survey as a tree; see `table`."""
    which = "" if everything else _DIFFERENT
    survey = survey if everything else without_defaults(survey)
    branches = [
        TreeNode(
            "routes",
            tuple(
                TreeNode(
                    _label(route.path, route.resource.name, _speaks(route), route.resource.source),
                    _methods(route.resource),
                )
                for route in survey.routes
            ),
        ),
        TreeNode("sinks", tuple(TreeNode(_label(sink.pattern, sink.name, sink.source)) for sink in survey.sinks)),
        TreeNode(
            "static routes",
            tuple(TreeNode(_label(s.prefix, s.directory, s.fallback or "")) for s in survey.static_routes),
        ),
        TreeNode("middleware", _component_nodes(survey.middleware)),
        TreeNode("lifespan hooks", _component_nodes(survey.lifespan)),
        TreeNode("error handlers", tuple(TreeNode(_label(h.pattern, h.name, h.source)) for h in survey.error_handlers)),
        TreeNode(f"media handlers{which}", tuple(TreeNode(_label(*row)) for row in _media_rows(survey))),
        TreeNode(
            f"ws_options{which}",
            tuple(TreeNode(f"{name} = {json.dumps(value)}") for name, value in survey.ws_options.items()),
        ),
    ]
    root = TreeNode(f"{survey.app} ({survey.kind})", tuple(branch for branch in branches if branch.children))
    return "\n".join([root.label, *_lines(root.children)])


def _component_nodes(components: Iterable[Component]) -> tuple[TreeNode, ...]:
    return tuple(TreeNode(_label(part.name, part.source), _methods(part)) for part in components)


def _methods(component: Component) -> tuple[TreeNode, ...]:
    return tuple(
        TreeNode(_label(method.name, "" if method.function == method.name else method.function, method.source))
        for method in component.methods
    )


def _label(*parts: str) -> str:
    return "  ".join(part for part in parts if part)


def _lines(nodes: tuple[TreeNode, ...], before: str = "") -> Iterator[str]:
    for position, node in enumerate(nodes):
        last = position == len(nodes) - 1
        yield f"{before}{'└── ' if last else '├── '}{node.label}"
        yield from _lines(node.children, before + ("    " if last else "│   "))
