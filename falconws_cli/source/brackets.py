"""Items of bracketed sequences in Python source: of lists, tuples and dicts, and the names of an import. Pure.

An item is added and taken away in the style that the others have: on a line, or on lines of their own, with a comma
at the end or without. Knows nothing of what the items mean.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from falconws_cli.source import layout
from falconws_cli.source.python import CannotEditError, Change, Edit, Source


class DoesNotFitError(CannotEditError):
    """There is a place, and the line would become longer than a formatter leaves it."""


@dataclass(frozen=True)
class Items:
    """The items of one sequence, and where they are."""

    source: Source
    spans: tuple[tuple[int, int], ...]
    """Where each item is, without its comma."""
    lists: tuple[list[Any], ...]
    """The lists of the tree that hold the items: one, or the keys and the values of a dict."""
    start: int
    """Behind the opening bracket."""
    end: int
    """Where the closing bracket is, or the end of the statement."""
    bracketed: bool = True
    keeps_comma: bool = False
    """A tuple: its comma makes it one when it has a single item."""

    def appending(self, code: str, nodes: Sequence[ast.AST]) -> list[Edit]:
        """Return the edits that make *code* the last item.

        Args:
            code: The item, without a comma.
            nodes: What the item is in each of the lists.

        Raises:
            DoesNotFitError: The line would become too long.
            CannotEditError: There is no clear place for another item.
        """
        source = self.source
        changes = tuple(Change(items, len(items), (node,)) for items, node in zip(self.lists, nodes, strict=True))
        if not self.spans:
            return [self._first(code, changes)]
        start, _ = self.spans[-1]
        end, comma = self._after(len(self.spans) - 1)
        indent = source.text[source.line_start(source.line_of(start)) : start]
        behind = comma if comma is not None else end
        last = source.line_of(behind - 1)
        if indent.strip() or source.line_of(self.end) == last:
            return [self._inline(behind, f", {code}" if comma is None else f" {code},", changes)]
        if not _is_comment(source.text[behind : source.line_start(last + 1)]):
            raise CannotEditError(f"line {last + 1} leaves no clear place for an item")
        at = source.line_start(last + 1)
        line = f"{indent}{code}{',' if comma is not None else ''}{source.newline}"
        separator = [] if comma is not None else [Edit(end, end, ",")]
        return [*separator, Edit(at, at, line, changes)]

    def dropping(self, position: int) -> list[Edit]:
        """Return the edits that take one item away, with its comma, and its line where it has lines of its own."""
        source, text = self.source, self.source.text
        changes = tuple(Change(items, position, (), 1) for items in self.lists)
        start, _ = self.spans[position]
        while text[start - 1] == "(" and start > self.start:
            start -= 1
        end, comma = self._after(position)
        behind = comma if comma is not None else end
        first, last = source.line_of(start), source.line_of(behind - 1)
        own_line = (
            self.bracketed
            and not text[source.line_start(first) : start].strip()
            and self.end >= source.line_start(last + 1)
            and _is_comment(text[behind : source.line_start(last + 1)])
        )
        keeps_comma = self.keeps_comma and len(self.spans) == 2
        edits = []
        if own_line:
            edits.append(Edit(source.line_start(first), source.line_start(last + 1), "", changes))
            if position and position == len(self.spans) - 1 and comma is None and not keeps_comma:
                before = self._comma_after(position - 1)
                edits.append(Edit(before - 1, before, ""))
        elif position:
            before = self._comma_after(position - 1)
            if comma is not None:
                edits.append(Edit(before, comma, "", changes))
            else:
                edits.append(Edit(before if keeps_comma else self._after(position - 1)[0], end, "", changes))
        elif len(self.spans) > 1:
            edits.append(Edit(start, self.spans[1][0], "", changes))
        else:
            edits.append(Edit(start, behind, "", changes))
        if keeps_comma and position == 0:
            other_end, other_comma = self._after(1)
            edits += [Edit(other_end, other_end, ",")] if other_comma is None else []
        return edits

    def _first(self, code: str, changes: tuple[Change, ...]) -> Edit:
        source = self.source
        if not source.text[self.start : self.end].strip(" \t"):
            return self._inline(self.start, code, changes)
        closing = source.line_of(self.end)
        at = source.line_start(closing)
        indent = source.text[at : self.end]
        if indent.strip():
            raise CannotEditError(f"line {closing + 1} leaves no clear place for an item")
        return Edit(at, at, f"{indent}    {code},{source.newline}", changes)

    def _inline(self, at: int, code: str, changes: tuple[Change, ...]) -> Edit:
        line = self.source.lines[self.source.line_of(at - 1)].rstrip("\r\n")
        if len(line) + len(code) > layout.LINE_LENGTH:
            raise DoesNotFitError("the line would become too long")
        return Edit(at, at, code, changes)

    def _comma_after(self, position: int) -> int:
        """Return the place behind the comma that separates an item from the next."""
        comma = self._after(position)[1]
        assert comma is not None
        return comma

    def _after(self, position: int) -> tuple[int, int | None]:
        """Return where an item ends, its own brackets included, and the place behind its comma, or None."""
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


def items_of(source: Source, node: ast.List | ast.Tuple | ast.Dict) -> Items:
    """Return the items of a literal.

    Raises:
        CannotEditError: It has no brackets, or an item that is no item (`**other`).
    """
    lists: tuple[list[Any], ...]
    if isinstance(node, ast.Dict):
        if None in node.keys:
            raise CannotEditError(f"the dict in line {node.lineno} has others in it")
        firsts, lasts, lists = [k for k in node.keys if k], node.values, (node.keys, node.values)
    else:
        firsts, lasts, lists = node.elts, node.elts, (node.elts,)
    start, end = source.start_of(node), source.end_of(node)
    if firsts and source.start_of(firsts[0]) == start:
        raise CannotEditError(f"the tuple in line {node.lineno} has no brackets")
    spans = tuple((source.start_of(a), source.end_of(b)) for a, b in zip(firsts, lasts, strict=True))
    return Items(source, spans, lists, start + 1, end - 1, keeps_comma=isinstance(node, ast.Tuple))


def names_of(source: Source, statement: ast.Import | ast.ImportFrom) -> Items:
    """Return the names that a statement imports."""
    spans = tuple((source.start_of(alias), source.end_of(alias)) for alias in statement.names)
    end = source.end_of(statement)
    bracketed = source.text[end - 1] == ")"
    return Items(source, spans, (statement.names,), spans[0][0], end - bracketed, bracketed)


def _is_comment(text: str) -> bool:
    stripped = text.strip()
    return not stripped or stripped.startswith("#")
