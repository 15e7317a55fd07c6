"""Functions and constants at a module's end, such as fixtures in conftest.py. Pure."""

import ast
from collections.abc import Collection, Iterable, Iterator

from falconws_cli.source.imports import importing, local_name
from falconws_cli.source.python import CannotEditError, Import, Source
from falconws_cli.source.register.result import Outcome, Registration, Removal, RemovalOutcome
from falconws_cli.source.register.target import closest, lines_using, without_imports


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
    names = [_name(node) for node in ast.parse(code).body]
    wanted = tuple(imports)
    lines = (*(one.line for one in wanted), *code.splitlines())
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
        missing = tuple(one for one in wanted if local_name(source, one) is None)
        edits = [importing(source, one, before_line=end) for one in missing]
        edits.append(source.at_end(code.rstrip("\n")))
        return Registration(what, Outcome.REGISTERED, source.apply(edits), lines, imports=missing)
    except CannotEditError as error:
        return Registration(what, Outcome.CANNOT, text, lines, str(error))


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
) -> Removal:
    """Take the functions and constants of *code* away again: all of them, and only while they are as they were.

    Args:
        text: The module's source.
        package: The package that the module is in.
        first_party: The project's package, whose imports come last too.
        what: What the registration is called in reports.
        imports: What *code* needs and was imported for it.
        code: Functions and assignments.
        needs: What *code* needs the module to have.
        added: Those of *imports* that the registration added; None for all that are unused then.
    """
    wanted = tuple(imports)
    meant = {_name(node): ast.dump(node) for node in ast.parse(code).body}
    try:
        source = Source(text, package, (first_party,))
        present = [node for node in source.tree.body if _name(node) in meant]
        if not present:
            return Removal(what, RemovalOutcome.ABSENT, text)
        for node in present:
            if ast.dump(node) != meant[_name(node)]:
                name = _name(node)
                lines = tuple(source.lines[n.lineno - 1].rstrip() for n in present)
                return Removal(what, RemovalOutcome.CANNOT, text, lines, f'"{name}" was edited')
        removable = [one for one in wanted if added is None or one in added]
        others = Source(_without(text, package, set(meant), 0), package)
        used = lines_using(others, set(meant))
        if used:
            return Removal(what, RemovalOutcome.CANNOT, text, used, "other code uses it")

        def candidates() -> Iterator[str]:
            for above in (2, 1, 0):
                bare = _without(text, package, set(meant), above)
                yield from without_imports(bare, package, removable, (first_party,))

        def again(candidate: str) -> Registration:
            return append_functions(
                candidate, package, first_party=first_party, what=what, imports=wanted, code=code, needs=needs
            )

        return Removal(what, RemovalOutcome.REMOVED, closest(candidates(), text, again))
    except CannotEditError as error:
        return Removal(what, RemovalOutcome.CANNOT, text, (), str(error))


def _without(text: str, package: str, names: set[str], above: int) -> str:
    """Return *text* without the statements of these names, each with up to so many blank lines above it."""
    while True:
        source = Source(text, package)
        statement = next((node for node in reversed(source.tree.body) if _name(node) in names), None)
        if statement is None:
            return text
        text = source.apply([source.removing(statement, source.tree.body, above=above)])


def _name(node: ast.stmt) -> str:
    """Return what a function, a class or an assignment binds, or an empty text."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return node.name
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return ""
