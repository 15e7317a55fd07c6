"""Python source as text with places: the standard library's `ast` says where, text is spliced. Pure.

An edit says what it does to the text and what that means for the tree, and proves itself: the edited text is parsed
again, and must be exactly the tree that was meant. Knows nothing of routes or apps.
"""

import ast
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from falconws_cli.source import layout

# The line ends that Python's tokenizer knows. str.splitlines() knows more, and would shift every line after a
# form feed.
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_BYTE_ORDER_MARK = "\ufeff"


class CannotEditError(Exception):
    """The source has no place where the edit is surely right; the message says why."""


@dataclass(frozen=True)
class Import:
    """`from module import name`."""

    module: str
    name: str

    @property
    def line(self) -> str:
        """The statement, laid out as a formatter would."""
        return layout.from_import(self.module, [self.name])


@dataclass(frozen=True)
class Change:
    """What an edit does to one list of the tree: some nodes go, others come in their place."""

    items: list[Any]
    position: int
    inserted: tuple[ast.AST, ...] = ()
    removed: int = 0


@dataclass(frozen=True)
class Edit:
    """The text from *start* to *end* becomes *text*."""

    start: int
    end: int
    text: str
    changes: tuple[Change, ...] = ()


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
    nodes: list[ast.AST] = field(init=False)
    """Every node of the tree, outer ones first."""

    def __post_init__(self) -> None:
        self._mark = _BYTE_ORDER_MARK if self.text.startswith(_BYTE_ORDER_MARK) else ""
        self.text = self.text.removeprefix(_BYTE_ORDER_MARK)
        try:
            self.tree = ast.parse(self.text)
        except (SyntaxError, ValueError) as error:
            line = f" in line {error.lineno}" if isinstance(error, SyntaxError) else ""
            raise CannotEditError(f"it is not valid Python{line}") from None
        self.lines = _LINE.findall(self.text)
        self.nodes = list(ast.walk(self.tree))
        self._blocks: list[list[ast.stmt]] | None = None
        self._starts = [0]
        for line in self.lines:
            self._starts.append(self._starts[-1] + len(line))

    @property
    def newline(self) -> str:
        """The line end that the first line uses."""
        first = self.lines[0] if self.lines else ""
        return first[len(first.rstrip("\r\n")) :] or "\n"

    @property
    def quote(self) -> str:
        """The quotation mark that most of the module's short strings have."""
        marks = [
            self.text[self.start_of(node)]
            for node in self.nodes
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.lineno == node.end_lineno
        ]
        return "'" if marks.count("'") > marks.count('"') else '"'

    def blocks(self) -> list[list[ast.stmt]]:
        """Return every list of statements, outer ones first."""
        if self._blocks is None:
            parts = (getattr(node, name, None) for node in self.nodes for name in ("body", "orelse", "finalbody"))
            self._blocks = [p for p in parts if isinstance(p, list) and p and isinstance(p[0], ast.stmt)]
        return self._blocks

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

    def top_level_line(self, node: ast.stmt | ast.expr) -> int:
        """Return the line of the module's own statement that *node* is, or is in."""
        return max(s.lineno for s in self.tree.body if s.lineno <= node.lineno)

    # Places

    def start_of(self, node: ast.stmt | ast.expr | ast.alias) -> int:
        """Return where *node* begins in the text."""
        return self._offset(node.lineno, node.col_offset)

    def end_of(self, node: ast.stmt | ast.expr | ast.alias) -> int:
        """Return where *node* ends in the text."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._offset(node.end_lineno, node.end_col_offset)

    def line_of(self, offset: int) -> int:
        """Return the index of the line that the character is in."""
        return min(bisect_right(self._starts, offset), len(self.lines)) - 1

    def line_start(self, index: int) -> int:
        """Return where the line with this index begins; one behind the last begins at the end."""
        return self._starts[index]

    def _offset(self, lineno: int, column: int) -> int:
        # ast counts columns in bytes of UTF-8.
        line = self.lines[lineno - 1]
        if not line.isascii():
            column = len(line.encode()[:column].decode())
        return self._starts[lineno - 1] + column

    # Whole statements

    def inserting(self, index: int, text: str, block: list[ast.stmt], position: int) -> Edit:
        """Return the edit that makes *text*, whole lines, the lines at *index* and the statements at *position*."""
        text = text.replace("\n", self.newline) + self.newline
        if index == len(self.lines) and self.lines and not self.lines[-1].endswith(("\r", "\n")):
            # The file keeps ending as it did: without a newline.
            text = self.newline + text.removesuffix(self.newline)
        start = self._starts[index]
        return Edit(start, start, text, (Change(block, position, tuple(ast.parse(text.strip(" \t\r\n")).body)),))

    def after(self, statement: ast.stmt, block: list[ast.stmt], text: str) -> Edit:
        """Return *text*, indented as *block* is, as an insertion after *statement*'s last line."""
        position = self._last_on_line(statement, block)
        return self.inserting(end_line(block[position]), self._indented(text, block), block, position + 1)

    def before(self, statement: ast.stmt, block: list[ast.stmt], text: str) -> Edit:
        """Return *text*, indented as *block* is, as an insertion before *statement*'s first line."""
        position = index_of(statement, block)
        if position and end_line(block[position - 1]) >= first_line(statement):
            raise CannotEditError(f"line {statement.lineno} holds more than one statement")
        return self.inserting(first_line(statement) - 1, self._indented(text, block), block, position)

    def at_end(self, text: str) -> Edit:
        """Return *text* as an insertion after the last line, two blank lines below."""
        return self.inserting(len(self.lines), "\n\n" + text, self.tree.body, len(self.tree.body))

    def after_top_level(self, statement: ast.stmt, text: str) -> Edit:
        """Return *text* as an insertion after the line on which a statement of the module's own ends."""
        position = self._last_on_line(statement, self.tree.body)
        return self.inserting(end_line(self.tree.body[position]), text, self.tree.body, position + 1)

    def above_comments(self, statement: ast.stmt | None, text: str) -> Edit:
        """Return *text* as an insertion above *statement* and the comments that belong to it, or at the end."""
        if statement is None:
            return self.inserting(len(self.lines), text, self.tree.body, len(self.tree.body))
        index = first_line(statement) - 1
        while index and self.lines[index - 1].startswith("#") and not self.lines[index - 1].startswith("#!"):
            index -= 1
        return self.inserting(index, text, self.tree.body, index_of(statement, self.tree.body))

    def removing(self, statement: ast.stmt, block: list[ast.stmt], *, above: int = 0, below: int = 0) -> Edit:
        """Return the edit that takes *statement* away, with up to so many blank lines above and below it."""
        position = index_of(statement, block)
        start, end = self._offset(first_line(statement), statement.col_offset), self.end_of(statement)
        indent = self.text[self._starts[first_line(statement) - 1] : start]
        following = block[position + 1] if position + 1 < len(block) else None
        shares_end = following is not None and first_line(following) <= end_line(statement)
        emptied = len(block) == 1 and block is not self.tree.body
        if emptied:
            return Edit(start, end, "pass", (Change(block, position, (ast.Pass(),), 1),))
        if shares_end or indent.strip():
            if shares_end:
                assert following is not None
                span = (start, self.start_of(following))
            elif position and end_line(block[position - 1]) == first_line(statement):
                span = (self.end_of(block[position - 1]), end)
            else:
                raise CannotEditError(f"line {statement.lineno} holds more than one statement")
            return Edit(*span, "", (Change(block, position, (), 1),))
        first, last = first_line(statement) - 1, end_line(statement)
        while above and first and not self.lines[first - 1].strip():
            first, above = first - 1, above - 1
        while below and last < len(self.lines) and not self.lines[last].strip():
            last, below = last + 1, below - 1
        start = self._starts[first]
        if first and last == len(self.lines) and not self.lines[-1].endswith(("\r", "\n")):
            # The file keeps ending as it did: without a newline.
            start -= len(_line_end(self.lines[first - 1]))
        return Edit(start, self._starts[last], "", (Change(block, position, (), 1),))

    def is_blank(self, index: int) -> bool:
        """Tell whether the line is empty, or there is no such line."""
        return not 0 <= index < len(self.lines) or not self.lines[index].strip()

    # The edit itself

    def apply(self, edits: Iterable[Edit]) -> str:
        """Return the text with the edits made.

        Raises:
            CannotEditError: The result would not be the tree that the edits mean.
        """
        edits = list(edits)
        text = self.text
        # Later places first, so that offsets stay valid; equal ones keep the order they were given in.
        for _, edit in sorted(enumerate(edits), key=lambda pair: (pair[1].start, pair[0]), reverse=True):
            text = text[: edit.start] + edit.text + text[edit.end :]
        self._prove(text, [change for edit in edits for change in edit.changes])
        return self._mark + text

    def _prove(self, text: str, changes: Sequence[Change]) -> None:
        try:
            edited = ast.parse(text)
        except (SyntaxError, ValueError):
            raise CannotEditError("the lines do not fit where they belong") from None
        touched = {id(change.items): (change.items, list(change.items)) for change in changes}
        try:
            for _, change in sorted(enumerate(changes), key=lambda pair: (pair[1].position, pair[0]), reverse=True):
                change.items[change.position : change.position + change.removed] = change.inserted
            meant = ast.dump(self.tree)
        finally:
            for items, before in touched.values():
                items[:] = before
        if ast.dump(edited) != meant:
            raise CannotEditError("the lines would change what is around them")

    def _indented(self, text: str, block: list[ast.stmt]) -> str:
        start = self._offset(first_line(block[0]), block[0].col_offset)
        indent = self.text[self._starts[first_line(block[0]) - 1] : start]
        if indent.strip():
            raise CannotEditError(f"line {block[0].lineno} holds more than one statement")
        return indent.replace("\x0c", "") + text

    def _last_on_line(self, statement: ast.stmt, block: list[ast.stmt]) -> int:
        # `a(); b()`: the line ends only after the last statement on it.
        position = index_of(statement, block)
        while position + 1 < len(block) and first_line(block[position + 1]) <= end_line(block[position]):
            position += 1
        return position


def walk_scope(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes below *node*, without what is inside of nested functions and classes."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, _SCOPES):
            yield from walk_scope(child)


def walk_values(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes below *node* that have to do with values: without annotations and base classes."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "bases", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield child
                yield from walk_values(child)


def dotted(node: ast.AST) -> str | None:
    """Return `a.b.c` for names and attributes of names, else None."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return None if base is None else f"{base}.{node.attr}"
    return None


def last_name(node: ast.AST | None) -> str | None:
    """Return the name that an expression such as `a.b.c` ends with, else None."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None


def index_of(item: ast.AST, items: Sequence[ast.AST]) -> int:
    """Return the position of this very node."""
    return next(position for position, other in enumerate(items) if other is item)


def end_line(statement: ast.stmt) -> int:
    """Return the number of the statement's last line."""
    assert statement.end_lineno is not None
    return statement.end_lineno


def first_line(statement: ast.stmt) -> int:
    """Return the number of the statement's first line, decorators included."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return min([statement.lineno, *(decorator.lineno for decorator in statement.decorator_list)])
    return statement.lineno


def _line_end(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :]
