"""An AsyncAPI document of falconws as one HTML page, for people: no script, no network, no other file.

Pure: a document comes in, text goes out. Everything from the document is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from .examples import example_value
from .kinds import PATTERN_WORDS
from .security import describe_security

__all__ = ("asyncapi_html", "limits_of", "type_text")

_SCHEMAS = "#/components/schemas/"
_CODE = re.compile(r"(`+)(.+?)\1", re.DOTALL)
_LIMITS = (
    ("minLength", "at least {} character{s}"),
    ("maxLength", "at most {} character{s}"),
    (PATTERN_WORDS, "{}"),
    ("pattern", "matches {}"),
    ("format", "format {}"),
    ("minimum", "from {}"),
    ("exclusiveMinimum", "above {}"),
    ("maximum", "up to {}"),
    ("exclusiveMaximum", "below {}"),
    ("multipleOf", "a multiple of {}"),
    ("minItems", "at least {} item{s}"),
    ("maxItems", "at most {} item{s}"),
)

_STYLE = """
:root { color-scheme: light dark; --line: #d4d7dd; --dim: #5b6270; --soft: #f4f5f7; --accent: #0b6e4f; }
@media (prefers-color-scheme: dark) { :root { --line: #3a3f4a; --dim: #a5acba; --soft: #22252c; --accent: #5fd0a5; } }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 56rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { margin: 0; } h1 small { font-weight: 400; color: var(--dim); font-size: 1rem; }
h2 { margin: 3rem 0 .25rem; padding-top: 1rem; border-top: 1px solid var(--line); }
h3 { margin: 2rem 0 .5rem; font-size: 1rem; color: var(--dim); font-weight: 600; }
h4 { margin: 1.5rem 0 .25rem; font-size: 1rem; } h4 code { font-weight: 600; }
p { margin: .4rem 0; } a { color: var(--accent); } nav ul { padding-left: 1.1rem; }
code, pre { font: .875em/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
pre { background: var(--soft); padding: .6rem .8rem; border-radius: .4rem; white-space: pre-wrap; margin: .5rem 0; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; margin: .5rem 0; font-size: .94rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--dim); min-width: 6rem; } th:last-child { width: 50%; } .dim { color: var(--dim); }
@media (max-width: 40rem) { th { min-width: 0; } }
"""

_Document = Mapping[str, Any]


def asyncapi_html(document: _Document) -> str:
    """Return a page that shows *document*, as ``falconws.typed.asyncapi`` makes it."""
    return _Page(document).html()


def type_text(schema: _Document) -> str:
    """Return the type of *schema* in a few words, such as ``string | null`` or ``Point[]``."""
    match schema:
        case {"$ref": str(reference)}:
            return reference.removeprefix(_SCHEMAS)
        case {"const": value}:
            return json.dumps(value, ensure_ascii=False)
        case {"enum": [*values]}:
            return " | ".join(json.dumps(value, ensure_ascii=False) for value in values)
        case {"anyOf": [*members]} | {"oneOf": [*members]}:
            return " | ".join(map(type_text, members))
        case {"type": "array", "items": [*items]}:
            return f"[{', '.join(map(type_text, items))}]"
        case {"type": "array"}:
            inner = type_text(schema.get("items", {}))
            return f"({inner})[]" if " | " in inner else f"{inner}[]"
        case {"type": [*kinds]}:
            return " | ".join(map(str, kinds))
        case {"type": kind}:
            return str(kind)
    return "any"


def limits_of(schema: _Document) -> str:
    """Return what *schema* demands of a value besides its type, such as ``at most 40 characters``."""
    if PATTERN_WORDS in schema:
        schema = {key: value for key, value in schema.items() if key != "pattern"}
    found = [text.format(schema[key], s="" if schema[key] == 1 else "s") for key, text in _LIMITS if key in schema]
    if "default" in schema:
        found.append(f"default {json.dumps(schema['default'], ensure_ascii=False)}")
    return ", ".join(found)


class _Page:
    def __init__(self, document: _Document) -> None:
        self._document = document
        self._messages: _Document = document["components"]["messages"]
        self._schemas: dict[str, Any] = document["components"]["schemas"]
        messages = {_last(message["payload"]["$ref"]) for message in self._messages.values()}
        self._types = set(re.findall(rf'"{_SCHEMAS}(\w+)"', json.dumps(self._schemas))) - messages
        """Types that messages refer to; they have sections of their own."""
        self._errors = [key for key, message in self._messages.items() if message["name"] == "error"]
        """Every conversation has it, so it is shown once."""

    def html(self) -> str:
        info, channels = self._document["info"], self._document["channels"]
        digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
        policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        contents = "".join(
            f'<li><a href="#{escape(name)}">{escape(channel["title"])}</a> <code>{escape(channel["address"])}</code>'
            for name, channel in channels.items()
        )
        body = "".join(self._channel(name, channel) for name, channel in channels.items())
        return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(info["title"])} {escape(info["version"])}</title>
<style>{_STYLE}</style>
<header><h1>{escape(info["title"])} <small>{escape(info["version"])}</small></h1>{self._servers()}</header>
<nav aria-label="Conversations"><ul>{contents}</ul></nav>
<main>{body}{self._error_section()}{self._type_sections()}</main>
</html>
"""

    def _servers(self) -> str:
        urls = [
            f"<li>{escape(name)}: <code>{escape(server['protocol'])}://{escape(server['host'])}"
            f"{escape(server.get('pathname', ''))}</code>"
            for name, server in self._document.get("servers", {}).items()
        ]
        return f"<ul>{''.join(urls)}</ul>" if urls else ""

    def _channel(self, name: str, channel: _Document) -> str:
        operations = [
            operation
            for operation in self._document["operations"].values()
            if _last(operation["channel"]["$ref"]) == name
        ]
        received = [operation for operation in operations if operation["action"] == "receive"]
        sent = [_last(each["$ref"]) for op in operations if op["action"] == "send" for each in op["messages"]]
        answers = [_last(each["$ref"]) for op in received for each in op.get("reply", {}).get("messages", ())]
        return "".join(
            (
                f'<section id="{escape(name)}"><h2>{escape(channel["title"])}</h2>',
                f"<pre>{escape(channel['address'])}</pre>{_prose(channel['description'])}",
                self._handshake(channel),
                "<h3>From the client</h3>" if received else "<h3>From the client: nothing</h3>",
                *(self._received(operation) for operation in received),
                "<h3>To the client</h3>",
                *(self._message(key) for key in dict.fromkeys((*answers, *sent)) if key not in self._errors),
                _pairs("Close codes", "Code", channel.get("x-close-codes", {})),
                _pairs("Error codes", "Code", channel.get("x-errors", {})),
                "</section>",
            )
        )

    def _handshake(self, channel: _Document) -> str:
        rows = [(f"{{{name}}}", "path", "string", "") for name in channel.get("parameters", {})]
        query = channel["bindings"]["ws"].get("query", {})
        required = query.get("required", ())
        for name, schema in query.get("properties", {}).items():
            optional = "" if name in required else ", optional"
            rows.append((name, "query" + optional, self._type(schema), self._notes(schema)))
        if "x-subprotocol" in channel:
            rows.append((channel["x-subprotocol"], "subprotocol", "", ""))
        for name, scheme in self._document["components"].get("securitySchemes", {}).items():
            rows.append((name, "security", "", f"Send {describe_security(scheme)}."))
        if not rows:
            return ""
        cells = (f"<tr><td><code>{escape(a)}</code><td>{b}<td>{c}<td>{_inline(d)}" for a, b, c, d in rows)
        return f"<h3>Handshake</h3>{_table(('Name', 'In', 'Type', 'Meaning'), cells)}"

    def _received(self, operation: _Document) -> str:
        replies = [_last(each["$ref"]) for each in operation.get("reply", {}).get("messages", ())]
        names = " or ".join(f"<code>{escape(self._messages[name]['name'])}</code>" for name in replies)
        answered = f'<p class="dim">Answered by {names}, with the same <code>id</code>.</p>' if names else ""
        return "".join(self._message(_last(each["$ref"])) + answered for each in operation["messages"])

    def _message(self, key: str) -> str:
        message = self._messages[key]
        schema = self._schemas[_last(message["payload"]["$ref"])]
        example = json.dumps(example_value(schema, self._schemas), ensure_ascii=False)
        return (
            f"<h4><code>{escape(message['name'])}</code></h4>{_prose(schema.get('description', ''))}"
            f"{self._members(schema)}<pre>{escape(example)}</pre>"
        )

    def _members(self, schema: _Document) -> str:
        required = schema.get("required", ())
        rows = [
            f"<tr><td><code>{escape(name)}</code>{'' if name in required else ' <span class=dim>optional</span>'}"
            f"<td>{self._type(member)}<td>{_inline(self._notes(member))}"
            for name, member in schema.get("properties", {}).items()
            if name != "type"
        ]
        return _table(("Member", "Type", "Meaning"), rows) if rows else ""

    def _notes(self, schema: _Document) -> str:
        return "; ".join(filter(None, (schema.get("description", ""), limits_of(schema))))

    def _type(self, schema: _Document) -> str:
        """Return the type as HTML; the names of types are links to their section."""
        words = re.split(r"(\w+)", type_text(schema))
        return "".join(f'<a href="#type-{word}">{word}</a>' if word in self._types else escape(word) for word in words)

    def _error_section(self) -> str:
        text = "".join(map(self._message, self._errors))
        return f'<section id="error"><h2>Errors</h2>{text}</section>' if text else ""

    def _type_sections(self) -> str:
        sections = (
            f'<section id="type-{escape(name)}"><h4><code>{escape(name)}</code></h4>'
            f"{_prose(self._schemas[name].get('description', ''))}"
            f"{self._members(self._schemas[name]) or f'<p>{escape(type_text(self._schemas[name]))}'}</section>"
            for name in sorted(self._types)
        )
        text = "".join(sections)
        return f"<h2>Types</h2>{text}" if text else ""


def _last(reference: str) -> str:
    return reference.rpartition("/")[2]


def _prose(text: str) -> str:
    """Return paragraphs; what is in backquotes is code."""
    return "".join(f"<p>{_inline(part.strip())}</p>" for part in re.split(r"\n\s*\n", text) if part.strip())


def _inline(text: str) -> str:
    return _CODE.sub(lambda found: f"<code>{found[2]}</code>", escape(text))


def _pairs(title: str, head: str, pairs: Mapping[str, str]) -> str:
    rows = (f"<tr><td><code>{escape(str(key))}</code><td>{escape(text)}" for key, text in pairs.items())
    return f"<h3>{title}</h3>{_table((head, 'Meaning'), rows)}" if pairs else ""


def _table(heads: Iterable[str], rows: Iterable[str]) -> str:
    head = "".join(f"<th scope=col>{each}" for each in heads)
    return f"<div class=scroll><table><tr>{head}{''.join(rows)}</table></div>"
