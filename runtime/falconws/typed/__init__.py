"""Typed conversations: the messages of a WebSocket, declared once as classes; decoded and checked for the responder.

Needs the extra ``falconws[typed]``. Knows the WebSocket and the hub; ``import falconws`` imports nothing of it.
"""

from .conversation import Conversation
from .errors import CallError
from .messages import Call, CallMixin, Error, Gap, Joined, Left, Reply, RoomMessage, Welcome
from .speaks import conversations_of, speaks

__all__ = (
    # conversation
    "Conversation",
    # speaks
    "conversations_of",
    "speaks",
    # errors
    "CallError",
    # messages
    "Call",
    "CallMixin",
    "Error",
    "Gap",
    "Joined",
    "Left",
    "Reply",
    "RoomMessage",
    "Welcome",
)
