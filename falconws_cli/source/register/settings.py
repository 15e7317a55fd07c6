"""Settings: a field of the class Settings with its reader, a variable of the tests, and a row of README.md. Pure."""

import ast
import re
import textwrap
from collections.abc import Collection, Iterator, Sequence

from falconws_cli.source import formatting
from falconws_cli.source.brackets import BracketedItems, DoesNotFitError, literal_items
from falconws_cli.source.imports import import_edit, local_name
from falconws_cli.source.python import CannotEditError, Edit, Import, NodeSplice, Source, end_line
from falconws_cli.source.register.kind import closest, without_imports
from falconws_cli.source.register.result import RegisterOutcome, RegisterResult, UnregisterOutcome, UnregisterResult

_CLASS = "Settings"
_READERS = "READERS"
_ENVIRON = "environ"


def register_setting(
    text: str, package: str, *, name: str, field: str, reader: str, imports: Sequence[Import]
) -> RegisterResult:
    """Add a field to the class Settings, and its reader to READERS.

    Args:
        text: The module's source.
        package: The package of the module.
        name: The name of the field.
        field: The statement of the field, and its docstring.
        reader: The function that makes the value from the text of the variable.
        imports: The imports that both need.
    """
    what = f"the setting {name}"
    lines = (*(one.line for one in imports), *field.splitlines(), f'"{name}": {reader}')
    try:
        source = Source(text, package)
        if _field(source, name) is not None:
            return RegisterResult(what, RegisterOutcome.ALREADY, text, lines)
        body, readers = _settings_class(source).body, _readers(source)
        last = max((i for i, node in enumerate(body) if isinstance(node, ast.AnnAssign)), default=None)
        if last is None:
            raise CannotEditError(f"its class {_CLASS} has no field")
        last += 1 if last + 1 < len(body) and _is_docstring(body[last + 1]) else 0
        at = source.line_start(end_line(body[last]))
        code = "\n" + textwrap.indent(field.rstrip("\n") + "\n", " " * body[0].col_offset)
        splice = NodeSplice(body, last + 1, tuple(ast.parse(field).body))
        nodes = [_expression(f'"{name}"'), _expression(reader)]
        missing = tuple(one for one in imports if local_name(source, one) is None)
        edits = [
            *(import_edit(source, one, before_line=body[0].lineno) for one in missing),
            Edit(at, at, code.replace("\n", source.newline), (splice,)),
            *literal_items(source, readers).append_edits(f'"{name}": {reader}', nodes),
        ]
        return RegisterResult(what, RegisterOutcome.REGISTERED, source.apply(edits), lines, imports=missing)
    except CannotEditError as error:
        return RegisterResult(what, RegisterOutcome.CANNOT, text, lines, str(error))


def unregister_setting(
    text: str,
    package: str,
    *,
    name: str,
    field: str,
    reader: str,
    imports: Sequence[Import],
    added: Collection[Import] | None = None,
) -> UnregisterResult:
    """Remove the field and its reader, whatever their text is now.

    Args:
        text: The module's source.
        package: The package of the module.
        name: The name of the field.
        field: The statement that was added.
        reader: The function that was added.
        imports: The imports that both need.
        added: The imports that registering added; None stands for all that are unused afterwards.
    """
    what = f"the setting {name}"
    try:
        source = Source(text, package)
        statement = _field(source, name)
        if statement is None:
            return UnregisterResult(what, UnregisterOutcome.ABSENT, text)
        without = _without_reader(source, name)
        for _ in ("the docstring", "the field"):
            source = Source(without, package)
            statement = _field(source, name)
            assert statement is not None
            body = _settings_class(source).body
            position = next(i for i, node in enumerate(body) if node is statement)
            if position + 1 < len(body) and _is_docstring(body[position + 1]):
                without = source.apply([source.remove_edit(body[position + 1], body)])
                continue
            without = source.apply([source.remove_edit(statement, body, above=1)])
            break
        removable = [one for one in imports if added is None or one in added]

        def again(candidate: str) -> RegisterResult:
            return register_setting(candidate, package, name=name, field=field, reader=reader, imports=imports)

        result = closest(without_imports(without, package, removable), text, again)
        return UnregisterResult(what, UnregisterOutcome.REMOVED, result)
    except CannotEditError as error:
        return UnregisterResult(what, UnregisterOutcome.CANNOT, text, (), str(error))


def register_variable(text: str, package: str, *, name: str, value: str) -> RegisterResult:
    """Add an environment variable to the dict that the fixture `environ` of the tests returns."""
    what, code = f"the variable {name}", f'"{name}": {_quoted(value)}'
    try:
        source = Source(text, package)
        items = _environ(source)
        if _position(items, name) is not None:
            return RegisterResult(what, RegisterOutcome.ALREADY, text, (code,))
        nodes = [_expression(_quoted(name)), _expression(_quoted(value))]
        try:
            edits = items.append_edits(code, nodes)
        except DoesNotFitError:
            edits = [_one_item_a_line(items, code, nodes)]
        return RegisterResult(what, RegisterOutcome.REGISTERED, source.apply(edits), (code,))
    except CannotEditError as error:
        return RegisterResult(what, RegisterOutcome.CANNOT, text, (code,), str(error))


def unregister_variable(
    text: str, package: str, *, name: str, value: str, added: Collection[Import] | None = None
) -> UnregisterResult:
    """Remove the variable from the fixture `environ`, whatever its value is now."""
    what = f"the variable {name}"
    try:
        source = Source(text, package)
        items = _environ(source)
        position = _position(items, name)
        if position is None:
            return UnregisterResult(what, UnregisterOutcome.ABSENT, text)
        without = source.apply(items.remove_edits(position))

        def candidates() -> Iterator[str]:
            # A line that had become too long is one line again.
            yield _on_one_line(Source(without, package))
            yield without

        def again(candidate: str) -> RegisterResult:
            return register_variable(candidate, package, name=name, value=value)

        return UnregisterResult(what, UnregisterOutcome.REMOVED, closest(candidates(), text, again))
    except CannotEditError as error:
        return UnregisterResult(what, UnregisterOutcome.CANNOT, text, (), str(error))


def register_row(text: str, package: str, *, name: str, row: str) -> RegisterResult:
    """Add a row to the table of variables, after the last variable with the same prefix.

    Args:
        text: The Markdown.
        package: Unused: each function for registering has a package.
        name: The variable, which begins the row.
        row: The whole row.
    """
    what = f"the variable {name}"
    lines = text.splitlines(keepends=True)
    if _rows(lines, name):
        return RegisterResult(what, RegisterOutcome.ALREADY, text, (row,))
    others = _rows(lines, name.partition("_")[0] + "_")
    if not others:
        return RegisterResult(what, RegisterOutcome.CANNOT, text, (row,), "it has no table of variables")
    lines.insert(others[-1] + 1, row + ("\r\n" if lines[others[-1]].endswith("\r\n") else "\n"))
    return RegisterResult(what, RegisterOutcome.REGISTERED, "".join(lines), (row,))


def unregister_row(
    text: str, package: str, *, name: str, row: str, added: Collection[Import] | None = None
) -> UnregisterResult:
    """Remove the row of the variable, whatever it says now."""
    what = f"the variable {name}"
    lines = text.splitlines(keepends=True)
    found = _rows(lines, f"{name}`")
    if not found:
        return UnregisterResult(what, UnregisterOutcome.ABSENT, text)
    return UnregisterResult(
        what, UnregisterOutcome.REMOVED, "".join(line for i, line in enumerate(lines) if i not in found)
    )


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
