"""Which routes a source adds."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from falconws_cli.source.python import CannotEditError, Source, dotted, walk_scope

__all__ = ("routes_in",)


def routes_in(text: str) -> dict[str, str]:
    """Return the literal URI templates that *text* adds routes for, each with the source of its resource."""
    try:
        source = Source(text, "")
    except CannotEditError:
        return {}
    routes = {}
    for call in (node for node in source.nodes if isinstance(node, ast.Call)):
        template, resource = _route(call)
        if template is not None:
            routes[template] = ast.unparse(resource) if resource is not None else "another resource"
    for table in _tables(source):
        for template_node, resource in table.pairs:
            if (template := _string(template_node)) is not None:
                routes[template] = ast.unparse(resource)
    return routes


@dataclass(frozen=True)
class _Table:
    """A literal of pairs, and the loop that adds a route for each."""

    loop: ast.For
    literal: ast.List | ast.Tuple | ast.Dict
    called: bool
    """Whether the loop makes the resource of a class."""

    @property
    def pairs(self) -> list[tuple[ast.expr, ast.expr]]:
        if isinstance(self.literal, ast.Dict):
            return [(k, v) for k, v in zip(self.literal.keys, self.literal.values, strict=True) if k is not None]
        return [(i.elts[0], i.elts[1]) for i in self.literal.elts if isinstance(i, (ast.Tuple, ast.List))]


def _routes(source: Source) -> Iterator[tuple[str, ast.expr, ast.expr]]:
    """Yield template, resource and place of every route with a literal template."""
    for node in source.nodes:
        if isinstance(node, ast.Call):
            template, resource = _route(node)
            if template is not None and resource is not None:
                yield template, resource, node
    for table in _tables(source):
        for template_node, resource in table.pairs:
            if (template := _string(template_node)) is not None:
                yield template, resource, template_node


def _tables(source: Source) -> Iterator[_Table]:
    for node in source.nodes:
        if isinstance(node, ast.For):
            calls = _route_calls(node)
            literal = _literal(source, node.iter)
            if len(calls) == 1 and literal is not None and not calls[0].keywords:
                called = _adds_each(node, calls[0])
                if called is not None:
                    yield _Table(node, literal, called)


def _adds_each(loop: ast.For, call: ast.Call) -> bool | None:
    """Tell whether the loop, which adds each of its pairs, makes the resource of a class; None when it does not."""
    if isinstance(loop.target, ast.Name):
        starred = len(call.args) == 1 and isinstance(call.args[0], ast.Starred) and call.args[0].value
        return False if isinstance(starred, ast.Name) and starred.id == loop.target.id else None
    if not isinstance(loop.target, ast.Tuple) or len(call.args) != 2:
        return None
    names = [dotted(name) for name in loop.target.elts]
    template, resource = call.args
    if len(names) != 2 or dotted(template) != names[0]:
        return None
    if isinstance(resource, ast.Call) and not resource.args and not resource.keywords:
        return True if dotted(resource.func) == names[1] else None
    return False if dotted(resource) == names[1] else None


def _literal(source: Source, iterated: ast.expr) -> ast.List | ast.Tuple | ast.Dict | None:
    """Return the literal of pairs that a loop iterates over: itself, or what its name is assigned once."""
    as_dict = False
    if (
        isinstance(iterated, ast.Call)
        and isinstance(iterated.func, ast.Attribute)
        and iterated.func.attr == "items"
        and not iterated.args
    ):
        iterated, as_dict = iterated.func.value, True
    if isinstance(iterated, ast.Name):
        name = iterated.id
        stores = [n for n in source.nodes if isinstance(n, ast.Name) and n.id == name and _is_store(n)]
        values = [
            statement.value
            for block in source.blocks()
            for statement in block
            if (isinstance(statement, ast.Assign) and len(statement.targets) == 1 and statement.targets[0] in stores)
            or (isinstance(statement, ast.AnnAssign) and statement.target in stores)
        ]
        if len(stores) != 1 or len(values) != 1 or values[0] is None:
            return None
        iterated = values[0]
    if as_dict:
        return iterated if isinstance(iterated, ast.Dict) else None
    if not isinstance(iterated, (ast.List, ast.Tuple)):
        return None
    pairs = all(isinstance(item, (ast.Tuple, ast.List)) and len(item.elts) == 2 for item in iterated.elts)
    return iterated if pairs else None


def _is_store(node: ast.Name) -> bool:
    return not isinstance(node.ctx, ast.Load)


def _route_calls(statement: ast.stmt) -> list[ast.Call]:
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return []
    return [
        node
        for node in walk_scope(statement)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_route"
    ]


def _route(call: ast.Call) -> tuple[str | None, ast.expr | None]:
    """Return the literal template and the resource of a call of add_route."""
    if not (isinstance(call.func, ast.Attribute) and call.func.attr == "add_route"):
        return None, None
    arguments = {keyword.arg: keyword.value for keyword in call.keywords}
    template = call.args[0] if call.args else arguments.get("uri_template")
    resource = call.args[1] if len(call.args) > 1 else arguments.get("resource")
    return _string(template), resource


def _string(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
