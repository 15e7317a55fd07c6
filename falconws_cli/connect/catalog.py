"""The messages that a route declares, from an AsyncAPI document: what a line such as `/say text=hello` means, whether
it is valid, and which call a reply answers.

Pure; must not know connections, terminals, or where the document comes from.
"""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from falconws_cli.suggestions import listed

Schema = Mapping[str, Any]

_MAX_PENDING_CALLS = 1024


class Catalog:
    """What a client can send on one route.

    Args:
        document: An AsyncAPI document of falconws.
        channel: The name of the route's channel in it.
        clock: Returns seconds.
    """

    def __init__(self, document: Mapping[str, Any], channel: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._schemas: Mapping[str, Schema] = document["components"]["schemas"]
        declared = document["channels"][channel]
        self.close_codes: dict[int, str] = {
            int(code): meaning for code, meaning in declared.get("x-close-codes", {}).items()
        }
        self.subprotocol: str | None = declared.get("x-subprotocol")
        self.messages: dict[str, Schema] = {}
        """The schema of each message that the client can send, by its tag."""
        self._calls: set[str] = set()
        self._pending: dict[str, tuple[str, float]] = {}
        self._clock = clock
        self._last_id = 0
        for operation in document["operations"].values():
            if operation["action"] == "receive" and operation["channel"]["$ref"] == f"#/channels/{channel}":
                for reference in operation["messages"]:
                    message = _resolve(document, reference)
                    self.messages[message["name"]] = _resolve(document, message["payload"])
                    if "reply" in operation:
                        self._calls.add(message["name"])

    # Sending

    def encode(self, line: str) -> str:
        """Return the JSON that a line stands for: `/say text=hello` is a declared message, anything else itself.

        Raises:
            ValueError: The line names no message, or its fields are not valid; the text is the end of a sentence.
        """
        if not line.startswith("/"):
            return line
        try:
            name, *words = shlex.split(line[1:]) or [""]
        except ValueError as error:
            raise ValueError(f"has no end: {str(error).lower()}") from None
        schema = self.messages.get(name)
        if schema is None:
            there = f"send {listed(list(self.messages))}" if self.messages else "the client sends none here"
            raise ValueError(f'names no message "{name}": {there}')
        message: dict[str, Any] = {"type": name}
        for word in words:
            field, equals, text = word.partition("=")
            if not equals or field not in schema["properties"]:
                known = ", ".join(self._fields(schema)) or "no fields"
                raise ValueError(f'has no field "{field}": /{name} has {known}, as in {self.example(name)}')
            message[field] = self._value(schema["properties"][field], field, text)
        if name in self._calls and "id" not in message:
            self._last_id += 1
            message["id"] = self._last_id
        for problem in self._problems(schema, message, ""):
            raise ValueError(f"is not valid: {problem}")
        return json.dumps(message, ensure_ascii=False)

    def completions(self, line: str) -> Iterator[tuple[str, int, str]]:
        """Yield what may come at the end of *line*: the text, how many characters it replaces, and a description."""
        if not line.startswith("/"):
            return
        *before, word = line[1:].split(" ")
        if not before:
            for name, schema in self.messages.items():
                if name.startswith(word):
                    yield name, len(word), str(schema.get("description", "")).partition("\n")[0]
            return
        schema = self.messages.get(before[0], {"properties": {}})
        field, equals, text = word.partition("=")
        if not equals:
            given = {part.partition("=")[0] for part in before[1:]}
            for name in self._fields(schema):
                if name.startswith(field) and name not in given:
                    yield f"{name}=", len(word), self._describe(schema["properties"][name])
        elif field in schema["properties"]:
            for value in self._values(schema["properties"][field]):
                if value.startswith(text):
                    yield value, len(text), ""

    def example(self, name: str) -> str:
        """Return a line that sends the message *name*."""
        schema = self.messages[name]
        fields = [each for each in self._fields(schema) if each in schema.get("required", ())]
        return " ".join([f"/{name}", *(f"{each}={self._sample(schema['properties'][each])}" for each in fields)])

    # Calls

    def sent(self, text: str) -> None:
        """Record a message that was sent; if it is a call, a reply is expected from now on."""
        message = _object(text)
        if message.get("type") in self._calls and _is_id(message.get("id")):
            self._pending[json.dumps(message["id"])] = str(message["type"]), self._clock()
            if len(self._pending) > _MAX_PENDING_CALLS:
                del self._pending[next(iter(self._pending))]

    def received(self, text: str) -> str:
        """Return which call a received message answers, and after how long; an empty string if none."""
        identifier = _object(text).get("id")
        call = self._pending.pop(json.dumps(identifier), None) if _is_id(identifier) else None
        if call is None:
            return ""
        name, since = call
        return f"(reply to {name} {identifier} after {(self._clock() - since) * 1000:.1f} ms)"

    # Schemas

    def _fields(self, schema: Schema) -> list[str]:
        return [name for name in schema["properties"] if name != "type"]

    def _value(self, schema: Schema, field: str, text: str) -> Any:
        """Return the value that *text* stands for: itself for a string, else JSON."""
        types = self._types(schema)
        if "string" in types:
            return None if text == "null" and "null" in types else text
        try:
            return json.loads(text)
        except ValueError:
            raise ValueError(f'has no {self._describe(schema)} in "{field}"') from None

    def _alternatives(self, schema: Schema) -> list[Schema]:
        if "$ref" in schema:
            return self._alternatives(self._schemas[schema["$ref"].rpartition("/")[2]])
        found = schema.get("anyOf") or schema.get("oneOf")
        return [inner for each in found for inner in self._alternatives(each)] if found else [schema]

    def _types(self, schema: Schema) -> set[str]:
        return {_type_of(each) for each in self._alternatives(schema)}

    def _describe(self, schema: Schema) -> str:
        return " or ".join(sorted(self._types(schema)))

    def _values(self, schema: Schema) -> list[str]:
        found: list[str] = []
        for each in self._alternatives(schema):
            if each.get("type") == "boolean":
                found += ["true", "false"]
            for value in each.get("enum", [each["const"]] if "const" in each else each.get("examples", ())):
                found.append(value if isinstance(value, str) else json.dumps(value))
        return [shlex.quote(value) for value in found]

    def _sample(self, schema: Schema) -> str:
        return next(iter(self._values(schema)), "...")

    def _problems(self, schema: Schema, value: Any, path: str) -> Iterator[str]:
        """Yield what is wrong with *value*; not everything that the server checks."""
        alternatives = self._alternatives(schema)
        fitting = [each for each in alternatives if _fits_type(each, value)]
        if not fitting:
            yield f"{path or 'it'} is not {self._describe(schema)}"
            return
        if len(fitting) > 1:
            return
        (only,) = fitting
        if "enum" in only and value not in only["enum"]:
            yield f"{path} is not one of {', '.join(map(json.dumps, only['enum']))}"
        if isinstance(value, dict):
            for name in only.get("required", ()):
                if name not in value:
                    yield f'"{name}" is missing'
            for name, inner in value.items():
                if name in only.get("properties", {}):
                    yield from self._problems(only["properties"][name], inner, f"{path}.{name}" if path else name)
        elif isinstance(value, list):
            for number, inner in enumerate(value):
                items = only["items"] if isinstance(only.get("items"), dict) else {}
                yield from self._problems(items, inner, f"{path}[{number}]")
        else:
            yield from _limits(only, value, path)


def find_catalog(document: Mapping[str, Any], path: str) -> Catalog | None:
    """Return the catalog of the route at *path*, without a query; None if *document* has none for it."""
    # A field matches one segment of the path, or, with the converter "path", several.
    for field in ("[^/]+", ".+"):
        for name, channel in document["channels"].items():
            pattern = "".join(
                field if part.startswith("{") else re.escape(part)
                for part in re.split(r"(\{[^}]*\})", channel["address"])
            )
            if re.fullmatch(pattern, unquote(path)):
                return Catalog(document, name)
    return None


def _resolve(document: Mapping[str, Any], reference: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = reference
    while "$ref" in found:
        keys = found["$ref"].removeprefix("#/").split("/")
        found = document
        for key in keys:
            found = found[key.replace("~1", "/").replace("~0", "~")]
    return found


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _is_id(value: object) -> bool:
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def _type_of(schema: Schema) -> str:
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    strings = bool(values) and all(isinstance(value, str) for value in values)
    return str(schema.get("type", "string" if strings else "any"))


def _fits_type(schema: Schema, value: Any) -> bool:
    kind = _type_of(schema)
    types: dict[str, tuple[type, ...]] = {
        "string": (str,),
        "integer": (int,),
        "number": (int, float),
        "boolean": (bool,),
        "null": (type(None),),
        "array": (list,),
        "object": (dict,),
    }
    if isinstance(value, bool) and kind in ("integer", "number"):
        return False
    return kind not in types or isinstance(value, types[kind])


def _limits(schema: Schema, value: Any, path: str) -> Iterator[str]:
    if isinstance(value, str):
        if len(value) < schema.get("minLength", 0):
            yield f"{path} has fewer than {schema['minLength']} characters"
        if len(value) > schema.get("maxLength", len(value)):
            yield f"{path} has more than {schema['maxLength']} characters"
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield f"{path} does not match {schema['pattern']}"
    elif isinstance(value, (int, float)):
        if value < schema.get("minimum", value):
            yield f"{path} is less than {schema['minimum']}"
        if value > schema.get("maximum", value):
            yield f"{path} is more than {schema['maximum']}"
