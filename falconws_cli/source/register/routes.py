"""Routes: `app.add_route(template, resource)`, or a pair in the literal that a loop adds routes from. Pure."""

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from falconws_cli.source.items import items_of
from falconws_cli.source.register.apps import app_place
from falconws_cli.source.register.outcome import Registration, Removal
from falconws_cli.source.register.statement import Item, Place, Target, register, unregister
from falconws_cli.source.syntax import (
    CannotEditError,
    Edit,
    Import,
    Source,
    dotted,
    walk_scope,
    walk_values,
)
from falconws_cli.templating import layout

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


def _string(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _expression(code: str) -> ast.expr:
    return ast.parse(code, mode="eval").body


def _quoted(source: Source | None, text: str) -> str:
    # URI templates have neither quotation marks nor backslashes.
    quote = source.quote if source is not None else '"'
    return f"{quote}{text}{quote}"
