"""The page of an AsyncAPI document: complete, escaped, and without anything from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from msgspec import Struct

import falconws
from falconws.typed import Conversation, speaks
from falconws.typed.asyncapi import asyncapi
from falconws.typed.asyncapi_html import asyncapi_html, limits_of, type_text
from tests.runtime.typed.conversations import make_app

DOCUMENT = asyncapi(make_app(falconws.Hub()), title="demo", servers={"production": "wss://example.com/base"})


class Reader(HTMLParser):
    """Collects the text of a page, its tags, and the addresses that it refers to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.ids: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        named = {name: value or "" for name, value in attrs}
        self.addresses += [named[name] for name in ("href", "src", "action") if name in named]
        self.ids |= {named["id"]} if "id" in named else set()

    def handle_data(self, data: str) -> None:
        self.text += data


def test_everything_in_the_document_is_on_the_page() -> None:
    text = Reader(asyncapi_html(DOCUMENT)).text
    for channel in DOCUMENT["channels"].values():
        assert channel["address"] in text
    for message in DOCUMENT["components"]["messages"].values():
        assert message["name"] in text
        assert message.get("summary", "").replace("``", "") in text
    for expected in ("wss://example.com/base", "prices.v1", "4001", "The room was closed", "too_rude", "Answered by"):
        assert expected in text
    assert '{"type": "count_words", "text": "two words"}' in text


def test_the_page_loads_nothing() -> None:
    page = asyncapi_html(DOCUMENT)
    reader = Reader(page)
    assert all(address.startswith("#") for address in reader.addresses)
    assert {address[1:] for address in reader.addresses} <= reader.ids
    assert not {"script", "img", "link", "iframe"} & set(reader.tags)
    style = re.search("<style>(.*)</style>", page, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"default-src &#x27;none&#x27;; style-src &#x27;sha256-{digest}&#x27;" in page


def test_what_an_application_says_is_text() -> None:
    evil = '</pre></code><script>alert("1")</script>'

    class Say(Struct, tag=evil):
        text: str = evil

    class Chat(Conversation[Say, Say]):
        close_codes = {4001: evil}  # noqa: RUF012 (as a user may write it)
        errors = {evil: evil}  # noqa: RUF012
        subprotocol = evil

    Say.__doc__ = Chat.__doc__ = f"Do `{evil}`."

    class Resource:
        @speaks(Chat)
        async def on_websocket(self, req: falconws.Request, chat: Any) -> None: ...

    app = falconws.App()
    app.add_route("/chat", Resource())
    reader = Reader(asyncapi_html(asyncapi(app, title=evil, version=evil)))
    assert "script" not in reader.tags
    assert reader.text.count("<script>") >= 8


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"$ref": "#/components/schemas/Point"}, "Point"),
        ({"const": "a"}, '"a"'),
        ({"enum": ["a", 1]}, '"a" | 1'),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string | null"),
        ({"type": "array", "items": {"type": "integer"}}, "integer[]"),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, '("a" | "b")[]'),
        ({"type": "array", "items": [{"type": "integer"}, {"type": "string"}]}, "[integer, string]"),
        ({"type": ["string", "null"]}, "string | null"),
        ({}, "any"),
    ],
    ids=json.dumps,
)
def test_types_in_words(schema: dict[str, Any], expected: str) -> None:
    assert type_text(schema) == expected


def test_limits_in_words() -> None:
    assert limits_of({"minLength": 1, "maxLength": 5}) == "at least 1 character, at most 5 characters"
    assert limits_of({"minimum": 0, "exclusiveMaximum": 1, "default": None}) == "from 0, below 1, default null"
    assert limits_of({"type": "string"}) == ""
