"""Adds and removes routes: `app.add_route(template, resource)`, or a pair in a table that a loop reads. Pure."""

import ast
from collections.abc import Collection, Iterator

from falconws_cli.source import formatting
from falconws_cli.source.brackets import literal_items
from falconws_cli.source.python import CannotEditError, Edit, Import, Source, dotted, last_name, walk_scope
from falconws_cli.source.register.apps import app_insertion_point, why_no_app
from falconws_cli.source.register.kind import InsertedItem, InsertionPoint, ObjectKind
from falconws_cli.source.register.route_reader import (
    RouteTable,
    has_untraced_pair,
    refers_to,
    route_calls,
    route_of,
    route_tables,
    routes,
    string_value,
)

_Function = ast.FunctionDef | ast.AsyncFunctionDef


class RouteKind(ObjectKind):
    """A route to a resource, in the function, the module or the table that has the other routes.

    When the user has given the resource another template, that route is removed.
    """

    def __init__(self, *, template: str, resource: Import) -> None:
        self.template = template
        self.wanted = resource
        self.what = f"the route {template}"

    def statement(self, source: Source | None, app: str, name: str, indent: int) -> str:
        items = [_quoted(source, self.template), f"{name}()"]
        return formatting.bracketed(f"{app}.add_route(", items, ")", indent=indent)

    def is_there(self, source: Source, names: Collection[str]) -> bool:
        for route in routes(source):
            if route.template == self.template:
                if refers_to(source, route.resource, names):
                    return True
                raise CannotEditError(f"line {route.node.lineno} gives {self.template} to another resource")
        return has_untraced_pair(source, self.template, names)

    def insertion_point(self, source: Source, name: str) -> InsertionPoint | InsertedItem:
        place = _routes_insertion_point(source)
        table = next((table for table in route_tables(source) if table.loop is place.statement), None)
        if table is not None:
            try:
                return self._item(source, table, name)
            except CannotEditError:
                # A statement after the loop works too.
                pass
        call = route_calls(place.statement)[-1] if route_calls(place.statement) else None
        if call is not None and not place.before:
            assert isinstance(call.func, ast.Attribute)
            bound = {
                node.id
                for node in walk_scope(place.statement)
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            }
            if place.app.split(".")[0] in bound or dotted(call.func.value) is None:
                raise CannotEditError(f"line {call.lineno} adds its route to an object without a name")
        return place

    def found(self, source: Source, names: Collection[str]) -> list[Edit] | None:
        mine = _routes_to(source, names)
        return next((edits for template, edits in mine if template == self.template), None)

    def changed(self, source: Source, names: Collection[str]) -> list[Edit] | None:
        # The only route to the resource is the one, under another template.
        mine = _routes_to(source, names)
        return mine[0][1] if len(mine) == 1 else None

    def _item(self, source: Source, table: RouteTable, name: str) -> InsertedItem:
        resource = name if table.called else f"{name}()"
        template = _quoted(source, self.template)
        if isinstance(table.literal, ast.Dict):
            code, nodes = f"{template}: {resource}", [_expression(template), _expression(resource)]
        else:
            like = table.literal.elts[-1] if table.literal.elts else None
            code = f"[{template}, {resource}]" if isinstance(like, ast.List) else f"({template}, {resource})"
            nodes = [_expression(code)]
        edits = literal_items(source, table.literal).append_edits(code, nodes)
        return InsertedItem(edits, source.top_level_line(table.literal))


def _routes_insertion_point(source: Source) -> InsertionPoint:
    functions = [n for n in source.nodes if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    scopes: list[_Function | ast.Module] = [*functions, source.tree]
    candidates = [scope for scope in scopes if any(route_calls(statement) for statement in scope.body)]
    named = [function for function in functions if function.name == "add_routes"]
    if len(candidates) > 1:
        candidates = [scope for scope in candidates if scope in named]
        if not candidates and not (len(named) == 1 and _app_parameter(named[0])):
            raise CannotEditError("routes are added in several functions")
    if len(candidates) == 1:
        block = candidates[0].body
        last = [statement for statement in block if route_calls(statement)][-1]
        call = route_calls(last)[-1]
        assert isinstance(call.func, ast.Attribute)
        return InsertionPoint(block, last, dotted(call.func.value) or "app")
    if len(named) == 1 and (parameter := _app_parameter(named[0])):
        function = named[0]
        last = function.body[-1]
        if isinstance(last, ast.Raise):
            raise CannotEditError("add_routes() raises an exception before it adds a route")
        return InsertionPoint(function.body, last, parameter, before=isinstance(last, ast.Return))
    try:
        return app_insertion_point(source, lambda node: False)
    except CannotEditError:
        why = why_no_app(source, "it has no function add_routes(app) and adds no routes")
        raise CannotEditError(why) from None


def _app_parameter(function: _Function) -> str:
    """Return the parameter that is the app: the one with its name or its type, else the first; "" if there is none."""
    parameters = [one for one in (*function.args.posonlyargs, *function.args.args) if one.arg not in ("self", "cls")]
    likely = [one for one in parameters if one.arg == "app" or last_name(one.annotation) == "App"]
    return next((one.arg for one in (*likely, *parameters)), "")


def _removable(source: Source) -> Iterator[tuple[str, ast.expr, list[Edit]]]:
    """Yield template, resource and the edits that remove it, for each route with its own statement or item."""
    for block in source.blocks():
        for statement in block:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
                template, resource = route_of(statement.value)
                if template is not None and resource is not None:
                    yield template, resource, [source.remove_edit(statement, block)]
    for table in route_tables(source):
        try:
            items = literal_items(source, table.literal)
        except CannotEditError:
            continue
        for position, (template_node, resource) in enumerate(table.pairs):
            if (template := string_value(template_node)) is not None:
                yield template, resource, items.remove_edits(position)


def _routes_to(source: Source, names: Collection[str]) -> list[tuple[str, list[Edit]]]:
    return [(template, edits) for template, node, edits in _removable(source) if refers_to(source, node, names)]


def _expression(code: str) -> ast.expr:
    return ast.parse(code, mode="eval").body


def _quoted(source: Source | None, text: str) -> str:
    # URI templates contain neither quotation marks nor backslashes.
    quote = source.quote if source is not None else '"'
    return f"{quote}{text}{quote}"
