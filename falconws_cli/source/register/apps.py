"""Where a module creates its app, and what the app is called there. Pure; must not know what is registered."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from falconws_cli.source.imports import bindings
from falconws_cli.source.python import CannotEditError, Import, Source, dotted, index_of, last_name, walk_scope
from falconws_cli.source.register.kind import InsertionPoint

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_PLAIN = Import("falcon.asgi", "App")
_CLASSES = (Import("falconws", "App"), _PLAIN)


@dataclass(frozen=True)
class Creation:
    """A statement that creates an app."""

    statement: ast.stmt
    block: list[ast.stmt]
    app: str | None
    """None for an app that is returned without a name."""
    call: ast.Call | None
    """The call of the constructor; None when only an annotation shows that it is an app."""


def creations(source: Source) -> list[Creation]:
    """Return every statement of the module that creates an app."""
    classes = _app_classes(source)
    found = []
    for block in source.blocks():
        for statement in block:
            value = getattr(statement, "value", None)
            call = value if isinstance(value, ast.Call) and _is_app(value.func, classes) else None
            if isinstance(statement, ast.Return) and call is not None:
                found.append(Creation(statement, block, None, call))
            elif isinstance(statement, ast.Assign) and call is not None:
                names = [name for target in statement.targets if (name := dotted(target)) is not None]
                found += [Creation(statement, block, name, call) for name in names[:1]]
            elif isinstance(statement, ast.AnnAssign) and value is not None:
                annotated = call is not None or _is_app(statement.annotation, classes)
                name = dotted(statement.target)
                if annotated and name is not None:
                    found.append(Creation(statement, block, name, call))
    return found


def only_creation(source: Source) -> Creation | None:
    """Return the statement that creates the module's only app, or the app of create_app(); None when it is unclear."""
    found = creations(source)
    if len(found) > 1:
        factories = {id(node) for function in _factories(source) for node in ast.walk(function)}
        found = [creation for creation in found if id(creation.statement) in factories]
    return found[0] if len(found) == 1 else None


def plain_app_line(source: Source) -> int | None:
    """Return the line that makes the module's only app a `falcon.asgi.App`; None if nothing shows that it is one."""
    creation = only_creation(source)
    if creation is None or creation.call is None:
        return None
    plain = {"falcon.asgi.App", *(binding.expression for binding in bindings(source, _PLAIN))}
    classes = {node.name: node for node in source.nodes if isinstance(node, ast.ClassDef)}
    line, name = creation.call.lineno, dotted(creation.call.func)
    while name in classes:
        subclass = classes.pop(name)
        line = subclass.lineno
        name = next((base for node in subclass.bases if (base := dotted(node)) in plain or base in classes), None)
    return line if name in plain else None


def app_insertion_point(source: Source, belongs: Callable[[ast.AST], bool]) -> InsertionPoint:
    """Return the point after the app's creation, and after the last statement for which *belongs* is true.

    Raises:
        CannotEditError: The module creates no app that has a name, or several.
    """
    named = [creation for creation in creations(source) if creation.app is not None]
    if not named:
        raise CannotEditError(why_no_app(source))
    statement, block = named[0].statement, named[0].block
    if len(named) > 1:
        in_factory = [c for c in named if any(_contains(function, c.statement) for function in _factories(source))]
        chosen = in_factory or named
        branches = _branches(source, chosen) if len(chosen) > 1 else (chosen[0].statement, chosen[0].block)
        if branches is None:
            raise CannotEditError("it creates several apps")
        named = chosen
        statement, block = branches
    app = named[0].app
    assert app is not None
    last = statement
    for later in block[index_of(statement, block) + 1 :]:
        if _rebinds(later, app):
            break
        if any(belongs(node) for node in [later, *walk_scope(later)]):
            last = later
    return InsertionPoint(block, last, app)


def why_no_app(source: Source, otherwise: str = "it has no line such as `app = falconws.App()`") -> str:
    """Return why the module has no app to add to: it returns the app without a name, or else *otherwise*."""
    unnamed = next((creation for creation in creations(source) if creation.app is None), None)
    if unnamed is None:
        return otherwise
    return (
        f"line {unnamed.statement.lineno} returns the app without giving it a name; write `app = ...` there, and "
        "`return app` at the end"
    )


def _branches(source: Source, found: list[Creation]) -> tuple[ast.stmt, list[ast.stmt]] | None:
    """Return the conditional statement whose branches each create the app, and its block."""
    if len({creation.app for creation in found}) != 1:
        return None
    innermost = None
    for block in source.blocks():
        for statement in block:
            is_branching = isinstance(statement, (ast.If, ast.Try, ast.Match))
            if is_branching and all(_contains(statement, creation.statement) for creation in found):
                innermost = (statement, block)
    if innermost is None:
        return None
    # Two creations in one branch are two apps.
    blocks = [id(creation.block) for creation in found]
    return innermost if len(set(blocks)) == len(blocks) else None


def _contains(outer: ast.AST, inner: ast.AST) -> bool:
    return any(node is inner for node in walk_scope(outer))


def _rebinds(statement: ast.stmt, app: str) -> bool:
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    return any(dotted(target) == app for target in targets)


def _factories(source: Source) -> Iterator[_Function]:
    for node in source.nodes:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == "create_app":
            yield node


def _app_classes(source: Source) -> set[str]:
    """Return the names of the app's class in this module: imports under any name, and subclasses."""
    names = {binding.expression for wanted in _CLASSES for binding in bindings(source, wanted)}
    for node in source.nodes:
        if isinstance(node, ast.ClassDef) and any(_is_app(base, names) for base in node.bases):
            names.add(node.name)
    return names


def _is_app(node: ast.expr, classes: set[str]) -> bool:
    return last_name(node) == "App" or dotted(node) in classes
