"""Two versions of an AsyncAPI document: which changes break the clients or the server of the older one.

Rules over documents as ``asyncapi()`` writes them. What a side only sends may become narrower; what it receives may
become wider: everything else is a break. Knows no application.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ("breaking_changes",)

_SCHEMAS = "#/components/schemas/"
_Schema = dict[str, Any]


def breaking_changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return a line for each change from *old* to *new* that breaks a user of the old document.

    Each line names the channel, the message, the member, and which side breaks: clients of the old version that talk
    to the new server.
    """
    return list(_compare(old, new))


def _compare(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    for name, channel in old["channels"].items():
        changed = new["channels"].get(name)
        if changed is None:
            yield f"{name}: the channel is gone"
            continue
        yield from _compare_channels(name, channel, changed)
        yield from _compare_security(name, *(_schemes(document, name) for document in (old, new)))
        before, after = (_Side(document, name) for document in (old, new))
        for tag, schema in before.received.items():
            yield from _received(f"{name}: {tag}", schema, after.received.get(tag), before, after)
        for tag, schema in before.sent.items():
            if tag in after.sent:
                yield from _sent(f"{name}: {tag}", schema, after.sent[tag], before, after)


def _compare_channels(name: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    if old["address"] != new["address"]:
        yield f"{name}: the address {old['address']} becomes {new['address']}"
    if old.get("x-subprotocol") != new.get("x-subprotocol") and "x-subprotocol" in new:
        yield f"{name}: clients have to offer the subprotocol {new['x-subprotocol']}"
    queries = [channel["bindings"]["ws"].get("query", {}) for channel in (old, new)]
    for member in _new_required(*queries):
        yield f"{name}: clients have to send the query parameter {member}"


def _schemes(document: dict[str, Any], channel: str) -> set[str]:
    """Return the names of the security schemes of a channel, one of which is enough; without any, all are let in."""
    reference = {"$ref": f"#/channels/{channel}"}
    return {
        each["$ref"].rpartition("/")[2]
        for operation in document["operations"].values()
        if operation["channel"] == reference
        for each in operation.get("security", ())
    }


def _compare_security(name: str, old: set[str], new: set[str]) -> Iterator[str]:
    if new and not old:
        yield f"{name}: clients have to authenticate now ({' or '.join(sorted(new))})"
    elif new:
        for scheme in sorted(old - new):
            yield f"{name}: clients can no longer authenticate with {scheme}"


class _Side:
    """The messages of one channel in one document, by tag, and the schemas that they refer to."""

    def __init__(self, document: dict[str, Any], channel: str) -> None:
        self._schemas = document["components"]["schemas"]
        reference = {"$ref": f"#/channels/{channel}"}
        self.received: dict[str, _Schema] = {}
        self.sent: dict[str, _Schema] = {}
        for operation in document["operations"].values():
            if operation["channel"] != reference:
                continue
            target = self.received if operation["action"] == "receive" else self.sent
            target |= self._messages(document, operation["messages"])
            self.sent |= self._messages(document, operation.get("reply", {}).get("messages", ()))

    def _messages(self, document: dict[str, Any], references: Any) -> dict[str, _Schema]:
        messages = [document["components"]["messages"][each["$ref"].rpartition("/")[2]] for each in references]
        return {message["name"]: self.resolve(message["payload"]) for message in messages}

    def resolve(self, schema: _Schema) -> _Schema:
        """Return *schema*, or the component that it refers to."""
        while "$ref" in schema:
            schema = self._schemas[schema["$ref"].removeprefix(_SCHEMAS)]
        return schema


def _received(where: str, old: _Schema, new: _Schema | None, before: _Side, after: _Side) -> Iterator[str]:
    """Compare what clients send: the new server has to take whatever the old one took."""
    if new is None:
        yield f"{where}: the server no longer takes this message"
        return
    for member in _new_required(old, new):
        yield f"{where}.{member}: clients have to send this member now"
    for member, schema in old.get("properties", {}).items():
        changed = new.get("properties", {}).get(member)
        if changed is not None and not _accepts(changed, schema, after, before):
            yield f"{where}.{member}: the server takes fewer values than before"


def _sent(where: str, old: _Schema, new: _Schema, before: _Side, after: _Side) -> Iterator[str]:
    """Compare what clients are sent: it must be something that the old document allows."""
    for member, schema in old.get("properties", {}).items():
        changed = new.get("properties", {}).get(member)
        if changed is None:
            if member in old.get("required", ()):
                yield f"{where}.{member}: clients are no longer sent this member"
        elif not _accepts(schema, changed, before, after):
            yield f"{where}.{member}: clients may be sent values that they do not know"
        elif member in old.get("required", ()) and member not in new.get("required", ()):
            yield f"{where}.{member}: clients may not be sent this member any more"


def _new_required(old: _Schema, new: _Schema) -> list[str]:
    return [member for member in new.get("required", ()) if member not in old.get("required", ())]


_AT_LEAST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_AT_MOST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")


def _accepts(wide: _Schema, narrow: _Schema, wide_side: _Side, narrow_side: _Side, depth: int = 0) -> bool:
    """Return whether *wide* is known to accept every value of *narrow*."""
    wide, narrow = wide_side.resolve(wide), narrow_side.resolve(narrow)
    if wide == narrow or depth > 20:
        # The depth is limited for recursive types.
        return True
    alternatives = _alternatives(narrow)
    if alternatives is not None:
        return all(_accepts(wide, each, wide_side, narrow_side, depth + 1) for each in alternatives)
    alternatives = _alternatives(wide)
    if alternatives is not None:
        return any(_accepts(each, narrow, wide_side, narrow_side, depth + 1) for each in alternatives)
    return (
        _accepts_type(wide, narrow)
        and all(key not in wide or (key in narrow and narrow[key] >= wide[key]) for key in _AT_LEAST)
        and all(key not in wide or (key in narrow and narrow[key] <= wide[key]) for key in _AT_MOST)
        and all(wide.get(key) in (None, narrow.get(key)) for key in ("pattern", "format", "multipleOf"))
        and _accepts_members(wide, narrow, wide_side, narrow_side, depth)
    )


def _alternatives(schema: _Schema) -> list[_Schema] | None:
    found = schema.get("anyOf") or schema.get("oneOf")
    if found:
        return list(found)
    if len(schema.get("enum", ())) > 1:
        return [{"const": value} for value in schema["enum"]]
    return None


def _accepts_type(wide: _Schema, narrow: _Schema) -> bool:
    if "const" in wide:
        return "const" in narrow and narrow["const"] == wide["const"]
    if "type" not in wide:
        return True
    kind = narrow.get("type") or _TYPES.get(type(narrow.get("const")))
    return wide["type"] == kind or (wide["type"] == "number" and kind == "integer")


_TYPES = {str: "string", int: "integer", bool: "boolean", float: "number", type(None): "null"}


def _accepts_members(wide: _Schema, narrow: _Schema, wide_side: _Side, narrow_side: _Side, depth: int) -> bool:
    if any(member not in narrow.get("required", ()) for member in wide.get("required", ())):
        return False
    pairs = [
        (schema, narrow["properties"][member])
        for member, schema in wide.get("properties", {}).items()
        if member in narrow.get("properties", {})
    ]
    for key in ("items", "additionalProperties"):
        if isinstance(wide.get(key), dict) and isinstance(narrow.get(key), dict):
            pairs.append((wide[key], narrow[key]))
    return all(_accepts(first, second, wide_side, narrow_side, depth + 1) for first, second in pairs)
