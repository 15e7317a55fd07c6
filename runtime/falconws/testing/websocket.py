"""The client's end of one WebSocket: what a test sends and receives, and the time limit of each wait.

Knows nothing of the order of ASGI events, nor of the lifespan.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus
from typing import Any

from falcon import PayloadTypeError, WebSocketPayloadType

from falconws.closecodes import CloseCode, check_close
from falconws.errors import WebSocketDisconnected
from falconws.media import BinaryBaseHandlerWS, JSONHandlerWS, MessagePackHandlerWS, TextBaseHandlerWS

from .asgi import check_timeout
from .connection import Accepted, Connection, HeaderList

__all__ = ("ClientWebSocket", "HandshakeDenied", "MediaHandlers", "connect")

MediaHandlers = Mapping[WebSocketPayloadType, TextBaseHandlerWS | BinaryBaseHandlerWS]

_TEXT, _BINARY = WebSocketPayloadType.TEXT, WebSocketPayloadType.BINARY
_LAST_WORDS_S = 1.0
"""How long a responder may take to end when the test has failed already."""


class HandshakeDenied(Exception):
    """The application answered the handshake with an HTTP response, and not with an upgrade.

    For ``ws.close()`` before ``accept()`` that is an empty 403, as on every ASGI server.
    """

    status: int
    headers: dict[str, str]
    """Values by lower-case name; those of a repeated header are joined by ", "."""
    body: bytes

    def __init__(self, path: str, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        try:
            line = f"{status} {HTTPStatus(status).phrase}"
        except ValueError:
            line = str(status)
        text = body[:200].decode("utf-8", "replace")
        super().__init__(f"The handshake on {path} was denied: {line}" + (f": {text}" if text else ""))

    @property
    def text(self) -> str:
        """The body, decoded from UTF-8. Raises UnicodeDecodeError."""
        return self.body.decode()

    @property
    def media(self) -> Any:
        """The body as JSON, or as MessagePack when its Content-Type says so. Raises ValueError."""
        if "msgpack" in self.headers.get("content-type", ""):
            return MessagePackHandlerWS().deserialize(self.body)
        return JSONHandlerWS().deserialize(self.text)


class ClientWebSocket:
    """The client's end of one WebSocket, from :meth:`Client.websocket`.

    Every method that waits raises TimeoutError when its time is over. If the application has raised an exception,
    every such method raises that.
    """

    subprotocol: str | None
    """The subprotocol that the application accepted."""
    headers: dict[str, str]
    """The headers that the application added to its acceptance, by lower-case name."""

    def __init__(self, connection: Connection, timeout: float, media_handlers: MediaHandlers) -> None:
        self.subprotocol = None
        self.headers = {}
        self._connection = connection
        self._timeout = timeout
        self._media_handlers = media_handlers

    @property
    def closed(self) -> bool:
        """Whether either side has ended the connection. Earlier messages may still wait."""
        return self._connection.ended is not None

    @property
    def close_code(self) -> int | None:
        """The close code, or ``None`` while the connection is open."""
        return self._connection.ended.code if self._connection.ended else None

    @property
    def close_reason(self) -> str | None:
        """The close reason, empty when there was none, or ``None`` while the connection is open."""
        return self._connection.ended.reason if self._connection.ended else None

    async def send_text(self, payload: str) -> None:
        """Send a TEXT message. Waits while the application has a full backlog of unread messages.

        Raises:
            WebSocketDisconnected: The connection has ended.
        """
        if not isinstance(payload, str):
            raise TypeError(f"The payload of a TEXT message is a str, not {type(payload).__name__}.")
        await self._send(payload)

    async def send_data(self, payload: bytes | bytearray | memoryview) -> None:
        """Send a BINARY message. Waits and raises like :meth:`send_text`."""
        if not isinstance(payload, bytes | bytearray | memoryview):
            raise TypeError(f"The payload of a BINARY message is bytes, not {type(payload).__name__}.")
        await self._send(bytes(payload))

    async def send_media(self, media: object, payload_type: WebSocketPayloadType = _TEXT) -> None:
        """Serialize *media*, by default as JSON for TEXT and MessagePack for BINARY, and send it."""
        payload = self._media_handlers[payload_type].serialize(media)
        if isinstance(payload, str):
            await self.send_text(payload)
        else:
            await self.send_data(payload)

    async def receive_text(self, timeout: float | None = None) -> str:
        """Return the payload of the next message, which is TEXT.

        Args:
            timeout: Seconds to wait; ``None`` means the client's limit. A timeout loses no message.

        Raises:
            WebSocketDisconnected: The connection has ended, and every earlier message was received.
            PayloadTypeError: The message is BINARY; it has been consumed.
        """
        message = await self._receive(timeout)
        if not isinstance(message, str):
            raise PayloadTypeError(f"Expected TEXT on {self._connection.path}, received BINARY: {_shown(message)}")
        return message

    async def receive_data(self, timeout: float | None = None) -> bytes:
        """Return the payload of the next message, which is BINARY. Raises like :meth:`receive_text`."""
        message = await self._receive(timeout)
        if not isinstance(message, bytes):
            raise PayloadTypeError(f"Expected BINARY on {self._connection.path}, received TEXT: {_shown(message)}")
        return message

    async def receive_media(self, timeout: float | None = None) -> Any:
        """Return the object in the next message, TEXT (by default JSON) or BINARY (by default MessagePack).

        Raises:
            WebSocketDisconnected: As for :meth:`receive_text`.
            ValueError: The message cannot be decoded.
        """
        message = await self._receive(timeout)
        handler: Any = self._media_handlers[_TEXT if isinstance(message, str) else _BINARY]
        return handler.deserialize(message)

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Iterate over received media until the connection ends, whatever the close code."""
        while True:
            try:
                media = await self.receive_media()
            except WebSocketDisconnected:
                return
            yield media

    async def close(self, code: int | None = CloseCode.NORMAL, reason: str = "") -> None:
        """Close with *code* and *reason*; ``None`` sends no code, so that the application gets 1005.

        Does nothing when the connection has ended. Does not wait for the responder; the end of the block does.

        Raises:
            ValueError: A close frame cannot have that code or reason (RFC 6455 section 7.4).
        """
        if code is not None:
            check_close(code, reason)
        self._connection.leave(CloseCode.NO_STATUS if code is None else code, reason)

    async def drop(self) -> None:
        """Drop the connection without a closing handshake, as a network failure does: the application gets 1006."""
        self._connection.leave(CloseCode.ABNORMAL)

    async def wait_closed(self, timeout: float | None = None) -> int:
        """Return the close code, once the connection has ended. Earlier messages can still be received.

        Args:
            timeout: Seconds to wait; ``None`` means the client's limit.
        """
        connection = self._connection
        await self._wait(lambda: connection.ended or connection.failure, "the app has not closed", timeout)
        if connection.ended is None or connection.failure is not None:
            connection.raise_failure()
        return connection.ended.code

    async def _handshake(self) -> None:
        connection = self._connection
        connection.start()
        await self._wait(lambda: connection.answer or connection.failure, "the handshake was not answered")
        if connection.answer is None:
            connection.raise_failure()
        if isinstance(connection.answer, Accepted):
            self.subprotocol = connection.answer.subprotocol
            self.headers = _decoded(connection.answer.headers)
            return
        await self._responder_ended()
        status, headers, body = connection.answer
        raise HandshakeDenied(connection.path, status, _decoded(headers), body)

    async def _responder_ended(self) -> None:
        connection = self._connection
        await self._wait(lambda: connection.finished, "the responder has not ended after the connection did")
        if connection.failure is not None and not connection.failure_raised:
            connection.raise_failure()

    async def _abort(self, error: BaseException) -> None:
        """End everything because *error* leaves the block. Another failure becomes a note on it."""
        connection = self._connection
        connection.leave(CloseCode.ABNORMAL if connection.answer is None else CloseCode.NORMAL)
        await connection.end(min(self._timeout, _LAST_WORDS_S) if isinstance(error, Exception) else 0)
        failure = connection.failure
        if failure is not None and not connection.failure_raised and failure is not error:
            error.add_note(f"The app also raised {type(failure).__name__} on {connection.path}: {failure}")

    async def _send(self, message: str | bytes) -> None:
        connection = self._connection
        await self._wait(lambda: connection.has_capacity or connection.failure, "the app has not received a message")
        self._check_open()
        connection.deliver(message)

    async def _receive(self, timeout: float | None) -> str | bytes:
        connection = self._connection
        await self._wait(
            lambda: connection.messages or connection.ended or connection.failure, "no message came", timeout
        )
        if not connection.messages:
            self._check_open()
        return connection.take()

    def _check_open(self) -> None:
        connection = self._connection
        if connection.failure is not None:
            connection.raise_failure()
        if connection.ended is not None:
            raise WebSocketDisconnected(connection.ended.code, connection.ended.reason)

    async def _wait(self, condition: Callable[[], object], missing: str, timeout: float | None = None) -> None:
        connection = self._connection
        limit = self._timeout if timeout is None else check_timeout(timeout)
        try:
            async with asyncio.timeout(limit):
                await connection.until(condition)
        except TimeoutError:
            raise TimeoutError(f"{connection.path}: {missing} within {limit:g} s; {connection.doing()}.") from None


@contextlib.asynccontextmanager
async def connect(
    connection: Connection, timeout: float, media_handlers: MediaHandlers
) -> AsyncIterator[ClientWebSocket]:
    """Perform the handshake, yield the client's end, and make sure that the responder ends."""
    ws = ClientWebSocket(connection, timeout, media_handlers)
    try:
        await ws._handshake()
        yield ws
        await ws.close()
        await ws._responder_ended()
    except BaseException as error:
        await ws._abort(error)
        raise


def _decoded(headers: HeaderList) -> dict[str, str]:
    result: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        result[name] = f"{result[name]}, {value}" if name in result else value
    return result


def _shown(message: str | bytes) -> str:
    return repr(message[:80]) + ("..." if len(message) > 80 else "")
