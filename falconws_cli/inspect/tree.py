"""A survey as a tree, with a line for each function. Pure."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from falconws_cli.inspect.survey import Component, Survey
from falconws_cli.inspect.table import media_rows


@dataclass(frozen=True)
class Node:
    """A line, and the lines that belong below it."""

    label: str
    children: tuple["Node", ...] = ()


def tree(survey: Survey) -> str:
    """Return the survey as a tree."""
    branches = [
        Node(
            "routes",
            tuple(
                Node(_label(route.path, route.resource.name, route.resource.source), _methods(route.resource))
                for route in survey.routes
            ),
        ),
        Node("sinks", tuple(Node(_label(sink.pattern, sink.name, sink.source)) for sink in survey.sinks)),
        Node(
            "static routes",
            tuple(Node(_label(s.prefix, s.directory, s.fallback or "")) for s in survey.static_routes),
        ),
        Node("middleware", _components(survey.middleware)),
        Node("lifespan hooks", _components(survey.lifespan)),
        Node("error handlers", tuple(Node(_label(h.pattern, h.name, h.source)) for h in survey.error_handlers)),
        Node("media handlers", tuple(Node(_label(*row)) for row in media_rows(survey))),
        Node("ws_options", tuple(Node(f"{name} = {json.dumps(value)}") for name, value in survey.ws_options.items())),
    ]
    root = Node(f"{survey.target} ({survey.kind})", tuple(branch for branch in branches if branch.children))
    return "\n".join([root.label, *_lines(root.children)])


def _components(components: Iterable[Component]) -> tuple[Node, ...]:
    return tuple(Node(_label(part.name, part.source), _methods(part)) for part in components)


def _methods(component: Component) -> tuple[Node, ...]:
    return tuple(
        Node(_label(method.name, "" if method.function == method.name else method.function, method.source))
        for method in component.methods
    )


def _label(*parts: str) -> str:
    return "  ".join(part for part in parts if part)


def _lines(nodes: tuple[Node, ...], before: str = "") -> Iterator[str]:
    for position, node in enumerate(nodes):
        last = position == len(nodes) - 1
        yield f"{before}{'└── ' if last else '├── '}{node.label}"
        yield from _lines(node.children, before + ("    " if last else "│   "))
