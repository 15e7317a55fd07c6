"""Iterates over the messages of one connection until the peer leaves: the object behind ``async for``.

Knows how messages are received; what becomes of a payload is a function that it is given.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, Self, TypeVar

from .errors import WebSocketDisconnected
from .media_codec import as_text
from .message_path import MessagePath
from .stream import Payload

__all__ = ("MessageIterator",)

_T = TypeVar("_T")


class MessageIterator(Generic[_T]):
    """An asynchronous iterator over messages, until the connection is closed.

    Args:
        path: The path of the messages.
        convert: Converts a payload to what the iterator yields.
        kind: The type of payload that *convert* returns unchanged.
        refuse: Awaited for a payload that *convert* raises an error for, with the payload, the error, and the number of
            such payloads in a row. *convert* then gets TEXT payloads only. WebSocketDisconnected ends the iteration.
    """

    __slots__ = ("_convert", "_kind", "_path", "_refuse")

    def __init__(
        self,
        path: MessagePath,
        convert: Callable[[Any], _T],
        kind: type[Any] | None = None,
        refuse: Callable[[Payload, Exception, int], Awaitable[None]] | None = None,
    ) -> None:
        self._path = path
        self._convert = convert
        self._kind = kind
        self._refuse = refuse

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _T:
        path = self._path
        refused = 0
        while True:
            # What `WebSocket.receive_text()` does, without its coroutine.
            direct, bypass = path.direct, path.bypass
            payload: Any
            if bypass is not None and bypass.may_bypass_receive and not bypass.receiving:
                bypass.receiving = True
                try:
                    event = await bypass.asgi_receive()
                except BaseException:
                    bypass.abandon()
                    raise
                payload = bypass.received(event)
            elif direct is None:
                payload = await path.receive()
            elif (payload := direct.try_receive()) is None:
                payload = await path.stream.receive()
            if payload is None:
                raise StopAsyncIteration
            if self._refuse is None:
                message: _T = payload if type(payload) is self._kind else self._convert(payload)
                return message
            try:
                return self._convert(payload if type(payload) is str else as_text(payload))
            except Exception as error:
                refused += 1
                try:
                    await self._refuse(payload, error, refused)
                except WebSocketDisconnected:
                    raise StopAsyncIteration from None
