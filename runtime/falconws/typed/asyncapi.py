"""The AsyncAPI document of an application: its typed routes, their messages, and who sends what.

Version 3.0.0: not all tools read 3.1, which adds nothing that is used here. Knows conversations and
message types; knows no server and no file.

Source: https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from .codec import kind_of, message_types, tag_of
from .conversation import Conversation
from .kinds import TAG_FIELD, MessageKind
from .messages import Call, CallMixin, Error, has_id
from .security import describe_security, security_schemes_of
from .speaks import conversations_of

if TYPE_CHECKING:
    from ..app import App

__all__ = ("MessageSchemas", "asyncapi", "replies_to", "typed_routes", "types_of")

ASYNCAPI_VERSION = "3.0.0"
_SCHEMAS = "#/components/schemas/"
_FIELD = re.compile(r"\{(\w+)(?::[^}]*)?\}")
_ERROR_CODES = ("not_a_message", "unknown_type", "invalid_message")

_Document = dict[str, Any]
_Conversation = type[Conversation[Any, Any]]


def typed_routes(app: App[Any, Any]) -> list[tuple[str, _Conversation]]:
    """Return URI template and conversation of each typed route, in the order of ``add_route()``.

    A route that speaks several versions is there once for each.
    """
    return [
        (uri_template, conversation)
        for uri_template, responder in app.websocket_routes.items()
        for conversation in conversations_of(responder)
    ]


def asyncapi(
    app: App[Any, Any],
    *,
    title: str = "WebSocket API",
    version: str = "1.0.0",
    servers: Mapping[str, str] | None = None,
) -> _Document:
    """Return the AsyncAPI document of *app*, which JSON can express.

    What a schema accepts the decoder accepts, and the other way round, except in two cases: 1.0 is an integer to JSON
    Schema only, and a ``Decimal``, which the document calls a string, may be sent as a number too.

    Args:
        app: Its untyped routes are left out.
        title: The name of the API.
        version: The version of the API.
        servers: URLs such as ``wss://example.com`` by name; none are needed.

    Raises:
        TypeError: Two message types of different libraries have the same name, a conversation does not declare the
            reply to one of its calls, or the ``security_schemes`` of a middleware are not Security Scheme Objects.
    """
    routes = typed_routes(app)
    security = security_schemes_of(app)
    schemas = MessageSchemas(kind for _, conversation in routes for kind in types_of(conversation))
    document = _Builder(schemas, security)
    for uri_template, conversation in routes:
        document.add(uri_template, conversation)
    made: _Document = {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {"title": title, "version": version},
        "defaultContentType": "application/json",
    }
    if servers:
        made["servers"] = {name: _server(url) for name, url in servers.items()}
    components: _Document = {"messages": document.messages, "schemas": schemas.components}
    if security:
        components["securitySchemes"] = security
    made |= {"channels": document.channels, "operations": document.operations, "components": components}
    return made


def replies_to(call: type) -> tuple[type, ...]:
    """Return the types that answer a message: the parameters of ``Call`` or ``CallMixin``; none if it is no call."""
    for owner in call.__mro__:
        for base in owner.__dict__.get("__orig_bases__", ()):
            if get_origin(base) in (Call, CallMixin):
                # The name of a class that is defined further down, perhaps.
                annotations = {"__annotations__": {"reply": get_args(base)[0]}, "__module__": owner.__module__}
                return message_types(get_type_hints(type("Names", (), annotations))["reply"])
    return ()


def types_of(conversation: _Conversation) -> list[type]:
    """Return the message types of both directions, and the type of the query."""
    found = [*conversation.received.by_tag.values(), *conversation.sent.by_tag.values()]
    return found if conversation.query is None else [*found, conversation.query]


def _server(url: str) -> _Document:
    protocol, _, rest = url.rpartition("://")
    host, slash, path = rest.partition("/")
    return {"host": host, "protocol": protocol or "wss"} | ({"pathname": slash + path} if path else {})


class MessageSchemas:
    """The JSON Schemas of message types, as components of the document."""

    def __init__(self, types: Iterable[type]) -> None:
        self.components: _Document = {}
        self._references: dict[type, str] = {}
        by_kind: dict[MessageKind, list[type]] = {}
        for each in dict.fromkeys(types):
            by_kind.setdefault(kind_of(each), []).append(each)
        for kind, members in by_kind.items():
            self._add(kind, members)
        for each in self._references:
            self._require_tag(each)

    def _add(self, kind: MessageKind, members: Sequence[type]) -> None:
        found, components = kind.schemas(members, _SCHEMAS + "{name}")
        twice = components.keys() & self.components.keys()
        if twice:
            raise TypeError(f"Two message types are called {min(twice)}: rename one of them.")
        self.components |= {name: to_draft_07(schema) for name, schema in components.items()}
        self._references |= {each: schema["$ref"] for each, schema in zip(members, found, strict=True)}

    def _require_tag(self, message_type: type) -> None:
        schema = self[message_type]
        if TAG_FIELD in schema.get("properties", {}) and kind_of(message_type).tag(message_type) is not None:
            schema["required"] = list(dict.fromkeys([TAG_FIELD, *schema.get("required", ())]))

    def __getitem__(self, message_type: type) -> _Document:
        schema: _Document = self.components[self.name(message_type)]
        return schema

    def name(self, message_type: type) -> str:
        """Return the name of the component of *message_type*."""
        return self._references[message_type].removeprefix(_SCHEMAS)


class _Builder:
    """Collects channels, operations and messages, one typed route after the other."""

    def __init__(self, schemas: MessageSchemas, security: Mapping[str, _Document]) -> None:
        self.channels: _Document = {}
        self.operations: _Document = {}
        self.messages: _Document = {}
        self._schemas = schemas
        self._security = security

    def add(self, uri_template: str, conversation: _Conversation) -> None:
        name = conversation.__name__
        if name in self.channels:
            name += "".join(word.capitalize() for word in re.findall(r"[0-9A-Za-z]+", uri_template))
        channel = self.channels[name] = self._channel(uri_template, conversation)
        prefix = name[0].lower() + name[1:]
        answers = {reply for call in conversation.received.by_tag.values() for reply in replies_to(call)}
        for tag, message_type in conversation.received.by_tag.items():
            self.operations[f"{prefix}.{_camel(tag)}"] = self._received(
                name, channel, message_type, conversation.sent.by_tag.values()
            )
        for tag, message_type in conversation.sent.by_tag.items():
            reference = self._message(name, channel, message_type)
            if message_type not in answers:
                key = f"{prefix}.{_camel(tag)}"
                self.operations[key + ".sent" if key in self.operations else key] = self._operation(
                    "send", name, reference
                )

    def _operation(self, action: str, channel_name: str, message: _Document) -> _Document:
        operation: _Document = {
            "action": action,
            "channel": {"$ref": f"#/channels/{channel_name}"},
            "messages": [message],
        }
        if self._security:
            operation["security"] = [{"$ref": f"#/components/securitySchemes/{name}"} for name in self._security]
        return operation

    def _channel(self, uri_template: str, conversation: _Conversation) -> _Document:
        channel: _Document = {"address": _FIELD.sub(r"{\1}", uri_template), "title": conversation.__name__}
        summary = inspect.cleandoc(conversation.__doc__ or "").partition("\n")[0]
        if summary:
            channel["summary"] = summary
        channel["description"] = "\n\n".join(filter(None, (describe(conversation), self._describe_handshake())))
        channel["messages"] = {}
        fields = _FIELD.findall(uri_template)
        if fields:
            channel["parameters"] = {field: {} for field in fields}
        binding: _Document = {"method": "GET", "bindingVersion": "0.1.0"}
        query = self._query(conversation)
        if query is not None:
            binding["query"] = query
        channel["bindings"] = {"ws": binding}
        if conversation.subprotocol is not None:
            channel["x-subprotocol"] = conversation.subprotocol
        if conversation.close_codes:
            channel["x-close-codes"] = {str(code): text for code, text in conversation.close_codes.items()}
        if conversation.errors:
            channel["x-errors"] = dict(conversation.errors)
        if can_resume(conversation):
            channel["x-resume"] = {"query": "since", "field": "position"}
        return channel

    def _describe_handshake(self) -> str:
        if not self._security:
            return ""
        return f"The handshake needs {' or '.join(map(describe_security, self._security.values()))}."

    def _query(self, conversation: _Conversation) -> _Document | None:
        properties: _Document = {}
        required: list[str] = []
        if conversation.query is not None:
            schema = self._schemas[conversation.query]
            properties |= schema.get("properties", {})
            required += schema.get("required", ())
        if can_resume(conversation):
            properties["since"] = {"type": "string", "description": "The last position that the client has seen."}
        if not properties:
            return None
        return {"type": "object", "properties": properties} | ({"required": required} if required else {})

    def _received(self, name: str, channel: _Document, message_type: type, sent: Collection[type]) -> _Document:
        operation = self._operation("receive", name, self._message(name, channel, message_type))
        replies = replies_to(message_type)
        for reply in replies:
            if reply not in sent:
                raise TypeError(
                    f"{channel['title']}: {reply.__name__} answers {message_type.__name__}, "
                    "but is not declared as a message to the client."
                )
            if not has_id(reply):
                raise TypeError(
                    f"{channel['title']}: {reply.__name__} answers {message_type.__name__}, but has no field `id`."
                )
        if replies:
            operation["reply"] = {
                "channel": {"$ref": f"#/channels/{name}"},
                "messages": [self._message(name, channel, each) for each in (*replies, Error)],
            }
        return operation

    def _message(self, name: str, channel: _Document, message_type: type) -> _Document:
        key = self._schemas.name(message_type)
        if key not in self.messages:
            schema = self._schemas[message_type]
            message = self.messages[key] = {
                "name": tag_of(message_type),
                "title": message_type.__name__,
                "contentType": "application/json",
                "payload": {"$ref": _SCHEMAS + key},
            }
            summary = schema.get("description", "").strip().partition("\n")[0]
            if summary:
                message["summary"] = summary
            if "id" in schema.get("properties", {}):
                message["correlationId"] = {"location": "$message.payload#/id"}
        channel["messages"][key] = {"$ref": f"#/components/messages/{key}"}
        return {"$ref": f"#/channels/{name}/messages/{key}"}


def can_resume(conversation: _Conversation) -> bool:
    """Return whether clients of *conversation* are sent positions from which they can resume."""
    return "gap" in conversation.sent.by_tag


def describe(conversation: _Conversation) -> str:
    """Return the docstring of *conversation*, and in words what AsyncAPI has no fields for."""
    parts = [inspect.getdoc(conversation) or ""] if conversation.__doc__ else []
    if conversation.subprotocol is not None:
        parts.append(f"Offer the WebSocket subprotocol `{conversation.subprotocol}`.")
    if can_resume(conversation):
        parts.append("To resume after a reconnect, send the last `position` as the query parameter `since`.")
    if conversation.close_codes:
        codes = "; ".join(f"{code} ({text})" for code, text in conversation.close_codes.items())
        parts.append(f"Do not reconnect after these close codes: {codes}.")
    codes = ", ".join(f"`{code}`" for code in (*_ERROR_CODES, *conversation.errors))
    parts.append(f"A message that is not accepted is answered with `error`, whose `code` is one of {codes}.")
    return "\n\n".join(parts)


def _camel(tag: str) -> str:
    head, *tail = re.split(r"[^0-9A-Za-z]+", tag)
    return head + "".join(part.capitalize() for part in tail)


def to_draft_07(schema: Any) -> Any:
    """Return a JSON Schema of draft 2020-12 as one of draft 07, on which AsyncAPI's own schemas are based."""
    if isinstance(schema, list):
        return [to_draft_07(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made: _Document = {}
    for key, value in schema.items():
        match key:
            case "properties" | "definitions":
                made[key] = {name: to_draft_07(each) for name, each in value.items()}
            case "discriminator":
                # In AsyncAPI a text, in OpenAPI and in what msgspec writes an object.
                made[key] = value["propertyName"]
            case "prefixItems":
                made["items"] = to_draft_07(value)
                made["additionalItems"] = False
            case "items" if "prefixItems" in schema:
                pass
            case "enum" if len(value) == 1 and isinstance(value[0], str):
                made |= {"type": "string", "const": value[0]}
            case "default" | "const" | "enum" | "examples":
                made[key] = value
            case _:
                made[key] = to_draft_07(value)
    return made
