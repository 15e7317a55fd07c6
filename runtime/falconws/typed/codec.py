"""The messages of one direction of a conversation, from payloads and back; decoders and encoders are made once.

Uses the adapters in ``kinds.py`` for everything that depends on the kind of class. Knows nothing of connections.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Never, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Struct

from .errors import InvalidMessageError
from .kinds import DECODE_ERRORS, MSGSPEC, TAG_FIELD, MessageKind, Payload

_Message = TypeVar("_Message")

__all__ = ("Codec", "kind_of", "message_types", "tag_of", "with_id")


def kind_of(message_type: type) -> MessageKind:
    """Return the adapter for *message_type*.

    Raises:
        TypeError: It is not one of the supported kinds of class.
    """
    if isinstance(message_type, type):
        if issubclass(message_type, Struct) or dataclasses.is_dataclass(message_type):
            return MSGSPEC
        if hasattr(message_type, "__pydantic_validator__"):
            from .pydantic_kind import PYDANTIC

            return PYDANTIC
    raise TypeError(
        f"{getattr(message_type, '__name__', message_type)!r} cannot be a message: "
        "use a msgspec Struct, a dataclass or a pydantic model."
    )


def message_types(union: Any) -> tuple[type, ...]:
    """Return the classes in a union, flattened. Aliases and ``Annotated`` are looked through; Never is no class."""
    if hasattr(union, "__value__"):
        return message_types(union.__value__)
    if get_origin(union) is Annotated:
        return message_types(get_args(union)[0])
    if get_origin(union) in (Union, UnionType):
        return tuple(found for member in get_args(union) for found in message_types(member))
    return () if union in (None, type(None), Never) else (union,)


def tag_of(message_type: type) -> str:
    """Return the tag of a message type.

    Raises:
        TypeError: It has none; the message says how to give it one.
    """
    tag = kind_of(message_type).tag(message_type)
    if tag is None:
        name = message_type.__name__
        how = (
            f'write `class {name}(Struct, tag="...")`'
            if issubclass(message_type, Struct)
            else f'give it a field `{TAG_FIELD}: Literal["..."] = "..."`'
        )
        raise TypeError(f"{name} has no tag: {how}.")
    return tag


def with_id(message: _Message, call_id: int | str | None) -> _Message:
    """Return a copy of *message* with the ``id`` of a call; the message itself stays as it is, and may be frozen.

    Raises:
        TypeError: Its class has no field ``id``.
    """
    message_type = type(message)
    if not hasattr(message, "id"):
        raise TypeError(f"{message_type.__name__} has no field `id`, which a call and its reply need.")
    made: _Message = kind_of(message_type).with_field(message, "id", call_id)
    return made


class Codec:
    """Decodes and encodes the messages of one direction of a conversation.

    Args:
        owner: The name of the conversation, for errors.
        message_types: The classes; their tags must differ.

    Raises:
        TypeError: A class has no tag, or two have the same one.
    """

    def __init__(self, owner: str, message_types: Sequence[type]) -> None:
        self.by_tag: dict[str, type] = {}
        for message_type in message_types:
            other = self.by_tag.setdefault(tag_of(message_type), message_type)
            if other is not message_type:
                raise TypeError(
                    f"{owner}: {other.__name__} and {message_type.__name__} have the same tag {tag_of(other)!r}."
                )
        self.encoders = _Encoders({each: kind_of(each).encoder(each) for each in message_types})
        """Return the JSON of a message, by its class; a TypeError for a class that is not declared."""
        self.decode: Callable[[Payload], Any] = self._make_decoder()
        """Return the message in a payload; raises one of DECODE_ERRORS, which ``explain()`` reads."""

    def _make_decoder(self) -> Callable[[Payload], Any]:
        types = tuple(self.by_tag.values())
        if types and all(issubclass(each, Struct) for each in types):
            # One pass in C; the other kinds cannot stand in one union, so their tag is read first.
            return MSGSPEC.decoder(reduce(or_, types))
        decoders = {tag: kind_of(each).decoder(each) for tag, each in self.by_tag.items()}

        def decode(payload: Payload) -> Any:
            decoder = decoders.get(_peek(payload).type)
            if decoder is None:
                raise ValueError("Expected a message of this conversation")
            return decoder(payload)

        return decode

    def encode(self, message: Any) -> str:
        """Return the JSON text of *message*.

        Raises:
            TypeError: It is not of a class that this direction declares.
        """
        return self.encoders[message.__class__](message).decode()

    def explain(self, payload: Payload, error: Exception) -> InvalidMessageError:
        """Return what is wrong with *payload*, of which ``decode`` has raised *error*."""
        if not isinstance(payload, str):
            return InvalidMessageError("not_a_message", "Expected a TEXT message, got a BINARY one", None)
        try:
            about = _peek(payload)
        except DECODE_ERRORS as unreadable:
            return InvalidMessageError("not_a_message", str(unreadable), None)
        if not isinstance(about.type, str):
            wrong = "Object missing required field `type`" if about.type is None else "Expected `str`"
            return InvalidMessageError("not_a_message", wrong, "$.type", call_id=_id(about.id))
        message_type = self.by_tag.get(about.type)
        if message_type is None:
            return InvalidMessageError(
                "unknown_type", "This conversation has no such message", "$.type", about.type, _id(about.id)
            )
        text, path = kind_of(message_type).explain(error)
        return InvalidMessageError("invalid_message", text, path, about.type, _id(about.id))


class _Encoders(dict[type, Callable[[Any], bytes]]):
    """The encoder of each class."""

    def __missing__(self, kind: type) -> Callable[[Any], bytes]:
        names = ", ".join(each.__name__ for each in self) or "nothing"
        raise TypeError(f"{kind.__name__} is not a message of this direction, which has {names}.")


class _Peek(Struct):
    """The two members of a message that are read even when the rest is wrong."""

    type: Any = None
    id: Any = None


_peek: Callable[[Payload], _Peek] = msgspec.json.Decoder(_Peek).decode

_MAX_ID_CHARACTERS = 64


def _id(value: Any) -> int | str | None:
    if isinstance(value, str):
        return value if len(value) <= _MAX_ID_CHARACTERS and value.isprintable() else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None
