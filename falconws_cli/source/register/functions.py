"""Functions and constants at the end of a module, such as fixtures in conftest.py. Pure."""

import ast
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from falconws_cli.source.imports import import_edits
from falconws_cli.source.python import CannotEditError, Import, Source
from falconws_cli.source.register.kind import RegistrationKind, closest, lines_using, without_imports
from falconws_cli.source.register.result import RegisterOutcome, RegisterResult, UnregisterOutcome, UnregisterResult


@dataclass
class FunctionsKind(RegistrationKind):
    """Functions and constants of *code*, unless the module has them. They are removed together, while unchanged."""

    first_party: str
    """The project's package, whose imports come last."""
    what: str
    imports: Sequence[Import]
    """The imports that *code* needs."""
    code: str
    """Functions and assignments."""
    needs: Sequence[str] = ()
    """Names that the module must define for *code*."""

    def _lines(self) -> tuple[str, ...]:
        return (*(one.line for one in self.imports), *self.code.splitlines())

    def _register(self, text: str, package: str) -> RegisterResult:
        names = [_name(node) for node in ast.parse(self.code).body]
        source = Source(text, package, (self.first_party,))
        if all(source.binds(name) for name in names):
            return RegisterResult(self.what, RegisterOutcome.ALREADY, text, self._lines())
        for name in names:
            if source.binds(name):
                raise CannotEditError(f'it already defines "{name}" as something else')
        for name in self.needs:
            if not source.binds(name):
                raise CannotEditError(f'it has no "{name}"')
        end = len(source.lines) + 1
        missing, edits = import_edits(source, self.imports, before_line=end)
        edits.append(source.at_end(self.code.rstrip("\n")))
        edited = source.apply(edits)
        return RegisterResult(self.what, RegisterOutcome.REGISTERED, edited, self._lines(), imports=missing)

    def _unregister(self, text: str, package: str, added: Collection[Import] | None) -> UnregisterResult:
        meant = {_name(node): ast.dump(node) for node in ast.parse(self.code).body}
        source = Source(text, package, (self.first_party,))
        present = [node for node in source.tree.body if _name(node) in meant]
        if not present:
            return UnregisterResult(self.what, UnregisterOutcome.ABSENT, text)
        for node in present:
            name = _name(node)
            if ast.dump(node) != meant[name]:
                lines = tuple(source.lines[one.lineno - 1].rstrip() for one in present)
                return UnregisterResult(self.what, UnregisterOutcome.CANNOT, text, lines, f'"{name}" was edited')
        removable = [one for one in self.imports if added is None or one in added]
        used = lines_using(Source(_without(text, package, set(meant), 0), package), set(meant))
        if used:
            return UnregisterResult(self.what, UnregisterOutcome.CANNOT, text, used, "other code uses it")

        def candidates() -> Iterator[str]:
            for above in (2, 1, 0):
                bare = _without(text, package, set(meant), above)
                yield from without_imports(bare, package, removable, (self.first_party,))

        result = closest(candidates(), text, lambda candidate: self.register(candidate, package))
        return UnregisterResult(self.what, UnregisterOutcome.REMOVED, result)


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
