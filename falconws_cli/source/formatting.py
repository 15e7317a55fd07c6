"""Lines of Python whose length depends on the user's names, formatted as `ruff format` would. Pure.

Used by templates and registrations. Must not know what the lines are for.
"""

from collections.abc import Iterable, Sequence

LINE_LENGTH = 100
"""The line length that generated projects configure for ruff."""


def bracketed(head: str, items: Sequence[str], tail: str, *, indent: int = 0) -> str:
    """Return `head(items)tail` on one line, or with the items on one indented line, or with one item a line.

    The first line is not indented: it continues the text before it. *head* ends with the opening bracket, and
    *tail* begins with the closing one.
    """
    pad = " " * indent
    one_line = f"{head}{', '.join(items)}{tail}"
    if indent + len(one_line) <= LINE_LENGTH:
        return one_line
    inner = ", ".join(items)
    if indent + 4 + len(inner) <= LINE_LENGTH:
        return f"{head}\n{pad}    {inner}\n{pad}{tail}"
    lines = "".join(f"{pad}    {item},\n" for item in items)
    return f"{head}\n{lines}{pad}{tail}"


def from_import(module: str, names: Iterable[str]) -> str:
    """Return `from module import names` in isort's order, in parentheses and with one name a line if it is too long."""
    names = sorted(names, key=_member_key)
    one_line = f"from {module} import {', '.join(names)}"
    if len(one_line) <= LINE_LENGTH:
        return one_line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in names) + ")"


def stdlib_imports(names: Iterable[str]) -> str:
    """Return sorted imports and the blank line that ends their section; an empty string for no names.

    Args:
        names: Modules without a dot ("asyncio"), and members with their module ("datetime.UTC").
    """
    plain = sorted({name for name in names if "." not in name})
    members: dict[str, set[str]] = {}
    for name in names:
        if "." in name:
            module, _, member = name.rpartition(".")
            members.setdefault(module, set()).add(member)
    lines = [f"import {module}" for module in plain]
    lines += [from_import(module, members[module]) for module in sorted(members)]
    return "\n".join(lines) + "\n\n" if lines else ""


def _member_key(name: str) -> tuple[int, str]:
    # isort's "order by type": constants, classes, the rest.
    constant = name.isupper() and len(name) > 1
    return (0 if constant else 1 if name[0].isupper() else 2, name if constant else name.lower())


def assignment(target: str, value: str, *, indent: int = 0) -> str:
    """Return `target = value`, with the value in parentheses on its own line when that makes it fit."""
    one_line = f"{target} = {value}"
    if indent + len(one_line) <= LINE_LENGTH or indent + 4 + len(value) > LINE_LENGTH:
        return one_line
    pad = " " * indent
    return f"{target} = (\n{pad}    {value}\n{pad})"
