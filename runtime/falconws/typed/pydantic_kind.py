"""Pydantic models as messages: one adapter. Imported only when a conversation has such a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema

from .kinds import TAG_FIELD, Payload, literal_tag, restrict_time

__all__ = ("PYDANTIC",)


_DATE = r"\d{4}-\d{2}-\d{2}[Tt _]"
_TIME = r"\d{2}:\d{2}(:\d{2}(\.\d+)?)?"
_OFFSET = r"([Zz]|[+-]\d{2}:?\d{2})"


class _AcceptedJsonSchema(GenerateJsonSchema):
    """Makes schemas that accept what the decoder accepts, where pydantic makes them wider or narrower."""

    def set_schema(self, schema: Any) -> JsonSchemaValue:
        # A set takes an item that is there twice once.
        return {key: value for key, value in super().set_schema(schema).items() if key != "uniqueItems"}

    def frozenset_schema(self, schema: Any) -> JsonSchemaValue:
        return {key: value for key, value in super().frozenset_schema(schema).items() if key != "uniqueItems"}

    def dict_schema(self, schema: Any) -> JsonSchemaValue:
        made = super().dict_schema(schema)
        if schema.get("keys_schema", {}).get("type") == "int":
            # Keys are read leniently even in strict mode.
            made.setdefault("propertyNames", {"pattern": r"^\s*[+-]?\d+(_\d+)*(\.0*)?\s*$"})
        return made

    def datetime_schema(self, schema: Any) -> JsonSchemaValue:
        return _moment(super().datetime_schema(schema), schema, has_date=True)

    def time_schema(self, schema: Any) -> JsonSchemaValue:
        return _moment(super().time_schema(schema), schema, has_date=False)


def _moment(made: JsonSchemaValue, schema: Any, *, has_date: bool) -> JsonSchemaValue:
    zone = schema.get("tz_constraint")
    if zone in (None, "naive"):
        offset = _OFFSET + "?" if zone is None else ""
        pattern = f"^{_DATE if has_date else ''}{_TIME}{offset}$"
        restrict_time(made, pattern, has_date=has_date, offset="optional" if zone is None else "forbidden")
    return made


class _PydanticKind:
    """Models with a field ``type: Literal["tag"] = "tag"``."""

    def tag(self, message_type: type[BaseModel]) -> str | None:
        field = message_type.model_fields.get(TAG_FIELD)
        return None if field is None else literal_tag(field.annotation)

    def decoder(self, message_type: type[BaseModel]) -> Callable[[Payload], Any]:
        # model_validate_json() does no more, but passes on ten arguments. Strict, as the schema and the
        # other kinds of message are, if the model does not decide: otherwise, "5" and true would be integers.
        strict = None if "strict" in message_type.model_config else True
        return partial(message_type.__pydantic_validator__.validate_json, strict=strict)

    def encoder(self, message_type: type[BaseModel]) -> Callable[[Any], bytes]:
        return message_type.__pydantic_serializer__.to_json

    def convert(self, value: Mapping[str, Any], message_type: type[BaseModel]) -> Any:
        return message_type.model_validate(value)

    def with_field(self, message: BaseModel, name: str, value: Any) -> BaseModel:
        return message.model_copy(update={name: value})

    def schemas(self, message_types: Sequence[type[BaseModel]], ref_template: str) -> tuple[list[Any], dict[str, Any]]:
        found, definitions = models_json_schema(
            [(each, "serialization") for each in message_types],
            ref_template=ref_template.replace("{name}", "{model}"),
            schema_generator=_AcceptedJsonSchema,
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
