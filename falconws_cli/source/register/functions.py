"""Functions and constants at the end of a module, such as fixtures in conftest.py. Pure."""

import ast
from collections.abc import Collection, Iterable, Iterator

from falconws_cli.source.imports import import_edit, local_name
from falconws_cli.source.python import CannotEditError, Import, Source
from falconws_cli.source.register.kind import closest, lines_using, without_imports
from falconws_cli.source.register.result import RegisterOutcome, RegisterResult, UnregisterOutcome, UnregisterResult


def append_functions(
    text: str,
    package: str,
    *,
    first_party: str,
    what: str,
    imports: Iterable[Import],
    code: str,
    needs: Iterable[str] = (),
) -> RegisterResult:
    """Append the functions and constants of *code* to a module, unless the module has them.

    Args:
        text: The module's source.
        package: The package of the module.
        first_party: The project's package, whose imports come last.
        what: The name of the registration in reports.
        imports: The imports that *code* needs.
        code: Functions and assignments.
        needs: Names that the module must define for *code*.
    """
    names = [_name(node) for node in ast.parse(code).body]
    wanted = tuple(imports)
    lines = (*(one.line for one in wanted), *code.splitlines())
    try:
        source = Source(text, package, (first_party,))
        if all(source.binds(name) for name in names):
            return RegisterResult(what, RegisterOutcome.ALREADY, text, lines)
        for name in names:
            if source.binds(name):
                raise CannotEditError(f'it already defines "{name}" as something else')
        for name in needs:
            if not source.binds(name):
                raise CannotEditError(f'it has no "{name}"')
        end = len(source.lines) + 1
        missing = tuple(one for one in wanted if local_name(source, one) is None)
        edits = [import_edit(source, one, before_line=end) for one in missing]
        edits.append(source.at_end(code.rstrip("\n")))
        return RegisterResult(what, RegisterOutcome.REGISTERED, source.apply(edits), lines, imports=missing)
    except CannotEditError as error:
        return RegisterResult(what, RegisterOutcome.CANNOT, text, lines, str(error))


def remove_functions(
    text: str,
    package: str,
    *,
    first_party: str,
    what: str,
    imports: Iterable[Import],
    code: str,
    needs: Iterable[str] = (),
    added: Collection[Import] | None = None,
) -> UnregisterResult:
    """Remove the functions and constants of *code*: all of them, and only while they are unchanged.

    Args:
        text: The module's source.
        package: The package of the module.
        first_party: The project's package, whose imports come last.
        what: The name of the registration in reports.
        imports: The imports that *code* needs.
        code: Functions and assignments.
        needs: Names that the module must define for *code*.
        added: The imports that registering added; None stands for all that are unused afterwards.
    """
    wanted = tuple(imports)
    meant = {_name(node): ast.dump(node) for node in ast.parse(code).body}
    try:
        source = Source(text, package, (first_party,))
        present = [node for node in source.tree.body if _name(node) in meant]
        if not present:
            return UnregisterResult(what, UnregisterOutcome.ABSENT, text)
        for node in present:
            if ast.dump(node) != meant[_name(node)]:
                name = _name(node)
                lines = tuple(source.lines[n.lineno - 1].rstrip() for n in present)
                return UnregisterResult(what, UnregisterOutcome.CANNOT, text, lines, f'"{name}" was edited')
        removable = [one for one in wanted if added is None or one in added]
        others = Source(_without(text, package, set(meant), 0), package)
        used = lines_using(others, set(meant))
        if used:
            return UnregisterResult(what, UnregisterOutcome.CANNOT, text, used, "other code uses it")

        def candidates() -> Iterator[str]:
            for above in (2, 1, 0):
                bare = _without(text, package, set(meant), above)
                yield from without_imports(bare, package, removable, (first_party,))

        def again(candidate: str) -> RegisterResult:
            return append_functions(
                candidate, package, first_party=first_party, what=what, imports=wanted, code=code, needs=needs
            )

        return UnregisterResult(what, UnregisterOutcome.REMOVED, closest(candidates(), text, again))
    except CannotEditError as error:
        return UnregisterResult(what, UnregisterOutcome.CANNOT, text, (), str(error))


def _without(text: str, package: str, names: set[str], above: int) -> str:
    """Return *text* without the statements of these names, and without up to *above* blank lines above each."""
    while True:
        source = Source(text, package)
        statement = next((node for node in reversed(source.tree.body) if _name(node) in names), None)
        if statement is None:
            return text
        text = source.apply([source.remove_edit(statement, source.tree.body, above=above)])


def _name(node: ast.stmt) -> str:
    """Return the name that a function, a class or an assignment binds, or an empty string."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return node.name
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return ""
