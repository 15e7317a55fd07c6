"""The conversation between the bidders of an item and the server."""

from typing import Annotated, ClassVar

from falconws.typed import Call, Conversation, Gap, Joined, Left, Reply, RoomMessage, Welcome
from msgspec import Meta, Struct


class Accepted(Reply, tag="accepted"):
    """Your bid is the highest."""

    price: int


class Bid(Call[Accepted], tag="bid"):
    """Bid for the item."""

    amount: Annotated[int, Meta(gt=0)]


class Price(RoomMessage, tag="price"):
    """Somebody has bid more."""

    price: int
    bidder: str


class Bidder(Struct):
    """The query of the handshake."""

    name: Annotated[str, Meta(min_length=1, max_length=40)]


class Bidding(Conversation[Bid, Accepted | Welcome | Price | Joined | Left | Gap]):
    """Bidders see each other and each bid, and miss none when their connection breaks."""

    query = Bidder
    errors: ClassVar = {"refused": "The bid is too low, or too late."}
