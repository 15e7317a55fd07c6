"""``nats://``: the hub over NATS with JetStream.

All rooms are subjects of one stream, which passes on what it has stored (``republish``), with the number of the message
and of the one before it on the same subject. So a room that is followed costs one core subscription, no consumer, and a
hole is seen at once. History is read from the stream directly. The subject of what is passed on carries the stream's
epoch: whoever makes the stream anew, chooses another.

Knows nothing of subscriptions: what a process follows, it delivers to the hub.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import quote, unquote

from .broker import BrokerUnavailable, Entry, Health, History, HistoryLimits, Payload, Publication, Sink
from .link import Link, describe
from .nats_presence import EVENT_HEADER, NatsPresence, read_info
from .nats_session import WRONG_LAST_SEQUENCE, ApiError, NatsSession, NatsUrl, Stored, load_nats
from .position import Position
from .recovery import backoff

__all__ = ("NatsBroker",)

_TYPE_HEADER = "Falconws-Type"
_KEY_HEADER = "Falconws-Key"
_ANCHOR_HEADER = "Falconws-Anchor"
_ROOM_TTL_S = 3600.0
_DUPLICATES_S = 60.0
T = TypeVar("T")


class NatsBroker:
    """A broker on NATS 2.11 or newer, with JetStream; see ``falconws.hub.Broker`` for its methods.

    It makes two streams, ``PREFIX-rooms`` and ``PREFIX-presence``. The stream keeps a message for an hour at least (or
    the history's age, if that is longer), so that a quiet room keeps its place; what is older than the history's age
    is not served. A room without a message for that long begins again, and a client that comes back to it is told
    ``Gap``.

    Args:
        url: ``nats://[user:password@]host[:port][,host[:port]...]``, or ``tls://``. Parameters: ``prefix`` (default
            ``falconws``) keeps two applications on one server apart; ``replicas`` (1, 3 or 5) and ``storage``
            (``file`` or ``memory``) are for the streams when they are made; ``credentials`` names a file.
        history: How much of each room is kept.
        timeout_s: Within which each call ends, and a publication is repeated when its connection breaks.

    Raises:
        ValueError: The URL is malformed, or nats-py is not installed.
    """

    def __init__(self, url: str, *, history: HistoryLimits | None = None, timeout_s: float = 5.0) -> None:
        load_nats()
        self._limits = history or HistoryLimits()
        self._timeout_s = timeout_s
        self._url = NatsUrl(url)
        self._prefix = self._url.prefix
        self._stream = f"{self._prefix}-rooms"
        self._link = Link(self._url.name, self._run_session)
        self._sink: Sink | None = None
        self._rooms: dict[str, _Room] = {}
        self._session: NatsSession | None = None
        self._presence: NatsPresence | None = None
        self._epoch = ""

    async def start(self, sink: Sink) -> None:
        self._sink = sink
        await self._link.start(sink)

    async def stop(self) -> None:
        await self._link.stop()
        self._sink = None
        self._rooms.clear()

    async def health(self) -> Health:
        name = self._url.name
        session = self._session
        if session is None or not self._link.up:
            return Health(False, f"{name}: {self._link.problem or 'no session'}")
        try:
            async with asyncio.timeout(self._timeout_s):
                await session.api(f"STREAM.INFO.{self._stream}")
        except Exception as error:
            return Health(False, f"{name}: {describe(error)}")
        return Health(True, name)

    # Messages

    async def publish(self, room: str, payload: Payload, *, key: str | None = None) -> Position:
        # JetStream drops a repetition with the same id: the answer to the first may have been lost.
        headers = {"Nats-Msg-Id": secrets.token_hex(10)}
        if isinstance(payload, str):
            data = payload.encode()
        else:
            data = payload
            headers[_TYPE_HEADER] = "binary"
        if key is not None:
            # Something before the key, because a header may not be empty.
            headers[_KEY_HEADER] = f"={quote(key)}"

        async def append(session: NatsSession) -> Position:
            epoch = self._epoch
            return Position(epoch, await session.append(self._subject(room), data, headers))

        return await self._call(append)

    async def subscribe(self, room: str) -> Position:
        token = _token(room)
        state = self._rooms.get(token)
        added = state is None
        if state is None:
            state = self._rooms[token] = _Room(room)

        async def follow(session: NatsSession) -> Position:
            if state.session is not session:
                await self._follow(session, token, state)
                await session.round_trip()
            epoch, top = self._epoch, await self._top(session, room)
            if state.followed < top:
                state.followed = state.offset = top
                state.stamp = ""
            return Position(epoch, top)

        try:
            return await self._call(follow)
        except BaseException:
            if added:
                await self._forget(token)
            raise

    async def unsubscribe(self, room: str) -> None:
        await self._forget(_token(room))

    async def history(self, room: str, since: Position) -> History:
        async def read(session: NatsSession) -> History:
            epoch = self._epoch
            known = since.epoch == epoch
            stored = await session.fetch(self._stream, self._subject(room), since.offset if known else 1)
            if known and not stored:
                # Nothing at or after that position: it lies in the future, or all of its past is gone.
                stored = await session.fetch(self._stream, self._subject(room))
                known = False
            state = self._rooms.get(_token(room))
            if known and state is not None and state.is_another(stored[0], since.offset):
                # The server has lost the message that was delivered here, and given its number away again.
                known = False
            history = self._judge(room, epoch, since if known else None, stored, session.now_s())
            if state is not None and history.publications:
                state.remember(stored[-1])
            return history

        return await self._call(read)

    def _judge(self, room: str, epoch: str, since: Position | None, stored: list[Stored], now_s: float) -> History:
        """Make a history of what the stream has from *since* on, the message at *since* itself included."""
        complete = since is not None and stored[0].sequence == since.offset
        before = since.offset if since is not None else 0
        publications = []
        for message in stored:
            if _ANCHOR_HEADER in message.headers or (since is not None and message.sequence <= since.offset):
                continue
            if message.time_s <= now_s - self._limits.age_s:
                complete = False
            else:
                publications.append(_publication(room, epoch, message.sequence, before, message.headers, message.data))
            before = message.sequence
        if not self._limits.messages:
            complete = complete and not publications
            publications = []
        return History(publications, Position(epoch, stored[-1].sequence if stored else 0), complete)

    async def _top(self, session: NatsSession, room: str) -> int:
        """Return the number of the room's newest message; a room without any gets one that says nothing.

        Otherwise nobody could tell later whether a room had messages since, that are gone.
        """
        subject = self._subject(room)
        while True:
            top = await session.last(self._stream, subject)
            if top:
                return top
            try:
                headers = {_ANCHOR_HEADER: "1", "Nats-Expected-Last-Subject-Sequence": "0"}
                return await session.append(subject, b"", headers)
            except ApiError as error:
                if error.code != WRONG_LAST_SEQUENCE:
                    raise

    # Presence

    async def join(self, room: str, member: str, device: str, info: bytes, lease_s: float) -> bool:
        return await self._call(lambda _: self._present().join(room, member, device, info, lease_s))

    async def leave(self, room: str, member: str, device: str) -> bool:
        return await self._call(lambda _: self._present().leave(room, member, device))

    async def renew(self, entries: Sequence[Entry], lease_s: float) -> Sequence[Entry]:
        return await self._call(lambda _: self._present().renew(entries, lease_s))

    async def members(self, room: str) -> dict[str, bytes]:
        return await self._call(lambda _: self._present().members(room))

    async def expire(self, rooms: Iterable[str]) -> Sequence[tuple[str, str]]:
        names = list(rooms)
        return await self._call(lambda _: self._present().expire(names))

    def _present(self) -> NatsPresence:
        if self._presence is None:
            raise ConnectionError("no session")
        return self._presence

    # Calls

    def _subject(self, room: str) -> str:
        return f"{self._prefix}.room.{_token(room)}"

    async def _call(self, work: Callable[[NatsSession], Awaitable[T]]) -> T:
        """Do *work* in a session, again until it succeeds or the time is over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_s
        pauses = backoff(longest_s=1.0)
        while True:
            await self._link.wait_up(deadline)
            session = self._session
            try:
                if session is None:
                    raise ConnectionError("no session")
                async with asyncio.timeout_at(min(deadline, loop.time() + self._timeout_s / 2)):
                    return await work(session)
            except Exception as error:
                _refuse_what_is_too_large(error)
                pause = next(pauses)
                if loop.time() + pause >= deadline:
                    raise BrokerUnavailable(f"{self._url.name}: {describe(error)}") from error
                if session is not None and session is self._session:
                    # The streams may be gone, with the server's memory or by hand.
                    with suppress(Exception):
                        async with asyncio.timeout_at(deadline):
                            await self._ensure_streams(session)
            await asyncio.sleep(pause)

    async def _ensure_streams(self, session: NatsSession) -> None:
        epoch = secrets.token_hex(4)
        config = await session.ensure_stream(
            {
                "name": self._stream,
                "subjects": [f"{self._prefix}.room.*"],
                # One more than is served: by the message at a client's position is known that none is missing after it.
                "max_msgs_per_subject": self._limits.messages + 1,
                "max_age": int(max(self._limits.age_s, _ROOM_TTL_S) * 1e9),
                "duplicate_window": int(_DUPLICATES_S * 1e9),
                "allow_direct": True,
                "republish": {
                    "src": f"{self._prefix}.room.*",
                    "dest": f"{self._prefix}.live.{epoch}.{{{{wildcard(1)}}}}.m",
                },
            }
        )
        self._epoch = config["republish"]["dest"].split(".")[2]
        await session.ensure_stream(NatsPresence.config(self._prefix))

    # Deliveries

    async def _run_session(self, up: Callable[[], None]) -> str:
        session = NatsSession(self._url, self._timeout_s, self._on_missed)
        try:
            await session.open()
            await self._ensure_streams(session)
            while waiting := [(token, room) for token, room in self._rooms.items() if room.session is not session]:
                for token, room in waiting:
                    await self._follow(session, token, room)
                await session.round_trip()
            self._session = session
            self._presence = NatsPresence(session, self._prefix, _token, unquote)
            up()
            return await session.wait()
        finally:
            self._session = self._presence = None
            await session.close()

    async def _follow(self, session: NatsSession, token: str, state: _Room) -> None:
        state.session, state.followed = session, 0
        state.subscription = await session.subscribe(f"{self._prefix}.live.*.{token}.*", self._deliver)

    async def _forget(self, token: str) -> None:
        state = self._rooms.pop(token, None)
        if state is not None and state.subscription is not None and state.session is self._session:
            with suppress(Exception):
                async with asyncio.timeout(self._timeout_s):
                    await state.subscription.unsubscribe()

    def _on_missed(self) -> None:
        if self._sink is not None:
            self._sink.interrupted(f"{self._url.name}: deliveries were dropped, this process was too slow")
            for state in self._rooms.values():
                state.followed = 0
            self._sink.restored()

    async def _deliver(self, message: Any) -> None:
        _, _, epoch, token, what = message.subject.split(".")
        state = self._rooms.get(token)
        sink = self._sink
        if state is None or sink is None:
            return
        headers = message.headers or {}
        if epoch == "who":
            member = unquote(what)
            for event in headers.get(EVENT_HEADER, "").split():
                if event == "left":
                    sink.left(state.name, member)
                else:
                    sink.joined(state.name, member, read_info(message.data))
            return
        offset, before = int(headers["Nats-Sequence"]), int(headers["Nats-Last-Sequence"])
        if epoch != state.epoch:
            state.epoch, state.followed = epoch, 0
        # 0: the stream has let go of the one before. It was the last that came here, or this were not the next.
        follows = state.followed != 0 and before in (0, state.followed)
        state.followed = offset
        if _ANCHOR_HEADER in headers:
            if not follows:
                state.followed = 0
            return
        previous = state.offset if follows else before
        state.offset, state.stamp = offset, headers["Nats-Time-Stamp"]
        sink.deliver(_publication(state.name, epoch, offset, previous, headers, message.data))


class _Room:
    """A room that this process follows."""

    __slots__ = ("epoch", "followed", "name", "offset", "session", "stamp", "subscription")

    def __init__(self, name: str) -> None:
        self.name = name
        self.session: NatsSession | None = None
        self.subscription: Any = None
        self.epoch = ""
        self.followed = 0
        """The number of the last message on the subject, whatever it was; 0 when some may have been missed."""
        self.offset = 0
        """That of the last publication: what the hub stands at."""
        self.stamp = ""
        """When the stream took it, as the server wrote it; empty when it was not delivered here."""

    def is_another(self, stored: Stored, offset: int) -> bool:
        """Whether *stored*, at *offset*, is not the publication that was delivered here with that number."""
        known = self.stamp and self.offset == offset == stored.sequence
        return bool(known) and stored.headers["Nats-Time-Stamp"] != self.stamp

    def remember(self, stored: Stored) -> None:
        """Know that the hub stands at *stored*, unless it is further."""
        if stored.sequence > self.offset:
            self.offset, self.stamp = stored.sequence, stored.headers["Nats-Time-Stamp"]


def _publication(room: str, epoch: str, offset: int, previous: int, headers: Any, data: bytes) -> Publication:
    payload: Payload = data if headers.get(_TYPE_HEADER) == "binary" else data.decode()
    key = headers.get(_KEY_HEADER)
    return Publication(room, payload, Position(epoch, offset), previous, None if key is None else unquote(key[1:]))


def _token(name: str) -> str:
    """Return *name* as one token of a subject."""
    return quote(name, safe="").replace(".", "%2E")


def _refuse_what_is_too_large(error: Exception) -> None:
    import nats.errors

    if isinstance(error, nats.errors.MaxPayloadError):
        raise ValueError("The message is larger than the NATS server takes (max_payload).") from error
