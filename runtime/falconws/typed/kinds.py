"""The libraries whose classes can be messages: the port, and its adapter for msgspec Structs and dataclasses.

The adapter for pydantic stands in a module of its own, so that pydantic is imported only where it is used. Must not
know conversations.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, get_args, get_origin, get_type_hints

import msgspec

__all__ = ("DECODE_ERRORS", "MSGSPEC", "TAG_FIELD", "MessageKind", "Payload", "literal_tag")

TAG_FIELD = "type"
"""The member of every message that names its type."""

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
        return list(schemas), components

    def explain(self, error: Exception) -> tuple[str, str | None]:
        """Split msgspec's text, which has no attribute for the path, at the place where it always stands."""
        text, _, at = str(error).partition(" - at `")
        path = at.removesuffix("`") or None
        missing = re.fullmatch(r"Object missing required field `(.+)`", text)
        if missing:
            path = f"{path or '$'}.{missing[1]}"
        return text, path


MSGSPEC = _MsgspecKind()


def literal_tag(annotation: Any) -> str | None:
    """Return the one text of a Literal, or None for any other annotation."""
    if get_origin(annotation) is not Literal:
        return None
    values = get_args(annotation)
    return values[0] if len(values) == 1 and isinstance(values[0], str) else None
