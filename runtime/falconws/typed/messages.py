"""The messages of falconws' own in a typed conversation, and the bases of an application's messages.

Plain values. Knows nothing of connections, of hubs, or of how a message becomes a payload.
"""

from __future__ import annotations

from inspect import get_annotations
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from msgspec import Struct

__all__ = (
    "AnyCall",
    "Call",
    "CallMixin",
    "Error",
    "Gap",
    "Joined",
    "Left",
    "Reply",
    "RoomMessage",
    "Welcome",
    "has_id",
)

R = TypeVar("R")


class Call(Struct, Generic[R], kw_only=True, omit_defaults=True):
    """Base of a message that is answered by one *R*, or by an ``Error``, with the same ``id``.

    *R* may be a union of replies. Replies may come in any order; a call without an ``id`` is answered in the order
    of the responder.
    """

    id: int | str | None = None


class CallMixin(Generic[R]):
    """Base of a dataclass or pydantic model that is a call, answered by one *R*, or by an ``Error``::

        class Book(BaseModel, CallMixin[Booked | Full]):
            type: Literal["book"] = "book"
            id: int | str | None = None

    The class declares the field ``id`` itself, and so does each *R* that is not a ``Reply``.
    """

    __slots__ = ()
    if TYPE_CHECKING:
        id: int | str | None


AnyCall: TypeAlias = Call[R] | CallMixin[R]


def has_id(message_type: type) -> bool:
    """Return whether the class declares a field ``id``."""
    return any("id" in get_annotations(each) for each in message_type.__mro__)


class Reply(Struct, kw_only=True, omit_defaults=True):
    """Base of a message that answers a call. ``Conversation.reply()`` copies the ``id`` of the call."""

    id: int | str | None = None


class RoomMessage(Struct, kw_only=True, omit_defaults=True):
    """Base of a message that is published to a room. The hub fills in ``position``, from which a client can resume."""

    position: str | None = None


class Error(Struct, tag="error", omit_defaults=True):
    """The last message was not accepted. The conversation goes on."""

    code: str
    message: str
    id: int | str | None = None
    """The ``id`` of the call, if the message had one."""
    path: str | None = None
    """Where in the message, such as ``$.text``."""
    received: str | None = None
    """The ``type`` of the message, if it had one."""


class Welcome(Struct, tag="welcome"):
    """You follow the room. The next message comes after ``position``."""

    position: str
    present: list[str]


class Gap(Struct, tag="gap"):
    """Messages are missing here and cannot be replayed: reload."""

    position: str


class Joined(Struct, tag="joined"):
    """A member has joined the room."""

    member: str


class Left(Struct, tag="left"):
    """A member has left the room."""

    member: str
