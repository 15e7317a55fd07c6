"""The client's end of a typed conversation, for tests.

Imported only by tests that use it: it needs the extra ``falconws[typed]``.
"""

from __future__ import annotations

import itertools
import json
from collections import deque
from typing import Any, Generic, TypeVar

import msgspec

from falconws.typed.codec import with_id
from falconws.typed.conversation import Conversation
from falconws.typed.errors import CallError
from falconws.typed.kinds import DECODE_ERRORS
from falconws.typed.messages import AnyCall, Error

from .websocket import ClientWebSocket

__all__ = ("TypedWebSocket", "query_of")

In = TypeVar("In")
Out = TypeVar("Out")
M = TypeVar("M")
R = TypeVar("R")


class TypedWebSocket(Generic[In, Out]):
    """The client's end of a typed conversation, from ``Client.converse()``. Each wait has the time limit of *ws*."""

    def __init__(self, conversation: type[Conversation[In, Out]], ws: ClientWebSocket) -> None:
        self.ws = ws
        """The WebSocket itself."""
        self._conversation = conversation
        self._ids = itertools.count(1)
        # Messages that came while a call waited for its reply.
        self._waiting: deque[Any] = deque()

    async def send(self, message: In) -> None:
        """Send *message*. Raises TypeError if it is not a message of the client in this conversation."""
        await self.ws.send_text(self._conversation.received.encode(message))

    async def receive(self, message_type: type[M]) -> M:
        """Return the next message, which is a *message_type*.

        Raises:
            AssertionError: It is another message, or not a message of the conversation; the error shows it.
        """
        message = await self._next()
        if not isinstance(message, message_type):
            raise AssertionError(f"Expected {message_type.__name__}, received {message!r}")
        return message

    async def receive_until(self, message_type: type[M]) -> M:
        """Return the next *message_type*, and skip other messages of the conversation in front of it."""
        while not isinstance(message := await self._next(), message_type):
            pass
        return message

    async def call(self, call: AnyCall[R]) -> R:
        """Send *call* with a new id, and return its reply.

        Other messages that come first are kept, in their order, for ``receive()``.

        Raises:
            CallError: It was answered with an error.
        """
        call_id = next(self._ids)
        await self.ws.send_text(self._conversation.received.encode(with_id(call, call_id)))
        while getattr(reply := await self._read(), "id", None) != call_id:
            self._waiting.append(reply)
        if isinstance(reply, Error):
            raise CallError(reply.code, reply.message, reply)
        answer: R = reply
        return answer

    async def send_raw(self, payload: object) -> None:
        """Send *payload* as it is: a str as TEXT, bytes as BINARY, anything else as JSON. For invalid messages."""
        if isinstance(payload, bytes):
            await self.ws.send_data(payload)
        else:
            await self.ws.send_text(payload if isinstance(payload, str) else json.dumps(payload))

    async def _next(self) -> Any:
        return self._waiting.popleft() if self._waiting else await self._read()

    async def _read(self) -> Any:
        payload = await self.ws.receive_text()
        try:
            return self._conversation.sent.decode(payload)
        except DECODE_ERRORS as error:
            wrong = self._conversation.sent.explain(payload, error)
            raise AssertionError(f"{payload:.500} is not a message of {self._conversation.__name__}: {wrong}") from None


def query_of(query: object) -> str:
    """Return the query string of a message object or a mapping."""
    from urllib.parse import urlencode

    members: dict[str, Any] = msgspec.to_builtins(query)
    texts = {name: str(value).lower() if isinstance(value, bool) else value for name, value in members.items()}
    return urlencode({name: value for name, value in texts.items() if value is not None}, doseq=True)
