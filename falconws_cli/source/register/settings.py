"""Settings: a field of the class Settings with its reader, a variable of the tests, and a row of README.md. Pure."""

import ast
import re
import textwrap
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from falconws_cli.source import formatting
from falconws_cli.source.brackets import BracketedItems, DoesNotFitError, literal_items
from falconws_cli.source.imports import import_edits
from falconws_cli.source.python import CannotEditError, Edit, Import, NodeSplice, Source, end_line, index_of
from falconws_cli.source.register.kind import RegistrationKind, closest, without_imports
from falconws_cli.source.register.result import RegisterOutcome, RegisterResult, UnregisterOutcome, UnregisterResult

_CLASS = "Settings"
_READERS = "READERS"
_ENVIRON = "environ"


@dataclass
class SettingKind(RegistrationKind):
    """A field of the class Settings, and its reader in READERS. They are removed whatever their text is now."""

    name: str
    """The name of the field."""
    field: str
    """The statement of the field, and its docstring."""
    reader: str
    """The function that makes the value from the text of the variable."""
    imports: Sequence[Import]
    """The imports that both need."""

    def __post_init__(self) -> None:
        self.what = f"the setting {self.name}"

    def _lines(self) -> tuple[str, ...]:
        return (*(one.line for one in self.imports), *self.field.splitlines(), f'"{self.name}": {self.reader}')

    def _register(self, text: str, package: str) -> RegisterResult:
        source = Source(text, package)
        if _field(source, self.name) is not None:
            return RegisterResult(self.what, RegisterOutcome.ALREADY, text, self._lines())
        body, readers = _settings_class(source).body, _readers(source)
        last = max((i for i, node in enumerate(body) if isinstance(node, ast.AnnAssign)), default=None)
        if last is None:
            raise CannotEditError(f"its class {_CLASS} has no field")
        last += 1 if last + 1 < len(body) and _is_docstring(body[last + 1]) else 0
        at = source.line_start(end_line(body[last]))
        code = "\n" + textwrap.indent(self.field.rstrip("\n") + "\n", " " * body[0].col_offset)
        splice = NodeSplice(body, last + 1, tuple(ast.parse(self.field).body))
        nodes = [_expression(f'"{self.name}"'), _expression(self.reader)]
        missing, imports = import_edits(source, self.imports, before_line=body[0].lineno)
        edits = [
            *imports,
            Edit(at, at, code.replace("\n", source.newline), (splice,)),
            *literal_items(source, readers).append_edits(f'"{self.name}": {self.reader}', nodes),
        ]
        edited = source.apply(edits)
        return RegisterResult(self.what, RegisterOutcome.REGISTERED, edited, self._lines(), imports=missing)

    def _unregister(self, text: str, package: str, added: Collection[Import] | None) -> UnregisterResult:
        source = Source(text, package)
        if _field(source, self.name) is None:
            return UnregisterResult(self.what, UnregisterOutcome.ABSENT, text)
        source = Source(_without_reader(source, self.name), package)
        body, position = self._place(source)
        if position + 1 < len(body) and _is_docstring(body[position + 1]):
            source = Source(source.apply([source.remove_edit(body[position + 1], body)]), package)
            body, position = self._place(source)
        without = source.apply([source.remove_edit(body[position], body, above=1)])
        removable = [one for one in self.imports if added is None or one in added]
        candidates = without_imports(without, package, removable)
        result = closest(candidates, text, lambda candidate: self.register(candidate, package))
        return UnregisterResult(self.what, UnregisterOutcome.REMOVED, result)

    def _place(self, source: Source) -> tuple[list[ast.stmt], int]:
        """Return the body of the class, and the position of the field in it."""
        body, field = _settings_class(source).body, _field(source, self.name)
        assert field is not None
        return body, index_of(field, body)


@dataclass
class VariableKind(RegistrationKind):
    """An environment variable, in the dict that the fixture `environ` of the tests returns."""

    name: str
    value: str

    def __post_init__(self) -> None:
        self.what = f"the variable {self.name}"

    def _lines(self) -> tuple[str, ...]:
        return (f'"{self.name}": {_quoted(self.value)}',)

    def _register(self, text: str, package: str) -> RegisterResult:
        [code] = self._lines()
        source = Source(text, package)
        items = _environ(source)
        if _position(items, self.name) is not None:
            return RegisterResult(self.what, RegisterOutcome.ALREADY, text, (code,))
        nodes = [_expression(_quoted(self.name)), _expression(_quoted(self.value))]
        try:
            edits = items.append_edits(code, nodes)
        except DoesNotFitError:
            edits = [_one_item_a_line(items, code, nodes)]
        return RegisterResult(self.what, RegisterOutcome.REGISTERED, source.apply(edits), (code,))

    def _unregister(self, text: str, package: str, added: Collection[Import] | None) -> UnregisterResult:
        source = Source(text, package)
        items = _environ(source)
        position = _position(items, self.name)
        if position is None:
            return UnregisterResult(self.what, UnregisterOutcome.ABSENT, text)
        without = source.apply(items.remove_edits(position))
        # A line that had become too long is one line again.
        candidates = (_on_one_line(Source(without, package)), without)
        result = closest(candidates, text, lambda candidate: self.register(candidate, package))
        return UnregisterResult(self.what, UnregisterOutcome.REMOVED, result)


@dataclass
class RowKind(RegistrationKind):
    """A row of the table of variables in a Markdown file, after the last variable with the same prefix."""

    name: str
    """The variable, which begins the row."""
    row: str
    """The whole row. It is removed whatever it says now."""

    def __post_init__(self) -> None:
        self.what = f"the variable {self.name}"

    def _lines(self) -> tuple[str, ...]:
        return (self.row,)

    def _register(self, text: str, package: str) -> RegisterResult:
        lines = text.splitlines(keepends=True)
        if _rows(lines, self.name):
            return RegisterResult(self.what, RegisterOutcome.ALREADY, text, (self.row,))
        others = _rows(lines, self.name.partition("_")[0] + "_")
        if not others:
            raise CannotEditError("it has no table of variables")
        lines.insert(others[-1] + 1, self.row + ("\r\n" if lines[others[-1]].endswith("\r\n") else "\n"))
        return RegisterResult(self.what, RegisterOutcome.REGISTERED, "".join(lines), (self.row,))

    def _unregister(self, text: str, package: str, added: Collection[Import] | None) -> UnregisterResult:
        lines = text.splitlines(keepends=True)
        found = _rows(lines, f"{self.name}`")
        if not found:
            return UnregisterResult(self.what, UnregisterOutcome.ABSENT, text)
        without = "".join(line for i, line in enumerate(lines) if i not in found)
        return UnregisterResult(self.what, UnregisterOutcome.REMOVED, without)


def _settings_class(source: Source) -> ast.ClassDef:
    for node in source.tree.body:
        if isinstance(node, ast.ClassDef) and node.name == _CLASS:
            return node
    raise CannotEditError(f"it has no class {_CLASS}")


def _readers(source: Source) -> ast.Dict:
    for node in source.tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == _READERS for target in targets):
                return node.value
    raise CannotEditError(f"it has no dict {_READERS}")


def _field(source: Source, name: str) -> ast.AnnAssign | None:
    for node in _settings_class(source).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
            return node
    return None


def _without_reader(source: Source, name: str) -> str:
    items = literal_items(source, _readers(source))
    position = _position(items, name)
    return source.text if position is None else source.apply(items.remove_edits(position))


def _environ(source: Source) -> BracketedItems:
    for node in source.tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == _ENVIRON:
            last = node.body[-1]
            if isinstance(last, ast.Return) and isinstance(last.value, ast.Dict):
                return literal_items(source, last.value)
    raise CannotEditError(f"it has no fixture `{_ENVIRON}` that returns a dict")


def _position(items: BracketedItems, key: str) -> int | None:
    keys = items.lists[0]
    return next((i for i, node in enumerate(keys) if isinstance(node, ast.Constant) and node.value == key), None)


def _one_item_a_line(items: BracketedItems, code: str, nodes: Sequence[ast.AST]) -> Edit:
    """Return the edit that adds an item and puts each item on a line of its own."""
    source = items.source
    line = source.lines[source.line_of(items.start - 1)]
    indent = line[: len(line) - len(line.lstrip())]
    texts = [source.text[start:end] for start, end in items.spans]
    lines = "".join(f"{indent}    {text},{source.newline}" for text in [*texts, code])
    splices = tuple(NodeSplice(held, len(held), (node,)) for held, node in zip(items.lists, nodes, strict=True))
    return Edit(items.start, items.end, f"{source.newline}{lines}{indent}", splices)


def _on_one_line(source: Source) -> str:
    """Return the text with the variables on one line, if they fit."""
    items = _environ(source)
    inner = ", ".join(source.text[start:end] for start, end in items.spans)
    column = items.start - source.line_start(source.line_of(items.start - 1))
    if column + len(inner) + 1 > formatting.LINE_LENGTH:
        return source.text
    return source.apply([Edit(items.start, items.end, inner)])


def _rows(lines: Sequence[str], start: str) -> list[int]:
    """Return the numbers of the lines that are rows of a variable that begins with *start*."""
    return [i for i, line in enumerate(lines) if re.match(rf"\| `{re.escape(start)}", line)]


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _expression(code: str) -> ast.expr:
    return ast.parse(code, mode="eval").body


def _quoted(text: str) -> str:
    # Neither variables nor the values of tests contain quotation marks or backslashes.
    return f'"{text}"'
