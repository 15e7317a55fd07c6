"""The items of bracketed sequences in Python source: lists, tuples, dicts, and the names of an import. Pure.

An item is added and removed in the style of the others: on one line or on lines of their own, with a trailing comma
or without. Must not know what the items mean.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from falconws_cli.source import formatting
from falconws_cli.source.python import CannotEditError, Edit, NodeSplice, Source


class DoesNotFitError(CannotEditError):
    """The line would become longer than a formatter would leave it."""


@dataclass(frozen=True)
class BracketedItems:
    """The items of one sequence, and their positions in the text."""

    source: Source
    spans: tuple[tuple[int, int], ...]
    """Start and end of each item, without its comma."""
    lists: tuple[list[Any], ...]
    """The lists of the syntax tree that hold the items: one list, or the keys and the values of a dict."""
    start: int
    """The offset after the opening bracket."""
    end: int
    """The offset of the closing bracket, or of the end of the statement."""
    bracketed: bool = True
    keeps_comma: bool = False
    """Whether a single item needs a trailing comma, as in a tuple."""

    def append_edits(self, code: str, nodes: Sequence[ast.AST]) -> list[Edit]:
        """Return the edits that make *code* the last item.

        Args:
            code: The item, without a comma.
            nodes: The node to add to each list in `lists`.

        Raises:
            DoesNotFitError: The line would become too long.
            CannotEditError: It is not clear where another item would go.
        """
        source = self.source
        splices = tuple(NodeSplice(items, len(items), (node,)) for items, node in zip(self.lists, nodes, strict=True))
        if not self.spans:
            return [self._first(code, splices)]
        start, _ = self.spans[-1]
        end, comma = self._after(len(self.spans) - 1)
        indent = source.text[source.line_start(source.line_of(start)) : start]
        behind = comma if comma is not None else end
        last = source.line_of(behind - 1)
        if indent.strip() or source.line_of(self.end) == last:
            return [self._inline(behind, f", {code}" if comma is None else f" {code},", splices)]
        if not _is_comment(source.text[behind : source.line_start(last + 1)]):
            raise CannotEditError(f"it is not clear where an item would go on line {last + 1}")
        at = source.line_start(last + 1)
        line = f"{indent}{code}{',' if comma is not None else ''}{source.newline}"
        separator = [] if comma is not None else [Edit(end, end, ",")]
        return [*separator, Edit(at, at, line, splices)]

    def remove_edits(self, position: int) -> list[Edit]:
        """Return the edits that remove one item, with its comma, and with its lines when they hold nothing else."""
        splices = tuple(NodeSplice(items, position, (), 1) for items in self.lists)
        _, comma = self._after(position)
        keeps_comma = self.keeps_comma and len(self.spans) == 2
        edits = []
        lines = self._own_lines(position)
        if lines is not None:
            edits.append(Edit(*lines, "", splices))
            if position and position == len(self.spans) - 1 and comma is None and not keeps_comma:
                before = self._comma_after(position - 1)
                edits.append(Edit(before - 1, before, ""))
        else:
            edits.append(Edit(*self._inline_span(position, keeps_comma), "", splices))
        if keeps_comma and position == 0:
            other_end, other_comma = self._after(1)
            edits += [Edit(other_end, other_end, ",")] if other_comma is None else []
        return edits

    def _own_lines(self, position: int) -> tuple[int, int] | None:
        """Return start and end of the lines that hold only this item and its comma, or None."""
        source, text = self.source, self.source.text
        start = self._start(position)
        end, comma = self._after(position)
        behind = comma if comma is not None else end
        first, next_line = source.line_start(source.line_of(start)), source.line_start(source.line_of(behind - 1) + 1)
        alone = not text[first:start].strip() and _is_comment(text[behind:next_line])
        return (first, next_line) if self.bracketed and alone and self.end >= next_line else None

    def _inline_span(self, position: int, keeps_comma: bool) -> tuple[int, int]:
        """Return start and end of what goes with an item that shares its line."""
        end, comma = self._after(position)
        if position == 0:
            behind = comma if comma is not None else end
            return self._start(0), self.spans[1][0] if len(self.spans) > 1 else behind
        separator = self._comma_after(position - 1)
        if comma is not None:
            return separator, comma
        return (separator if keeps_comma else self._after(position - 1)[0]), end

    def _start(self, position: int) -> int:
        """Return where an item begins, its own parentheses included."""
        start, _ = self.spans[position]
        while self.source.text[start - 1] == "(" and start > self.start:
            start -= 1
        return start

    def _first(self, code: str, splices: tuple[NodeSplice, ...]) -> Edit:
        source = self.source
        if not source.text[self.start : self.end].strip(" \t"):
            return self._inline(self.start, code, splices)
        closing = source.line_of(self.end)
        at = source.line_start(closing)
        indent = source.text[at : self.end]
        if indent.strip():
            raise CannotEditError(f"it is not clear where an item would go on line {closing + 1}")
        return Edit(at, at, f"{indent}    {code},{source.newline}", splices)

    def _inline(self, at: int, code: str, splices: tuple[NodeSplice, ...]) -> Edit:
        line = self.source.lines[self.source.line_of(at - 1)].rstrip("\r\n")
        if len(line) + len(code) > formatting.LINE_LENGTH:
            raise DoesNotFitError("the line would become too long")
        return Edit(at, at, code, splices)

    def _comma_after(self, position: int) -> int:
        """Return the offset after the comma that separates an item from the next one."""
        comma = self._after(position)[1]
        assert comma is not None
        return comma

    def _after(self, position: int) -> tuple[int, int | None]:
        """Return where an item ends, its own parentheses included, and the offset after its comma, or None."""
        source = self.source
        end = at = self.spans[position][1]
        limit = self.spans[position + 1][0] if position + 1 < len(self.spans) else self.end
        while at < limit:
            character = source.text[at]
            at += 1
            if character == ",":
                return end, at
            if character == ")":
                end = at
            elif character == "#":
                at = source.line_start(source.line_of(at) + 1)
        return end, None


def literal_items(source: Source, node: ast.List | ast.Tuple | ast.Dict) -> BracketedItems:
    """Return the items of a literal.

    Raises:
        CannotEditError: The literal has no brackets, or unpacks another one (`**other`).
    """
    lists: tuple[list[Any], ...]
    if isinstance(node, ast.Dict):
        if None in node.keys:
            raise CannotEditError(f"the dict on line {node.lineno} unpacks another one")
        firsts, lasts, lists = [k for k in node.keys if k], node.values, (node.keys, node.values)
    else:
        firsts, lasts, lists = node.elts, node.elts, (node.elts,)
    start, end = source.start_of(node), source.end_of(node)
    if firsts and source.start_of(firsts[0]) == start:
        raise CannotEditError(f"the tuple on line {node.lineno} has no brackets")
    spans = tuple((source.start_of(a), source.end_of(b)) for a, b in zip(firsts, lasts, strict=True))
    return BracketedItems(source, spans, lists, start + 1, end - 1, keeps_comma=isinstance(node, ast.Tuple))


def imported_names(source: Source, statement: ast.Import | ast.ImportFrom) -> BracketedItems:
    """Return the names that a statement imports."""
    spans = tuple((source.start_of(alias), source.end_of(alias)) for alias in statement.names)
    end = source.end_of(statement)
    bracketed = source.text[end - 1] == ")"
    return BracketedItems(source, spans, (statement.names,), spans[0][0], end - bracketed, bracketed)


def _is_comment(text: str) -> bool:
    stripped = text.strip()
    return not stripped or stripped.startswith("#")
