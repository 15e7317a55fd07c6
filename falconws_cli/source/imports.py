"""The imports of a module: what an object is called there, where isort would put a new import, and how to remove one.

Pure. Must not know what the imported objects are.
"""

import ast
import re
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from falconws_cli.source.brackets import imported_names
from falconws_cli.source.python import (
    CannotEditError,
    Edit,
    Import,
    Source,
    dotted,
    end_line,
    first_line,
    walk_scope,
    walk_values,
)


@dataclass(frozen=True)
class Binding:
    """One name of an import statement, and the expression that names the wanted object through it."""

    statement: ast.Import | ast.ImportFrom
    alias: ast.alias
    block: list[ast.stmt]
    expression: str
    """"ChatResource", "Chat" or "chat.ChatResource"."""

    @property
    def root(self) -> str:
        """The name that the import binds."""
        return self.expression.split(".")[0]


def bindings(source: Source, wanted: Import) -> list[Binding]:
    """Return every import through which the module can name *wanted*, also those inside functions."""
    parent, _, last = wanted.module.rpartition(".")
    found = []
    for block in source.blocks():
        for statement in block:
            if isinstance(statement, ast.ImportFrom):
                module = _module_of(source, statement)
                for alias in statement.names:
                    local = alias.asname or alias.name
                    # A package may re-export what its modules define.
                    if alias.name == wanted.name and f"{wanted.module}.".startswith(f"{module}."):
                        found.append(Binding(statement, alias, block, local))
                    elif parent and module == parent and alias.name == last:
                        found.append(Binding(statement, alias, block, f"{local}.{wanted.name}"))
            elif isinstance(statement, ast.Import):
                found += [
                    Binding(statement, alias, block, f"{alias.asname or alias.name}.{wanted.name}")
                    for alias in statement.names
                    if alias.name == wanted.module
                ]
    return found


def local_name(source: Source, wanted: Import) -> str | None:
    """Return what the module calls *wanted* at its top level, or None when it does not import it there."""
    return next((b.expression for b in bindings(source, wanted) if b.block is source.tree.body), None)


def references(source: Source, expressions: Collection[str]) -> Iterator[ast.Name | ast.Attribute]:
    """Yield the nodes that name a value by one of *expressions*, except in annotations and base classes."""
    for node in walk_values(source.tree):
        if not isinstance(node, (ast.Name, ast.Attribute)):
            continue
        if isinstance(node.ctx, ast.Load) and dotted(node) in expressions:
            yield node


def is_used(source: Source, binding: Binding) -> bool:
    """Return whether the module uses the name that an import binds, also in annotations and in `__all__`."""
    root = binding.root
    for node in source.nodes:
        if isinstance(node, ast.Name) and node.id == root:
            return True
        if isinstance(node, ast.Constant) and node.value == root:
            return True
    return False


def import_edits(
    source: Source, wanted: Iterable[Import], *, before_line: int
) -> tuple[tuple[Import, ...], list[Edit]]:
    """Return those of *wanted* that the module does not import yet, and the edits that import them.

    Raises:
        CannotEditError: A name already means something else in this module.
    """
    missing = tuple(one for one in wanted if local_name(source, one) is None)
    ordered = sorted(missing, key=lambda one: _import_key(source, one.module))
    return missing, [_import_edit(source, one, before_line) for one in ordered]


def _import_edit(source: Source, wanted: Import, before_line: int) -> Edit:
    """Return the edit that imports *wanted*, where isort would put it above the line that uses it."""
    if source.binds(wanted.name):
        raise CannotEditError(_why_taken(source, wanted))
    line = wanted.line
    key = _import_key(source, wanted.module)
    imports = [s for s in source.tree.body if isinstance(s, (ast.Import, ast.ImportFrom)) and s.lineno < before_line]
    same = [s for s in imports if _key_of(source, s)[0] == key[0]]
    smaller = [s for s in same if _key_of(source, s) < key]
    if smaller:
        return source.after_top_level(smaller[-1], line)
    if same:
        return source.above_comments(same[0], line)
    lower = [s for s in imports if _key_of(source, s)[0] < key[0]]
    if lower:
        return source.after_top_level(lower[-1], f"\n{line}")
    if imports:
        return source.above_comments(imports[0], f"{line}\n")
    body = source.tree.body
    if body and ast.get_docstring(source.tree, clean=False) is not None:
        return source.after_top_level(body[0], f"\n{line}")
    return source.above_comments(body[0] if body else None, f"{line}\n")


def _why_taken(source: Source, wanted: Import) -> str:
    """Return why *wanted* cannot be imported under its name, which the module binds already."""
    module_level = {id(node) for node in walk_scope(source.tree)}
    for binding in bindings(source, wanted):
        if binding.root == wanted.name and id(binding.statement) in module_level:
            line = binding.statement.lineno
            return (
                f'line {line} imports "{wanted.name}" inside a block, such as `if TYPE_CHECKING`, so it may be missing '
                "when the app runs; move that import to the top level"
            )
    return f'it already defines "{wanted.name}" as something else'


def import_removals(source: Source, binding: Binding) -> list[list[Edit]]:
    """Return the ways to remove a binding, the tidiest first; they differ in the blank lines that go with it."""
    statement = binding.statement
    if len(statement.names) > 1:
        position = next(i for i, alias in enumerate(statement.names) if alias is binding.alias)
        return [imported_names(source, statement).remove_edits(position)]
    above, below = first_line(statement) - 2, end_line(statement)
    # An import alone between blank lines was a section of its own.
    alone = source.is_blank(above) and source.is_blank(below)
    ways = [(1, 0), (0, 1), (0, 0)] if alone else [(0, 0), (1, 0), (0, 1)]
    if above < 0:
        ways = [(0, 1), (0, 0)] if alone else [(0, 0), (0, 1)]
    return [[source.remove_edit(statement, binding.block, above=a, below=b)] for a, b in ways]


def _module_of(source: Source, statement: ast.ImportFrom) -> str:
    module = statement.module or ""
    if not statement.level:
        return module
    parts = source.package.split(".")
    kept = parts[: len(parts) - statement.level + 1]
    return ".".join([*kept, *([module] if module else [])])


def _key_of(source: Source, statement: ast.Import | ast.ImportFrom) -> tuple[int, int, list[tuple[int, int, str]]]:
    if isinstance(statement, ast.Import):
        return _import_key(source, statement.names[0].name, plain=True)
    if statement.level:
        return (4, 1, [])
    return _import_key(source, statement.module or "")


def _import_key(source: Source, module: str, *, plain: bool = False) -> tuple[int, int, list[tuple[int, int, str]]]:
    root = module.split(".")[0]
    if root == "__future__":
        section = 0
    elif root in sys.stdlib_module_names:
        section = 1
    elif root in (source.package.split(".")[0], *source.first_party):
        section = 3
    else:
        section = 2
    return (section, 0 if plain else 1, natural_key(module))


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """Return a sort key with runs of digits as numbers, as isort sorts modules."""
    return [
        (ord(part[0]) if not part.isdigit() else ord("0"), int(part) if part.isdigit() else 0, part)
        for part in re.findall(r"\d+|\D", text.lower())
    ]
