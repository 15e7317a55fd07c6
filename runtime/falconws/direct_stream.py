"""Both halves of one connection on servers that offer the extension "falconws.connection".

Such a server hands over the connection itself: it says at once when the peer is gone, even behind unread messages,
takes a message without awaiting when it can, and gives one that is there already. No task watches, no event is built.

The classes stand in for ``Inbox`` and ``Outbox``, which serve everywhere else.

Source: docs/reference/asgi-extension.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol

from .closecodes import CloseCode
from .errors import OperationNotAllowed, WebSocketDisconnected
from .stream import SECOND_RECEIVER, End, Event, Payload, payload_of

__all__ = ("CONNECTION", "Connection", "DirectInbox", "DirectOutbox")

CONNECTION = "falconws.connection"
"""The extension's key in ``scope["extensions"]``."""


class Connection(Protocol):
    """What of the extension is used here."""

    @property
    def close_code(self) -> int | None: ...
    @property
    def close_reason(self) -> str | None: ...
    def try_send_text(self, text: str) -> bool: ...
    def try_send_bytes(self, data: bytes) -> bool: ...
    def try_receive(self) -> Payload | None: ...
    def add_disconnect_callback(self, callback: Callable[[], object]) -> None: ...
    def remove_disconnect_callback(self, callback: Callable[[], object]) -> None: ...


class DirectInbox:
    """Messages of one connection in the order of their arrival, and its end; see ``Inbox``."""

    __slots__ = (
        "_connection",
        "_end_seen",
        "_receive",
        "_receiving",
        "_try_receive",
        "at_hand",
        "end",
        "news_wanted",
        "on_end",
    )

    def __init__(self, connection: Connection, receive: Callable[[], Awaitable[Event]]) -> None:
        self._connection = connection
        self._receive = receive
        self._try_receive = connection.try_receive
        self._receiving = False
        self._end_seen: asyncio.Event | None = None
        self.at_hand: Literal[False] = False
        """A message that is there already needs no awaiting: ask ``get()``."""
        self.end: End | None = None
        self.news_wanted = True
        self.on_end: Callable[[], object] | None = None
        connection.add_disconnect_callback(self._ended)

    async def get(self, timeout: float | None = None) -> Payload | None:
        """Return the payload of the next message, or None when the connection is over and all have been returned."""
        if self._receiving:
            raise OperationNotAllowed(SECOND_RECEIVER)
        payload = self._try_receive()
        if payload is not None:
            return payload
        self._receiving = True
        try:
            if timeout is None:
                event = await self._receive()
            else:
                event = await self._receive_within(timeout)
        finally:
            self._receiving = False
        return payload_of(event) if event["type"] == "websocket.receive" else None

    async def _receive_within(self, timeout: float) -> Event:
        try:
            async with asyncio.timeout(timeout):
                return await self._receive()
        except TimeoutError:
            raise TimeoutError(f"No message within {timeout} s") from None

    def start(self) -> None:
        """Nothing has to be watched."""

    def want_news(self) -> None:
        """The news comes by itself."""

    async def wait_end(self) -> End:
        """Return how the connection ended, once it has."""
        while self.end is None:
            if self._end_seen is None:
                self._end_seen = asyncio.Event()
            await self._end_seen.wait()
        return self.end

    def finish(self, code: int, reason: str) -> End:
        """Record the end, unless it is known already, wake those who wait for it, and return it."""
        if self.end is None:
            self.end = End(code, reason)
            if self.on_end is not None:
                self.on_end()
        if self._end_seen is not None:
            self._end_seen.set()
        return self.end

    def stop(self) -> None:
        """Let go of the connection."""
        self._connection.remove_disconnect_callback(self._ended)

    def _ended(self) -> None:
        code = self._connection.close_code
        self.finish(CloseCode.ABNORMAL if code is None else code, self._connection.close_reason or "")


class DirectOutbox:
    """Passes messages on without awaiting while the server can take them; see ``Outbox``."""

    __slots__ = ("_inbox", "_send", "_try_send_bytes", "_try_send_text", "at_hand", "connection")

    def __init__(
        self, connection: Connection, send: Callable[[dict[str, Any]], Awaitable[None]], inbox: DirectInbox
    ) -> None:
        self.connection = connection
        self._send = send
        self._try_send_text = connection.try_send_text
        self._try_send_bytes = connection.try_send_bytes
        self._inbox = inbox
        self.at_hand: Literal[False] = False
        """``put()`` may send without awaiting."""

    async def put(self, payload: Payload) -> None:
        """Send *payload* as one message, TEXT or BINARY by its type.

        Raises:
            WebSocketDisconnected: The connection is over; ``code`` and ``reason`` say how it ended.
        """
        if payload.__class__ is bytes:
            if self._try_send_bytes(payload):
                return
            event = {"type": "websocket.send", "bytes": payload}
        else:
            if self._try_send_text(payload):  # type: ignore[arg-type]
                return
            event = {"type": "websocket.send", "text": payload}
        try:
            await self._send(event)
        except OSError as error:
            raise WebSocketDisconnected(*self._inbox.finish(CloseCode.ABNORMAL, "")) from error
