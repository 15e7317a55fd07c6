"""TypeScript types from JSON Schema: on one line where they fit, else broken into lines as prettier does. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from falconws_cli.generators.client.document import references

WIDTH = 80
_PATTERN_WORDS = "x-pattern-in-words"
"""The member of a schema that says in words what its "pattern" means."""
_IDENTIFIER = re.compile(r"[A-Za-z_$][\w$]*", re.ASCII)
_SIMPLE = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


@dataclass(frozen=True)
class Text:
    """A type that is never broken into lines."""

    text: str

    def flat(self) -> str:
        return self.text

    def broken(self, indent: int) -> str:
        return self.text


@dataclass(frozen=True)
class Union:
    """At least two alternatives."""

    members: tuple[Type, ...]

    def flat(self) -> str:
        return " | ".join(member.flat() for member in self.members)

    def broken(self, indent: int) -> str:
        pad = " " * indent
        return "".join(f"\n{pad}| {laid_out(member, indent + 2, indent + 2)}" for member in self.members)


@dataclass(frozen=True)
class Array:
    """A list of any length."""

    items: Type

    def flat(self) -> str:
        text = self.items.flat()
        return f"({text})[]" if isinstance(self.items, Union) or " & " in text else f"{text}[]"

    def broken(self, indent: int) -> str:
        if isinstance(self.items, Union):
            return f"({self.items.broken(indent + 2)}\n{' ' * indent})[]"
        return f"{self.items.broken(indent)}[]"


@dataclass(frozen=True)
class Generic:
    """A type with parameters, in one of the kinds of brackets."""

    opening: str
    parameters: tuple[Type, ...]
    closing: str

    def flat(self) -> str:
        return self.opening + ", ".join(each.flat() for each in self.parameters) + self.closing

    def broken(self, indent: int) -> str:
        pad = " " * (indent + 2)
        last = "," if self.closing == "]" else ""
        inner = [pad + laid_out(each, indent + 2, indent + 2, end=",").lstrip() for each in self.parameters]
        return f"{self.opening}\n" + ",\n".join(inner) + f"{last}\n{' ' * indent}{self.closing}"


@dataclass(frozen=True)
class Record:
    """The members of an object, without a name."""

    members: tuple[tuple[str, Type], ...]

    def flat(self) -> str:
        return (
            "{ " + "; ".join(f"{name}: {kind.flat()}" for name, kind in self.members) + " }" if self.members else "{}"
        )

    def broken(self, indent: int) -> str:
        pad = " " * (indent + 2)
        return "{\n" + "".join(f"{pad}{member(*each, indent + 2)}\n" for each in self.members) + " " * indent + "}"


Type = Text | Union | Array | Generic | Record


def laid_out(kind: Type, column: int, indent: int, end: str = ";") -> str:
    """Return *kind*, which begins at *column* of a line indented by *indent* and is followed by *end*."""
    flat = kind.flat()
    return flat if column + len(flat) + len(end) <= WIDTH else kind.broken(indent)


def member(name: str, kind: Type, indent: int) -> str:
    """Return `name: kind;`, without the indentation of its first line."""
    flat = f"{name}: {kind.flat()};"
    if indent + len(flat) <= WIDTH:
        return flat
    if isinstance(kind, Union):
        return f"{name}:{kind.broken(indent + 2)};"
    return f"{name}: {kind.broken(indent)};"


def alias(name: str, kind: Type) -> str:
    """Return `export type name = kind;`."""
    flat = f"export type {name} = {kind.flat()};"
    if len(flat) <= WIDTH:
        return flat
    if isinstance(kind, Union):
        on_next_line = f"\n  {kind.flat()}"
        return f"export type {name} ={on_next_line if len(on_next_line) <= WIDTH else kind.broken(2)};"
    return f"export type {name} = {kind.broken(0)};"


def union(members: Iterable[Type]) -> Type:
    """Return the union of *members*, each of them once; `never` for none."""
    found: dict[Type, None] = {}
    for each in members:
        found |= dict.fromkeys(each.members if isinstance(each, Union) else (each,))
    if not found:
        return Text("never")
    return next(iter(found)) if len(found) == 1 else Union(tuple(found))


def type_of(schema: object, names: Mapping[str, str]) -> Type:
    """Return the type of a JSON Schema.

    Args:
        schema: The schema.
        names: The name of each schema that it may refer to.
    """
    if not isinstance(schema, dict) or not schema:
        return Text("unknown")
    if "$ref" in schema:
        return Text(names[references(schema)[0]])
    if "const" in schema:
        return Text(literal(schema["const"]))
    if "enum" in schema:
        return union(Text(literal(value)) for value in schema["enum"])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return union(type_of(each, names) for each in schema[key])
    if "allOf" in schema:
        parts = [type_of(each, names) for each in schema["allOf"]]
        return parts[0] if len(parts) == 1 else Text(" & ".join(part.flat() for part in parts))
    kind = schema.get("type")
    if isinstance(kind, list):
        return union(type_of({**schema, "type": each}, names) for each in kind)
    if kind == "array":
        items = schema.get("items", {})
        if isinstance(items, list):
            return Generic("[", tuple(type_of(each, names) for each in items), "]")
        return Array(type_of(items, names))
    if kind == "object":
        if "properties" in schema:
            return Record(
                tuple((key_of(name, schema), type_of(each, names)) for name, each in schema["properties"].items())
            )
        values = type_of(schema.get("additionalProperties", {}), names)
        return Generic("Record<", (Text("string"), values), ">")
    return Text(_SIMPLE.get(str(kind), "unknown"))


def key_of(name: str, schema: Mapping[str, object]) -> str:
    """Return the name of a member of an object, with a "?" if it may be missing."""
    required = schema.get("required", ())
    return key(name) + ("" if isinstance(required, Sequence) and name in required else "?")


def key(name: str) -> str:
    """Return *name* as the key of an object, quoted where it has to be."""
    return name if is_identifier(name) else literal(name)


def is_identifier(name: str) -> bool:
    return _IDENTIFIER.fullmatch(name) is not None


def literal(value: object) -> str:
    """Return a JSON value as TypeScript."""
    return json.dumps(value, ensure_ascii=False)


def comment(text: str, indent: int) -> str:
    """Return *text* as a doc comment with a line break at its end; nothing for no text."""
    pad = " " * indent
    # Docstrings have the double backticks of reStructuredText.
    lines = text.strip().replace("*/", "*\\/").replace("``", "`").splitlines()
    if not lines:
        return ""
    if len(lines) == 1:
        return f"{pad}/** {lines[0]} */\n"
    return f"{pad}/**\n" + "".join(f"{pad} * {line}".rstrip() + "\n" for line in lines) + f"{pad} */\n"


def describe_member(schema: object) -> str:
    """Return what a schema tells of a member besides its type, in words."""
    if not isinstance(schema, dict):
        return ""
    parts = [schema["description"].strip()] if schema.get("description") else []
    for noun, low, high in (("character", "minLength", "maxLength"), ("item", "minItems", "maxItems")):
        if not isinstance(schema.get("items"), list):
            parts += _bounds(noun, schema.get(low), schema.get(high))
    parts += _bounds("", schema.get("minimum"), schema.get("maximum"))
    for keyword, text in (
        ("exclusiveMinimum", "More than {}."),
        ("exclusiveMaximum", "Less than {}."),
        ("multipleOf", "A multiple of {}."),
        (_PATTERN_WORDS, "Is {}."),
        ("pattern", "Matches `{}`."),
        ("contentEncoding", "In {}."),
        ("format", "In the format {}."),
    ):
        if keyword in schema and not (keyword == "pattern" and _PATTERN_WORDS in schema):
            parts.append(text.format(schema[keyword]))
    if schema.get("default") not in (None, [], {}):
        parts.append(f"Default: {literal(schema['default'])}.")
    return " ".join(parts)


def _bounds(noun: str, low: float | None, high: float | None) -> list[str]:
    last = low if high is None else high
    nouns = f" {noun}{'' if last == 1 else 's'}" if noun else ""
    if low is None and high is None:
        return []
    if low is None or high is None:
        return [f"{'At most' if low is None else 'At least'} {last}{nouns}."]
    return [f"Exactly {low}{nouns}." if low == high else f"{low} to {high}{nouns}."]


def named(keyword: str, names: Sequence[str], module: str) -> str:
    """Return an import or export of *names*."""
    end = f'from "{module}";'
    flat = f"{keyword} {{ {', '.join(names)} }} {end}"
    if len(flat) <= WIDTH:
        return flat
    return f"{keyword} {{\n" + "".join(f"  {name},\n" for name in names) + f"}} {end}"
