"""The filters and functions of all templates. Pure."""

import json
from collections.abc import Callable, Mapping

from falconws_cli.source import formatting


def python_string(text: str) -> str:
    """Return *text* as a Python literal in double quotes where `ruff format` would use them."""
    literal = repr(text)
    if literal.startswith("'") and '"' not in text:
        literal = '"' + literal[1:-1].replace("\\'", "'") + '"'
    return literal


def json_literal(value: object) -> str:
    """Return *value* as JSON that is safe in a script of an HTML page."""
    escaped: dict[str, str | int | None] = {character: f"\\u{ord(character):04x}" for character in "<>&'"}
    return json.dumps(value, sort_keys=True).translate(str.maketrans(escaped))


FUNCTIONS: Mapping[str, Callable[..., str]] = {
    "bracketed": formatting.bracketed,
    "from_import": formatting.from_import,
    "stdlib_imports": formatting.stdlib_imports,
    "assignment": formatting.assignment,
}
FILTERS: Mapping[str, Callable[..., str]] = {"py": python_string, "tojson": json_literal}
