"""One session with a NATS server: a connection that lives once, and requests on it.

A session ends with its connection, so that nothing is missed without being noticed; reconnecting is not its business.
Knows neither streams nor rooms.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import cache
from importlib.util import find_spec
from itertools import count
from typing import Any, NamedTuple, TypeVar
from weakref import WeakSet

from .url import NatsUrl

__all__ = ("ApiError", "Batch", "NatsSession", "TooLargeError", "check_credentials", "load_nats")

_NEEDED = (2, 11)
_CLOSE_S = 0.5
_END_OF_BATCH = "204"
_NOT_FOUND = "404"
_NO_RESPONDERS = "503"

ReplyT = TypeVar("ReplyT", "_Reply", "_Replies")


class ApiError(Exception):
    """JetStream refused a request."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(f"{error.get('description', 'refused')} (JetStream error {error.get('err_code', '?')})")
        self.status = error.get("code")
        """As in HTTP."""
        self.code = error.get("err_code")
        """What exactly."""


class Batch(NamedTuple):
    """The answers to one batch request."""

    messages: list[Any]
    """The client library's messages."""
    more: bool
    """Whether there is more than was asked for."""


def load_nats() -> Any:
    """Return the client library.

    Raises:
        ValueError: It is not installed.
    """
    try:
        import nats
    except ImportError:
        raise ValueError('The hub needs nats-py for this URL: pip install "falconws[nats]"') from None
    return nats


def check_credentials(url: NatsUrl) -> None:
    """Raise a ValueError when *url* names a file of credentials that cannot be used."""
    if url.credentials is None:
        return
    if find_spec("nkeys") is None:
        raise ValueError('Credentials of NATS need the package nkeys: pip install "falconws[nats]"')
    if not os.access(url.credentials, os.R_OK):
        raise ValueError(f"{url.name}: no file of credentials at {url.credentials}, or not one that may be read.")


@cache
def _client_class() -> Any:
    class Client(load_nats().NATS):  # type: ignore[misc]
        """The client library's, which would send a server that asks for no TLS password and messages in the clear."""

        encrypted = False

        def _connect_command(self) -> bytes:
            # Called when the server has introduced itself, before anything is sent.
            if self.encrypted and not self._server_info.get("tls_required"):
                raise ConnectionError("the server does not ask for TLS, and the URL does; use nats:// if that is meant")
            command: bytes = super()._connect_command()
            return command

    return Client


def _client(*, encrypted: bool) -> Any:
    client = _client_class()()
    client.encrypted = encrypted
    return client


class TooLargeError(ValueError):
    """A message is larger than the server's max_payload; trying again is no use."""


class NatsSession:
    """A connection that is used until it ends.

    Args:
        url: Where to.
        timeout_s: Bounds connecting and each request; also how often the server is asked whether it is there.
        on_missed: Called when the client library had to drop messages.
    """

    def __init__(self, url: NatsUrl, timeout_s: float, on_missed: Callable[[], None]) -> None:
        self._nats = load_nats()
        self._url = url
        self._timeout_s = timeout_s
        self._on_missed = on_missed
        self._client: Any = _client(encrypted=url.tls)
        self._ended = asyncio.Event()
        self._reason = "the connection was closed"
        self._replies: dict[str, _Reply | _Replies] = {}
        self._subscriptions: WeakSet[Any] = WeakSet()
        self._inbox = ""
        self._numbers = count()

    async def open(self) -> None:
        """Connect; raise what went wrong."""
        options: dict[str, Any] = {}
        if self._url.tls:
            options["tls"] = ssl.create_default_context()
        if self._url.credentials:
            options["user_credentials"] = self._url.credentials
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._client.connect(
                    self._url.servers,
                    name="falconws hub",
                    allow_reconnect=False,
                    # All servers, and no pauses in between: those are the link's.
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=self._timeout_s,
                    error_cb=self._on_error,
                    closed_cb=self._on_closed,
                    **options,
                )
        except self._nats.errors.NoServersError:
            # What went wrong with the last of them was told to _on_error().
            raise ConnectionError(self._reason) from None
        # The client library does not say that it has closed when it cannot write what was still to be written (nats-py
        # 2.16). But whatever ends a connection, its reader ends.
        reader: asyncio.Task[None] | None = getattr(self._client, "_reading_task", None)
        if reader is not None:
            reader.add_done_callback(lambda _: self._ended.set())
        version = self._client.connected_server_version
        if (version.major, version.minor) < _NEEDED:
            raise ConnectionError(f"NATS 2.11 or newer is needed; this server is {version.major}.{version.minor}")
        self._inbox = self._client.new_inbox()
        # Without limits: what comes here was asked for, and one answer of a batch must not be dropped.
        unlimited = {"pending_msgs_limit": 0, "pending_bytes_limit": 0}
        self._subscriptions.add(await self._client.subscribe(f"{self._inbox}.*", cb=self._on_reply, **unlimited))

    async def wait(self, look: Callable[[], Awaitable[str | None]]) -> str:
        """Return when the session has ended, with the reason.

        Args:
            look: Called every ``timeout_s``; returns why the session should end, or None.
        """
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timeout_s):
                    await self._ended.wait()
                    return self._reason
            try:
                await self._round_trip()
            except TimeoutError:
                return f"silent for {self._timeout_s:g} s"
            reason = await look()
            if reason is not None:
                return reason

    def end(self, reason: str) -> None:
        """Have ``wait()`` return *reason*."""
        self._reason = reason
        self._ended.set()

    async def close(self) -> None:
        """Cut the connection, whatever state it is in; those who wait for an answer need not wait any longer."""
        for replies in self._replies.values():
            if not replies.done.done():
                replies.done.set_exception(ConnectionError(self._reason))
        with suppress(Exception):
            async with asyncio.timeout(_CLOSE_S):
                await self._client.close()
        # close() waits for a server that reads no more to take what was written; so the socket is closed in any case.
        transport = getattr(self._client, "_transport", None)
        if transport is not None:
            with suppress(Exception):
                transport.close()
        await self._end_tasks()

    async def _end_tasks(self) -> None:
        # A close() that the server cuts short leaves tasks of the client library behind, and so does one that comes
        # while the library closes by itself.
        client = self._client
        names = ("_reading_task", "_flusher_task", "_ping_interval_task", "_reconnection_task")
        tasks = [getattr(client, name, None) for name in names]
        tasks += [getattr(subscription, "_wait_for_msgs_task", None) for subscription in self._subscriptions]
        self._subscriptions.clear()
        left = [task for task in tasks if task is not None and not task.done()]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=_CLOSE_S)

    def _check_size(self, payload: bytes, headers: Mapping[str, str]) -> None:
        # The client library looks at the payload alone; for the headers beside it the server cuts the connection.
        framing = len("NATS/1.0\r\n\r\n") + sum(len(f"{name}: {value}\r\n") for name, value in headers.items())
        size = len(payload) + (framing if headers else 0)
        most = self._client.max_payload
        if size > most:
            raise TooLargeError(
                f"The message is larger than the NATS server takes: {size} bytes with its headers, and {most} is its "
                "max_payload."
            )

    async def _on_error(self, error: Exception) -> None:
        if isinstance(error, self._nats.errors.SlowConsumerError):
            self._on_missed()
        else:
            self._reason = " ".join(str(error).split()) or type(error).__name__

    async def _on_closed(self) -> None:
        self._ended.set()

    async def subscribe(self, subject: str, callback: Callable[[Any], Awaitable[None]]) -> Any:
        """Have *callback* called with what comes on *subject*; return what has an ``unsubscribe()``."""
        subscription = await self._client.subscribe(subject, cb=callback)
        self._subscriptions.add(subscription)
        return subscription

    async def _round_trip(self) -> None:
        # A message to itself, and not the client's flush(): a cancelled flush() ends its reader without a word (nats-py
        # 2.16, when the PONG comes).
        async with self._expecting(_Reply()) as (subject, reply):
            await self._client.publish(subject, b"")
            await reply.done

    # Requests. Not the client's request(): it waits with asyncio.wait_for(), which loses cancellations before
    # Python 3.12.

    async def request(
        self, subject: str, payload: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Publish and return the answer of JetStream.

        Raises:
            ApiError: It refused.
            ConnectionError, TimeoutError: Nobody has answered.
            TooLargeError: The server would not take it.
        """
        self._check_size(payload, headers or {})
        async with self._expecting(_Reply()) as (inbox, reply):
            await self._client.publish(subject, payload, reply=inbox, headers=dict(headers) if headers else None)
            answer: dict[str, Any] = json.loads((await reply.done).data)
        if "error" in answer:
            raise ApiError(answer["error"])
        return answer

    async def api(self, request: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask JetStream's API; see ``request()``."""
        return await self.request(f"$JS.API.{request}", json.dumps(body).encode() if body else b"")

    async def batch(self, request: str, body: Mapping[str, Any]) -> Batch:
        """Ask JetStream's API for several messages."""
        async with self._expecting(_Replies()) as (inbox, replies):
            await self._client.publish(f"$JS.API.{request}", json.dumps(body).encode(), reply=inbox)
            more = await replies.done
        return Batch(replies.messages, more and bool(replies.messages))

    @asynccontextmanager
    async def _expecting(self, replies: ReplyT) -> AsyncIterator[tuple[str, ReplyT]]:
        token = str(next(self._numbers))
        self._replies[token] = replies
        try:
            async with asyncio.timeout(self._timeout_s):
                yield f"{self._inbox}.{token}", replies
        finally:
            del self._replies[token]

    async def _on_reply(self, message: Any) -> None:
        replies = self._replies.get(message.subject.rpartition(".")[2])
        if replies is not None and not replies.done.done():
            replies.take(message)


class _Reply:
    """The answer to one request."""

    __slots__ = ("done",)

    def __init__(self) -> None:
        self.done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def take(self, message: Any) -> None:
        if message.headers and message.headers.get("Status") == _NO_RESPONDERS:
            self.done.set_exception(ConnectionError("nobody answers for JetStream"))
        else:
            self.done.set_result(message)


class _Replies:
    """The answers to one batch request."""

    __slots__ = ("done", "messages")

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """True when there are more."""

    def take(self, message: Any) -> None:
        headers: Mapping[str, str] = message.headers or {}
        status = headers.get("Status")
        # A message of the stream may have a header of that name too.
        if "Nats-Sequence" in headers:
            self.messages.append(message)
        elif status == _END_OF_BATCH:
            self.done.set_result(headers.get("Nats-Num-Pending", "0") != "0")
        elif status == _NOT_FOUND:
            self.done.set_result(False)
        else:
            self.done.set_exception(ConnectionError(f"JetStream answered a read with {status or 'what is unreadable'}"))
