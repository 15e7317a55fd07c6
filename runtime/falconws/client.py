"""A client of typed conversations: the other end, typed by the same class. It reconnects, and resumes where it was.

Needs the extra ``falconws[typed]``. Knows the declaration of a conversation, and nothing of applications and servers.
"""

from __future__ import annotations

import asyncio
import collections
import functools
import itertools
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, Generic, Literal, NamedTuple, Self, TypeAlias, TypeVar
from urllib.parse import urlencode

import msgspec
import websockets.asyncio.client
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from .closecodes import TEMPORARY_STATUS_CODES, CloseCode, is_final
from .typed.asyncapi import replies_to
from .typed.codec import with_id
from .typed.conversation import Conversation
from .typed.errors import CallError
from .typed.kinds import DECODE_ERRORS
from .typed.messages import AnyCall, Error

__all__ = ("CallError", "Client", "Close", "HandshakeDenied", "connect")

In = TypeVar("In")
Out = TypeVar("Out")
R = TypeVar("R")
_Value = TypeVar("_Value")

Status = Literal["connecting", "open", "waiting", "closed"]
"""Waiting: the connection is lost, and the client reconnects after a delay."""

Source: TypeAlias = _Value | Callable[[], _Value] | Callable[[], Awaitable[_Value]]
"""A value, or a function that is called for every attempt to connect, so that it can return a new token."""

Verdict: TypeAlias = bool | None
"""Whether to reconnect; None leaves it to the close code, or to the status of a refused handshake."""

_logger = logging.getLogger("falconws")

_MAX_UNREAD = 1024
"""Messages that wait for the iteration; then the client stops reading, and TCP slows the server down."""

_MAX_ABANDONED = 256
"""Calls that were given up and may still be answered; a server that never answers must not fill the memory."""


class Close(NamedTuple):
    """How a connection, or an attempt to connect, has ended."""

    code: int
    """The close code; 1006 if the handshake has failed or the connection was lost."""
    reason: str = ""
    status: int | None = None
    """The HTTP status if the server has refused the handshake."""


class HandshakeDenied(ConnectionError):
    """The server refuses the handshake, and the client gives up.

    Attributes:
        status: The HTTP status.
        body: The body of the response.
    """

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"The server refuses the handshake with {status}: {body.decode(errors='replace')[:500]}")
        self.status = status
        self.body = body


class Client(Generic[In, Out]):
    """A connection that speaks a conversation from the client's side; made by ``connect()``.

    Iterate over it for the messages of the server. A client that does not iterate must not be sent more than 1,024
    messages that are not replies: it stops reading then.
    """

    def __init__(
        self,
        conversation: type[Conversation[In, Out]],
        url: str,
        *,
        query: Source[Any],
        headers: Source[Mapping[str, str] | None],
        since: str | None,
        connect_timeout_s: float,
        first_delay_s: float,
        max_delay_s: float,
        reconnect: Callable[[Close, bool], Verdict | Awaitable[Verdict]] | None,
        on_status: Callable[[Status], object] | None,
        options: Mapping[str, Any],
    ) -> None:
        self.position = since
        """The position of the last message; the client resumes after it."""
        self.last_close: Close | None = None
        """How the last connection, or attempt to connect, has ended; None while connected."""
        self._status: Status = "connecting"
        self._conversation = conversation
        self._url = url
        self._query = query
        self._headers = headers
        self._connect_timeout_s = connect_timeout_s
        self._first_delay_s = first_delay_s
        self._max_delay_s = max_delay_s
        self._reconnect = reconnect
        self._on_status = on_status
        self._options = options
        self._connection: websockets.asyncio.client.ClientConnection | None = None
        self._ids = itertools.count(1)
        self._pending: dict[int, tuple[asyncio.Future[Any], tuple[type, ...]]] = {}
        """The reply to each call that was sent on this connection, and the types that it can have."""
        self._abandoned: collections.deque[int] = collections.deque()
        """The pending calls for which nobody waits any more, oldest first: their replies are for nobody else."""
        self._unread: asyncio.Queue[Out | None] = asyncio.Queue(_MAX_UNREAD)
        self._denied: HandshakeDenied | None = None
        """Why the client has given up, for the iteration."""
        self._opened = asyncio.Event()
        """Set while there is a connection, and when there will be none."""
        self._ready: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def status(self) -> Status:
        """Whether the client is connecting, open, waiting for its next attempt, or closed for good."""
        return self._status

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            HandshakeDenied: The server refuses the handshake with a status that is not temporary. After other failures
                the client tries again without a limit: put ``asyncio.timeout()`` around the entry of the block.

        An error of a function for *query* or *headers* is raised, too; later it is only logged, and tried again.
        """
        self._ready = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(self._ready))
        try:
            await asyncio.shield(self._ready)
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stop()

    async def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Close the connection, and do not reconnect; the iteration ends."""
        connection = self._connection
        if connection is not None:
            await connection.close(code, reason)
        await self._stop()

    async def send(self, message: In) -> bool:
        """Send *message*, and return whether there was a connection to send it on.

        A message is never kept for later and never sent twice. True does not mean that the server has received it.

        Raises:
            TypeError: It is not a message of the client in this conversation.
        """
        return await self._send(self._conversation.received.encode(message))

    async def _send(self, payload: str) -> bool:
        connection = self._connection
        if connection is None:
            return False
        try:
            await connection.send(payload)
        except ConnectionClosed:
            return False
        return True

    async def call(self, call: AnyCall[R], *, timeout_s: float = 10.0) -> R:
        """Send *call* under an id of its own, and return the reply.

        Without a connection, the call waits for one until its deadline. It is never sent twice: if the connection is
        lost before the reply, nobody knows whether the server has carried it out.

        Raises:
            TypeError: It is not a message of the client in this conversation.
            CallError: The reply is an error or did not come in time, or the connection is lost or closed.
        """
        call_id = next(self._ids)
        payload = self._conversation.received.encode(with_id(call, call_id))
        kind: type = type(call)
        reply: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout_s):
                while self._connection is None:
                    if self._status == "closed":
                        raise CallError("disconnected", "the client is closed; the call was not sent")
                    await self._opened.wait()
                self._pending[call_id] = reply, _replies_to(kind)
                if not await self._send(payload):
                    raise CallError("disconnected", "the connection was lost")
                return await reply
        except TimeoutError:
            raise CallError("timeout", f"no answer within {timeout_s:g} s") from None
        finally:
            reply.cancel()
            if reply.cancelled() and call_id in self._pending:
                self._abandon(call_id)

    def _abandon(self, call_id: int) -> None:
        """Keep a call only so that its late reply is dropped, and forget the oldest one if too many are kept."""
        self._abandoned.append(call_id)
        if len(self._abandoned) > _MAX_ABANDONED:
            self._pending.pop(self._abandoned.popleft(), None)

    def __aiter__(self) -> Self:
        """Iterate over the messages of the server that are not replies, until the client is closed.

        Raises:
            HandshakeDenied: The server has refused to reconnect, and the client has given up.
        """
        return self

    async def __anext__(self) -> Out:
        message = await self._unread.get()
        if message is None:
            # Wakes any other task that iterates.
            self._unread.put_nowait(None)
            if self._denied is not None:
                raise self._denied
            raise StopAsyncIteration
        return message

    async def _run(self, ready: asyncio.Future[None]) -> None:
        try:
            loop = asyncio.get_running_loop()
            bound_s = self._first_delay_s
            while True:
                begin = loop.time()
                retry_after_s = None
                denied = None
                try:
                    await self._talk(ready)
                except InvalidStatus as error:
                    denied = HandshakeDenied(error.response.status_code, bytes(error.response.body or b""))
                    retry_after_s = _retry_after_s(error)
                    self.last_close = Close(CloseCode.ABNORMAL, str(denied), denied.status)
                except (OSError, InvalidHandshake, TimeoutError) as error:
                    self.last_close = Close(CloseCode.ABNORMAL, str(error))
                except Exception as error:
                    # One of the application's functions.
                    if not ready.done():
                        raise
                    _logger.warning("%s: cannot reconnect: %r", self._url, error)
                    self.last_close = Close(CloseCode.ABNORMAL, repr(error))
                opened = self._status == "open"
                # The delay keeps growing for a server that accepts connections and then drops them.
                if opened and loop.time() - begin > self._max_delay_s:
                    bound_s = self._first_delay_s
                assert self.last_close is not None
                if not await self._is_to_reconnect(self.last_close, opened):
                    self._denied = denied
                    if not ready.done():
                        ready.set_exception(denied or ConnectionError(f"Cannot connect: {self.last_close.reason}"))
                    return
                self._set_status("waiting")
                # Full jitter: clients that have lost the same server do not come back at the same moment.
                await asyncio.sleep(random.uniform(0, bound_s) if retry_after_s is None else retry_after_s)
                bound_s = min(bound_s * 2, self._max_delay_s)
                self._set_status("connecting")
        except Exception as error:
            if ready.done():
                raise
            ready.set_exception(error)
        finally:
            self._set_status("closed")
            self._opened.set()
            if not ready.done():
                ready.cancel()
            self._end_iteration()

    async def _is_to_reconnect(self, close: Close, opened: bool) -> bool:
        if self._reconnect is not None:
            try:
                verdict: Verdict = await _awaited(self._reconnect(close, opened))
            except Exception as error:
                # As without a network: it has not decided.
                _logger.warning("%s: reconnect() has failed: %r", self._url, error)
            else:
                if verdict is not None:
                    return verdict
        if close.status is not None:
            return close.status in TEMPORARY_STATUS_CODES or close.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        return not is_final(close.code, self._conversation.close_codes)

    async def _talk(self, ready: asyncio.Future[None]) -> None:
        """Connect once, and receive until the connection ends."""
        subprotocol = self._conversation.subprotocol
        async with asyncio.timeout(self._connect_timeout_s):
            query = _members(await _current(self._query))
            if self.position:
                query["since"] = self.position
            url = f"{self._url}{'&' if '?' in self._url else '?'}{urlencode(query, doseq=True)}" if query else self._url
            headers = await _current(self._headers)
            connection = await websockets.asyncio.client.connect(
                url,
                subprotocols=None if subprotocol is None else [Subprotocol(subprotocol)],
                additional_headers=headers,
                open_timeout=None,
                **self._options,
            )
        async with connection:
            self._connection = connection
            self.last_close = None
            self._set_status("open")
            self._opened.set()
            if not ready.done():
                ready.set_result(None)
            try:
                async for payload in connection:
                    await self._take(payload)
            except ConnectionClosed:
                pass
            finally:
                self._connection = None
                self._opened.clear()
                code = CloseCode.ABNORMAL if connection.close_code is None else connection.close_code
                self.last_close = Close(code, connection.close_reason or "")
                for reply, _ in self._pending.values():
                    if not reply.done():
                        reply.set_exception(CallError("disconnected", "the connection was lost before the answer"))
                self._pending.clear()
                self._abandoned.clear()

    async def _take(self, payload: str | bytes) -> None:
        try:
            message: Any = self._conversation.sent.decode(payload)
        except DECODE_ERRORS:
            # A newer server says more than this client knows.
            return
        position = getattr(message, "position", None)
        if position is not None:
            self.position = position
        call_id: Any = getattr(message, "id", None)
        reply, types = self._pending.get(call_id, (None, ())) if isinstance(call_id, int) else (None, ())
        # A message of another type may have an id of its own.
        if reply is None or not isinstance(message, types):
            await self._unread.put(message)
            return
        del self._pending[call_id]
        if reply.done():
            return
        if isinstance(message, Error):
            reply.set_exception(CallError(message.code, message.message, message))
        else:
            reply.set_result(message)

    def _end_iteration(self) -> None:
        if self._unread.full():
            # Nobody iterates, or not fast enough: all messages stay except the last.
            self._unread.get_nowait()
        self._unread.put_nowait(None)

    def _set_status(self, status: Status) -> None:
        if status != self._status:
            self._status = status
            if self._on_status is not None:
                self._on_status(status)

    async def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
            if not self._task.cancelled():
                self._task.exception()


def connect(
    conversation: type[Conversation[In, Out]],
    url: str,
    *,
    query: Source[Any] = None,
    headers: Source[Mapping[str, str] | None] = None,
    since: str | None = None,
    connect_timeout_s: float = 10.0,
    first_delay_s: float = 0.5,
    max_delay_s: float = 15.0,
    reconnect: Callable[[Close, bool], Verdict | Awaitable[Verdict]] | None = None,
    on_status: Callable[[Status], object] | None = None,
    **options: Any,
) -> Client[In, Out]:
    """Return a context manager that speaks *conversation* with the server at *url*::

        async with connect(Chat, "wss://example.com/rooms/lobby/chat", query=Who("ada")) as chat:
            await chat.send(Say("hello"))
            async for message in chat: ...

    Args:
        conversation: The class that the server's responder ``@speaks``.
        url: Starts with ``ws://`` or ``wss://``.
        query: The query of the handshake: a message object or a mapping, or a function that returns one.
        headers: Headers of the handshake, or a function that returns them; both kinds of function may be coroutines.
        since: The position after which the client resumes; the client keeps it up to date by itself.
        connect_timeout_s: Seconds that an attempt to connect may take, with the functions for *query* and *headers*.
        first_delay_s: The longest delay before the first attempt to reconnect; it doubles with each attempt. The delay
            itself is random.
        max_delay_s: The upper limit of the delay.
        reconnect: Called with the ``Close`` of each connection and attempt that has ended, and with whether it was
            open; returns whether to reconnect, or None where the close code or the HTTP status decides: see the page on
            close codes. May be a coroutine. If it fails, it has not decided.
        on_status: Called with each new status.
        options: Further arguments of ``websockets.asyncio.client.connect()``, such as ``ssl`` or ``max_size``.
    """
    return Client(
        conversation,
        url,
        query=query,
        headers=headers,
        since=since,
        connect_timeout_s=connect_timeout_s,
        first_delay_s=first_delay_s,
        max_delay_s=max_delay_s,
        reconnect=reconnect,
        on_status=on_status,
        options=options,
    )


@functools.cache
def _replies_to(call: type) -> tuple[type, ...]:
    """Return the types of a call's replies, and of its error; any type if the call does not say."""
    replies = replies_to(call)
    return (Error, *replies) if replies else (object,)


async def _current(source: Any) -> Any:
    return await _awaited(source() if callable(source) else source)


async def _awaited(value: Any) -> Any:
    return await value if isinstance(value, Awaitable) else value


def _members(query: Any) -> dict[str, Any]:
    members: dict[str, Any] = {} if query is None else msgspec.to_builtins(query)
    return {name: _text(value) for name, value in members.items() if value is not None}


def _text(value: Any) -> Any:
    return "true" if value is True else "false" if value is False else value


def _retry_after_s(error: InvalidStatus) -> float | None:
    """Return the seconds of Retry-After, or None."""
    text = error.response.headers.get("Retry-After", "")
    return float(text) * random.uniform(1, 1.5) if text.isascii() and text.isdigit() else None
