"""Changes of a contract: which ones break clients that know the older document."""

from __future__ import annotations

from datetime import datetime
from inspect import get_annotations
from typing import Annotated, Any, ClassVar, Literal, Never

import pytest
from msgspec import Meta, Struct

import falconws
from falconws.typed import Call, Conversation, Gap, Reply, RoomMessage, speaks
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


class Piece(Struct):
    name: str
    value: int | str


class Tree(Struct):
    name: str
    children: list[Tree] = []


class Strict(Struct, forbid_unknown_fields=True):
    name: str


def renamed(kind: type, called: str, /, **members: Any) -> Any:
    """Return a struct that is called *called*; members replace those of *kind*."""
    annotations = {**get_annotations(kind), **members}
    return type(Struct)(called, (Struct,), {"__annotations__": annotations, "__module__": __name__})


FEWER, UNKNOWN = "the server takes fewer values than before", "clients may be sent values that they do not know"
KINDS = {
    "a smaller minimum": (Annotated[int, Meta(ge=1)], Annotated[int, Meta(ge=0)], None, UNKNOWN),
    "an excluded limit": (Annotated[int, Meta(ge=0)], Annotated[int, Meta(gt=0)], FEWER, None),
    "a smaller maximum": (Annotated[int, Meta(le=9)], Annotated[int, Meta(le=8)], FEWER, None),
    "a minimum of characters": (str, Annotated[str, Meta(min_length=1)], FEWER, None),
    "a pattern": (str, Annotated[str, Meta(pattern="a")], FEWER, None),
    "another pattern": (Annotated[str, Meta(pattern="a")], Annotated[str, Meta(pattern="b")], FEWER, UNKNOWN),
    "a multiple": (Annotated[int, Meta(multiple_of=2)], Annotated[int, Meta(multiple_of=4)], FEWER, None),
    "another multiple": (Annotated[int, Meta(multiple_of=2)], Annotated[int, Meta(multiple_of=3)], FEWER, UNKNOWN),
    "null": (str, str | None, None, UNKNOWN),
    "a choice": (Literal["a", "b"], Literal["a", "b", "c"], None, UNKNOWN),
    "a choice of numbers": (Literal[1, 2], Literal[1], FEWER, None),
    "any text for a choice": (Literal["a", "b"], Annotated[str, Meta(max_length=3)], None, UNKNOWN),
    "any number for a choice": (Literal[1, 2], Annotated[int, Meta(ge=2)], FEWER, UNKNOWN),
    "another type": (str, int, FEWER, UNKNOWN),
    "a fraction": (int, float, None, UNKNOWN),
    "base64": (str, bytes, FEWER, None),
    "a time": (str, Annotated[datetime, Meta(tz=True)], FEWER, None),
    "anything": (int, Any, None, UNKNOWN),
    "items": (list[int], list[int | str], None, UNKNOWN),
    "any items": (list[int], list[Any], None, UNKNOWN),
    "a tuple": (tuple[int, str], tuple[int, int], FEWER, UNKNOWN),
    "a tuple of another length": (tuple[int, str], tuple[int, str, int], FEWER, UNKNOWN),
    "a list for a tuple": (tuple[int, int], list[int], None, UNKNOWN),
    "values of a mapping": (dict[str, int], dict[str, int | None], None, UNKNOWN),
    "a type in a list": (list[Piece], list[renamed(Piece, "Piece", value=int)], FEWER, None),
    "a type that refers to itself": (Tree, renamed(Tree, "Tree", name=int), FEWER, UNKNOWN),
    "another name of a type": (list[Piece], list[renamed(Piece, "Figure")], None, None),
    "a member that is refused": (Piece, Strict, FEWER, UNKNOWN),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_member_may_be(kind: str) -> None:
    old, new, received, sent = KINDS[kind]
    before, after = message("say", x=old), message("say", x=new)
    changes = breaking_changes(document(before, Never), document(after, Never))
    assert changes == ([f"Chat: say.x: {received}"] if received else [])
    changes = breaking_changes(document(Never, before), document(Never, after))
    assert changes == ([f"Chat: say.x: {sent}"] if sent else [])


SAY = message("say", text=str)
SAID = message("said", RoomMessage, text=str)
KEPT = message("said", text=str)


class Limit(Struct):
    limit: Annotated[int, Meta(le=10)] = 5


class LowLimit(Struct):
    limit: Annotated[int, Meta(le=3)] = 3


class Count(Reply, tag="count"):
    n: int


class Total(Reply, tag="total"):
    n: int


class Ask(Call[Count], tag="ask"):
    pass


class AskTwice(Call[Count | Total], tag="ask"):
    pass


class AskNobody(Call[Total], tag="ask"):
    pass


def contract(received: Any = SAY, sent: Any = SAID, **attributes: Any) -> tuple[Any, Any, dict[str, Any]]:
    return received, sent, attributes


CONTRACTS = {
    "resume is gone": (
        contract(sent=SAID | Gap),
        contract(sent=SAID),
        ["clients can no longer resume after a position"],
    ),
    "a message without its position": (
        contract(sent=SAID | Gap),
        contract(sent=KEPT | Gap),
        ["said: clients can no longer resume after this message"],
    ),
    "resume is new": (contract(), contract(sent=SAID | Gap), []),
    "a query parameter takes less": (
        contract(query=Limit),
        contract(query=LowLimit),
        ["the server takes fewer values of the query parameter limit than before"],
    ),
    "no query any more": (contract(query=Limit), contract(), []),
    "another close code": (
        contract(close_codes={4001: "full"}),
        contract(close_codes={4001: "full", 4002: "late"}),
        [],
    ),
    "a close code means something else": (
        contract(close_codes={4001: "full"}),
        contract(close_codes={4001: "late"}),
        ["the close code 4001 has another meaning: 'full' becomes 'late'"],
    ),
    "an error code means something else": (
        contract(errors={"full": "No seat."}),
        contract(errors={"full": "No room."}),
        ["the error code full has another meaning: 'No seat.' becomes 'No room.'"],
    ),
    "no subprotocol any more": (
        contract(subprotocol="v1"),
        contract(),
        ["the subprotocol v1 is gone, which clients offer"],
    ),
    "another subprotocol": (
        contract(subprotocol="v1"),
        contract(subprotocol="v2"),
        ["the subprotocol v1 is gone, which clients offer"],
    ),
    "a default of the client": (
        contract(message("say", n=(int, 1))),
        contract(message("say", n=(int, 2))),
        ["say.n: the default 1 becomes 2"],
    ),
    "a default of the server": (
        contract(sent=message("said", n=(int, 1))),
        contract(sent=message("said", n=(int, 2))),
        ["said.n: the default 1 becomes 2"],
    ),
    "no default any more": (
        contract(message("say", n=(int, 1))),
        contract(message("say", n=int)),
        ["say.n: clients have to send this member now"],
    ),
    "another kind of answer": (
        contract(Ask, Count),
        contract(AskTwice, Count | Total),
        ["ask: clients may be answered with total, which they do not know as an answer"],
    ),
    "one kind of answer less": (contract(AskTwice, Count | Total), contract(Ask, Count), []),
    "the answer is another message": (
        contract(Ask, Count),
        contract(AskNobody, Count | Total),
        ["ask: clients may be answered with total, which they do not know as an answer"],
    ),
    "no answer any more": (
        contract(Ask, Count),
        contract(message("ask", id=(int | str | None, None)), Count),
        ["ask: clients are no longer answered"],
    ),
    "an answer to what had none": (contract(message("ask")), contract(Ask, SAID | Count), []),
}


@pytest.mark.parametrize("name", CONTRACTS)
def test_what_a_conversation_promises(name: str) -> None:
    (received, sent, attributes), (new_received, new_sent, new_attributes), changes = CONTRACTS[name]
    old, new = document(received, sent, **attributes), document(new_received, new_sent, **new_attributes)
    assert breaking_changes(old, new) == [f"Chat: {change}" for change in changes]


def moved(path: str, name: str = "Chat", kind: Any = SAY) -> dict[str, Any]:
    """Return the document of a conversation called *name*."""
    conversation = type(Conversation)(name, (Conversation,), {"__orig_bases__": (Conversation[kind, SAID],)})

    class Resource:
        @speaks(conversation)
        async def on_websocket(self, req: falconws.Request, chat: Any, **fields: str) -> None: ...

    app = falconws.App()
    app.add_route(path, Resource())
    return asyncapi(app)


def test_only_what_is_on_the_wire_counts() -> None:
    old = moved("/rooms/{room}")
    assert breaking_changes(old, moved("/rooms/{number:int}", "Talk")) == []
    assert breaking_changes(old, moved("/rooms/{room}", kind=renamed_with_tag("Speak"))) == []
    assert breaking_changes(old, moved("/room/{room}")) == ["Chat: the address /rooms/{room} becomes /room/{room}"]
    assert breaking_changes(old, moved("/room/{room}", "Talk")) == ["Chat: the channel is gone"]


def renamed_with_tag(name: str) -> Any:
    namespace = {"__annotations__": {"text": str}, "__module__": __name__}
    return type(Struct)(name, (Struct,), namespace, tag="say")


def secured(**schemes: str) -> dict[str, Any]:
    """Return the document of an app whose middleware takes these security schemes: of HTTP, by their names."""

    class Auth:
        security_schemes: ClassVar = {name: {"type": "http", "scheme": kind} for name, kind in schemes.items()}

        async def process_request_ws(self, req: falconws.Request, ws: falconws.WebSocket) -> None: ...

    app = make_app(falconws.Hub())
    app.add_middleware(Auth())
    return asyncapi(app)


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        ({}, {"token": "bearer"}, "clients have to authenticate now (token)"),
        ({"token": "bearer"}, {"password": "basic"}, "clients can no longer authenticate with token"),
        ({"token": "bearer"}, {"token": "basic"}, "clients can no longer authenticate with token as before"),
        ({"token": "bearer"}, {"password": "basic", "token": "bearer"}, None),
        ({"token": "bearer"}, {"jwt": "bearer"}, None),
        ({"token": "bearer"}, {}, None),
        ({"token": "bearer"}, {"token": "bearer"}, None),
    ],
)
def test_who_was_let_in_is_let_in(old: dict[str, str], new: dict[str, str], change: str | None) -> None:
    channels = ("Chat", "PriceFeed", "Words", "Mixed")
    expected = [f"{channel}: {change}" for channel in channels] if change else []
    assert breaking_changes(secured(**old), secured(**new)) == expected
