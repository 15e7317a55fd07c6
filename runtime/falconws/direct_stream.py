"""One connection's messages, and how it was closed: on servers that offer the extension "falconws.connection".

Such a server passes the connection itself. It reports a disconnect at once, even behind unread messages. It takes and
returns messages without awaiting when it can. So neither a task that watches the connection nor event dicts are needed.
Stands in for ``stream.AsgiStream``, which serves everywhere else, and knows as little of media, handshakes and the
application.

Source: docs/reference/asgi-extension.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from .closecodes import CloseCode
from .errors import OperationNotAllowed, WebSocketDisconnected
from .extension import ConnectionExtension
from .stream import SECOND_RECEIVER, Close, Payload

__all__ = ("DirectStream",)


class DirectStream:
    """The stream of a server with the extension; implements ``stream.Stream``."""

    __slots__ = ("_closed_event", "closed", "connection", "on_closed")

    bypass = None

    def __init__(self, connection: ConnectionExtension) -> None:
        self._closed_event: asyncio.Event | None = None
        self.connection = connection
        self.closed: Close | None = None
        self.on_closed: Callable[[], object] | None = None
        connection.add_disconnect_callback(self._disconnected)

    def receive(self, timeout: float | None = None) -> Coroutine[Any, Any, Payload | None]:
        if self.connection.receiving:
            raise OperationNotAllowed(SECOND_RECEIVER)
        return self.connection.next_message() if timeout is None else self._receive_within(timeout)

    async def _receive_within(self, timeout: float) -> Payload | None:
        try:
            async with asyncio.timeout(timeout):
                return await self.connection.next_message()
        except TimeoutError:
            raise TimeoutError(f"No message within {timeout} s") from None

    async def send(self, payload: Payload) -> None:
        if isinstance(payload, bytes):
            if self.connection.try_send_bytes(payload):
                return
            event = {"type": "websocket.send", "bytes": payload}
        else:
            if self.connection.try_send_text(payload):
                return
            event = {"type": "websocket.send", "text": payload}
        try:
            await self.connection.send(event)
        except OSError as error:
            raise WebSocketDisconnected(*self.record_close(CloseCode.ABNORMAL, "")) from error

    def watch_for_disconnect(self) -> None:
        """Do nothing: the server reports a disconnect by itself."""

    async def wait_closed(self) -> Close:
        while self.closed is None:
            if self._closed_event is None:
                self._closed_event = asyncio.Event()
            await self._closed_event.wait()
        return self.closed

    def record_close(self, code: int, reason: str) -> Close:
        if self.closed is None:
            self.closed = Close(code, reason)
            if self.on_closed is not None:
                self.on_closed()
        if self._closed_event is not None:
            self._closed_event.set()
        return self.closed

    def stop(self) -> None:
        if self.closed is None:
            self.connection.remove_disconnect_callback(self._disconnected)

    def _disconnected(self) -> None:
        code = self.connection.close_code
        self.record_close(CloseCode.ABNORMAL if code is None else code, self.connection.close_reason or "")
