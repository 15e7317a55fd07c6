"""Renders conversations as TypeScript and JavaScript, formatted as prettier does. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from falconws_cli.generators.client.document import ContractDocument, ConversationSpec, Schema, references
from falconws_cli.generators.client.typetext import (
    WIDTH,
    Generic,
    Text,
    Type,
    alias,
    comment,
    describe_member,
    is_identifier,
    key,
    key_of,
    literal,
    member,
    named,
    type_of,
    union,
)

_RUNTIME_TYPES = ("Close", "ErrorMessage", "Options", "Source", "Status")
_RUNTIME_CLASSES = ("CallError", "Client")
_RESERVED = {*_RUNTIME_TYPES, *_RUNTIME_CLASSES, "Omit", "Record", "Route", "Error"}


class TypeScript:
    """The files of a document except the runtime.

    Args:
        document: The document.
        header: The comment at the top of each file.
        extension: The suffix of imported files: "", ".js" or ".ts".
    """

    def __init__(self, document: ContractDocument, header: str, extension: str) -> None:
        self._document = document
        self._header = header
        self._extension = extension
        self._names = _type_names(document)
        users = Counter(name for each in document.conversations for name in document.types_of(each))
        self._shared = [name for name in document.schemas if users[name] > 1]
        self.modules = {each.name: _file_name(each.name) for each in document.conversations}
        """The name of the file of each conversation, without its extension."""

    def files(self) -> dict[str, str]:
        """Return the text of each file, by its name."""
        files = {f"{self.modules[each.name]}.ts": self._conversation(each) for each in self._document.conversations}
        if self._shared:
            files["shared.ts"] = _joined(self._header, *map(self._declaration, self._shared))
        files["index.ts"] = self._index()
        return files

    def _index(self) -> str:
        modules = sorted([*self.modules.values(), *(["shared"] if self._shared else [])])
        lines = [f'export * from "./{module}{self._extension}";' for module in modules]
        lines.append(named("export", _RUNTIME_CLASSES, f"./runtime{self._extension}"))
        lines.append(named("export type", _RUNTIME_TYPES, f"./runtime{self._extension}"))
        return _joined(self._header, "\n".join(lines))

    def _conversation(self, conversation: ConversationSpec) -> str:
        own = [name for name in self._document.types_of(conversation) if name not in self._shared]
        return _joined(
            self._header,
            self._imports(conversation, own),
            *map(self._declaration, own),
            *self._contract(conversation),
            *self._functions(conversation),
        )

    def _imports(self, conversation: ConversationSpec, own: Sequence[str]) -> str:
        names = ["Client", "type ErrorMessage", "type Options", "type Route"]
        if conversation.query is not None:
            names.append("type Source")
        if conversation.errors:
            names.insert(1, "type ErrorCode")
        lines = [named("import", names, f"./runtime{self._extension}")]
        used = {*conversation.sends.values(), *conversation.receives.values(), *references(conversation.query)}
        used |= {reference for name in own for reference in references(self._document.schemas[name])}
        shared = [self._names[name] for name in self._shared if name in used]
        if shared:
            lines.append(named("import type", shared, f"./shared{self._extension}"))
        return "\n".join(lines)

    def react_imports(self) -> str:
        """Return what the hooks import of each conversation."""
        return "\n".join(
            named(
                "import", [f"create{name}", f"type {name}Client", f"type {name}Options"], f"./{module}{self._extension}"
            )
            for name, module in self.modules.items()
        )

    def react_hooks(self) -> str:
        """Return the hook of each conversation."""
        hooks = []
        for each in self._document.conversations:
            options = f"options: {each.name}Options{'' if _needs_options(each) else ' = {}'}"
            hooks.append(
                f"/** Return a client of {each.name} that is connected while the component is mounted. */\n"
                f"{_signature(f'use{each.name}', options, f'{each.name}Client')} {{\n"
                f"  return useClient(create{each.name}, options);\n}}"
            )
        return "\n\n".join(hooks)

    # Types

    def _declaration(self, name: str) -> str:
        schema = self._document.schemas[name]
        about = comment(schema.get("description", ""), 0)
        if "properties" in schema:
            return f"{about}export interface {self._names[name]} {self._members(schema)}"
        return about + alias(self._names[name], type_of(schema, self._names))

    def _members(self, schema: Schema) -> str:
        """Return the members of an object in braces, one per line."""
        lines = []
        for name, each in schema.get("properties", {}).items():
            about = "" if name == "type" and "const" in each else comment(describe_member(each), 2)
            lines.append(f"{about}  {member(key_of(name, schema), type_of(each, self._names), 2)}\n")
        return "{\n" + "".join(lines) + "}" if lines else "{}"

    def _union(self, names: Iterable[str]) -> Type:
        return union(Text(self._names[name]) for name in names)

    # The contract

    def _contract(self, conversation: ConversationSpec) -> Iterator[str]:
        name = conversation.name
        error = "ErrorMessage"
        if conversation.errors:
            codes = union(map(Text, [*map(literal, conversation.errors), "ErrorCode"]))
            yield f"/** Why a message was not accepted. */\n{alias(f'{name}ErrorCode', codes)}"
            error = f"ErrorMessage<{name}ErrorCode>"
        sends = self._union(conversation.sends.values())
        receives = union([self._union(conversation.receives.values()), Text(error)][not conversation.receives :])
        yield f"/** What the client sends. */\n{alias(f'{name}ClientMessage', sends)}"
        yield f"/** What the server sends. */\n{alias(f'{name}ServerMessage', receives)}"
        yield (
            f"export type {name}Client = Client<{{\n  sends: {name}ClientMessage;\n  receives: {name}ServerMessage;\n"
            f"  calls: {self._calls(conversation)};\n}}>;"
        )
        if conversation.query is not None:
            about = "/** The query of the handshake. */"
            yield f"{about}\nexport interface {name}Query {self._members(conversation.query)}"
        yield self._options(conversation)
        yield f"const route: Route = {_route(conversation)};"

    def _calls(self, conversation: ConversationSpec) -> str:
        if not conversation.replies:
            return "{}"
        lines = []
        for tag, replies in conversation.replies.items():
            call = Text(self._names[conversation.sends[tag]])
            fields = Generic("Omit<", (call, Text('"id" | "type"')), ">")
            reply = self._union(conversation.receives[each] for each in replies)
            lines += [
                f"    {key(tag)}: {{",
                f"      {member('fields', fields, 6)}",
                f"      {member('reply', reply, 6)}",
            ]
            lines.append("    };")
        return "{\n" + "\n".join(lines) + "\n  }"

    def _options(self, conversation: ConversationSpec) -> str:
        name = conversation.name
        lines = []
        if conversation.fields:
            members = "".join(f"    {key(field)}: string | number;\n" for field in conversation.fields)
            lines += [f"  /** The fields of {conversation.path}. */\n  params: {{\n{members}  }};"]
        if conversation.query is not None:
            optional = "" if conversation.query.get("required") else "?"
            lines.append(f"  query{optional}: Source<{name}Query>;")
        if not lines:
            return f"export type {name}Options = Options;"
        return f"export interface {name}Options extends Options {{\n" + "\n".join(lines) + "\n}"

    def _functions(self, conversation: ConversationSpec) -> Iterator[str]:
        name = conversation.name
        options = f"options: {name}Options{'' if _needs_options(conversation) else ' = {}'}"
        yield (
            f"{comment(_about(conversation), 0)}{_signature(f'connect{name}', options, f'{name}Client')} {{\n"
            f"  return create{name}(options).open();\n}}"
        )
        yield (
            f"{_ABOUT_CREATE}"
            f"{_signature(f'create{name}', options, f'{name}Client')} {{\n  return new Client(route, options);\n}}"
        )


def _needs_options(conversation: ConversationSpec) -> bool:
    return bool(conversation.fields or (conversation.query or {}).get("required"))


def javascript_functions(conversation: ConversationSpec) -> str:
    """Return the functions that connect to *conversation*, and what they know of it, as JavaScript."""
    name = conversation.name
    route = f"{name[0].lower()}{name[1:]}Route"
    return "\n\n".join(
        (
            f"const {route} = {_route(conversation)};",
            f"{comment(_about(conversation), 0)}export function connect{name}(options = {{}}) {{\n"
            f"  return create{name}(options).open();\n}}",
            f"{_ABOUT_CREATE}export function create{name}(options = {{}}) {{\n"
            f"  return new Client({route}, options);\n}}",
        )
    )


_ABOUT_CREATE = "/** Return a client that connects when `open()` is called. */\n"


def _about(conversation: ConversationSpec) -> str:
    return conversation.summary or f"Connect to {conversation.path}."


def _route(conversation: ConversationSpec) -> str:
    """Return what a client knows of the conversation when it runs, as an object."""
    lines = [f"  path: {literal(conversation.path)},"]
    if conversation.subprotocol is not None:
        lines.append(f"  subprotocol: {literal(conversation.subprotocol)},")
    lines.append(_list("types", [*conversation.receives, "error"], 2))
    if conversation.replies:
        lines.append("  replies: {")
        lines += [_list(key(tag), replies, 4) for tag, replies in conversation.replies.items()]
        lines.append("  },")
    if conversation.resumes:
        lines.append("  resumes: true,")
    if conversation.close_codes:
        lines.append("  finalCodes: [")
        lines += [f"    {code}, // {' '.join(text.split())}" for code, text in conversation.close_codes.items()]
        lines.append("  ],")
    return "{\n" + "\n".join(lines) + "\n}"


def _type_names(document: ContractDocument) -> dict[str, str]:
    """Return the TypeScript name of each schema; a name that is already taken is changed."""
    taken = set(_RESERVED)
    for each in document.conversations:
        taken |= {f"{each.name}{suffix}" for suffix in ("Client", "ClientMessage", "ServerMessage", "ErrorCode")}
        taken |= {f"{each.name}Options", f"{each.name}Query"}
    names = {}
    for schema in document.schemas:
        name = re.sub(r"\W+", "_", schema, flags=re.ASCII).strip("_")
        name = name if is_identifier(name) else f"_{name}"
        if name in taken:
            name += "Message"
        while name in taken:
            name += "_"
        taken.add(name)
        names[schema] = name
    return names


def _file_name(conversation: str) -> str:
    """Return the file name for a conversation: "price-feed" for PriceFeed."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", conversation)
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def _joined(*parts: str) -> str:
    return "\n\n".join(parts) + "\n"


def _list(name: str, values: Sequence[str], indent: int) -> str:
    """Return a member whose value is a list of strings."""
    pad = " " * indent
    flat = f"{pad}{name}: [{', '.join(map(literal, values))}],"
    if len(flat) <= WIDTH:
        return flat
    return f"{pad}{name}: [\n" + "".join(f"{pad}  {literal(value)},\n" for value in values) + f"{pad}],"


def _signature(name: str, parameter: str, result: str) -> str:
    flat = f"export function {name}({parameter}): {result}"
    if len(flat) + len(" {") <= WIDTH:
        return flat
    return f"export function {name}(\n  {parameter},\n): {result}"
