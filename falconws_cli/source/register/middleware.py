"""Middleware: `app.add_middleware(...)`, or an item of the constructor's `middleware` list. Pure."""

import ast
from collections.abc import Collection, Iterator

from falconws_cli.source import formatting
from falconws_cli.source.brackets import literal_items
from falconws_cli.source.imports import references
from falconws_cli.source.python import CannotEditError, Edit, Import, Source, dotted, index_of, last_name
from falconws_cli.source.register.apps import app_insertion_point, creations, only_creation
from falconws_cli.source.register.kind import InsertedItem, InsertionPoint, ObjectKind


def adds_middleware(node: ast.AST) -> bool:
    """Return whether the node is a call of `add_middleware`."""
    return isinstance(node, ast.Call) and last_name(node.func) == "add_middleware"


class MiddlewareKind(ObjectKind):
    """A middleware of the app, after those that it has. It is removed however the app constructs it.

    Args:
        middleware: The middleware's class.
        factory: Class method that makes the instance; the class itself when empty.
        argument: The argument of the class or class method, such as "settings.tokens".
    """

    def __init__(self, *, middleware: Import, factory: str = "", argument: str = "") -> None:
        self.wanted = middleware
        self.factory = factory
        self.argument = argument
        self.what = f"the middleware {middleware.name}"

    def statement(self, source: Source | None, app: str, name: str, indent: int) -> str:
        made = self._made(name)
        if indent + 4 + len(made) > formatting.LINE_LENGTH:
            made = formatting.bracketed(f"{name}(", [self.argument], ")", indent=indent + 4)
            return f"{app}.add_middleware(\n{' ' * (indent + 4)}{made}\n{' ' * indent})"
        return formatting.bracketed(f"{app}.add_middleware(", [made], ")", indent=indent)

    def is_there(self, source: Source, names: Collection[str]) -> bool:
        return any(references(source, names))

    def insertion_point(self, source: Source, name: str) -> InsertionPoint | InsertedItem:
        creation = only_creation(source)
        listed = _listed(creation.call) if creation is not None else None
        place = None
        if creation is None or creation.app is not None or listed is None:
            place = app_insertion_point(source, adds_middleware)
        if listed is None or (place is not None and creation is not None and place.statement is not creation.statement):
            assert place is not None
            return place
        code = self._made(name)
        try:
            edits = literal_items(source, listed).append_edits(code, [ast.parse(code, mode="eval").body])
            return InsertedItem(edits, source.top_level_line(listed))
        except CannotEditError:
            if place is None:
                raise
            return place

    def found(self, source: Source, names: Collection[str]) -> list[Edit] | None:
        for block in source.blocks():
            for statement in block:
                call = statement.value if isinstance(statement, ast.Expr) else None
                if isinstance(call, ast.Call) and adds_middleware(call) and len(call.args) == 1:
                    if _makes(call.args[0], names):
                        return [source.remove_edit(statement, block)]
                    if isinstance(call.args[0], ast.List) and [_makes(i, names) for i in call.args[0].elts] == [True]:
                        return [source.remove_edit(statement, block)]
        for listed in _lists(source):
            for item in listed.elts:
                if _makes(item, names):
                    return literal_items(source, listed).remove_edits(index_of(item, listed.elts))
        return None

    def _made(self, name: str) -> str:
        return f"{name}.{self.factory}({self.argument})" if self.factory else f"{name}({self.argument})"


def _lists(source: Source) -> Iterator[ast.List]:
    """Yield the lists of middleware that a constructor or add_middleware() is given."""
    for creation in creations(source):
        listed = _listed(creation.call)
        if listed is not None:
            yield listed
    for node in source.nodes:
        if isinstance(node, ast.Call) and adds_middleware(node):
            yield from (argument for argument in node.args if isinstance(argument, ast.List))


def _listed(call: ast.Call | None) -> ast.List | None:
    for keyword in call.keywords if call is not None else []:
        if keyword.arg == "middleware" and isinstance(keyword.value, ast.List):
            return keyword.value
    return None


def _makes(node: ast.expr, names: Collection[str]) -> bool:
    """Return whether the expression creates an instance of a named class: `Name(...)` or `Name.factory(...)`."""
    if not isinstance(node, ast.Call):
        return False
    if dotted(node.func) in names:
        return True
    return isinstance(node.func, ast.Attribute) and dotted(node.func.value) in names
