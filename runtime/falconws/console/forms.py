"""The forms of the page: a field for each member of a message, from its JSON Schema. Pure.

A form validates nothing: the server reports what is wrong with a value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .tree import Tree, el

__all__ = ("field", "fields_of")

_SCHEMAS = "#/components/schemas/"
_Document = Mapping[str, Any]


def field(
    id_: str,
    name: str,
    *,
    kind: str = "text",
    choices: Sequence[str] = (),
    required: bool = True,
    hint: str = "",
    value: str = "",
    lines: int = 0,
    place: str | None = None,
    label: str | None = None,
) -> Tree:
    """Return a label, an input, a hint, and a place for what the server says of the value.

    Args:
        id_: Unique in the page.
        name: The member of the message, or the parameter of the handshake.
        kind: How the page reads it: "text" is a string, "json" anything else. An empty field is left out of the
            message, except for a text that is *required*.
        choices: The values to choose from.
        required: Whether the schema requires it.
        hint: A note for the developer.
        value: What is in the field at first.
        lines: The height of a multi-line input; 0 makes a single-line one.
        place: Where in the handshake it goes: "path", "rest" (of the path), "query", "search", "subprotocols"
            or "whole" (path and query).
        label: The visible label; None shows *name*.
    """
    attributes: dict[str, Any] = {
        "id": id_,
        "name": name,
        "data_kind": kind,
        "data_required": required,
        "data_in": place,
        "aria_describedby": f"{id_}-hint {id_}-error",
        "spellcheck": "false",
    }
    if choices:
        options = [el("option", choice, selected=choice == value) for choice in ("", *choices)]
        control = el("select", *options, **attributes)
    elif lines:
        control = el("textarea", value, rows=str(lines), **attributes)
    else:
        control = el("input", value=value, **attributes)
    return el(
        "div",
        el("label", label or name, None if required else el("small", " optional"), for_=id_),
        control,
        el("small", hint, id=f"{id_}-hint"),
        el("small", id=f"{id_}-error", class_="error"),
    )


def fields_of(schema: _Document, schemas: _Document, prefix: str, *, place: str | None = None) -> list[Tree]:
    """Return a field for each member of an object's *schema*, except those that the page itself fills in.

    Args:
        schema: The schema of a message, or of a query.
        schemas: Those that it refers to.
        prefix: Of the fields' ids.
        place: As in ``field()``.
    """
    required = schema.get("required", ())
    own = () if place else ("type", "id")
    fields = []
    for name, member in schema.get("properties", {}).items():
        if name in own:
            continue
        kind, choices, lines = _control(member, schemas)
        fields.append(
            field(
                f"{prefix}-{name}",
                name,
                kind=kind,
                choices=choices,
                required=name in required,
                hint=". ".join(filter(None, (_limits(member), member.get("description")))),
                value=_example(member, kind, schemas) if name in required else "",
                lines=lines,
                place=place,
            )
        )
    return fields


def _limits(schema: _Document) -> str:
    # Not at the top: it needs the extra for typed conversations.
    from ..typed.asyncapi_html import limits_of, type_text

    if schema.get("default", ...) is None:
        schema = {key: value for key, value in schema.items() if key != "default"}
    inner = _without_null(schema)
    return ", ".join(
        filter(None, (type_text(inner), limits_of(inner), limits_of(schema) if inner is not schema else ""))
    )


def _control(schema: _Document, schemas: _Document) -> tuple[str, list[str], int]:
    """Return kind, choices and lines of the field for *schema*."""
    schema = _without_null(_resolved(schema, schemas))
    if "$ref" in schema:
        return _control(schema, schemas)
    match schema:
        case {"enum": [*values]}:
            return "json", [json.dumps(value, ensure_ascii=False) for value in values], 0
        case {"const": value}:
            return "json", [json.dumps(value, ensure_ascii=False)], 0
        case {"type": "string"}:
            return "text", [], 0
        case {"type": "boolean"}:
            return "json", ["true", "false"], 0
        case {"type": "integer" | "number"}:
            return "json", [], 0
    return "json", [], 2


def _without_null(schema: _Document) -> _Document:
    """Return *schema* without the alternative null: that is an empty field."""
    others = [member for member in schema.get("anyOf", ()) if member.get("type") != "null"]
    return others[0] if len(others) == 1 else schema


def _example(schema: _Document, kind: str, schemas: _Document) -> str:
    """Return the example that the schema gives; without one, the smallest value that fits.

    A text without a format stays empty: only the developer knows what to say.
    """
    from ..typed.examples import example_value

    if kind == "text" and not {"examples", "format"} & _resolved(schema, schemas).keys():
        return ""
    example = example_value(dict(schema), dict(schemas))
    return example if isinstance(example, str) and kind == "text" else json.dumps(example, ensure_ascii=False)


def _resolved(schema: _Document, schemas: _Document) -> _Document:
    while "$ref" in schema:
        schema = schemas[schema["$ref"].removeprefix(_SCHEMAS)]
    return schema
