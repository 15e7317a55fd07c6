"""Pydantic models as messages: one adapter. Imported only when a conversation has such a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.json_schema import models_json_schema

from .kinds import TAG_FIELD, Payload, literal_tag

__all__ = ("PYDANTIC",)


class _PydanticKind:
    """Models with a field ``type: Literal["tag"] = "tag"``."""

    def tag(self, message_type: type[BaseModel]) -> str | None:
        field = message_type.model_fields.get(TAG_FIELD)
        return None if field is None else literal_tag(field.annotation)

    def decoder(self, message_type: type[BaseModel]) -> Callable[[Payload], Any]:
        # model_validate_json() does no more, but passes on ten arguments.
        decode: Callable[[Payload], Any] = message_type.__pydantic_validator__.validate_json
        return decode

    def encoder(self, message_type: type[BaseModel]) -> Callable[[Any], bytes]:
        return message_type.__pydantic_serializer__.to_json

    def convert(self, value: Mapping[str, Any], message_type: type[BaseModel]) -> Any:
        return message_type.model_validate(value)

    def with_field(self, message: BaseModel, name: str, value: Any) -> BaseModel:
        return message.model_copy(update={name: value})

    def schemas(self, message_types: Sequence[type[BaseModel]], ref_template: str) -> tuple[list[Any], dict[str, Any]]:
        found, definitions = models_json_schema(
            [(each, "serialization") for each in message_types], ref_template=ref_template.replace("{name}", "{model}")
        )
        return [found[each, "serialization"] for each in message_types], definitions.get("$defs", {})

    def explain(self, error: Exception) -> tuple[str, str | None]:
        if not isinstance(error, ValidationError):
            return str(error), None
        first, *others = error.errors(include_url=False, include_context=False, include_input=False)
        path = "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
        more = f" (and {len(others)} more)" if others else ""
        return first["msg"] + more, path


PYDANTIC = _PydanticKind()
