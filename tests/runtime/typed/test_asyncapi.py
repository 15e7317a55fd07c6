"""The AsyncAPI document: valid for the specification's own parser, and true to what the decoder accepts."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Never

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta, Struct
from pydantic import BaseModel, NaiveDatetime

import falconws
from falconws.typed import Call, Conversation, Reply, speaks
from falconws.typed.asyncapi import MessageSchemas, asyncapi, to_draft_07
from falconws.typed.asyncapi_html import limits_of
from falconws.typed.codec import kind_of
from falconws.typed.examples import example_value
from falconws.typed.kinds import DECODE_ERRORS
from falconws.typed.security import describe_security
from falconws_cli.generators.client.typetext import describe_member
from tests.node import node_packages
from tests.runtime.typed.conversations import Chat, Mixed, PriceFeed, Said, Words, make_app

DOCUMENT = asyncapi(make_app(falconws.Hub()), title="demo", servers={"production": "wss://example.com/base"})


def app_that_speaks(*conversations: type[Conversation[Any, Any]], path: str = "/") -> falconws.App:
    class Resource:
        @speaks(*conversations)
        async def on_websocket(self, req: falconws.Request, chat: Any) -> None: ...

    app = falconws.App()
    app.add_route(path, Resource())
    return app


def diagnostics(document: dict[str, Any], tmp_path: Path) -> list[str]:
    """Return what the specification's own parser says of *document*."""
    packages = node_packages("@asyncapi/parser")
    path = tmp_path / "asyncapi.json"
    path.write_text(json.dumps(document))
    script = """
        const { Parser } = require("@asyncapi/parser");
        const text = require("fs").readFileSync(process.argv[1], "utf8");
        new Parser().parse(text).then(({ diagnostics }) => {
          console.log(JSON.stringify(diagnostics.map((d) => `${d.severity} ${d.path.join(".")}: ${d.message}`)));
        });
    """
    done = subprocess.run(
        ["node", "-e", script, str(path)], cwd=packages, capture_output=True, text=True, timeout=60, check=True
    )
    found: list[str] = json.loads(done.stdout)
    # It recommends the newest version of the specification, whatever the tools can do with it.
    return [line for line in found if "The latest version of AsyncAPI" not in line and "latest version" not in line]


class Ping(Call["Pong"], tag="ping"):
    pass


class Pong(Reply, tag="pong"):
    nested: list[tuple[int, str]]


class ChatV1(Conversation[Ping, Pong]):
    subprotocol = "chat.v1"


class ChatV2(Conversation[Ping, Pong]):
    subprotocol = "chat.v2"


class Auth:
    security_schemes: Mapping[str, Any] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "cookie": {"type": "httpApiKey", "in": "cookie", "name": "token"},
    }

    async def process_request_ws(self, req: falconws.Request, ws: falconws.WebSocket) -> None: ...


def app_behind(*middleware: object) -> falconws.App:
    app = app_that_speaks(PriceFeed)
    app.add_middleware(middleware)
    return app


class Both(Conversation[Pong, Pong]):
    """The same message in both directions."""


@pytest.mark.parametrize(
    "document",
    [
        DOCUMENT,
        asyncapi(app_that_speaks(ChatV2, ChatV1)),
        asyncapi(app_that_speaks(Both)),
        asyncapi(falconws.App()),
        asyncapi(app_behind(Auth())),
    ],
    ids=["examples", "versions", "both-ways", "empty", "security"],
)
def test_the_parser_of_the_specification_has_nothing_to_say(document: dict[str, Any], tmp_path: Path) -> None:
    assert diagnostics(document, tmp_path) == []


def test_the_check_above_can_fail(tmp_path: Path) -> None:
    broken = json.loads(json.dumps(DOCUMENT))
    broken["operations"]["chat.say"]["messages"] = [{"$ref": "#/channels/Words/messages/CountWords"}]
    assert diagnostics(broken, tmp_path)


def test_a_channel_has_what_a_client_needs_to_know() -> None:
    chat = DOCUMENT["channels"]["Chat"]
    assert chat["address"] == "/rooms/{room}/chat"
    assert chat["parameters"] == {"room": {}}
    assert chat["bindings"]["ws"]["query"]["required"] == ["name"]
    assert set(chat["bindings"]["ws"]["query"]["properties"]) == {"name", "since"}
    assert chat["x-close-codes"] == {"4001": "The room was closed"}
    assert chat["x-resume"] == {"query": "since", "field": "position"}
    assert "4001 (The room was closed)" in chat["description"]
    assert DOCUMENT["channels"]["PriceFeed"]["x-subprotocol"] == "prices.v1"
    assert DOCUMENT["servers"] == {"production": {"host": "example.com", "protocol": "wss", "pathname": "/base"}}


def test_a_call_names_its_replies_and_the_error() -> None:
    reply = DOCUMENT["operations"]["words.countWords"]["reply"]
    assert [each["$ref"].rpartition("/")[2] for each in reply["messages"]] == ["WordCount", "Error"]
    assert "words.wordCount" not in DOCUMENT["operations"]
    assert DOCUMENT["components"]["messages"]["CountWords"]["correlationId"] == {"location": "$message.payload#/id"}


def test_the_security_of_the_middleware_is_that_of_every_operation() -> None:
    document = asyncapi(app_behind(Auth(), Auth()))
    assert document["components"]["securitySchemes"] == Auth.security_schemes
    assert {
        tuple(each["$ref"].rpartition("/")[2] for each in operation["security"])
        for operation in document["operations"].values()
    } == {("bearer", "cookie")}
    assert "needs the header `Authorization: Bearer TOKEN` or the cookie `token`" in str(document["channels"])
    assert "securitySchemes" not in DOCUMENT["components"]


@pytest.mark.parametrize(
    ("schemes", "says"),
    [
        ("bearer", "not a mapping"),
        ({"bearer": "http"}, "not a name and a scheme"),
        ({"a name": {"type": "http"}}, "not a name and a scheme"),
        ({"bearer": {"scheme": "bearer"}}, 'has no "type"'),
        ({"cookie": {"type": "httpApiKey", "in": "cookie", "name": "other"}}, "different security schemes"),
    ],
)
def test_a_security_scheme_that_is_none_is_refused(schemes: Any, says: str) -> None:
    class Wrong(Auth):
        security_schemes = schemes

    with pytest.raises(TypeError, match=says):
        asyncapi(app_behind(Auth(), Wrong()))


@pytest.mark.parametrize(
    ("scheme", "says"),
    [
        ({"type": "http", "scheme": "basic"}, "the header `Authorization`, with the scheme basic"),
        ({"type": "httpApiKey", "in": "query", "name": "key"}, "the query parameter `key`"),
        ({"type": "httpApiKey", "in": "header", "name": "X-Key"}, "the header `X-Key`"),
        ({"type": "X509"}, "X509"),
    ],
)
def test_security_in_words(scheme: dict[str, str], says: str) -> None:
    assert describe_security(scheme) == says


def test_untyped_routes_are_left_out() -> None:
    class Untyped:
        async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None: ...

    app = app_that_speaks(PriceFeed)
    app.add_route("/untyped", Untyped())
    assert [channel["address"] for channel in asyncapi(app)["channels"].values()] == ["/"]


def test_two_messages_of_one_name_from_two_libraries_are_refused() -> None:
    class Tick(Struct, tag="tick"):
        pass

    ours = Tick

    class Tick(BaseModel):
        type: Literal["tock"] = "tock"

    class C(Conversation[ours, Tick]):
        pass

    with pytest.raises(TypeError, match="Two message types are called Tick"):
        asyncapi(app_that_speaks(C))


def test_a_reply_that_is_not_declared_is_refused() -> None:
    class Deaf(Conversation[Ping, Said]):
        pass

    with pytest.raises(TypeError, match="Deaf: Pong answers Ping, but is not declared"):
        asyncapi(app_that_speaks(Deaf))


def test_schemas_are_draft_07() -> None:
    assert to_draft_07(
        {
            "anyOf": [{"$ref": "#/a"}, {"type": "array", "prefixItems": [{"type": "integer"}], "items": False}],
            "discriminator": {"propertyName": "type", "mapping": {}},
            "properties": {"enum": {"enum": ["one"]}, "items": {"enum": ["a", "b"]}},
        }
    ) == {
        "anyOf": [{"$ref": "#/a"}, {"type": "array", "items": [{"type": "integer"}], "additionalItems": False}],
        "discriminator": "type",
        "properties": {"enum": {"type": "string", "const": "one"}, "items": {"enum": ["a", "b"]}},
    }


class Tree(Struct, tag="tree"):
    children: list[Tree]


class Other(Struct, tag="other"):
    pass


class Moment(Struct, tag="moment"):
    at: datetime


class Moments(Struct, tag="moments", omit_defaults=True):
    """Times at every place of a message."""

    plain: datetime = datetime.min
    naive: Annotated[datetime, Meta(tz=False)] = datetime.min
    optional: int | Annotated[datetime, Meta(description="when")] | None = None
    listed: list[datetime] | dict[str, int] = []
    pair: tuple[int, Stamped] | None = None
    mapped: dict[str, list[datetime]] = {}
    nested: Other | Moment | None = None
    clock: time | None = None
    naive_clock: Annotated[time, Meta(tz=False)] | None = None


class Kind(IntEnum):
    ONE = 1


class Numbers(Struct, tag="numbers", omit_defaults=True):
    found: set[int] = set()
    by_number: dict[int, str] = {}
    by_time: dict[datetime, int] = {}
    by_clock: dict[Annotated[time, Meta(tz=False)], int] = {}
    by_choice: dict[Literal[1, 3], int] = {}
    by_kind: dict[Kind, int] = {}


class PydanticNumbers(BaseModel):
    type: Literal["numbers"] = "numbers"
    found: frozenset[int] = frozenset()
    by_number: dict[int, str] = {}
    at: datetime = datetime.min
    naive: NaiveDatetime = datetime.min
    clock: time = time.min


@dataclass
class Stamped:
    at: datetime


class TestSchemasAndDecodersAgree:
    """What the decoder accepts the schema accepts, and the other way round.

    With one exception: 1.0 is an integer to JSON Schema, and to msgspec it is not.
    """

    values = st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3) | st.just(1.5),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=4,
    )

    @given(data=st.data())
    @settings(max_examples=600, deadline=None)
    def test_for_any_object(self, data: st.DataObject) -> None:
        conversation = data.draw(st.sampled_from([Chat, Words, Mixed]))
        tag, message_type = data.draw(st.sampled_from(sorted(conversation.received.by_tag.items())))
        members = ["text", "name", "x", "y", "on", "id", "tags"]
        payload = {"type": tag} | data.draw(st.dictionaries(st.sampled_from(members), self.values, max_size=4))
        schema = DOCUMENT["components"]["schemas"][message_type.__name__]
        validator = jsonschema.Draft7Validator(schema | {"components": DOCUMENT["components"]})
        try:
            conversation.received.decode(json.dumps(payload))
        except DECODE_ERRORS:
            accepted = False
        else:
            accepted = True
        assert validator.is_valid(payload) is accepted, payload

    def test_a_model_may_decide_that_values_are_converted(self) -> None:
        class Lenient(BaseModel, strict=False):
            type: Literal["lenient"] = "lenient"
            number: int

        class Numbers(Conversation[Lenient, Never]):
            pass

        assert Numbers.received.decode('{"type": "lenient", "number": "5"}') == Lenient(number=5)

    @pytest.mark.parametrize("value", ["5", True, 1.5, None])
    def test_no_kind_of_message_converts_values(self, value: object) -> None:
        for payload in ({"type": "move", "x": value}, {"type": "rename", "name": "a", "tags": [value]}):
            with pytest.raises(DECODE_ERRORS):
                Mixed.received.decode(json.dumps(payload))

    @pytest.mark.parametrize(
        "value",
        [
            "2030-01-31T12:00:00",
            "2030-01-31 12:00:00.123456",
            "2030-01-31T12:00:00Z",
            "2030-01-31t12:00:00+01:00",
            "2030-01-31T12:00",
            "2030-01-31",
            "12:00:00",
            "12:00:00.5Z",
            "x",
            "",
        ],
    )
    @pytest.mark.parametrize(
        "member", ["plain", "naive", "optional", "listed", "pair", "mapped", "clock", "naive_clock"]
    )
    def test_for_times_with_and_without_an_offset(self, member: str, value: str) -> None:
        schemas = MessageSchemas([Moments])
        made: dict[str, Any] = {"listed": [value], "pair": [1, {"at": value}], "mapped": {"a": [value]}}
        payload = {"type": "moments", member: made.get(member, value)}
        validator = jsonschema.Draft7Validator(schemas[Moments] | {"components": {"schemas": schemas.components}})
        try:
            msgspec.json.decode(json.dumps(payload), type=Moments)
        except DECODE_ERRORS:
            accepted = False
        else:
            accepted = True
        assert validator.is_valid(payload) is accepted

    @pytest.mark.parametrize("payload", [[], [1], [1, 1], ["a"]])
    @pytest.mark.parametrize("message_type", [Numbers, PydanticNumbers])
    def test_for_sets_with_duplicates(self, message_type: type, payload: object) -> None:
        self.agree(message_type, {"type": "numbers", "found": payload})

    @pytest.mark.parametrize("key", ["1", "-1", "01", "1.0", "", "a", "é", "1 "])
    @pytest.mark.parametrize("message_type", [Numbers, PydanticNumbers])
    def test_for_objects_whose_keys_are_no_texts(self, message_type: type, key: str) -> None:
        self.agree(message_type, {"type": "numbers", "by_number": {key: "x"}})

    @pytest.mark.parametrize("key", ["2030-01-31", "2030-01-31T12:00:00Z", "2030-01-31T12:00:00", "12:00:00", "1", "2"])
    @pytest.mark.parametrize("member", ["by_time", "by_clock", "by_choice", "by_kind"])
    def test_for_keys_of_every_type_that_a_pattern_or_a_list_describes(self, member: str, key: str) -> None:
        self.agree(Numbers, {"type": "numbers", member: {key: 1}})

    @pytest.mark.parametrize(
        "value",
        [
            "2030-01-31T12:00:00",
            "2030-01-31T12:00",
            "2030-01-31t12:00:00.5Z",
            "2030-01-31_12:00:00+0100",
            "2030-01-31",
            "12:00:00",
            "12:00",
            "12:00:00.5+01:00",
            "",
        ],
    )
    @pytest.mark.parametrize("member", ["at", "naive", "clock"])
    def test_for_the_times_of_pydantic(self, member: str, value: str) -> None:
        self.agree(PydanticNumbers, {"type": "numbers", member: value})

    def agree(self, message_type: type, payload: dict[str, Any]) -> None:
        schemas = MessageSchemas([message_type])
        validator = jsonschema.Draft7Validator(schemas[message_type] | {"components": {"schemas": schemas.components}})
        try:
            kind_of(message_type).decoder(message_type)(json.dumps(payload))
        except DECODE_ERRORS:
            accepted = False
        else:
            accepted = True
        assert validator.is_valid(payload) is accepted

    def test_the_pattern_of_a_time_is_shown_in_words(self) -> None:
        schema = MessageSchemas([PydanticNumbers])[PydanticNumbers]["properties"]["naive"]
        assert limits_of(schema).startswith("a date and time without an offset, default")
        assert "Is a date and time without an offset." in describe_member(schema)
        assert "Matches" not in describe_member(schema)

    def test_a_time_has_an_example_that_is_accepted(self) -> None:
        schemas = MessageSchemas([Moments])
        for name, schema in schemas[Moments]["properties"].items():
            required = {key: value for key, value in schema.items() if key != "default"}
            example = example_value(required, schemas.components)
            msgspec.json.decode(json.dumps({"type": "moments", name: example}), type=Moments)

    def test_recursive_types_refer_to_themselves(self) -> None:
        class Trees(Conversation[Tree, Never]):
            pass

        schemas = asyncapi(app_that_speaks(Trees))["components"]["schemas"]
        assert schemas["Tree"]["properties"]["children"]["items"] == {"$ref": "#/components/schemas/Tree"}
