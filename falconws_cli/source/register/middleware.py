"""Middleware: `app.add_middleware(...)`, or an item of the list that the app's constructor is given. Pure."""

import ast
from collections.abc import Collection, Iterator

from falconws_cli.source import layout
from falconws_cli.source.brackets import items_of
from falconws_cli.source.imports import references
from falconws_cli.source.python import CannotEditError, Edit, Import, Source, dotted, index_of, last_name
from falconws_cli.source.register.apps import app_place, creations, only_creation
from falconws_cli.source.register.result import Registration, Removal
from falconws_cli.source.register.target import Item, Place, Target, register, unregister


def register_middleware(text: str, package: str, *, middleware: Import, factory: str = "") -> Registration:
    """Add the middleware to the app, behind those that it has.

    Args:
        text: The module's source.
        package: The package that the module is in.
        middleware: The middleware's class.
        factory: Class method that makes the instance; the class itself when empty.
    """
    return register(text, package, _MiddlewareTarget(middleware, factory))


def unregister_middleware(
    text: str, package: str, *, middleware: Import, factory: str = "", added: Collection[Import] | None = None
) -> Removal:
    """Take the middleware away from the app, however it is made.

    Args:
        text: The module's source.
        package: The package that the module is in.
        middleware: The middleware's class.
        factory: What it was registered with.
        added: The imports that the registration added; None for all that are unused then.
    """
    return unregister(text, package, _MiddlewareTarget(middleware, factory), added)


def adds_middleware(node: ast.AST) -> bool:
    """Tell whether the node is a call of `add_middleware`."""
    return isinstance(node, ast.Call) and last_name(node.func) == "add_middleware"


class _MiddlewareTarget(Target):
    def __init__(self, middleware: Import, factory: str) -> None:
        self.wanted = middleware
        self.factory = factory
        self.what = f"the middleware {middleware.name}"

    def statement(self, source: Source | None, app: str, name: str, indent: int) -> str:
        return layout.bracketed(f"{app}.add_middleware(", [self._made(name)], ")", indent=indent)

    def is_there(self, source: Source, names: Collection[str]) -> bool:
        return any(references(source, names))

    def place(self, source: Source, name: str) -> Place | Item:
        creation = only_creation(source)
        listed = _listed(creation.call) if creation is not None else None
        place = None
        if creation is None or creation.app is not None or listed is None:
            place = app_place(source, adds_middleware)
        if listed is None or (place is not None and creation is not None and place.statement is not creation.statement):
            assert place is not None
            return place
        code = self._made(name)
        try:
            edits = items_of(source, listed).appending(code, [ast.parse(code, mode="eval").body])
            return Item(edits, source.top_level_line(listed))
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
                        return [source.removing(statement, block)]
                    if isinstance(call.args[0], ast.List) and [_makes(i, names) for i in call.args[0].elts] == [True]:
                        return [source.removing(statement, block)]
        for listed in _lists(source):
            for item in listed.elts:
                if _makes(item, names):
                    return items_of(source, listed).dropping(index_of(item, listed.elts))
        return None

    def _made(self, name: str) -> str:
        return f"{name}.{self.factory}()" if self.factory else f"{name}()"


def _lists(source: Source) -> Iterator[ast.List]:
    """Yield the lists of middleware: given to a constructor, or to add_middleware."""
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
    """Tell whether the expression makes an instance of a named class: `Name(...)` or `Name.factory(...)`."""
    if not isinstance(node, ast.Call):
        return False
    if dotted(node.func) in names:
        return True
    return isinstance(node.func, ast.Attribute) and dotted(node.func.value) in names
