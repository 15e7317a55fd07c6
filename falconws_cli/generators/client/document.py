"""Reads the conversations and their types from an AsyncAPI document that falconws has written. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from falconws_cli.errors import UnavailableError

Schema = dict[str, Any]

_ERROR = "Error"
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_SCHEMA = re.compile(r"[\w.,\[\] -]+")
_PATH = re.compile(r"(?:[A-Za-z0-9_./~%!$&'()+,;=:@-]|\{\w+\})+", re.ASCII)


class UnknownDocumentError(Exception):
    """The document was not written by falconws; the message says what is missing."""


@dataclass(frozen=True)
class ConversationSpec:
    """One conversation on one route. Types are named as in the document's `components`."""

    name: str
    """The name of the channel: that of the class, or of class and route."""
    summary: str
    path: str
    """The URI template, with fields such as {room}."""
    fields: tuple[str, ...]
    """The fields of the URI template."""
    query: Schema | None
    """The schema of the query, without `since`; None for no query."""
    subprotocol: str | None
    resumes: bool
    close_codes: Mapping[int, str]
    errors: Mapping[str, str]
    """The codes of errors that the conversation declares, and their meaning."""
    sends: Mapping[str, str]
    """The messages of the client: the type of each tag."""
    receives: Mapping[str, str]
    """The messages of the server: replies included, errors excluded."""
    replies: Mapping[str, tuple[str, ...]]
    """The tags of the replies to each call, by its tag."""


@dataclass(frozen=True)
class ContractDocument:
    """All conversations of a document, and the schemas of their types."""

    title: str
    conversations: tuple[ConversationSpec, ...]
    schemas: Mapping[str, Schema]

    def only(self, names: Collection[str]) -> ContractDocument:
        """Return the document with the conversations called *names*, and no others.

        Raises:
            UnavailableError: There is no such conversation.
        """
        known = [each.name for each in self.conversations]
        for name in names:
            if name not in known:
                raise UnavailableError(f'There is no conversation "{name}"; there are {", ".join(known) or "none"}.')
        return replace(self, conversations=tuple(each for each in self.conversations if each.name in names))

    def types_of(self, conversation: ConversationSpec) -> list[str]:
        """Return the types of a conversation and all that they refer to, in the order of first use."""
        found: dict[str, None] = {}
        self._visit(conversation.sends.values(), found)
        self._visit(conversation.receives.values(), found)
        self._visit(references(conversation.query), found)
        return list(found)

    def _visit(self, names: Iterable[str], found: dict[str, None]) -> None:
        for name in names:
            if name not in found:
                found[name] = None
                self._visit(references(self.schemas[name]), found)


def read_document(document: Mapping[str, Any]) -> ContractDocument:
    """Return what *document* says.

    Raises:
        UnknownDocumentError: It is not an AsyncAPI document of falconws.
    """
    try:
        schemas = document["components"]["schemas"]
        for name in schemas:
            if not _SCHEMA.fullmatch(name):
                raise ValueError(f"{name!r} is not the name of a type")
        reader = _Reader(document)
        conversations = tuple(reader.read(name, channel) for name, channel in document["channels"].items())
        title = re.sub(r"[^\w .:-]+", " ", str(document["info"]["title"]))
        found = ContractDocument(" ".join(title.split()), conversations, schemas)
        for conversation in conversations:
            found.types_of(conversation)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UnknownDocumentError(f"it is not an AsyncAPI document of falconws ({error!r})") from error
    return found


def references(schema: object) -> list[str]:
    """Return the names of the schemas that *schema* refers to."""
    return re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(schema))


class _Reader:
    def __init__(self, document: Mapping[str, Any]) -> None:
        self._messages = document["components"]["messages"]
        self._operations = list(document["operations"].values())

    def read(self, name: str, channel: Mapping[str, Any]) -> ConversationSpec:
        # Name and path become part of the generated code.
        if not _NAME.fullmatch(name) or not _PATH.fullmatch(channel["address"]):
            raise ValueError(f"{name!r} at {channel['address']!r} is not a conversation of falconws")
        sends: dict[str, str] = {}
        receives: dict[str, str] = {}
        replies: dict[str, tuple[str, ...]] = {}
        for operation in self._operations:
            if _last(operation["channel"]) != name:
                continue
            messages = self._types(operation["messages"])
            if operation["action"] == "receive":
                sends |= messages
                answers = self._types(operation.get("reply", {}).get("messages", ()))
                receives |= answers
                replies |= {tag: tuple(answers) for tag in messages if answers}
            else:
                receives |= messages
        # In the order of the declaration.
        declared = list(self._types(channel["messages"].values()))
        return ConversationSpec(
            name=name,
            summary=channel.get("summary", ""),
            path=channel["address"],
            fields=tuple(dict.fromkeys(re.findall(r"\{(\w+)\}", channel["address"]))),
            query=_query(channel),
            subprotocol=channel.get("x-subprotocol"),
            resumes="x-resume" in channel,
            close_codes={int(code): text for code, text in channel.get("x-close-codes", {}).items()},
            errors=channel.get("x-errors", {}),
            sends=sends,
            receives={tag: receives[tag] for tag in declared if tag in receives},
            replies=replies,
        )

    def _types(self, references: Iterable[Mapping[str, str]]) -> dict[str, str]:
        """Return the type of each tag, without falconws' own error."""
        names = map(_last, references)
        found = {name: self._messages[name] for name in names}
        return {
            message["name"]: _last(message["payload"])
            for message in found.values()
            if (message["name"], _last(message["payload"])) != ("error", _ERROR)
        }


def _last(reference: Mapping[str, str]) -> str:
    return reference["$ref"].rpartition("/")[2]


def _query(channel: Mapping[str, Any]) -> Schema | None:
    query: Schema | None = channel["bindings"]["ws"].get("query")
    if query is None:
        return None
    properties = {name: schema for name, schema in query["properties"].items() if name != "since"}
    return {**query, "properties": properties} if properties else None
