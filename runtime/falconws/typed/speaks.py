"""The decorator that gives a responder a conversation. Falcon's hooks and suffixes work beside it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

import falcon

from ..request import Request
from ..websocket import WebSocket
from .conversation import Conversation

__all__ = ("conversations_of", "speaks")

A = TypeVar("A", bound=Conversation[Any, Any])
B = TypeVar("B", bound=Conversation[Any, Any])
C = TypeVar("C", bound=Conversation[Any, Any])
P = ParamSpec("P")
S = TypeVar("S")

_Responder = Callable[Concatenate[S, Request, C, P], Awaitable[None]]
_Untyped = Callable[Concatenate[S, Request, WebSocket, P], Awaitable[None]]
_ATTRIBUTE = "__conversations__"


@overload
def speaks(conversation: type[A], /) -> Callable[[_Responder[S, A, P]], _Untyped[S, P]]: ...


@overload
def speaks(first: type[A], second: type[B], /) -> Callable[[_Responder[S, A | B, P]], _Untyped[S, P]]: ...


@overload
def speaks(
    first: type[A], second: type[B], third: type[C], /
) -> Callable[[_Responder[S, A | B | C, P]], _Untyped[S, P]]: ...


def speaks(*conversations: type[Any]) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., Awaitable[None]]]:
    """Pass the responder a conversation in place of the bare WebSocket.

    Several conversations are versions of one, told apart by their ``subprotocol``: the first one whose subprotocol the
    client offers is taken. One without a subprotocol is taken by any client. A handshake that offers none of them, or
    whose query does not fit ``Conversation.query``, is refused with 400 before the responder runs.

    Raises:
        TypeError: What is given is not a subclass of ``Conversation``.
    """
    for each in conversations:
        if not (isinstance(each, type) and issubclass(each, Conversation)):
            raise TypeError(f"@speaks needs subclasses of Conversation, got {each!r}.")
    if not conversations:
        raise TypeError("@speaks needs a subclass of Conversation.")

    def decorate(responder: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        @wraps(responder)
        async def on_websocket(self: Any, req: Request, ws: WebSocket, *args: Any, **params: Any) -> None:
            conversation = _choose(conversations, ws)(ws, req)
            if conversation.query is not None:
                conversation.read_query(conversation.query)
            await responder(self, req, conversation, *args, **params)

        setattr(on_websocket, _ATTRIBUTE, conversations)
        return on_websocket

    return decorate


def conversations_of(responder: object) -> tuple[type[Conversation[Any, Any]], ...]:
    """Return the conversations that a responder speaks; an empty tuple for an untyped one."""
    found: tuple[type[Conversation[Any, Any]], ...] = getattr(responder, _ATTRIBUTE, ())
    return found


def _choose(conversations: tuple[type[Conversation[Any, Any]], ...], ws: WebSocket) -> type[Conversation[Any, Any]]:
    for each in conversations:
        if each.subprotocol is None or each.subprotocol in ws.subprotocols:
            return each
    spoken = ", ".join(str(each.subprotocol) for each in conversations)
    raise falcon.HTTPBadRequest(
        title="Unsupported subprotocol", description=f"Offer one of these WebSocket subprotocols: {spoken}."
    )
