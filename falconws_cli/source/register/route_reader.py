"""Reads the routes that a module adds: calls of `add_route`, and tables that a loop adds routes from.

Pure. Must not know how a route is added or removed.
"""

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from falconws_cli.source.python import CannotEditError, Source, dotted, walk_scope, walk_values


def routes_in(text: str) -> dict[str, str]:
    """Return the literal URI templates that *text* adds routes for, each with the source of its resource."""
    try:
        source = Source(text, "")
    except CannotEditError:
        return {}
    calls = (route_of(node) for node in source.nodes if isinstance(node, ast.Call))
    unknown = {template: "another resource" for template, resource in calls if template and resource is None}
    return unknown | {route.template: ast.unparse(route.resource) for route in routes(source)}


@dataclass(frozen=True)
class Route:
    """A route with a literal template, and the node that states it."""

    template: str
    resource: ast.expr
    node: ast.expr


@dataclass(frozen=True)
class RouteTable:
    """A literal of pairs, and the loop that adds a route for each of them."""

    loop: ast.For
    literal: ast.List | ast.Tuple | ast.Dict
    called: bool
    """Whether the loop creates the resource from a class."""

    @property
    def pairs(self) -> list[tuple[ast.expr, ast.expr]]:
        if isinstance(self.literal, ast.Dict):
            return [(k, v) for k, v in zip(self.literal.keys, self.literal.values, strict=True) if k is not None]
        return [(i.elts[0], i.elts[1]) for i in self.literal.elts if isinstance(i, (ast.Tuple, ast.List))]


def routes(source: Source) -> Iterator[Route]:
    """Yield every route with a literal template."""
    for node in source.nodes:
        if isinstance(node, ast.Call):
            template, resource = route_of(node)
            if template is not None and resource is not None:
                yield Route(template, resource, node)
    for table in route_tables(source):
        for template_node, resource in table.pairs:
            if (template := string_value(template_node)) is not None:
                yield Route(template, resource, template_node)


def route_tables(source: Source) -> Iterator[RouteTable]:
    """Yield every literal from which a loop adds routes."""
    for node in source.nodes:
        if isinstance(node, ast.For):
            calls = route_calls(node)
            literal = _literal(source, node.iter)
            if len(calls) == 1 and literal is not None and not calls[0].keywords:
                called = _adds_each(node, calls[0])
                if called is not None:
                    yield RouteTable(node, literal, called)


def _adds_each(loop: ast.For, call: ast.Call) -> bool | None:
    """Return whether the loop creates each resource from a class; None when it does not add each of its pairs."""
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
        stores = [
            n for n in source.nodes if isinstance(n, ast.Name) and n.id == name and not isinstance(n.ctx, ast.Load)
        ]
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


def has_untraced_pair(source: Source, template: str, names: Collection[str]) -> bool:
    """Return whether the module has a pair of *template* and a named class, in a table of a form that is unknown."""
    return any(
        isinstance(node, (ast.Tuple, ast.List))
        and len(node.elts) >= 2
        and string_value(node.elts[0]) == template
        and refers_to(source, node.elts[1], names)
        for node in walk_values(source.tree)
    )


def refers_to(source: Source, resource: ast.expr, names: Collection[str]) -> bool:
    """Return whether *resource* is one of the named classes, an instance, or a variable that holds an instance."""
    if any(dotted(node) in names for node in ast.walk(resource)):
        return True
    if not isinstance(resource, ast.Name):
        return False
    return any(
        isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == resource.id for target in node.targets)
        and any(dotted(part) in names for part in ast.walk(node.value))
        for node in source.nodes
    )


def route_calls(statement: ast.stmt) -> list[ast.Call]:
    """Return the calls of `add_route` in a statement, without those in nested functions and classes."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return []
    return [
        node
        for node in walk_scope(statement)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_route"
    ]


def route_of(call: ast.Call) -> tuple[str | None, ast.expr | None]:
    """Return the literal template and the resource of a call of `add_route`; None for what it does not have."""
    if not (isinstance(call.func, ast.Attribute) and call.func.attr == "add_route"):
        return None, None
    arguments = {keyword.arg: keyword.value for keyword in call.keywords}
    template = call.args[0] if call.args else arguments.get("uri_template")
    resource = call.args[1] if len(call.args) > 1 else arguments.get("resource")
    return string_value(template), resource


def string_value(node: ast.expr | None) -> str | None:
    """Return the value of a string literal, else None."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
