"""The libraries whose classes can be messages: the port, and its adapter for msgspec Structs and dataclasses.

The adapter for pydantic stands in a module of its own, so that pydantic is imported only where it is used. Must not
know conversations.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, get_args, get_origin, get_type_hints

import msgspec
from msgspec import inspect as types

__all__ = (
    "DECODE_ERRORS",
    "MSGSPEC",
    "PATTERN_WORDS",
    "TAG_FIELD",
    "MessageKind",
    "Payload",
    "literal_tag",
    "restrict_time",
)

TAG_FIELD = "type"
"""The member of every message that names its type."""

PATTERN_WORDS = "x-pattern-in-words"
"""The member of a schema that says in words what its "pattern" means."""

Payload = str | bytes
DECODE_ERRORS = (ValueError, RecursionError)
"""What a decoder raises for a payload that it cannot take; msgspec's and pydantic's own errors are ValueErrors."""


class MessageKind(Protocol):
    """What the package asks of a family of classes; one adapter a library."""

    def tag(self, message_type: type) -> str | None:
        """Return what *message_type* says in its "type" member, or None when it has no fixed one."""

    def decoder(self, message_type: type) -> Callable[[Payload], Any]:
        """Return a function from a JSON payload to an instance; it raises one of DECODE_ERRORS."""

    def encoder(self, message_type: type) -> Callable[[Any], bytes]:
        """Return a function from an instance to its JSON."""

    def convert(self, value: Mapping[str, Any], message_type: type) -> Any:
        """Return an instance made of *value*, whose members may be texts; raise one of DECODE_ERRORS."""

    def with_field(self, message: Any, name: str, value: Any) -> Any:
        """Return a copy of *message*, which may be frozen, in which the field *name* is *value*."""

    def schemas(self, message_types: Sequence[type], ref_template: str) -> tuple[list[Any], dict[str, Any]]:
        """Return the JSON Schema of each type, and the components that they refer to by *ref_template*."""

    def explain(self, error: Exception) -> tuple[str, str | None]:
        """Return what is wrong, and the path of the member, from an error of the decoder."""


class _MsgspecKind:
    """Structs, and dataclasses with a field ``type: Literal["tag"] = "tag"``."""

    _encoder = msgspec.json.Encoder()

    def tag(self, message_type: type) -> str | None:
        config = getattr(message_type, "__struct_config__", None)
        if config is not None:
            tagged = config.tag_field == TAG_FIELD and isinstance(config.tag, str)
            return config.tag if tagged else None
        return literal_tag(get_type_hints(message_type).get(TAG_FIELD))

    def decoder(self, message_type: type) -> Callable[[Payload], Any]:
        decode: Callable[[Payload], Any] = msgspec.json.Decoder(message_type).decode
        return decode

    def encoder(self, message_type: type) -> Callable[[Any], bytes]:
        return self._encoder.encode

    def convert(self, value: Mapping[str, Any], message_type: type) -> Any:
        return msgspec.convert(value, message_type, strict=False)

    def with_field(self, message: Any, name: str, value: Any) -> Any:
        made = copy.copy(message)
        # Neither calls the __setattr__() of a frozen class.
        if isinstance(made, msgspec.Struct):
            msgspec.structs.force_setattr(made, name, value)
        else:
            object.__setattr__(made, name, value)
        return made

    def schemas(self, message_types: Sequence[type], ref_template: str) -> tuple[list[Any], dict[str, Any]]:
        schemas, components = msgspec.json.schema_components(message_types, ref_template=ref_template)
        by_reference = {ref_template.format(name=name): schema for name, schema in components.items()}
        for info, schema in zip(types.multi_type_info(message_types), schemas, strict=True):
            _correct(info, schema, by_reference)
        return list(schemas), components

    def explain(self, error: Exception) -> tuple[str, str | None]:
        """Split msgspec's text, which has no attribute for the path, at the place where it always stands."""
        text, _, at = str(error).partition(" - at `")
        path = at.removesuffix("`") or None
        missing = re.fullmatch(r"Object missing required field `(.+)`", text)
        if missing:
            path = f"{path or '$'}.{missing[1]}"
        return text, path


_DATE = r"\d{4}-\d{2}-\d{2}[Tt ]"
_TIME = r"\d{2}:\d{2}:\d{2}(\.\d+)?"
_OFFSET = r"([Zz]|[+-]\d{2}:\d{2})"
_KEYS: dict[type[types.Type], dict[str, Any]] = {
    types.IntType: {"pattern": r"^-?(0|[1-9]\d*)$"},
    types.FloatType: {"pattern": r"^-?(0|[1-9]\d*)(\.\d+)?([Ee][+-]?\d+)?$"},
    types.UUIDType: {"format": "uuid"},
    types.DateType: {"format": "date"},
    types.TimeDeltaType: {"format": "duration"},
}


def restrict_time(schema: dict[str, Any], pattern: str, *, has_date: bool, offset: str) -> None:
    """Say in *schema* which texts a ``datetime`` or ``time`` accepts whose *offset* is "optional" or "forbidden".

    The formats of JSON Schema require an offset. What the pattern means stands beside it in words, for people.
    """
    words = ("a date and time" if has_date else "a time") + (
        ", with or without an offset" if offset == "optional" else " without an offset"
    )
    example = ("2030-01-31T" if has_date else "") + "12:00:00" + ("Z" if offset == "optional" else "")
    schema.pop("format", None)
    for key, value in (("pattern", pattern), (PATTERN_WORDS, words), ("examples", [example])):
        schema.setdefault(key, value)


def _correct(info: types.Type, schema: dict[str, Any], unread: dict[str, dict[str, Any]]) -> None:
    """Let *schema* accept what the decoder accepts, where msgspec makes it wider or narrower.

    Args:
        info: The type of *schema*.
        schema: What msgspec has made of the type; changed in place.
        unread: The components by their references; those that were visited are removed.
    """
    while isinstance(info, types.Metadata):
        info = info.type
    schema = unread.pop(schema["$ref"], {}) if "$ref" in schema else schema
    parts: list[tuple[types.Type, dict[str, Any]]] = []
    match info:
        case types.DateTimeType(tz=None | False) | types.TimeType(tz=None | False):
            is_date = isinstance(info, types.DateTimeType)
            pattern = f"^{_DATE if is_date else ''}{_TIME}{_OFFSET + '?' if info.tz is None else ''}$"
            offset = "optional" if info.tz is None else "forbidden"
            restrict_time(schema, pattern, has_date=is_date, offset=offset)
        case types.CollectionType() if "items" in schema:
            # A set takes an item that is there twice once.
            schema.pop("uniqueItems", None)
            parts = [(info.item_type, schema["items"])]
        case types.TupleType():
            parts = list(zip(info.item_types, schema.get("prefixItems", ()), strict=False))
        case types.DictType() if "additionalProperties" in schema:
            parts = [(info.value_type, schema["additionalProperties"])]
            keys = _key_schema(info.key_type)
            if keys:
                schema.setdefault("propertyNames", keys)
        case types.UnionType():
            # The order in which msgspec writes them.
            parts = list(zip(sorted(info.types, key=_rank), _alternatives(schema), strict=False))
        case types.StructType() | types.DataclassType() | types.TypedDictType() | types.NamedTupleType() if schema:
            of_fields = (
                [schema["properties"][field.encode_name] for field in info.fields]
                if "properties" in schema
                # The tag comes first.
                else schema.get("prefixItems", [])[-len(info.fields) :]
            )
            parts = [(field.type, each) for field, each in zip(info.fields, of_fields, strict=False)]
    for part, part_schema in parts:
        _correct(part, part_schema, unread)


def _key_schema(info: types.Type) -> dict[str, Any]:
    """Return the schema of the names in an object whose keys are of a type that is no text; empty for any name."""
    while isinstance(info, types.Metadata):
        info = info.type
    values: Iterable[object] = ()
    match info:
        case types.DateTimeType(tz=True):
            return {"format": "date-time"}
        case types.DateTimeType() | types.TimeType():
            schema: dict[str, Any] = {}
            _correct(info, schema, {})
            return schema
        case types.EnumType():
            values = [member.value for member in info.cls]
        case types.LiteralType():
            values = info.values
    return {"enum": [str(value) for value in values]} if values else dict(_KEYS.get(type(info), {}))


def _rank(info: types.Type) -> int:
    while isinstance(info, types.Metadata):
        info = info.type
    if isinstance(info, types.NoneType):
        return 2
    return int(isinstance(info, types.StructType) and not info.array_like)


def _alternatives(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the schemas of a union, flattened."""
    return [found for each in schema["anyOf"] for found in _alternatives(each)] if "anyOf" in schema else [schema]


MSGSPEC = _MsgspecKind()


def literal_tag(annotation: Any) -> str | None:
    """Return the one text of a Literal, or None for any other annotation."""
    if get_origin(annotation) is not Literal:
        return None
    values = get_args(annotation)
    return values[0] if len(values) == 1 and isinstance(values[0], str) else None
