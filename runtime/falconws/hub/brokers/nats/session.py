"""One session with a NATS server: a connection that lives once, and JetStream requests on it.

A session ends with its connection, so that no loss goes unnoticed. It does not reconnect. Knows neither streams nor
rooms.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any, NamedTuple, TypeVar
from weakref import WeakSet

from .library import (
    abort,
    connect_options,
    is_authorization_error,
    load_nats,
    make_client,
    on_reader_end,
    parse_refusal,
    subscribe_answers,
)
from .url import NatsUrl

__all__ = ("Answer", "ApiError", "NatsSession", "RefusedError", "TooLargeError", "is_refusal")

_MIN_VERSION = (2, 11)
_FINAL = frozenset(
    {
        *(10002, 10023, 10028, 10047, 10077),  # No resources, memory or storage are left; the stream is full.
        *(10027, 10113, 10122),  # The account may not have another stream, or not one of this size.
        *(10039, 10076),  # JetStream is disabled, for the account or the server.
        *(10054, 10109, 10166),  # The message is too large; the stream is sealed, or does not allow a message's TTL.
        *(10052, 10065, 10074),  # The stream's configuration is invalid here, overlaps another stream, needs a cluster.
    }
)
"""Errors of JetStream that a retry does not change."""
_END_OF_BATCH = "204"
_NOT_FOUND = "404"
_NO_RESPONDERS = "503"

ReplyT = TypeVar("ReplyT", "_Reply", "_Replies")


class ApiError(Exception):
    """JetStream refused a request."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(f"{error.get('description', 'refused')} (JetStream error {error.get('err_code', '?')})")
        self.status = error.get("code")
        """The status code, as in HTTP."""
        self.code = error.get("err_code")
        """JetStream's own error code."""

    @property
    def is_final(self) -> bool:
        """Whether a retry would be refused as well."""
        return self.code in _FINAL


class Answer(NamedTuple):
    """A message that answers a request."""

    headers: Mapping[str, str]
    data: bytes


class RefusedError(Exception):
    """The server refuses to publish to a subject, or to subscribe to one."""


def is_refusal(error: Exception) -> bool:
    """Whether the server has answered, and a retry would be refused as well."""
    return isinstance(error, RefusedError) or (isinstance(error, ApiError) and error.is_final)


class TooLargeError(ValueError):
    """A message exceeds the server's max_payload; a retry does not help."""


class NatsSession:
    """A connection that is used until it ends.

    Args:
        url: Where to connect.
        timeout_s: Bounds connecting and each request; also the interval between pings.
        on_missed: Called when the client library had to drop messages.
        on_refused: Called with a subject, and the reason, when the server refuses one that was confirmed before.
    """

    def __init__(
        self,
        url: NatsUrl,
        timeout_s: float,
        on_missed: Callable[[], None],
        on_refused: Callable[[str, str], Awaitable[None]],
    ) -> None:
        self._errors = load_nats().errors
        self._url = url
        self._timeout_s = timeout_s
        self._on_missed = on_missed
        self._on_refused = on_refused
        self._client: Any = make_client(encrypted=url.tls)
        self._ended = asyncio.Event()
        self._reason = "the connection was closed"
        self._is_refused = False
        self._replies: dict[str, _Reply | _Replies] = {}
        self._subscriptions: WeakSet[Any] = WeakSet()
        self._unconfirmed: set[str] = set()
        """The subjects of subscriptions that the server may still refuse."""
        self._refused: dict[str, str] = {}
        """The subjects of subscriptions that the server has refused, each with the reason."""
        self._inbox = ""
        self._numbers = count()

    async def open(self) -> None:
        """Connect; raise the error if that fails."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._client.connect(
                    **connect_options(self._url, self._timeout_s), error_cb=self._on_error, closed_cb=self._on_closed
                )
        except self._errors.NoServersError:
            # _on_error() was called with the last server's error.
            raise (RefusedError if self._is_refused else ConnectionError)(self._reason) from None
        except self._errors.Error as error:
            if is_authorization_error(error):
                raise RefusedError(str(error)) from error
            raise
        on_reader_end(self._client, self._connection_ended)
        version = self._client.connected_server_version
        if (version.major, version.minor) < _MIN_VERSION:
            raise ConnectionError(f"NATS 2.11 or newer is needed; this server is {version.major}.{version.minor}")
        self._inbox = self._client.new_inbox()
        self._subscriptions.add(await subscribe_answers(self._client, f"{self._inbox}.*", self._on_reply))

    async def wait(self, check: Callable[[], Awaitable[str | None]]) -> str:
        """Return the reason when the session has ended.

        Args:
            check: Called every ``timeout_s``; returns why the session should end, or None.
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
            reason = await check()
            if reason is not None:
                return reason

    def end(self, reason: str) -> None:
        """Make ``wait()`` return *reason*."""
        self._reason = reason
        self._connection_ended()

    def _connection_ended(self) -> None:
        """Called when the connection has ended; requests in flight end with an error."""
        self._ended.set()
        for replies in self._replies.values():
            if not replies.done.done():
                replies.done.set_exception(ConnectionError(self._reason))

    async def close(self) -> None:
        """Cut the connection, whatever state it is in; requests in flight end with an error."""
        self._connection_ended()
        subscriptions = list(self._subscriptions)
        self._subscriptions.clear()
        await abort(self._client, subscriptions)

    async def _on_error(self, error: Exception) -> None:
        if isinstance(error, self._errors.SlowConsumerError):
            self._on_missed()
            return
        reason = " ".join(str(error).split()) or type(error).__name__
        refusal = parse_refusal(error)
        if refusal is None:
            self._reason = reason
            self._is_refused = is_authorization_error(error)
        elif refusal.kind == "publish":
            for replies in self._replies.values():
                if replies.subject == refusal.subject and not replies.done.done():
                    replies.done.set_exception(RefusedError(reason))
        else:
            subjects = self._unconfirmed if refusal.subject is None else {refusal.subject}
            self._refused.update(dict.fromkeys(subjects, reason))
            if refusal.subject is not None and refusal.subject not in self._unconfirmed:
                # The permission was taken away.
                await self._on_refused(refusal.subject, reason)

    async def _on_closed(self) -> None:
        self._connection_ended()

    async def subscribe(self, subject: str, callback: Callable[[Any], Awaitable[None]]) -> Any:
        """Call *callback* with each message on *subject*; return an object with ``unsubscribe()``.

        The server may still refuse it: see ``confirm()``.
        """
        self._refused.pop(subject, None)
        self._unconfirmed.add(subject)
        subscription = await self._client.subscribe(subject, cb=callback)
        self._subscriptions.add(subscription)
        return subscription

    def confirm(self, subject: str) -> None:
        """Called after a request that followed ``subscribe()`` was answered; raise RefusedError if it was refused."""
        self._unconfirmed.discard(subject)
        if subject in self._refused:
            raise RefusedError(self._refused[subject])

    async def _round_trip(self) -> None:
        # A message to itself instead of the client's flush(): a flush() that is cancelled ends the client's reader
        # silently when the PONG arrives (nats-py 2.16).
        async with self._expecting(_Reply("")) as (subject, reply):
            await self._client.publish(subject, b"")
            await reply.done

    # Requests. Not the client's request(): it waits with asyncio.wait_for(), which loses cancellations before
    # Python 3.12.

    async def publish(self, subject: str, payload: bytes, headers: Mapping[str, str]) -> None:
        """Publish a message that nothing answers.

        Raises:
            TooLargeError: The server would not accept the message.
        """
        self._check_size(payload, headers)
        await self._client.publish(subject, payload, headers=dict(headers))

    async def request(
        self, subject: str, payload: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Publish a message and return JetStream's answer.

        Raises:
            ApiError: JetStream refused.
            RefusedError: The server refuses messages on *subject*.
            ConnectionError, TimeoutError: There was no answer.
            TooLargeError: The server would not accept the message.
        """
        self._check_size(payload, headers or {})
        async with self._expecting(_Reply(subject)) as (inbox, reply):
            await self._client.publish(subject, payload, reply=inbox, headers=dict(headers) if headers else None)
            answer: dict[str, Any] = json.loads((await reply.done).data)
        if "error" in answer:
            raise ApiError(answer["error"])
        return answer

    async def api(self, request: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a request of JetStream's API; see ``request()``."""
        return await self.request(f"$JS.API.{request}", json.dumps(body).encode() if body else b"")

    async def batch(self, request: str, body: Mapping[str, Any]) -> list[Answer]:
        """Send a request of JetStream's API, and return the messages that answer it."""
        subject = f"$JS.API.{request}"
        async with self._expecting(_Replies(subject)) as (inbox, replies):
            await self._client.publish(subject, json.dumps(body).encode(), reply=inbox)
            await replies.done
        return replies.messages

    def _check_size(self, payload: bytes, headers: Mapping[str, str]) -> None:
        # The client library checks the payload only; if the headers are too large, the server cuts the connection.
        framing = len("NATS/1.0\r\n\r\n") + sum(len(f"{name}: {value}\r\n") for name, value in headers.items())
        size = len(payload) + (framing if headers else 0)
        most = self._client.max_payload
        if size > most:
            raise TooLargeError(
                f"The message is too large for the NATS server: {size} bytes with its headers, and max_payload is "
                f"{most}."
            )

    @asynccontextmanager
    async def _expecting(self, replies: ReplyT) -> AsyncIterator[tuple[str, ReplyT]]:
        if self._ended.is_set():
            raise ConnectionError(self._reason)
        token = str(next(self._numbers))
        self._replies[token] = replies
        try:
            async with asyncio.timeout(self._timeout_s):
                yield f"{self._inbox}.{token}", replies
        finally:
            del self._replies[token]

    def _on_reply(self, subject: str, data: bytes, headers: Mapping[str, str]) -> None:
        replies = self._replies.get(subject.rpartition(".")[2])
        if replies is not None and not replies.done.done():
            replies.add(Answer(headers, data))


class _Reply:
    """The answer to one request."""

    __slots__ = ("done", "subject")

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def add(self, answer: Answer) -> None:
        if answer.headers.get("Status") == _NO_RESPONDERS:
            self.done.set_exception(ConnectionError("JetStream does not respond"))
        else:
            self.done.set_result(answer)


class _Replies:
    """The answers to one batch request."""

    __slots__ = ("done", "messages", "subject")

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.messages: list[Answer] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def add(self, answer: Answer) -> None:
        headers = answer.headers
        status = headers.get("Status")
        # A message of the stream may have a header of that name as well.
        if "Nats-Sequence" in headers:
            self.messages.append(answer)
        elif status in (_END_OF_BATCH, _NOT_FOUND):
            self.done.set_result(None)
        else:
            self.done.set_exception(ConnectionError(f"JetStream answered a read with status {status or 'unknown'}"))
