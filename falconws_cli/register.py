"""Registrations: which statement and which import make a route, a middleware or a handler part of the app. Pure.

Source text goes in, source text comes out; syntax.py knows where lines can go. Every function is idempotent, and
where it finds no place that is surely right it changes nothing and says which lines to add by hand.
"""

import ast
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from falconws_cli import layout
from falconws_cli.syntax import CannotEditError, Import, Insertion, Source, walk_scope


class Outcome(Enum):
    """What became of a registration."""

    REGISTERED = "registered"
    ALREADY = "already registered"
    CANNOT = "cannot register"


@dataclass(frozen=True)
class Registration:
    """The outcome; *text* is the source afterwards, *lines* is what a user would add by hand."""

    what: str
    outcome: Outcome
    text: str
    lines: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True)
class _Place:
    """Where a statement goes: after one of a block's statements, and the name of the app there."""

    block: list[ast.stmt]
    after: ast.stmt
    app: str


def routes_in(text: str) -> dict[str, str]:
    """Return the literal URI templates that *text* adds routes for, each with the source of its resource."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return {}
    routes = {}
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        template = _template_of(call)
        if template is not None:
            routes[template] = ast.unparse(call.args[1]) if len(call.args) > 1 else "another resource"
    return routes


def register_route(text: str, package: str, *, template: str, resource: Import) -> Registration:
    """Add the route to the function, or module, that adds routes."""

    def statement(app: str, name: str, indent: int) -> str:
        items = [layout_string(template), f"{name}()"]
        return layout.bracketed(f"{app}.add_route(", items, ")", indent=indent)

    def is_there(source: Source, name: str) -> bool:
        return any(
            _template_of(node) == template
            and len(node.args) > 1
            and isinstance(node.args[1], ast.Call)
            and _last_name(node.args[1].func) == name
            for node in ast.walk(source.tree)
            if isinstance(node, ast.Call)
        )

    return _register(text, package, f"the route {template}", resource, statement, is_there, _routes_place)


def register_middleware(text: str, package: str, *, middleware: Import, factory: str = "") -> Registration:
    """Add the middleware to the app, behind those that it has.

    Args:
        factory: Class method that makes the instance; the class itself when empty.
    """

    def statement(app: str, name: str, indent: int) -> str:
        made = f"{name}.{factory}()" if factory else f"{name}()"
        return layout.bracketed(f"{app}.add_middleware(", [made], ")", indent=indent)

    def is_there(source: Source, name: str) -> bool:
        return _uses(source, name)

    return _register(
        text,
        package,
        f"the middleware {middleware.name}",
        middleware,
        statement,
        is_there,
        lambda source: _app_place(source, _adds_middleware),
    )


def register_media_handler(text: str, package: str, *, payload: str, handler: Import) -> Registration:
    """Make *handler* the app's handler for *payload*, which is TEXT or BINARY."""
    payload_type = "falconws.WebSocketPayloadType"

    def statement(app: str, name: str, indent: int) -> str:
        target = f"{app}.ws_options.media_handlers[{payload_type}.{payload}]"
        return layout.assignment(target, f"{name}()", indent=indent)

    def is_there(source: Source, name: str) -> bool:
        return _uses(source, name)

    extra: list[Import] = []
    try:
        source = Source(text, package)
    except CannotEditError:
        pass
    else:
        wanted = Import("falconws", "WebSocketPayloadType")
        if alias := source.module_alias("falconws"):
            payload_type = f"{alias}.WebSocketPayloadType"
        else:
            payload_type = source.local_name(wanted) or wanted.name
            extra = [] if source.local_name(wanted) else [wanted]
    return _register(
        text,
        package,
        f"the {payload} media handler {handler.name}",
        handler,
        statement,
        is_there,
        lambda source: _app_place(source, _sets_media_handler),
        extra,
    )


def media_handler_in(text: str, payload: str) -> str | None:
    """Return the source of the handler that *text* sets for *payload*, or None."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Subscript)
            and _last_name(target.value) == "media_handlers"
            and _last_name(target.slice) == payload
            for target in node.targets
        ):
            return ast.unparse(node.value)
    return None


def append_functions(
    text: str,
    package: str,
    *,
    first_party: str,
    what: str,
    imports: Iterable[Import],
    code: str,
    needs: Iterable[str] = (),
) -> Registration:
    """Append the functions and constants of *code* to a module, unless it has them already.

    Args:
        text: The module's source.
        package: The package that the module is in.
        first_party: The project's package, whose imports come last too.
        what: What the registration is called in reports.
        imports: What *code* needs and is imported for it.
        code: Functions and assignments.
        needs: What *code* needs the module to have.
    """
    names = [
        node.name if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) else _target_name(node)
        for node in ast.parse(code).body
    ]
    lines = (*(wanted.line for wanted in imports), *code.splitlines())
    try:
        source = Source(text, package, (first_party,))
        if all(source.binds(name) for name in names):
            return Registration(what, Outcome.ALREADY, text, lines)
        for name in names:
            if source.binds(name):
                raise CannotEditError(f'"{name}" already means something else in it')
        for name in needs:
            if not source.binds(name):
                raise CannotEditError(f'it has no "{name}"')
        end = len(source.lines) + 1
        missing = [wanted for wanted in imports if source.local_name(wanted) is None]
        insertions = [source.importing(wanted, before_line=end) for wanted in missing]
        insertions.append(source.at_end(code.rstrip("\n"), len(names)))
        return Registration(what, Outcome.REGISTERED, source.apply(insertions), lines)
    except CannotEditError as error:
        return Registration(what, Outcome.CANNOT, text, lines, str(error))


def layout_string(text: str) -> str:
    """Return *text*, which has no quotes or backslashes, as a Python literal."""
    return f'"{text}"'


def _register(
    text: str,
    package: str,
    what: str,
    wanted: Import,
    statement: Callable[[str, str, int], str],
    is_there: Callable[[Source, str], bool],
    find_place: Callable[[Source], _Place],
    extra: Iterable[Import] = (),
) -> Registration:
    lines: tuple[str, ...] = (wanted.line, statement("app", wanted.name, 0))
    try:
        source = Source(text, package)
        imported = source.local_name(wanted)
        if imported is not None and is_there(source, imported):
            return Registration(what, Outcome.ALREADY, text, lines)
        place = find_place(source)
        lines = (wanted.line, statement(place.app, imported or wanted.name, 0))
        line = source.top_level_line(place.after)
        insertions: list[Insertion] = []
        if imported is None:
            insertions.append(source.importing(wanted, before_line=line))
        insertions += [source.importing(other, before_line=line) for other in extra]
        indent = place.block[0].col_offset
        code = statement(place.app, imported or wanted.name, indent)
        insertions.append(source.after(place.after, place.block, code))
        return Registration(what, Outcome.REGISTERED, source.apply(insertions), lines)
    except CannotEditError as error:
        return Registration(what, Outcome.CANNOT, text, lines, str(error))


def _routes_place(source: Source) -> _Place:
    functions = [n for n in ast.walk(source.tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    scopes: list[ast.FunctionDef | ast.AsyncFunctionDef | ast.Module] = [*functions, source.tree]
    candidates = [scope for scope in scopes if any(_route_calls(statement) for statement in scope.body)]
    named = [f for f in functions if f.name == "add_routes"]
    if len(candidates) > 1:
        candidates = [scope for scope in candidates if scope in named]
        if len(candidates) != 1:
            raise CannotEditError("routes are added in several functions")
    if len(candidates) == 1:
        block = candidates[0].body
        last = [statement for statement in block if _route_calls(statement)][-1]
        call = _route_calls(last)[-1]
        assert isinstance(call.func, ast.Attribute)
        app = ast.unparse(call.func.value)
        bound = {n.id for n in walk_scope(last) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        if not isinstance(call.func.value, (ast.Name, ast.Attribute)) or app.split(".")[0] in bound:
            raise CannotEditError(f"line {call.lineno} adds its route to something without a lasting name")
        return _Place(block, last, app)
    if len(named) != 1 or not named[0].args.args:
        raise CannotEditError("it has no function add_routes(app) and adds no routes")
    function = named[0]
    if isinstance(function.body[-1], (ast.Return, ast.Raise)):
        raise CannotEditError("add_routes() returns before it adds a route")
    return _Place(function.body, function.body[-1], function.args.args[0].arg)


def _app_place(source: Source, belongs: Callable[[ast.AST], bool]) -> _Place:
    """Return the place behind the app's creation, and behind the last statement that *belongs* there too."""
    places = []
    for block in source.blocks():
        for position, statement in enumerate(block):
            app = _created_app(statement)
            if app is not None:
                last = statement
                for later in block[position + 1 :]:
                    if any(belongs(node) for node in [later, *walk_scope(later)]):
                        last = later
                places.append(_Place(block, last, app))
    if not places:
        raise CannotEditError("it has no line such as `app = falconws.App()`")
    if len(places) > 1:
        functions = (n for n in ast.walk(source.tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)))
        factories = [function.body for function in functions if function.name == "create_app"]
        places = [place for place in places if any(place.block is body for body in factories)]
        if len(places) != 1:
            raise CannotEditError("it creates several apps")
    return places[0]


def _created_app(statement: ast.stmt) -> str | None:
    """Return the name that *statement* gives a new App, or None."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target: ast.expr = statement.targets[0]
    elif isinstance(statement, ast.AnnAssign):
        target = statement.target
    else:
        return None
    value = statement.value
    if isinstance(target, ast.Name) and isinstance(value, ast.Call) and _last_name(value.func) == "App":
        return target.id
    return None


def _adds_middleware(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and _last_name(node.func) == "add_middleware"


def _sets_media_handler(node: ast.AST) -> bool:
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
        return _last_name(node.value) == "media_handlers"
    return _adds_middleware(node)


def _route_calls(statement: ast.stmt) -> list[ast.Call]:
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return []
    return [
        node
        for node in walk_scope(statement)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_route"
    ]


def _template_of(call: ast.Call) -> str | None:
    if isinstance(call.func, ast.Attribute) and call.func.attr == "add_route" and call.args:
        first = call.args[0]
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            return first.value
    return None


def _uses(source: Source, name: str) -> bool:
    return any(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
        for node in ast.walk(source.tree)
    )


def _last_name(node: ast.expr) -> str | None:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None


def _target_name(node: ast.stmt) -> str:
    assert isinstance(node, ast.Assign)
    assert isinstance(node.targets[0], ast.Name)
    return node.targets[0].id
