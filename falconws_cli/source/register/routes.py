"""Routes: `app.add_route(template, resource)`, or a pair in the literal that a loop adds routes from. Pure."""

import ast
from collections.abc import Collection, Iterator

from falconws_cli.source import layout
from falconws_cli.source.brackets import items_of
from falconws_cli.source.python import CannotEditError, Edit, Import, Source, dotted, walk_scope, walk_values
from falconws_cli.source.register.apps import app_place
from falconws_cli.source.register.result import Registration, Removal
from falconws_cli.source.register.route_reader import _route, _route_calls, _routes, _string, _Table, _tables
from falconws_cli.source.register.target import Item, Place, Target, register, unregister

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def register_route(text: str, package: str, *, template: str, resource: Import) -> Registration:
    """Add the route to the function, the module, or the literal that has the others."""
    return register(text, package, _RouteTarget(template, resource))


def unregister_route(
    text: str, package: str, *, template: str, resource: Import, added: Collection[Import] | None = None
) -> Removal:
    """Take the route away; when the user gave the resource another template, that one.

    Args:
        text: The module's source.
        package: The package that the module is in.
        template: The URI template.
        resource: The resource's class.
        added: The imports that the registration added; None for all that are unused then.
    """
    return unregister(text, package, _RouteTarget(template, resource), added)


class _RouteTarget(Target):
    def __init__(self, template: str, resource: Import) -> None:
        self.template = template
        self.wanted = resource
        self.what = f"the route {template}"

    def statement(self, source: Source | None, app: str, name: str, indent: int) -> str:
        items = [_quoted(source, self.template), f"{name}()"]
        return layout.bracketed(f"{app}.add_route(", items, ")", indent=indent)

    def is_there(self, source: Source, names: Collection[str]) -> bool:
        for template, resource, node in _routes(source):
            if template == self.template:
                if _names_one(source, resource, names):
                    return True
                raise CannotEditError(f"line {node.lineno} gives {template} to something else")
        # Tables that are read in ways which are not understood.
        return any(
            isinstance(node, (ast.Tuple, ast.List))
            and len(node.elts) >= 2
            and _string(node.elts[0]) == self.template
            and _names_one(source, node.elts[1], names)
            for node in walk_values(source.tree)
        )

    def place(self, source: Source, name: str) -> Place | Item:
        place = _routes_place(source)
        table = next((table for table in _tables(source) if table.loop is place.statement), None)
        if table is not None:
            try:
                return self._item(source, table, name)
            except CannotEditError:
                # A statement behind the loop is right too.
                pass
        call = _route_calls(place.statement)[-1] if _route_calls(place.statement) else None
        if call is not None and not place.before:
            assert isinstance(call.func, ast.Attribute)
            bound = {
                node.id
                for node in walk_scope(place.statement)
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            }
            if place.app.split(".")[0] in bound or dotted(call.func.value) is None:
                raise CannotEditError(f"line {call.lineno} adds its route to something without a lasting name")
        return place

    def found(self, source: Source, names: Collection[str]) -> list[Edit] | None:
        mine = _routes_to(source, names)
        return next((edits for template, edits in mine if template == self.template), None)

    def changed(self, source: Source, names: Collection[str]) -> list[Edit] | None:
        # With one route to the resource, that is the one: it has another template now.
        mine = _routes_to(source, names)
        return mine[0][1] if len(mine) == 1 else None

    def _item(self, source: Source, table: _Table, name: str) -> Item:
        resource = name if table.called else f"{name}()"
        template = _quoted(source, self.template)
        if isinstance(table.literal, ast.Dict):
            code, nodes = f"{template}: {resource}", [_expression(template), _expression(resource)]
        else:
            like = table.literal.elts[-1] if table.literal.elts else None
            code = f"[{template}, {resource}]" if isinstance(like, ast.List) else f"({template}, {resource})"
            nodes = [_expression(code)]
        edits = items_of(source, table.literal).appending(code, nodes)
        return Item(edits, source.top_level_line(table.literal))


def _routes_place(source: Source) -> Place:
    functions = [n for n in source.nodes if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    scopes: list[_Function | ast.Module] = [*functions, source.tree]
    candidates = [scope for scope in scopes if any(_route_calls(statement) for statement in scope.body)]
    named = [function for function in functions if function.name == "add_routes"]
    if len(candidates) > 1:
        candidates = [scope for scope in candidates if scope in named]
        if not candidates and not (len(named) == 1 and named[0].args.args):
            raise CannotEditError("routes are added in several functions")
    if len(candidates) == 1:
        block = candidates[0].body
        last = [statement for statement in block if _route_calls(statement)][-1]
        call = _route_calls(last)[-1]
        assert isinstance(call.func, ast.Attribute)
        return Place(block, last, dotted(call.func.value) or "app")
    if len(named) == 1 and named[0].args.args:
        function = named[0]
        last = function.body[-1]
        if isinstance(last, ast.Raise):
            raise CannotEditError("add_routes() raises before it adds a route")
        return Place(function.body, last, function.args.args[0].arg, before=isinstance(last, ast.Return))
    try:
        return app_place(source, lambda node: False)
    except CannotEditError:
        raise CannotEditError("it has no function add_routes(app) and adds no routes") from None


def _removable(source: Source) -> Iterator[tuple[str, ast.expr, list[Edit]]]:
    """Yield template, resource and what takes it away, for every route that has a statement or an item of its own."""
    for block in source.blocks():
        for statement in block:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
                template, resource = _route(statement.value)
                if template is not None and resource is not None:
                    yield template, resource, [source.removing(statement, block)]
    for table in _tables(source):
        try:
            items = items_of(source, table.literal)
        except CannotEditError:
            continue
        for position, (template_node, resource) in enumerate(table.pairs):
            if (template := _string(template_node)) is not None:
                yield template, resource, items.dropping(position)


def _routes_to(source: Source, names: Collection[str]) -> list[tuple[str, list[Edit]]]:
    return [(template, edits) for template, node, edits in _removable(source) if _names_one(source, node, names)]


def _names_one(source: Source, resource: ast.expr, names: Collection[str]) -> bool:
    """Tell whether *resource* is one of the named classes, an instance, or a name that is given an instance."""
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


def _expression(code: str) -> ast.expr:
    return ast.parse(code, mode="eval").body


def _quoted(source: Source | None, text: str) -> str:
    # URI templates have neither quotation marks nor backslashes.
    quote = source.quote if source is not None else '"'
    return f"{quote}{text}{quote}"
