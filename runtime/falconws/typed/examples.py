"""An example of a message, made from its schema: for checks, consoles and documents.

Takes what the schema itself says (``examples``, ``default``, ``const``), and otherwise the smallest value that fits.
Must not know what the example is for.
"""

from __future__ import annotations

from typing import Any

__all__ = ("example_value",)

_SCHEMAS = "#/components/schemas/"
_MAX_DEPTH = 8
_FORMATS = {
    "date": "2030-01-31",
    "date-time": "2030-01-31T12:00:00Z",
    "decimal": "1.50",
    "duration": "PT1M",
    "email": "ada@example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "partial-time": "12:00:00",
    "time": "12:00:00Z",
    "uri": "https://example.com/",
    "uuid": "6f1dbe2e-5cc4-4b0e-9a11-3c1f7e2a9d10",
}


def example_value(schema: dict[str, Any], schemas: dict[str, Any], depth: int = 0) -> Any:
    """Return a value that *schema* accepts; references are looked up in *schemas*."""
    while "$ref" in schema:
        schema = schemas[schema["$ref"].removeprefix(_SCHEMAS)]
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if alternatives:
        # The last one where a type refers to itself: null, or another end of the recursion.
        return example_value(alternatives[-1 if depth > _MAX_DEPTH else 0], schemas, depth + 1)
    match schema.get("type"):
        case "object":
            return {
                name: example_value(schema["properties"][name], schemas, depth + 1)
                for name in schema.get("required", ())
            }
        case "array":
            items = schema.get("items", {})
            if isinstance(items, list):
                return [example_value(item, schemas, depth + 1) for item in items]
            return [example_value(items, schemas, depth + 1) for _ in range(schema.get("minItems", 0))]
        case "string":
            return _FORMATS.get(schema.get("format", ""), "x" * schema.get("minLength", 1))
        case "integer" | "number":
            return _example_number(schema)
        case "boolean":
            return True
    return None


def _example_number(schema: dict[str, Any]) -> float:
    step = schema.get("multipleOf", 1)
    if "minimum" in schema:
        low = schema["minimum"]
    elif "exclusiveMinimum" in schema:
        low = schema["exclusiveMinimum"] + step
    else:
        low = min(0, schema.get("maximum", 0), schema.get("exclusiveMaximum", 1) - step)
    number: float = -(-low // step) * step
    return number
