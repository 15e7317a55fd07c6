"""Changes of a contract: which ones break clients that know the older document."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Never

import pytest
from msgspec import Meta, Struct

import falconws
from falconws.typed import Call, Conversation, Reply, speaks
from falconws.typed.asyncapi import asyncapi
from falconws.typed.evolution import breaking_changes
from tests.runtime.typed.conversations import make_app


def document(received: Any, sent: Any, **attributes: Any) -> dict[str, Any]:
    """Return the document of an app with one conversation, "Chat"."""

    class Chat(Conversation[received, sent]):
        pass

    for name, value in attributes.items():
        setattr(Chat, name, value)

    class Resource:
        @speaks(Chat)
        async def on_websocket(self, req: falconws.Request, chat: Any) -> None: ...

    app = falconws.App()
    app.add_route("/chat", Resource())
    return asyncapi(app)


def message(tag: str, base: type = Struct, /, **members: Any) -> Any:
    """Return a message class; a member is a type, or a pair of a type and a default."""
    annotations = {name: each[0] if isinstance(each, tuple) else each for name, each in members.items()}
    defaults = {name: each[1] for name, each in members.items() if isinstance(each, tuple)}
    namespace = {"__annotations__": annotations, "__module__": __name__, **defaults}
    return type(base)("M_" + tag, (base,), namespace, tag=tag, kw_only=True)


class Query(Struct):
    name: str


class QueryWithToken(Struct):
    name: str
    token: str


class QueryWithPage(Struct):
    name: str
    page: int = 1


BREAKING = [
    # Towards the server: it has to take whatever the old one took.
    ("say", {"text": str}, {"text": str, "to": str}, ["Chat: say.to: clients have to send this member now"], []),
    ("say", {"text": str}, {"text": int}, ["Chat: say.text: the server takes fewer values than before"], None),
    (
        "say",
        {"text": str},
        {"text": Annotated[str, Meta(max_length=5)]},
        ["Chat: say.text: the server takes fewer values than before"],
        [],
    ),
    (
        "say",
        {"mood": Literal["a", "b"]},
        {"mood": Literal["a"]},
        ["Chat: say.mood: the server takes fewer values than before"],
        [],
    ),
    ("say", {"n": int | None}, {"n": int}, ["Chat: say.n: the server takes fewer values than before"], []),
    ("say", {"n": list[str]}, {"n": list[int]}, ["Chat: say.n: the server takes fewer values than before"], None),
    # Harmless there; the other way round is what breaks clients that are sent it.
    ("say", {"text": str}, {"text": str, "to": (str, "")}, [], []),
    ("say", {"n": int}, {"n": float}, [], ["Chat: say.n: clients may be sent values that they do not know"]),
    ("say", {"n": int}, {"n": int | None}, [], ["Chat: say.n: clients may be sent values that they do not know"]),
    (
        "say",
        {"mood": Literal["a"]},
        {"mood": Literal["a", "b"]},
        [],
        ["Chat: say.mood: clients may be sent values that they do not know"],
    ),
    ("say", {"text": str}, {}, [], ["Chat: say.text: clients are no longer sent this member"]),
    ("say", {"text": str}, {"text": (str, "")}, [], ["Chat: say.text: clients may not be sent this member any more"]),
    ("say", {"text": (str, "")}, {}, [], []),
]


@pytest.mark.parametrize(("tag", "old", "new", "received", "sent"), BREAKING)
def test_a_change_breaks_one_side(
    tag: str, old: dict[str, Any], new: dict[str, Any], received: list[str], sent: list[str] | None
) -> None:
    before, after = message(tag, **old), message(tag, **new)
    assert breaking_changes(document(before, Never), document(after, Never)) == received
    if sent is not None:
        assert breaking_changes(document(Never, before), document(Never, after)) == sent


def test_what_is_taken_away_and_what_is_added() -> None:
    say, shout, said = message("say", text=str), message("shout"), message("said", text=str)
    assert breaking_changes(document(say | shout, said), document(say, said)) == [
        "Chat: shout: the server no longer takes this message"
    ]
    assert breaking_changes(document(say, said), document(say | shout, said | message("news"))) == []
    assert breaking_changes(document(say, said), {**document(say, said), "channels": {}}) == [
        "Chat: the channel is gone"
    ]


def test_the_handshake_belongs_to_the_contract() -> None:
    say = message("say", text=str)
    old = document(say, Never, query=Query)
    assert breaking_changes(old, document(say, Never, query=QueryWithPage)) == []
    assert breaking_changes(old, document(say, Never, query=QueryWithToken)) == [
        "Chat: clients have to send the query parameter token"
    ]
    assert breaking_changes(old, document(say, Never, query=Query, subprotocol="chat.v2")) == [
        "Chat: clients have to offer the subprotocol chat.v2"
    ]


def test_replies_are_messages_to_the_client() -> None:
    class Count(Reply, tag="count"):
        n: int

    class Ask(Call[Count], tag="ask"):
        pass

    old = document(Ask, Count)

    class Count(Reply, tag="count"):
        n: int | str

    class Ask(Call[Count], tag="ask"):
        pass

    assert breaking_changes(old, document(Ask, Count)) == [
        "Chat: count.n: clients may be sent values that they do not know"
    ]


def test_a_document_breaks_nothing_of_itself() -> None:
    examples = asyncapi(make_app(falconws.Hub()))
    assert breaking_changes(examples, examples) == []


def secured(*names: str) -> dict[str, Any]:
    """Return the document of an app whose middleware takes these security schemes."""

    class Auth:
        security_schemes: ClassVar = {name: {"type": "http", "scheme": name} for name in names}

        async def process_request_ws(self, req: falconws.Request, ws: falconws.WebSocket) -> None: ...

    app = make_app(falconws.Hub())
    app.add_middleware(Auth())
    return asyncapi(app)


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        ((), ("bearer",), "clients have to authenticate now (bearer)"),
        (("bearer",), ("basic",), "clients can no longer authenticate with bearer"),
        (("bearer",), ("basic", "bearer"), None),
        (("bearer",), (), None),
        (("bearer",), ("bearer",), None),
    ],
)
def test_who_was_let_in_is_let_in(old: tuple[str, ...], new: tuple[str, ...], change: str | None) -> None:
    channels = ("Chat", "PriceFeed", "Words", "Mixed")
    expected = [f"{channel}: {change}" for channel in channels] if change else []
    assert breaking_changes(secured(*old), secured(*new)) == expected
