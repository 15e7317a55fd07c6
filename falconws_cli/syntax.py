"""Python source as statements with places: the standard library's `ast` says where, text is spliced. Pure.

An edit inserts whole statements between whole lines and proves itself: the edited text is parsed again, the
inserted statements are taken out of the tree, and what remains must be the tree of the original. Knows nothing
of routes or apps.
"""

import ast
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from falconws_cli import layout

# The line ends that Python's tokenizer knows. str.splitlines() knows more, and would shift every line after a
# form feed.
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


class CannotEditError(Exception):
    """The source has no place where the edit is surely right; the message says why."""


@dataclass(frozen=True)
class Import:
    """`from module import name`."""

    module: str
    name: str

    @property
    def line(self) -> str:
        return layout.from_import(self.module, [self.name])


@dataclass
class Insertion:
    """Lines to insert before the line with this index; *statements* of them are Python statements."""

    index: int
    text: str
    statements: int = 1


@dataclass
class Source:
    """One parsed module.

    Raises:
        CannotEditError: The text is not valid Python.
    """

    text: str
    package: str
    """The package that the module is in; relative imports are relative to it."""
    first_party: tuple[str, ...] = ()
    """Packages whose imports form the last section, besides *package*."""
    tree: ast.Module = field(init=False)
    lines: list[str] = field(init=False)

    def __post_init__(self) -> None:
        try:
            self.tree = ast.parse(self.text)
        except (SyntaxError, ValueError) as error:
            line = f" in line {error.lineno}" if isinstance(error, SyntaxError) else ""
            raise CannotEditError(f"it is not valid Python{line}") from None
        self.lines = _LINE.findall(self.text)

    @property
    def newline(self) -> str:
        """The line end that the first line uses."""
        first = self.lines[0] if self.lines else ""
        return first[len(first.rstrip("\r\n")) :] or "\n"

    def blocks(self) -> Iterator[list[ast.stmt]]:
        """Yield every list of statements, outer ones first."""
        for node in ast.walk(self.tree):
            for name in ("body", "orelse", "finalbody"):
                block = getattr(node, name, None)
                if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                    yield block

    def local_name(self, wanted: Import) -> str | None:
        """Return the name under which the module imports *wanted* at its top level, or None."""
        for statement in self.tree.body:
            if isinstance(statement, ast.ImportFrom) and self._module_of(statement) == wanted.module:
                for alias in statement.names:
                    if alias.name == wanted.name:
                        return alias.asname or alias.name
        return None

    def module_alias(self, module: str) -> str | None:
        """Return the name that `import module` or `import module as name` binds at the top level, or None."""
        for statement in self.tree.body:
            if isinstance(statement, ast.Import):
                for alias in statement.names:
                    if alias.name == module and (alias.asname or "." not in module):
                        return alias.asname or alias.name
        return None

    def binds(self, name: str) -> bool:
        """Tell whether anything at the module's top level already has the name."""
        for node in walk_scope(self.tree):
            if isinstance(node, ast.alias) and (node.asname or node.name).split(".")[0] == name:
                return True
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == name:
                return True
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name == name:
                return True
        return False

    def top_level_line(self, statement: ast.stmt) -> int:
        """Return the line of the module's own statement that *statement* is, or is in."""
        return max(s.lineno for s in self.tree.body if s.lineno <= statement.lineno)

    def after(self, statement: ast.stmt, block: list[ast.stmt], text: str) -> Insertion:
        """Return *text*, indented as *block* is, as an insertion after *statement*'s last line."""
        position = next(i for i, other in enumerate(block) if other is statement)
        # `a(); b()`: the line ends only after the last statement on it.
        while position + 1 < len(block) and block[position + 1].lineno <= _end(block[position]):
            position += 1
        return Insertion(_end(block[position]), self._indented(text, block))

    def before(self, statement: ast.stmt, block: list[ast.stmt], text: str) -> Insertion:
        """Return *text*, indented as *block* is, as an insertion before *statement*'s first line."""
        return Insertion(_first_line(statement) - 1, self._indented(text, block))

    def at_end(self, text: str, statements: int) -> Insertion:
        """Return *text* as an insertion after the last line, two blank lines below."""
        gap = self.newline * 2
        return Insertion(len(self.lines), gap + self._with_newlines(text), statements)

    def importing(self, wanted: Import, *, before_line: int) -> Insertion:
        """Return the import of *wanted*, where isort would put it above the line that uses it.

        Raises:
            CannotEditError: The name already means something else in this module.
        """
        if self.binds(wanted.name):
            raise CannotEditError(f'"{wanted.name}" already means something else in it')
        line = self._with_newlines(wanted.line)
        key = self._import_key(wanted.module)
        imports = [s for s in self.tree.body if isinstance(s, (ast.Import, ast.ImportFrom)) and s.lineno < before_line]
        same = [s for s in imports if self._key_of(s)[0] == key[0]]
        smaller = [s for s in same if self._key_of(s) < key]
        if smaller:
            return Insertion(_end(self._last_on_line(smaller[-1])), line)
        if same:
            return Insertion(self._above_comments(same[0]), line)
        lower = [s for s in imports if self._key_of(s)[0] < key[0]]
        if lower:
            return Insertion(_end(self._last_on_line(lower[-1])), self.newline + line)
        if imports:
            return Insertion(self._above_comments(imports[0]), line + self.newline)
        body = self.tree.body
        if body and ast.get_docstring(self.tree, clean=False) is not None:
            return Insertion(_end(self._last_on_line(body[0])), self.newline + line)
        return Insertion(self._above_comments(body[0]) if body else len(self.lines), line + self.newline)

    def apply(self, insertions: Sequence[Insertion]) -> str:
        """Return the text with the insertions made.

        Raises:
            CannotEditError: The result would not be the original plus exactly these statements.
        """
        lines = list(self.lines)
        if lines and not lines[-1].endswith(("\r", "\n")):
            for insertion in insertions:
                if insertion.index == len(lines):
                    # The file keeps ending as it did: without a newline.
                    body = insertion.text
                    insertion.text = self.newline + body.removesuffix(self.newline)
        # Later lines first, so that indices stay valid; equal ones keep the order they were given in.
        for _, insertion in sorted(enumerate(insertions), key=lambda pair: (pair[1].index, pair[0]), reverse=True):
            lines.insert(insertion.index, insertion.text)
        text = "".join(lines)
        self._prove(text, insertions)
        return text

    def _prove(self, text: str, insertions: Sequence[Insertion]) -> None:
        try:
            edited = ast.parse(text)
        except (SyntaxError, ValueError):
            raise CannotEditError("the lines do not fit where they belong") from None
        inserted: set[int] = set()
        shift = 0
        for insertion in sorted(insertions, key=lambda i: i.index):
            count = len(_LINE.findall(insertion.text))
            first = insertion.index + shift + 1
            inserted.update(range(first, first + count))
            shift += count
        removed = _remove_statements(edited, inserted)
        if removed != sum(i.statements for i in insertions) or ast.dump(edited) != ast.dump(self.tree):
            raise CannotEditError("the lines would change what is around them")

    def _indented(self, text: str, block: list[ast.stmt]) -> str:
        line = self.lines[block[0].lineno - 1]
        indent = line[: len(line) - len(line.lstrip(" \t"))]
        if line[: block[0].col_offset].strip():
            raise CannotEditError(f"line {block[0].lineno} holds more than one statement")
        return self._with_newlines(indent + text)

    def _with_newlines(self, text: str) -> str:
        return text.replace("\n", self.newline) + self.newline

    def _module_of(self, statement: ast.ImportFrom) -> str:
        module = statement.module or ""
        if statement.level == 1:
            return f"{self.package}.{module}" if module else self.package
        return "." * statement.level + module

    def _key_of(self, statement: ast.Import | ast.ImportFrom) -> tuple[int, int, list[tuple[int, int, str]]]:
        if isinstance(statement, ast.Import):
            return self._import_key(statement.names[0].name, plain=True)
        if statement.level:
            return (4, 1, [])
        return self._import_key(statement.module or "")

    def _import_key(self, module: str, *, plain: bool = False) -> tuple[int, int, list[tuple[int, int, str]]]:
        root = module.split(".")[0]
        if root == "__future__":
            section = 0
        elif root in sys.stdlib_module_names:
            section = 1
        elif root in (self.package.split(".")[0], *self.first_party):
            section = 3
        else:
            section = 2
        return (section, 0 if plain else 1, natural_key(module))

    def _last_on_line(self, statement: ast.stmt) -> ast.stmt:
        body = self.tree.body
        position = next(i for i, other in enumerate(body) if other is statement)
        while position + 1 < len(body) and body[position + 1].lineno <= _end(body[position]):
            position += 1
        return body[position]

    def _above_comments(self, statement: ast.stmt) -> int:
        """Return the line index above *statement* and the comments that belong to it."""
        index = _first_line(statement) - 1
        while index and self.lines[index - 1].startswith("#") and not self.lines[index - 1].startswith("#!"):
            index -= 1
        return index


def walk_scope(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes below *node*, without what is inside of nested functions and classes."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, _SCOPES):
            yield from walk_scope(child)


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """Return a sort key with runs of digits as numbers, as isort sorts modules."""
    return [
        (ord(part[0]) if not part.isdigit() else ord("0"), int(part) if part.isdigit() else 0, part)
        for part in re.findall(r"\d+|\D", text.lower())
    ]


def _remove_statements(node: ast.AST, lines: set[int]) -> int:
    """Take out of the tree the outermost statements that begin on one of *lines*; return how many there were."""
    removed = 0
    for _, value in ast.iter_fields(node):
        for child in list(value) if isinstance(value, list) else [value]:
            if isinstance(child, ast.stmt) and child.lineno in lines:
                value.remove(child)
                removed += 1
            elif isinstance(child, ast.AST):
                removed += _remove_statements(child, lines)
    return removed


def _end(statement: ast.stmt) -> int:
    assert statement.end_lineno is not None
    return statement.end_lineno


def _first_line(statement: ast.stmt) -> int:
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return min([statement.lineno, *(decorator.lineno for decorator in statement.decorator_list)])
    return statement.lineno
