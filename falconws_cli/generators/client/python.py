"""Renders conversations as Python: the classes of the server, as far as clients use them. Pure."""

from __future__ import annotations

import builtins
import keyword
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from falconws_cli.generators.client.document import ContractDocument, ConversationSpec, Schema, references
from falconws_cli.templating.filters import python_string

WIDTH = 88
_MAX_CHOICE = 40
"""The length of the longest `Literal[...]` that has no name of its own."""
_OWN = {
    "Welcome": ("welcome", {"type", "position", "present"}),
    "Gap": ("gap", {"type", "position"}),
    "Joined": ("joined", {"type", "member"}),
    "Left": ("left", {"type", "member"}),
}
"""The messages of falconws.typed: their tags and members."""
_SIMPLE = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_FORMATS = {
    "date-time": "datetime.datetime",
    "date": "datetime.date",
    "time": "datetime.time",
    "duration": "datetime.timedelta",
    "uuid": "uuid.UUID",
    "decimal": "decimal.Decimal",
}
_STDLIB = ("datetime", "decimal", "uuid")
_IN_ANNOTATIONS = {*_STDLIB, "bool", "bytes", "dict", "float", "int", "list", "str", "tuple"}
_TYPING = ("Any", "ClassVar", "Literal", "Never", "TypeAlias")
_MSGSPEC = ("UNSET", "Struct", "UnsetType", "field")
_TYPED = ("Call", "Conversation", "Reply", "RoomMessage")
_ALSO_USED = ("quote",)


class PythonClient:
    """The modules of a document.

    Args:
        document: The document.
        header: The end of each module's docstring.
    """

    def __init__(self, document: ContractDocument, header: str) -> None:
        self._document = document
        self._header = header
        self._own = [name for name in document.schemas if self._is_own(name)]
        self._names = self._class_names()
        users = Counter(name for each in document.conversations for name in document.types_of(each))
        self._shared = [name for name in document.schemas if users[name] > 1 and name not in self._own]
        self._tag_fields = dict(_tag_fields(document))
        self._replies: dict[str, list[str]] = {}
        for each in document.conversations:
            for tag, replies in each.replies.items():
                self._replies[each.sends[tag]] = [each.receives[reply] for reply in replies]
        self._choices: dict[str, str] = {}
        self.modules = {each.name: _snake(each.name) for each in document.conversations}
        """The name of the module of each conversation."""

    def files(self) -> dict[str, str]:
        """Return the text of each file, by its name."""
        files = {f"{self.modules[each.name]}.py": self._conversation(each) for each in self._document.conversations}
        if self._shared:
            body = list(self._declarations(self._shared))
            files["shared.py"] = self._module("Types of several conversations.", body, self._shared)
        files["__init__.py"] = self._package()
        return files

    def _package(self) -> str:
        modules: dict[str, list[str]] = {}
        for each in self._document.conversations:
            own = [self._names[name] for name in self._types(each) if name not in self._own]
            shared = [self._names[name] for name in self._types(each) if name in self._shared]
            names = [name for name in own if name not in shared]
            query = [] if each.query is None else [f"{each.name}Query"]
            modules[self.modules[each.name]] = [each.name, *query, f"{self.modules[each.name]}_url", *names]
        if self._shared:
            modules["shared"] = [self._names[name] for name in self._shared]
        lines = [_import(f".{module}", names) for module, names in sorted(modules.items())]
        everything = sorted({name for names in modules.values() for name in names}, key=_isort_key)
        public = "__all__ = [\n" + "".join(f'    "{name}",\n' for name in everything) + "]"
        return f'"""A client of {self._document.title}. {self._header}"""\n\n' + "\n".join(lines) + f"\n\n{public}\n"

    def _conversation(self, conversation: ConversationSpec) -> str:
        own = [name for name in self._types(conversation) if name not in (*self._shared, *self._own)]
        body = list(self._declarations(own))
        if conversation.query is not None:
            body.append(self._struct(f"{conversation.name}Query", conversation.query, "The query of the handshake."))
        body.append(self._declare_conversation(conversation))
        body.append(_url_function(self.modules[conversation.name], conversation))
        about = f"The conversation {conversation.name} of {self._document.title}."
        return self._module(about, body, own)

    def _module(self, about: str, body: Sequence[str], own: Sequence[str]) -> str:
        code = "\n\n\n".join(body)
        words = set(re.findall(r"[A-Za-z_]\w*", code))
        stdlib = [f"import {module}" for module in _STDLIB if f"{module}." in code]
        typing = [name for name in _TYPING if name in words]
        stdlib += [_import("typing", typing)] if typing else []
        stdlib += ["from urllib.parse import quote"] if "quote" in words else []
        packages = []
        typed = sorted(name for name in (*_TYPED, *map(self._names.get, self._own)) if name in words and name)
        if typed:
            packages.append(_import("falconws.typed", typed))
        msgspec = [name for name in _MSGSPEC if name in words]
        if msgspec:
            packages.append(_import("msgspec", msgspec))
        shared = [self._names[name] for name in self._shared if name not in own and self._names[name] in words]
        local = [_import(".shared", sorted(shared, key=_isort_key))] if shared else []
        blocks = [
            f'"""{about} {self._header}"""',
            "from __future__ import annotations",
            *("\n".join(block) for block in (stdlib, packages, local) if block),
        ]
        gap = "\n\n\n" if code.startswith(("class", "def")) else "\n\n"
        return "\n\n".join(blocks) + f"{gap}{code}\n"

    # Types

    def _types(self, conversation: ConversationSpec) -> list[str]:
        return self._document.types_of(conversation)

    def _declarations(self, names: Iterable[str]) -> Iterator[str]:
        """Yield the classes, with replies before their calls, and then the type aliases."""
        names = list(names)
        classes = [name for name in names if "properties" in self._document.schemas[name]]
        for name in sorted(classes, key=lambda name: name in self._replies):
            schema = self._document.schemas[name]
            yield self._struct(self._names[name], schema, schema.get("description", ""), name)
        aliases = [name for name in names if name not in classes]
        # An alias may refer to other aliases, which have to come first.
        for name in sorted(aliases, key=lambda name: len(self._document_closure(name))):
            kind = self._type(self._document.schemas[name], self._names[name])
            yield (self._take_choices() or [f"{self._names[name]}: TypeAlias = {kind}"])[0]

    def _document_closure(self, name: str) -> set[str]:
        found: set[str] = set()
        todo = [name]
        while todo:
            for each in references(self._document.schemas[todo.pop()]):
                if each not in found:
                    found.add(each)
                    todo.append(each)
        return found

    def _struct(self, class_name: str, schema: Schema, about: str, name: str = "") -> str:
        members = dict(schema.get("properties", {}))
        required = schema.get("required", ())
        bases, taken = self._bases(name, members)
        tag_field = self._tag_fields.get(name, "type")
        arguments = []
        if isinstance(members.get(tag_field), dict) and isinstance(members[tag_field].get("const"), str):
            if tag_field != "type":
                arguments.append(f"tag_field={_literal(tag_field)}")
            arguments.append(f"tag={_literal(members.pop(tag_field)['const'])}")
        lines: list[str] = []
        # A member without a default cannot follow one that has one.
        for member in sorted(members, key=lambda member: member not in required):
            if member not in taken:
                lines += self._member(class_name, member, members[member], is_required=member in required)
        docstring = _docstring(about, 4)
        parts = [part for part in (docstring, "".join(f"    {line}\n" for line in lines)) if part]
        body = "\n".join(parts) or "    pass"
        head = f"class {class_name}({', '.join([*bases, *arguments])}):"
        if len(head) > WIDTH:
            head = f"class {class_name}(\n" + "".join(f"    {each},\n" for each in [*bases, *arguments]) + "):"
        return "\n\n".join([*self._take_choices(), f"\n{head}\n{body}".rstrip()]).strip()

    def _bases(self, name: str, members: Mapping[str, Schema]) -> tuple[list[str], set[str]]:
        """Return the base classes, and the members that they have."""
        if name in self._replies:
            replies = " | ".join(self._names[reply] for reply in self._replies[name])
            return [f"Call[{replies}]"], {"id"}
        if any(name in replies for replies in self._replies.values()):
            return ["Reply"], {"id"}
        position = members.get("position", {})
        if any(each.resumes and name in each.receives.values() for each in self._document.conversations) and (
            position.get("default", "") is None
        ):
            return ["RoomMessage"], {"position"}
        return ["Struct"], set()

    def _member(self, class_name: str, name: str, schema: Schema, *, is_required: bool) -> list[str]:
        """Return the lines of a member, its description as its docstring."""
        identifier = _identifier(name)
        kind, arguments = self._type(schema, f"{class_name}{_camel(identifier)}"), {}
        if identifier != name:
            arguments["name"] = _literal(name)
        if not is_required:
            key, default = _default(schema, kind)
            arguments[key] = default
            if default == "UNSET":
                kind += " | UnsetType"
        line = f"{identifier}: {kind}"
        if arguments.keys() == {"default"}:
            line += f" = {arguments['default']}"
        elif arguments:
            line += f" = field({', '.join(f'{key}={value}' for key, value in arguments.items())})"
        return [line, *_docstring(schema.get("description", ""), 0).splitlines()]

    def _type(self, schema: object, owner: str) -> str:
        """Return a type as code; *owner* is the name for a part of it that is too long."""
        if not isinstance(schema, dict) or not schema:
            return "Any"
        if "$ref" in schema:
            return self._names[references(schema)[0]]
        if "const" in schema or "enum" in schema:
            return self._choice([schema["const"]] if "const" in schema else schema["enum"], owner)
        for key in ("anyOf", "oneOf", "allOf"):
            if key in schema:
                # None comes last, as people write it.
                parts = dict.fromkeys(self._type(each, owner) for each in schema[key])
                return " | ".join(sorted(parts, key=lambda part: part == "None"))
        kind = schema.get("type")
        if isinstance(kind, list):
            return " | ".join(self._type({**schema, "type": each}, owner) for each in kind)
        if kind == "array":
            items = schema.get("items", {})
            if isinstance(items, list):
                return f"tuple[{', '.join(self._type(each, owner) for each in items)}]"
            return f"list[{self._type(items, owner)}]"
        if kind == "object":
            return f"dict[str, {self._type(schema.get('additionalProperties', {}), owner)}]"
        if kind == "string":
            return (
                "bytes" if schema.get("contentEncoding") == "base64" else _FORMATS.get(schema.get("format", ""), "str")
            )
        return _SIMPLE.get(str(kind), "Any")

    def _choice(self, values: Sequence[object], owner: str) -> str:
        """Return the type of one of *values*; one that is long gets the name *owner*."""
        if not all(isinstance(value, str | int | bool) or value is None for value in values):
            return "float"
        flat = f"Literal[{', '.join(map(_literal, values))}]"
        if len(flat) <= _MAX_CHOICE:
            return flat
        self._choices[owner] = "Literal[\n" + "".join(f"    {_literal(value)},\n" for value in values) + "]"
        return owner

    def _take_choices(self) -> list[str]:
        """Return the declarations of the long choices that were found since the last call."""
        lines = [f"{name}: TypeAlias = {choice}" for name, choice in self._choices.items()]
        self._choices.clear()
        return lines

    # Conversations

    def _declare_conversation(self, conversation: ConversationSpec) -> str:
        name = conversation.name
        sends = " | ".join(self._names[each] for each in conversation.sends.values()) or "Never"
        receives = " | ".join(self._names[each] for each in conversation.receives.values()) or "Never"
        head = f"class {name}(Conversation[{sends}, {receives}]):"
        if len(head) > WIDTH:
            head = (
                f"class {name}(\n    Conversation[\n        {_broken(sends)},\n        {_broken(receives)},\n    ]\n):"
            )
        lines = []
        if conversation.subprotocol is not None:
            lines.append(f"subprotocol = {_literal(conversation.subprotocol)}")
        if conversation.query is not None:
            lines.append(f"query = {name}Query")
        if conversation.close_codes:
            lines.append(_mapping("close_codes", conversation.close_codes))
        if conversation.errors:
            lines.append(_mapping("errors", conversation.errors))
        docstring = _docstring(conversation.summary or f"What is spoken at {conversation.path}.", 4)
        body = "\n" + "\n".join(f"    {line}" for line in lines) if lines else ""
        return f"{head}\n{docstring}{body}".rstrip()

    def _is_own(self, name: str) -> bool:
        tag, members = _OWN.get(name, ("", set()))
        properties = self._document.schemas[name].get("properties", {})
        return bool(tag) and properties.keys() == members and properties["type"].get("const") == tag

    def _class_names(self) -> dict[str, str]:
        taken = {*_TYPING, *_MSGSPEC, *_TYPED, *_ALSO_USED, *_STDLIB, *dir(builtins)}
        for each in self._document.conversations:
            taken |= {each.name, f"{each.name}Query"}
        names = {}
        for schema in self._document.schemas:
            name = re.sub(r"\W+", "_", schema).strip("_")
            name = name if name.isidentifier() and not keyword.iskeyword(name) else f"_{name}"
            if name in taken and schema not in self._own:
                name += "Message"
            while name in taken and schema not in self._own:
                name += "_"
            taken.add(name)
            names[schema] = name
        return names


def _tag_fields(document: ContractDocument) -> Iterator[tuple[str, str]]:
    """Yield each type of a tagged union whose tag is not in `type`, and the member that has it."""

    def visit(schema: object) -> Iterator[tuple[str, str]]:
        if isinstance(schema, dict):
            if isinstance(schema.get("discriminator"), str):
                for name in references(schema):
                    yield name, schema["discriminator"]
            for value in schema.values():
                yield from visit(value)
        elif isinstance(schema, list):
            for value in schema:
                yield from visit(value)

    for schema in document.schemas.values():
        yield from visit(schema)


def _url_function(name: str, conversation: ConversationSpec) -> str:
    fields = {field: f"{_identifier(field)}{'_' if field == 'base_url' else ''}" for field in conversation.fields}
    star = ["*"] if fields else []
    parameters = ["base_url: str", *star, *(f"{parameter}: str | int" for parameter in fields.values())]
    head = f"def {name}_url({', '.join(parameters)}) -> str:"
    if len(head) > WIDTH:
        inner = "".join(f"    {parameter},\n" for parameter in parameters)
        head = f"def {name}_url(\n{inner}) -> str:"
    about = f'    """Return the URL of {conversation.name} at *base_url*, such as "wss://example.com"."""'
    if not fields:
        return f"{head}\n{about}\n    return base_url + {_literal(conversation.path)}"
    path = conversation.path
    for field, parameter in fields.items():
        path = path.replace(f"{{{field}}}", f"{{{parameter}}}")
    quoted = "".join(f'    {parameter} = quote(str({parameter}), safe="")\n' for parameter in fields.values())
    return f'{head}\n{about}\n{quoted}    return f"{{base_url}}{path}"'


def _default(schema: Schema, kind: str) -> tuple[str, str]:
    """Return how a member that may be missing gets its default: an argument of `field()`, and its value as code."""
    default = schema.get("default")
    # A default is JSON, and not every type is.
    if "default" not in schema or (default is not None and (kind == "bytes" or "." in kind)):
        return "default", "UNSET"
    if isinstance(default, list | dict) and default:
        return "default_factory", f"lambda: {_literal(default)}"
    return "default", _literal(default)


def _identifier(name: str) -> str:
    """Return *name*, or a similar name if *name* cannot be that of a member."""
    found = re.sub(r"\W", "_", name)
    if not found.isidentifier() or found.startswith("__"):
        found = f"member_{found.strip('_')}"
    # A member of such a name would hide the type of that name in the annotations of its class.
    return f"{found}_" if keyword.iskeyword(found) or found in _IN_ANNOTATIONS else found


def _literal(value: object) -> str:
    """Return a JSON value as Python."""
    if isinstance(value, str):
        return python_string(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_literal(key)}: {_literal(each)}' for key, each in value.items())}}}"
    return repr(value)


def _mapping(name: str, values: Mapping[int, str] | Mapping[str, str]) -> str:
    flat = f"{name}: ClassVar = {_literal(dict(values))}"
    if len(flat) + 4 <= WIDTH:
        return flat
    items = "".join(f"        {_literal(key)}: {_literal(value)},\n" for key, value in values.items())
    return f"{name}: ClassVar = {{\n{items}    }}"


def _broken(union: str) -> str:
    return union if len(union) + 9 <= WIDTH else union.replace(" | ", "\n        | ")


def _docstring(text: str, indent: int) -> str:
    pad = " " * indent
    lines = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"').strip().splitlines()
    if not lines:
        return ""
    if lines[-1].endswith('"'):
        lines[-1] += " "
    body = "\n".join(f"{pad}{line}".rstrip() if index else line for index, line in enumerate(lines))
    return f'{pad}"""{body}"""\n' if len(lines) == 1 else f'{pad}"""{body}\n{pad}"""\n'


def _import(module: str, names: Sequence[str]) -> str:
    names = sorted(names, key=_isort_key)
    flat = f"from {module} import {', '.join(names)}"
    if len(flat) <= WIDTH:
        return flat
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in names) + ")"


def _isort_key(name: str) -> tuple[int, str, str]:
    """Order names as isort does: constants, classes, the rest."""
    return (0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2, name.lower(), name)


def _camel(name: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def _snake(name: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"\W+", "_", words.lower()).strip("_")
