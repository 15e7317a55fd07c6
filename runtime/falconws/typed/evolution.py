"""Two versions of an AsyncAPI document: which changes break the clients or the server of the older one.

Rules over documents as ``asyncapi()`` writes them. What a side only sends may become narrower; what it receives may
become wider: everything else is a break. Knows no application.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ("breaking_changes",)

_SCHEMAS = "#/components/schemas/"
_Schema = dict[str, Any]
_Document = dict[str, Any]


def breaking_changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return a line for each change from *old* to *new* that breaks a user of the old document.

    Each line names the channel, the message, the member, and which side breaks: clients of the old version that talk
    to the new server.
    """
    return list(_compare(old, new))


def _compare(old: _Document, new: _Document) -> Iterator[str]:
    for name, channel in old["channels"].items():
        found = [one for one in new["channels"] if _address(new["channels"][one]) == _address(channel)]
        if not found:
            moved = new["channels"].get(name)
            what = f"the address {channel['address']} becomes {moved['address']}" if moved else "the channel is gone"
            yield f"{name}: {what}"
            continue
        counterpart = _counterpart(channel, found, new)
        if counterpart is None:
            yield f"{name}: {_subprotocol_change(channel, [new['channels'][one] for one in found])}"
            continue
        before, after = _Side(old, name), _Side(new, counterpart)
        for change in _compare_sides(before, after):
            yield f"{name}: {change}"


def _address(channel: _Document) -> str:
    """Return the address of a channel without the names of its parameters, which are not on the wire."""
    return re.sub(r"\{\w+\}", "{}", channel["address"])


def _counterpart(channel: _Document, names: Sequence[str], new: _Document) -> str | None:
    """Return which of the channels of the same address a client of *channel* gets; None if it is refused."""
    wanted = channel.get("x-subprotocol")
    return next((name for name in names if new["channels"][name].get("x-subprotocol") == wanted), None)


def _subprotocol_change(old: _Document, new: Sequence[_Document]) -> str:
    wanted, offered = old.get("x-subprotocol"), [each.get("x-subprotocol") for each in new]
    if wanted is None:
        return f"clients have to offer the subprotocol {' or '.join(map(str, offered))}"
    # RFC 6455 section 4.1 lets a client go on without one, but browsers do not.
    return f"the subprotocol {wanted} is gone, which clients offer"


def _compare_sides(before: _Side, after: _Side) -> Iterator[str]:
    yield from _compare_handshakes(before, after)
    for key, what in (("x-close-codes", "close code"), ("x-errors", "error code")):
        meanings = after.channel.get(key, {})
        for code, meaning in before.channel.get(key, {}).items():
            if meanings.get(code, meaning) != meaning:
                yield f"the {what} {code} has another meaning: {meaning!r} becomes {meanings[code]!r}"
    for tag, schema in before.received.items():
        yield from _received(tag, schema, after.received.get(tag), before, after)
        answers = before.replies.get(tag)
        if answers and tag in after.received:
            for answer in sorted(after.replies.get(tag, set()) - answers):
                yield f"{tag}: clients may be answered with {answer}, which they do not know as an answer"
            if not after.replies.get(tag):
                yield f"{tag}: clients are no longer answered"
    for tag, schema in before.sent.items():
        if tag in after.sent:
            yield from _sent(tag, schema, after.sent[tag], before, after)


def _compare_handshakes(before: _Side, after: _Side) -> Iterator[str]:
    yield from _compare_security(before.security, after.security)
    old, new = (side.channel["bindings"]["ws"].get("query", {}) for side in (before, after))
    for member in _new_required(old, new):
        yield f"clients have to send the query parameter {member}"
    for member, schema in old.get("properties", {}).items():
        changed = new.get("properties", {}).get(member)
        if changed is not None and not _accepts(changed, schema, after, before):
            yield f"the server takes fewer values of the query parameter {member} than before"
    if before.position and not after.position:
        yield f"clients can no longer resume after a {before.position}"


def _compare_security(old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[str]:
    """Compare what lets a client in: one of the schemes is enough, and without any, all are let in."""
    if new and not old:
        yield f"clients have to authenticate now ({' or '.join(sorted(new))})"
    elif new:
        for name in sorted(old):
            # The name of a scheme is not on the wire.
            if old[name] not in new.values():
                yield f"clients can no longer authenticate with {name}{' as before' if name in new else ''}"


class _Side:
    """One channel in one document: its messages by tag, and what they refer to."""

    def __init__(self, document: _Document, name: str) -> None:
        self.channel = document["channels"][name]
        self._schemas = document["components"]["schemas"]
        self._messages = document["components"]["messages"]
        self.received: dict[str, _Schema] = {}
        self.sent: dict[str, _Schema] = {}
        self.replies: dict[str, set[str]] = {}
        """The tags of the replies to each call."""
        schemes = document["components"].get("securitySchemes", {})
        self.security: dict[str, object] = {}
        self.accepts: dict[tuple[str, str], bool] = {}
        """Whether a type of this side accepts all values of a type of the other side, by their references."""
        self.position: str | None = self.channel.get("x-resume", {}).get("field")
        """The member from which a client can resume."""
        for operation in document["operations"].values():
            if operation["channel"] != {"$ref": f"#/channels/{name}"}:
                continue
            for each in operation.get("security", ()):
                scheme = each["$ref"].rpartition("/")[2]
                self.security[scheme] = schemes.get(scheme)
            target = self.received if operation["action"] == "receive" else self.sent
            messages = self._read(operation["messages"])
            target |= messages
            replies = self._read(operation.get("reply", {}).get("messages", ()))
            self.sent |= replies
            self.replies |= {tag: set(replies) for tag in messages if replies}

    def _read(self, references: Any) -> dict[str, _Schema]:
        messages = [self._messages[each["$ref"].rpartition("/")[2]] for each in references]
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
        if changed is None:
            if new.get("additionalProperties") is False:
                yield f"{where}.{member}: the server refuses this member now"
        elif not _accepts(changed, schema, after, before):
            yield f"{where}.{member}: the server takes fewer values than before"
        else:
            yield from _compare_defaults(f"{where}.{member}", schema, changed)


def _sent(where: str, old: _Schema, new: _Schema, before: _Side, after: _Side) -> Iterator[str]:
    """Compare what clients are sent: it must be something that the old document allows."""
    for member, schema in old.get("properties", {}).items():
        changed = new.get("properties", {}).get(member)
        if changed is None:
            if member in old.get("required", ()):
                yield f"{where}.{member}: clients are no longer sent this member"
            elif member == before.position == after.position:
                yield f"{where}: clients can no longer resume after this message"
        elif not _accepts(schema, changed, before, after):
            yield f"{where}.{member}: clients may be sent values that they do not know"
        elif member in old.get("required", ()) and member not in new.get("required", ()):
            yield f"{where}.{member}: clients may not be sent this member any more"
        else:
            yield from _compare_defaults(f"{where}.{member}", schema, changed)
    if old.get("additionalProperties") is False:
        for member in new.get("properties", {}).keys() - old.get("properties", {}).keys():
            yield f"{where}.{member}: clients refuse a member that they do not know"


def _compare_defaults(where: str, old: _Schema, new: _Schema) -> Iterator[str]:
    """Compare what a member that is left out stands for."""
    if "default" in old and "default" in new and old["default"] != new["default"]:
        yield f"{where}: the default {json.dumps(old['default'])} becomes {json.dumps(new['default'])}"


def _new_required(old: _Schema, new: _Schema) -> list[str]:
    return [member for member in new.get("required", ()) if member not in old.get("required", ())]


_AT_LEAST = ("minLength", "minItems", "minProperties")
_AT_MOST = ("maxLength", "maxItems", "maxProperties")
_ALIKE = ("pattern", "format", "contentEncoding", "uniqueItems")
"""Keywords of which a value is accepted only if both schemas have the same one."""


def _accepts(wide: _Schema, narrow: _Schema, wide_side: _Side, narrow_side: _Side) -> bool:
    """Return whether *wide* is known to accept every value of *narrow*."""
    if "$ref" in wide and "$ref" in narrow:
        # Each pair of types is compared once: a type may refer to itself.
        pair = wide["$ref"], narrow["$ref"]
        if pair not in wide_side.accepts:
            wide_side.accepts[pair] = True
            wide_side.accepts[pair] = _accepts(
                wide_side.resolve(wide), narrow_side.resolve(narrow), wide_side, narrow_side
            )
        return wide_side.accepts[pair]
    wide, narrow = wide_side.resolve(wide), narrow_side.resolve(narrow)
    alternatives = _alternatives(narrow)
    if alternatives is not None:
        return all(_accepts(wide, each, wide_side, narrow_side) for each in alternatives)
    alternatives = _alternatives(wide)
    if alternatives is not None:
        return any(_accepts(each, narrow, wide_side, narrow_side) for each in alternatives)
    if "const" in narrow:
        return _accepts_value(wide, narrow["const"])
    return (
        "const" not in wide
        and ("type" not in wide or wide["type"] == narrow.get("type") or _is_number(wide, narrow))
        and all(key not in wide or (key in narrow and narrow[key] >= wide[key]) for key in _AT_LEAST)
        and all(key not in wide or (key in narrow and narrow[key] <= wide[key]) for key in _AT_MOST)
        and _range(narrow)[0] >= _range(wide)[0]
        and _range(narrow)[1] <= _range(wide)[1]
        and ("multipleOf" not in wide or narrow.get("multipleOf", 0.5) % wide["multipleOf"] == 0)
        and all(wide.get(key) in (None, False, narrow.get(key)) for key in _ALIKE)
        and _accepts_members(wide, narrow, wide_side, narrow_side)
    )


def _alternatives(schema: _Schema) -> list[_Schema] | None:
    found = schema.get("anyOf") or schema.get("oneOf")
    if found:
        return list(found)
    if "enum" in schema:
        return [{"const": value} for value in schema["enum"]]
    return None


def _accepts_value(schema: _Schema, value: Any) -> bool:
    """Return whether *schema*, which has no alternatives, accepts a constant."""
    if "const" in schema:
        return type(schema["const"]) is type(value) and bool(schema["const"] == value)
    kind = {str: "string", int: "integer", bool: "boolean", float: "number", type(None): "null"}.get(type(value))
    if schema.get("type", kind) not in (kind, "number" if kind == "integer" else kind):
        return False
    if isinstance(value, str):
        fits = schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
        return fits and "format" not in schema and re.search(schema.get("pattern", ""), value) is not None
    if kind in ("integer", "number"):
        low, high = _range(schema)
        return low <= (value, 0) <= high and ("multipleOf" not in schema or value % schema["multipleOf"] == 0)
    return True


def _range(schema: _Schema) -> tuple[tuple[float, int], tuple[float, int]]:
    """Return the smallest and the largest number, each with 0, or with 1 or -1 if it is excluded itself."""
    low = max((schema.get("minimum", -math.inf), 0), (schema.get("exclusiveMinimum", -math.inf), 1))
    high = min((schema.get("maximum", math.inf), 0), (schema.get("exclusiveMaximum", math.inf), -1))
    return low, high


def _is_number(wide: _Schema, narrow: _Schema) -> bool:
    return bool(wide["type"] == "number" and narrow.get("type") == "integer")


def _accepts_members(wide: _Schema, narrow: _Schema, wide_side: _Side, narrow_side: _Side) -> bool:
    if any(member not in narrow.get("required", ()) for member in wide.get("required", ())):
        return False
    members = narrow.get("properties", {})
    if wide.get("additionalProperties") is False and members.keys() - wide.get("properties", {}).keys():
        return False
    pairs = [(each, members[name]) for name, each in wide.get("properties", {}).items() if name in members]
    for key in ("items", "additionalProperties"):
        outer, inner = wide.get(key), narrow.get(key)
        if isinstance(outer, dict) and key == "additionalProperties" and "properties" in narrow:
            pairs += [(outer, each) for each in members.values()]
        elif isinstance(outer, list) and isinstance(inner, list) and len(outer) == len(inner):
            pairs += zip(outer, inner, strict=True)
        elif isinstance(outer, dict) and isinstance(inner, list):
            pairs += [(outer, each) for each in inner]
        elif isinstance(outer, dict) and outer and isinstance(inner, dict):
            pairs.append((outer, inner))
        elif outer and outer is not True:
            return False
    return all(_accepts(first, second, wide_side, narrow_side) for first, second in pairs)
