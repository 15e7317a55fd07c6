"""Types and names that are awkward in another language, or long."""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct, field
from pydantic import BaseModel

import falconws
from falconws.typed import Call, Conversation, Reply, speaks


class Color(Enum):
    RED = "red"
    GREEN = "green"


class Circle(Struct, tag="circle", tag_field="shape"):
    radius: Annotated[float, Meta(gt=0)]


class Square(Struct, tag="square", tag_field="shape"):
    side: float


class Node(Struct):
    """A tree */ of "nodes"."""

    value: int
    children: list[Node] = []
    parent: Node | None = None


class Everything(Struct, tag="everything"):
    """All that JSON Schema knows.

    In two paragraphs, with a backslash: \\ and three quotes: \"\"\".
    """

    # A name that needs quotes in TypeScript, and one that is a keyword in Python.
    dashed: int = field(name="with-dash")
    source: str = field(name="from")
    anything: Any
    color: Color
    shape: Circle | Square
    tree: Node
    point: tuple[float, float]
    counts: dict[str, int]
    matrix: list[list[float | None]]
    data: bytes
    at: datetime.datetime
    id_: uuid.UUID = field(name="uuid")
    price: Decimal
    level: Literal[1, 2, 3]
    long_choice: Literal["the first of the values", "the second of the values", "the third of the values", "the last"]
    many_choices: list[Literal["the first of the values", "the second of the values", "the third of the values"]]
    by_choice: dict[str, Literal["the first of the values", "the second of the values", "the third of the values"]]
    limited: Annotated[str, Meta(min_length=1, pattern="^[a-z]*$", description="Lower case.")] = "a"
    bounded: Annotated[int, Meta(ge=0, le=10, multiple_of=2)] = 0
    maybe: str | None = None
    labels: list[str] = field(default_factory=lambda: ["a", "b"])
    since: datetime.date | None = datetime.date(2026, 1, 1)


class Options(BaseModel):
    """Named like a type of the runtime."""

    type: Literal["options"] = "options"
    values: dict[str, list[int]] = {}


class Client(Struct, tag="client-message"):
    pass


class AReplyWithAVeryLongNameIndeed(Reply, tag="a_reply_with_a_very_long_name_indeed"):
    pass


class AnotherReplyWithAVeryLongName(Reply, tag="another_reply_with_a_very_long_name"):
    pass


class AskSomethingWithAVeryLongNameAsWell(
    Call[AReplyWithAVeryLongNameIndeed | AnotherReplyWithAVeryLongName], tag="ask-something-with-a-very-long-name"
):
    about: str = ""


class Filter(Struct):
    tags: list[str] = []
    limit: int | None = None
    exact: bool = False


class AConversationWithAVeryLongName(
    Conversation[
        Everything | Options | AskSomethingWithAVeryLongNameAsWell | Client,
        Everything | AReplyWithAVeryLongNameIndeed | AnotherReplyWithAVeryLongName | Options,
    ]
):
    subprotocol = "long.v1"
    query = Filter
    close_codes: ClassVar = {4000: "The first reason for which a server says goodbye", 4001: "The second one"}
    errors: ClassVar = {"one_thing": 'It is "wrong".', "another_thing": "It is wrong in another way, which is longer."}


class Options2(Conversation[Options, Client]):
    pass


class Resource:
    @speaks(AConversationWithAVeryLongName)
    async def on_websocket(self, req: falconws.Request, conversation: AConversationWithAVeryLongName, **_: str) -> None:
        await conversation.accept()
        async for message in conversation:
            if isinstance(message, Everything):
                await conversation.send(message)

    @speaks(Options2)
    async def on_websocket_plain(self, req: falconws.Request, options: Options2) -> None:
        await options.accept()


app = falconws.App()
app.add_route("/tenants/{tenant}/a/very/long/path/{number:int}/with/many/segments", Resource())
app.add_route("/plain", Resource(), suffix="plain")
