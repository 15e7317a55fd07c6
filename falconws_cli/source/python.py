"""Python source that is edited as text, at the positions that the standard library's `ast` gives. Pure.

An edit states what it does to the text and to the syntax tree, and is verified: the edited text is parsed again, and
must give exactly the intended tree. Must not know routes or apps.
"""

import ast
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from falconws_cli.source import formatting

# The line ends that Python's tokenizer knows. str.splitlines() knows more, and would shift every line after a
# form feed.
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_BYTE_ORDER_MARK = "\ufeff"


class CannotEditError(Exception):
    """There is no position in the source where the edit is certain to be right; the message says why."""


@dataclass(frozen=True)
class Import:
    """`from module import name`."""

    module: str
    name: str

    @property
    def line(self) -> str:
        """The statement, laid out as a formatter would."""
        return formatting.from_import(self.module, [self.name])


@dataclass(frozen=True)
class NodeSplice:
    """What an edit does to one list of nodes: replace *removed* nodes at *position* by *inserted*."""

    items: list[Any]
    position: int
    inserted: tuple[ast.AST, ...] = ()
    removed: int = 0


@dataclass(frozen=True)
class Edit:
    """Replace the text from *start* to *end* by *text*."""

    start: int
    end: int
    text: str
    splices: tuple[NodeSplice, ...] = ()


@dataclass
class Source:
    """One parsed module.

    Raises:
        CannotEditError: The text is not valid Python.
    """

    text: str
    package: str
    """The package of the module; relative imports are relative to it."""
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
            if isinstance(error, UnicodeError):
                raise CannotEditError("it is not UTF-8") from None
            line = f" on line {error.lineno}" if isinstance(error, SyntaxError) else ""
            raise CannotEditError(f"it is not valid Python{line}") from None
        self.lines = _LINE.findall(self.text)
        self.nodes = list(ast.walk(self.tree))
        self._blocks: list[list[ast.stmt]] | None = None
        self._starts = [0]
        for line in self.lines:
            self._starts.append(self._starts[-1] + len(line))

    @property
    def newline(self) -> str:
        """The line ending of the first line."""
        first = self.lines[0] if self.lines else ""
        return first[len(first.rstrip("\r\n")) :] or "\n"

    @property
    def quote(self) -> str:
        """The quotation mark that most of the module's one-line strings use."""
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
        """Return whether the module's top level already binds the name."""
        for node in walk_scope(self.tree):
            if isinstance(node, ast.alias) and (node.asname or node.name).split(".")[0] == name:
                return True
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == name:
                return True
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name == name:
                return True
        return False

    def top_level_line(self, node: ast.stmt | ast.expr) -> int:
        """Return the first line of the top-level statement that contains *node*."""
        return max(s.lineno for s in self.tree.body if s.lineno <= node.lineno)

    # Positions

    def start_of(self, node: ast.stmt | ast.expr | ast.alias) -> int:
        """Return the offset where *node* begins."""
        return self._offset(node.lineno, node.col_offset)

    def end_of(self, node: ast.stmt | ast.expr | ast.alias) -> int:
        """Return the offset where *node* ends."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._offset(node.end_lineno, node.end_col_offset)

    def line_of(self, offset: int) -> int:
        """Return the index of the line that contains the offset."""
        return min(bisect_right(self._starts, offset), len(self.lines)) - 1

    def line_start(self, index: int) -> int:
        """Return the offset of the line with this index; the index after the last line gives the end of the text."""
        return self._starts[index]

    def _offset(self, lineno: int, column: int) -> int:
        # ast counts columns in bytes of UTF-8.
        line = self.lines[lineno - 1]
        if not line.isascii():
            column = len(line.encode()[:column].decode())
        return self._starts[lineno - 1] + column

    # Whole statements

    def insert_edit(self, index: int, text: str, block: list[ast.stmt], position: int) -> Edit:
        """Return the edit that inserts *text*, whole lines, at line *index*, as statements at *position* of *block*."""
        text = text.replace("\n", self.newline) + self.newline
        if index == len(self.lines) and self.lines and not self.lines[-1].endswith(("\r", "\n")):
            # The file still ends without a newline, as before.
            text = self.newline + text.removesuffix(self.newline)
        start = self._starts[index]
        return Edit(start, start, text, (NodeSplice(block, position, tuple(ast.parse(text.strip(" \t\r\n")).body)),))

    def after(self, statement: ast.stmt, block: list[ast.stmt], text: str) -> Edit:
        """Return the edit that inserts *text* after *statement*, indented as *block* is."""
        position = self._last_on_line(statement, block)
        return self.insert_edit(end_line(block[position]), self._indented(text, block), block, position + 1)

    def before(self, statement: ast.stmt, block: list[ast.stmt], text: str) -> Edit:
        """Return the edit that inserts *text* before *statement*, indented as *block* is."""
        position = index_of(statement, block)
        if position and end_line(block[position - 1]) >= first_line(statement):
            raise CannotEditError(f"line {statement.lineno} holds more than one statement")
        return self.insert_edit(first_line(statement) - 1, self._indented(text, block), block, position)

    def at_end(self, text: str) -> Edit:
        """Return the edit that inserts *text* at the end, below two blank lines."""
        return self.insert_edit(len(self.lines), "\n\n" + text, self.tree.body, len(self.tree.body))

    def after_top_level(self, statement: ast.stmt, text: str) -> Edit:
        """Return the edit that inserts *text* after a top-level statement."""
        position = self._last_on_line(statement, self.tree.body)
        return self.insert_edit(end_line(self.tree.body[position]), text, self.tree.body, position + 1)

    def above_comments(self, statement: ast.stmt | None, text: str) -> Edit:
        """Return the edit that inserts *text* above *statement* and its comments; for None, at the end."""
        if statement is None:
            return self.insert_edit(len(self.lines), text, self.tree.body, len(self.tree.body))
        index = first_line(statement) - 1
        while index and self.lines[index - 1].startswith("#") and not self.lines[index - 1].startswith("#!"):
            index -= 1
        return self.insert_edit(index, text, self.tree.body, index_of(statement, self.tree.body))

    def remove_edit(self, statement: ast.stmt, block: list[ast.stmt], *, above: int = 0, below: int = 0) -> Edit:
        """Return the edit that removes *statement* and up to *above* and *below* blank lines around it."""
        position = index_of(statement, block)
        start, end = self._offset(first_line(statement), statement.col_offset), self.end_of(statement)
        indent = self.text[self._starts[first_line(statement) - 1] : start]
        following = block[position + 1] if position + 1 < len(block) else None
        shares_end = following is not None and first_line(following) <= end_line(statement)
        emptied = len(block) == 1 and block is not self.tree.body
        if emptied:
            return Edit(start, end, "pass", (NodeSplice(block, position, (ast.Pass(),), 1),))
        if shares_end or indent.strip():
            if shares_end:
                assert following is not None
                span = (start, self.start_of(following))
            elif position and end_line(block[position - 1]) == first_line(statement):
                span = (self.end_of(block[position - 1]), end)
            else:
                raise CannotEditError(f"line {statement.lineno} holds more than one statement")
            return Edit(*span, "", (NodeSplice(block, position, (), 1),))
        first, last = first_line(statement) - 1, end_line(statement)
        while above and first and not self.lines[first - 1].strip():
            first, above = first - 1, above - 1
        while below and last < len(self.lines) and not self.lines[last].strip():
            last, below = last + 1, below - 1
        start = self._starts[first]
        if first and last == len(self.lines) and not self.lines[-1].endswith(("\r", "\n")):
            # The file still ends without a newline, as before.
            start -= len(_line_end(self.lines[first - 1]))
        return Edit(start, self._starts[last], "", (NodeSplice(block, position, (), 1),))

    def is_blank(self, index: int) -> bool:
        """Return whether the line is blank or does not exist."""
        return not 0 <= index < len(self.lines) or not self.lines[index].strip()

    # Applying edits

    def apply(self, edits: Iterable[Edit]) -> str:
        """Return the text with the edits applied.

        Raises:
            CannotEditError: The result would not be the tree that the edits state.
        """
        # In the order of the text; edits at one position keep their order.
        edits = sorted(edits, key=lambda edit: edit.start)
        text = self.text
        # Last position first, so that offsets stay valid.
        for edit in reversed(edits):
            text = text[: edit.start] + edit.text + text[edit.end :]
        self._verify(text, [splice for edit in edits for splice in edit.splices])
        return self._mark + text

    def _verify(self, text: str, splices: Sequence[NodeSplice]) -> None:
        try:
            edited = ast.parse(text)
        except (SyntaxError, ValueError):
            raise CannotEditError("the edited file would not be valid Python") from None
        touched = {id(splice.items): (splice.items, list(splice.items)) for splice in splices}
        try:
            for splice in reversed(splices):
                splice.items[splice.position : splice.position + splice.removed] = splice.inserted
            meant = ast.dump(self.tree)
        finally:
            for items, before in touched.values():
                items[:] = before
        if ast.dump(edited) != meant:
            raise CannotEditError("the edit would change the code around it")

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
    """Yield the nodes below *node*, without the contents of nested functions and classes."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, _SCOPES):
            yield from walk_scope(child)


def walk_values(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes below *node* except annotations, base classes and decorators."""
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
    """Return the last name of an expression such as `a.b.c`, else None."""
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
