"""One session with a NATS server: a connection, the two streams of the hub, and the requests that the broker needs.

Speaks JetStream's API by plain requests: reading a room takes one direct batch (NATS 2.11), not a consumer. A session
lives once, so that nothing is missed without being noticed; reconnecting is not its business. Knows neither rooms nor
members.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from itertools import count
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qs, urlsplit

from .link import redact

__all__ = ("ApiError", "NatsSession", "NatsUrl", "Stored", "load_nats")

_BATCH = 1000
_NEEDED = (2, 11)
_NOT_FOUND = 404
WRONG_LAST_SEQUENCE = 10071
_STREAM_NAME_IN_USE = 10058


ReplyT = TypeVar("ReplyT", "_Reply", "_Replies")


class ApiError(Exception):
    """JetStream refused a request."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(f"{error.get('description', 'refused')} (JetStream error {error.get('err_code', '?')})")
        self.status = error.get("code")
        self.code = error.get("err_code")


class Stored(NamedTuple):
    """A message of a stream."""

    subject: str
    sequence: int
    time_s: float
    headers: Mapping[str, str]
    data: bytes


class NatsUrl:
    """What a ``nats://`` URL says.

    Raises:
        ValueError: It is malformed.
    """

    def __init__(self, url: str) -> None:
        self.name = redact(url)
        scheme, _, rest = url.partition("://")
        credentials, at, address = rest.rpartition("@")
        hosts, _, query = address.partition("?")
        self.servers = [f"{scheme}://{credentials}{at}{host}" for host in hosts.rstrip("/").split(",")]
        self.tls = scheme == "tls"
        options = {name: values[0] for name, values in parse_qs(query).items()}
        self.prefix = options.pop("prefix", "falconws")
        self.storage = options.pop("storage", "file")
        replicas = options.pop("replicas", "1")
        self.credentials = options.pop("credentials", None)
        if scheme not in ("nats", "tls") or not hosts:
            raise ValueError(f"{self.name}: use nats://host:port, or tls://host:port.")
        for server in self.servers:
            try:
                usable = bool(urlsplit(server).hostname) and urlsplit(server).port != 0
            except ValueError:
                usable = False
            if not usable:
                raise ValueError(f"{self.name}: not a host and port.")
        if not re.fullmatch(r"[\w-]+", self.prefix, re.ASCII):
            raise ValueError(f"{self.name}: prefix takes letters, digits, _ and -.")
        if self.storage not in ("file", "memory"):
            raise ValueError(f"{self.name}: storage is file or memory.")
        if replicas not in ("1", "3", "5"):
            raise ValueError(f"{self.name}: replicas is 1, 3 or 5.")
        if options:
            raise ValueError(f"{self.name}: unknown parameter {sorted(options)[0]!r}.")
        self.replicas = int(replicas)


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


class NatsSession:
    """A connection that is used until it ends.

    Args:
        url: Where to.
        timeout_s: Bounds connecting; also how often the server is asked whether it is there.
        on_missed: Called when the client library had to drop messages.
    """

    def __init__(self, url: NatsUrl, timeout_s: float, on_missed: Callable[[], None]) -> None:
        self._nats = load_nats()
        self._url = url
        self._timeout_s = timeout_s
        self._on_missed = on_missed
        self._client: Any = self._nats.NATS()
        self._ended = asyncio.Event()
        self._reason = "the connection was closed"
        self._replies: dict[str, _Reply | _Replies] = {}
        self._inbox = ""
        self._numbers = count()
        self._clock_s = 0.0

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
        version = self._client.connected_server_version
        if (version.major, version.minor) < _NEEDED:
            raise ConnectionError(f"NATS 2.11 or newer is needed; this server is {version.major}.{version.minor}")
        self._inbox = self._client.new_inbox()
        await self._client.subscribe(f"{self._inbox}.*", cb=self._on_reply)

    async def wait(self) -> str:
        """Return when the session has ended, with the reason."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timeout_s):
                    await self._ended.wait()
                    return self._reason
            try:
                await self.round_trip()
            except TimeoutError:
                return f"silent for {self._timeout_s:g} s"

    async def close(self) -> None:
        """Cut the connection, whatever state it is in."""
        with suppress(Exception):
            async with asyncio.timeout(0.5):
                await self._client.close()
        # close() waits for a server that reads no more to take what was written; so the socket is closed in any case.
        transport = getattr(self._client, "_transport", None)
        if transport is not None:
            with suppress(Exception):
                transport.close()

    async def _on_error(self, error: Exception) -> None:
        if isinstance(error, self._nats.errors.SlowConsumerError):
            self._on_missed()
        else:
            self._reason = " ".join(str(error).split()) or type(error).__name__

    async def _on_closed(self) -> None:
        self._ended.set()

    # Core NATS

    async def subscribe(self, subject: str, callback: Callable[[Any], Awaitable[None]]) -> Any:
        return await self._client.subscribe(subject, cb=callback)

    async def round_trip(self) -> None:
        """Return when the server has dealt with everything that was sent.

        A message to itself, and not the client's flush(): a cancelled flush() ends its reader without a word (nats-py
        2.16, when the PONG comes).
        """
        async with self._expecting(_Reply()) as (subject, reply):
            await self._client.publish(subject, b"")
            await reply.done

    # JetStream

    def now_s(self) -> float:
        """Return the time on the server's clock, in seconds since 1970."""
        return asyncio.get_running_loop().time() + self._clock_s

    async def api(self, request: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask JetStream's API.

        Raises:
            ApiError: It refused.
        """
        answer = await self._request(f"$JS.API.{request}", json.dumps(body).encode() if body else b"")
        return _checked(answer.data)

    async def ensure_stream(self, config: dict[str, Any]) -> dict[str, Any]:
        """Create the stream, or adopt the one of that name, with this *config*'s limits; return its configuration."""
        name = config["name"]
        wanted = {**config, "storage": self._url.storage, "num_replicas": self._url.replicas}
        try:
            info = await self.api(f"STREAM.INFO.{name}")
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
            try:
                info = await self.api(f"STREAM.CREATE.{name}", wanted)
            except ApiError as conflict:
                if conflict.code != _STREAM_NAME_IN_USE:
                    raise
                info = await self.api(f"STREAM.INFO.{name}")
        self._clock_s = _parse_time(info["ts"]) - asyncio.get_running_loop().time()
        found: dict[str, Any] = info["config"]
        limits = ("max_msgs_per_subject", "max_age", "duplicate_window")
        if any(found.get(limit) != config.get(limit, found.get(limit)) for limit in limits):
            changed = {**found, **{limit: config[limit] for limit in limits if limit in config}}
            found = (await self.api(f"STREAM.UPDATE.{name}", changed))["config"]
        return found

    async def append(self, subject: str, payload: bytes, headers: Mapping[str, str]) -> int:
        """Publish to the stream of *subject* and return the sequence number.

        Raises:
            ApiError: It refused.
        """
        answer = await self._request(subject, payload, headers)
        return int(_checked(answer.data)["seq"])

    async def last(self, stream: str, subject: str) -> int:
        """Return the sequence number of the newest message on *subject*, 0 if there is none."""
        body = json.dumps({"last_by_subj": subject}).encode()
        answer = await self._request(f"$JS.API.DIRECT.GET.{stream}", body)
        headers = answer.headers or {}
        if headers.get("Status") == str(_NOT_FOUND):
            return 0
        return int(headers["Nats-Sequence"])

    async def fetch(self, stream: str, subject: str, sequence: int = 1) -> list[Stored]:
        """Return all messages on *subject* (which may have wildcards) from *sequence* on, in order."""
        found: list[Stored] = []
        more = True
        while more:
            body = {"seq": max(sequence, 1), "next_by_subj": subject, "batch": _BATCH}
            async with self._expecting(_Replies()) as (inbox, replies):
                await self._client.publish(f"$JS.API.DIRECT.GET.{stream}", json.dumps(body).encode(), reply=inbox)
                more = await replies.done
            found += replies.messages
            more = more and bool(replies.messages)
            if found:
                sequence = found[-1].sequence + 1
        return found

    async def _request(self, subject: str, payload: bytes, headers: Mapping[str, str] | None = None) -> Any:
        # Not the client's request(): it waits with asyncio.wait_for(), which loses cancellations before Python 3.12.
        async with self._expecting(_Reply()) as (inbox, reply):
            await self._client.publish(subject, payload, reply=inbox, headers=dict(headers) if headers else None)
            return await reply.done

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
        if replies is not None:
            replies.take(message)


class _Reply:
    """The answer to one request."""

    __slots__ = ("done",)

    def __init__(self) -> None:
        self.done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def take(self, message: Any) -> None:
        if self.done.done():
            return
        if message.headers and message.headers.get("Status") == "503":
            self.done.set_exception(ConnectionError("nobody answers for JetStream"))
        else:
            self.done.set_result(message)


class _Replies:
    """The answers to one batch request."""

    __slots__ = ("done", "messages")

    def __init__(self) -> None:
        self.messages: list[Stored] = []
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """True when there are more."""

    def take(self, message: Any) -> None:
        headers: dict[str, str] = message.headers or {}
        status = headers.get("Status")
        if status is None:
            self.messages.append(
                Stored(
                    headers["Nats-Subject"],
                    int(headers["Nats-Sequence"]),
                    _parse_time(headers["Nats-Time-Stamp"]),
                    headers,
                    message.data,
                )
            )
        elif self.done.done():
            return
        elif status == "204":
            self.done.set_result(headers.get("Nats-Num-Pending", "0") != "0")
        elif status == "404":
            self.done.set_result(False)
        else:
            self.done.set_exception(ConnectionError(f"JetStream answered a read with {status}"))


def _checked(data: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(data)
    if "error" in answer:
        raise ApiError(answer["error"])
    return answer


def _parse_time(text: str) -> float:
    """Return seconds since 1970 for a timestamp of RFC 3339 with up to nine digits of a second."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(whole + "+00:00").timestamp() + (float(f"0.{fraction}") if fraction else 0.0)
