"""Sets values in one table of a TOML file as text, so that all the rest stays as it is. Pure."""

import copy
import json
import re
import tomllib
from collections.abc import Mapping

Value = str | list[str]


def set_in_table(text: str, table: str, values: Mapping[str, Value]) -> str | None:
    """Return *text* with the values set; None if the table is written in a form that is not understood.

    Args:
        text: A valid TOML document.
        table: The name of a table, as in its header: "tool.falconws". One that is missing is appended.
        values: The values by their bare keys.
    """
    before = tomllib.loads(text)
    wanted = copy.deepcopy(before)
    found = wanted
    for key in table.split("."):
        found = found.setdefault(key, {})
        if not isinstance(found, dict):
            return None
    new = {key: value for key, value in values.items() if key not in found}
    changed = {key: value for key, value in values.items() if found.get(key, value) != value}
    found.update(values)
    if wanted == before:
        return text
    newline = "\r\n" if "\r\n" in text else "\n"
    added = "".join(f"{key} = {_dump(value)}{newline}" for key, value in new.items())
    header = re.search(rf"^[ \t]*\[[ \t]*{re.escape(table)}[ \t]*\][^\n]*(?:\n|\Z)", text, re.MULTILINE)
    if header is None:
        separator = "" if not text else newline if text.endswith("\n") else newline * 2
        edited = f"{text}{separator}[{table}]{newline}{added}"
    else:
        head, tail = text[: header.end()], text[header.end() :]
        for key, value in changed.items():
            line = re.compile(rf"""^([ \t]*{re.escape(key)}[ \t]*=[ \t]*)(["'])[^"'\n]*\2""", re.MULTILINE)
            match = line.search(tail)
            if match is not None:
                tail = f"{tail[: match.end(1)]}{_dump(value)}{tail[match.end() :]}"
        edited = f"{head if head.endswith(chr(10)) else head + newline}{added}{tail}"
    try:
        return edited if tomllib.loads(edited) == wanted else None
    except tomllib.TOMLDecodeError:
        return None


def _dump(value: Value) -> str:
    # A string of JSON is one of TOML, and so is a list of them.
    return json.dumps(value)
