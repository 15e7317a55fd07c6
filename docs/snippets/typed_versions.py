"""Two versions of one conversation on one route."""

import falconws
from falconws.typed import Call, Conversation, Reply, speaks


# start: messages
class Sum(Reply, tag="sum"):
    value: float


class Add(Call[Sum], tag="add"):
    a: float
    b: float


class SumV1(Conversation[Add, Sum]):
    """Adds two numbers."""

    subprotocol = "sum.v1"


class AddAll(Call[Sum], tag="add"):
    numbers: list[float]


class SumV2(Conversation[AddAll, Sum]):
    """Adds any number of numbers."""

    subprotocol = "sum.v2"
    # end: messages


# start: responder
class SumResource:
    @speaks(SumV2, SumV1)
    async def on_websocket(self, req: falconws.Request, conversation: SumV2 | SumV1) -> None:
        await conversation.accept()
        async for call in conversation:
            match call:
                case AddAll(numbers=numbers):
                    await conversation.reply(call, Sum(value=sum(numbers)))
                case Add(a=a, b=b):
                    await conversation.reply(call, Sum(value=a + b))
                    # end: responder


app = falconws.App()
app.add_route("/sum", SumResource())
