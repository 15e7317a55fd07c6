"""``redis://``: the hub over Redis 7 or Valkey, one server or a cluster.

A room is a stream and a hash. A publication is one atomic script that appends to the stream, trims it, and publishes by
sharded pub/sub. So live deliveries need no polling, and a subscriber that missed one finds it in the history. The keys,
and the reason why offsets are times, are in ``scripts``.

Knows nothing of subscriptions: it delivers the rooms that a process follows to the hub.

Beside this module: presence (``presence``); scripts and where they run (``scripts``, ``redis_client``, ``slots``);
deliveries (``session``, ``pubsub``); connections (``url``, ``resp``).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count

from falconws.hub.broker import (
    MIN_CLAIM_S,
    BrokerRefused,
    BrokerUnavailable,
    Entry,
    EphemeralPublication,
    Health,
    History,
    Member,
    Payload,
    Publication,
    Sink,
)
from falconws.hub.brokers.presence import MemberEvent
from falconws.hub.brokers.reconnect import ReconnectLoop
from falconws.hub.brokers.url import describe
from falconws.hub.concurrency import backoff, gather_limited
from falconws.hub.history_rules import HistoryRules, RoomHistory
from falconws.hub.limits import DEFAULT_LIMITS, HubLimits
from falconws.hub.position import Position

from . import scripts
from .codec import (
    decode_entry,
    decode_push,
    encode,
    encode_ephemeral,
    is_contiguous,
    microseconds,
)
from .presence import RedisPresence
from .redis_client import RedisClient
from .resp import Argument
from .session import RedisSession
from .url import RedisUrl

__all__ = ("RedisBroker",)

_RENEWED_AT_A_TIME = 16
_SILENT_TTL_S = 60.0
"""The shortest time for which a room without publications is kept. See the script's ``keep()``."""

_logger = logging.getLogger("falconws.hub")


class RedisBroker:
    """A broker on Redis 7 or Valkey; see ``falconws.hub.Broker`` for its methods.

    A room that nobody has published to or followed for ``room_ttl_s`` is forgotten, and begins again with a new epoch.
    A room without any publication is forgotten after the history's age.

    Args:
        url: ``redis://[user:password@]host[:port][/db]``, ``rediss://`` for TLS, ``unix:///path``. For a cluster
            ``redis+cluster://host[:port][,host[:port]...]``; for a server that Sentinel finds
            ``redis+sentinel://host[:port][,host[:port]...]/service[/db]``; each with ``rediss`` too. ``valkey`` stands
            for ``redis`` in each. ``?prefix=name`` separates two applications on one server;
            ``remap=ANNOUNCED=REAL,...`` replaces addresses that a cluster or Sentinel announces and that cannot be
            reached from here; ``sentinel_username`` and ``sentinel_password`` are for the sentinels. Other parameters
            are redis-py's.
        history: How much of each room is kept. ``None``: the limits that another process has set, or the default.
        timeout_s: Bounds each call, in which a publication is repeated if its connection breaks.
        limits: How long a room that is not used is remembered; at least twice the history's age.

    Raises:
        ValueError: The URL is malformed, or redis-py is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        history: RoomHistory | None = None,
        timeout_s: float = 5.0,
        limits: HubLimits = DEFAULT_LIMITS,
    ) -> None:
        self._history = HistoryRules(history)
        self._timeout_s = timeout_s
        self._url = RedisUrl(url)
        self._client = RedisClient(self._url, timeout_s)
        self._ttl_ms = int(limits.room_ttl_s * 1000)
        self._presence = RedisPresence(self._client, self._base, self._channel)
        self._reconnect = ReconnectLoop(self._url.name, self._run_session)
        self._sink: Sink | None = None
        self._rooms: dict[bytes, str] = {}
        """The rooms that this process follows, by channel."""
        self._silent: set[bytes] = set()
        """The rooms without publications, as far as this process knows."""
        self._session: RedisSession | None = None
        self._refused: dict[str, str] = {}
        """The rooms that have lost their permission since the last session, each with the reason."""
        self._has_warned = False
        self._author = ""
        """Made in ``start()``: a process that is forked later has another."""
        self._numbers = count()

    async def start(self, sink: Sink) -> None:
        self._sink = sink
        self._author, self._numbers = secrets.token_hex(6), count()
        self._presence.start()
        self._client.open()
        try:
            await self._reconnect.start(sink)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        try:
            await self._reconnect.stop()
        finally:
            self._sink = None
            self._rooms.clear()
            self._silent.clear()
            await self._client.close()

    async def health(self) -> Health:
        name = self._url.name
        if self._session is None or not self._reconnect.connected:
            return Health(False, f"{name}: {self._reconnect.problem or 'no session'}")
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._client.ping()
                # A replica answers pings and refuses writes; so does a server for a user without permissions.
                # No room's name has a percent sign here.
                base = f"{self._url.prefix}:{{%probe}}"
                keys = [f"{base}:{kind}" for kind in ("probe", "meta", "log", "devices", "processes")]
                await self._client.run(scripts.PROBE, keys, [f"{base}{self._url.channel_suffix}"])
        except BrokerUnavailable as error:
            return Health(False, str(error))
        except Exception as error:
            return Health(False, f"{name}: {describe(error)}")
        for room, reason in self._refused.items():
            return Health(True, f"room {room!r} is refused: {reason}")
        return Health(True, name)

    # Messages

    async def publish(
        self, room: str, payload: Payload, *, key: str | None = None, exclude: str | None = None
    ) -> Position:
        [position] = await self.publish_many(room, [(payload, key)], exclude=exclude)
        return position

    async def publish_many(
        self, room: str, messages: Sequence[tuple[Payload, str | None]], *, exclude: str | None = None
    ) -> list[Position]:
        fixed = (*self._room_arguments(room), self._channel(room), exclude or "-")
        encoded: list[Argument] = []
        for payload, key in messages:
            nonce = f"{self._author}{next(self._numbers):x}"
            encoded += (nonce, *encode(payload), "" if key is None else f"={key}")

        def arguments(since_us: int | None) -> Sequence[Argument]:
            return (*fixed, "" if since_us is None else since_us, *encoded)

        answers = await self._client.run_once(scripts.PUBLISH, self._keys(room), arguments, room=room)
        if None in answers:
            raise BrokerUnavailable(f"{self._url.name}: the answer was lost; it may have been published")
        return [Position(epoch, int(offset)) for epoch, _, offset in (a.decode().partition(" ") for a in answers)]

    async def broadcast(
        self, room: str, payload: Payload, *, key: str | None = None, exclude: str | None = None
    ) -> None:
        message = encode_ephemeral(payload, key, exclude)
        await self._client.run(scripts.BROADCAST, self._keys(room)[:1], [self._channel(room), message])

    async def subscribe(self, room: str) -> Position:
        channel = self._channel(room).encode()
        added = channel not in self._rooms
        self._rooms[channel] = room
        try:
            while True:
                session = await self._follow(channel)
                arguments = self._room_arguments(room)
                epoch, offset = await self._client.run(scripts.TOP, self._keys(room), arguments, room=room)
                if session is self._session:
                    self._refused.pop(room, None)
                    if not int(offset):
                        self._silent.add(channel)
                    return Position(epoch.decode(), int(offset))
                # The session was lost meanwhile; the next one may begin after a later publication.
        except BaseException:
            if added:
                self._forget(channel)
            raise

    async def unsubscribe(self, room: str) -> None:
        self._forget(self._channel(room).encode())

    async def history(self, room: str, since: Position) -> History:
        arguments = [*self._room_arguments(room), since.epoch, since.offset]
        name, newest, known, entries = await self._client.run(scripts.HISTORY, self._keys(room), arguments, room=room)
        epoch, top = name.decode(), int(newest)
        read = (decode_entry(room, epoch, *entry) for entry in entries)
        publications = [publication for publication in read if publication is not None]
        complete = bool(known) and is_contiguous(publications, since.offset, top)
        return History(publications, Position(epoch, top), complete)

    async def claim(self, room: str, group: str, position: Position, claimant: str) -> bool:
        key = f"{self._base(room)}:claim:{position.offset}:{group}"
        kept_ms = int(max(MIN_CLAIM_S, self._history.limits(room).age_s) * 1000)
        return bool(await self._client.run(scripts.CLAIM_MESSAGE, [key], [claimant, kept_ms]))

    # Presence

    async def renew(self, lease_s: float) -> bool:
        return await self._presence.renew(lease_s)

    async def join(self, entry: Entry, info: bytes) -> None:
        await self._presence.join(entry, info)

    async def leave(self, entry: Entry) -> None:
        await self._presence.leave(entry)

    async def members(self, room: str) -> dict[str, Member]:
        return await self._presence.members(room)

    async def count_members(self, rooms: Sequence[str]) -> list[int]:
        return await self._presence.count_members(rooms)

    async def rooms_of(self, member: str) -> list[str]:
        return await self._presence.rooms_of(member)

    async def expire(self) -> None:
        await self._presence.expire()

    async def release(self, after_s: float = 0.0) -> None:
        await self._presence.release(after_s)

    # Names

    def _base(self, room: str) -> str:
        """Return the common prefix of the room's keys and channel; the braces put them all into one slot."""
        if "}" in room or "%" in room:
            room = room.replace("%", "%25").replace("}", "%7D")
        return f"{self._url.prefix}:{{{room}}}"

    def _channel(self, room: str) -> str:
        return self._base(room) + self._url.channel_suffix

    def _keys(self, room: str) -> tuple[str, str]:
        base = self._base(room)
        return f"{base}:meta", f"{base}:log"

    def _room_arguments(self, room: str) -> tuple[Argument, ...]:
        """Return what a script needs to know of a room: an epoch if it is new, and what to keep for how long."""
        limits = self._history.limits(room)
        given = int(self._history.is_given)
        return secrets.token_hex(4), self._ttl_ms, limits.messages, microseconds(limits.age_s), given

    # Deliveries

    async def _run_session(self, ready: Callable[[], None]) -> str:
        session = RedisSession(self._client, self._timeout_s, self._deliver)
        renewing = asyncio.create_task(self._renew_rooms())
        try:
            try:
                await session.open()
            except Exception as error:
                if self._client.refuses(error):
                    raise BrokerRefused(describe(error)) from error
                raise
            while missing := self._rooms.keys() - session.channels:
                await session.subscribe(missing)
            for channel in session.channels - self._rooms.keys():
                session.unsubscribe(channel)
            self._session = session
            ready()
            self._tell_refused(session)
            return await session.wait()
        finally:
            self._session = None
            renewing.cancel()
            await session.close()

    def _tell_refused(self, session: RedisSession) -> None:
        """Forget the rooms that were delivered before and are refused in this session."""
        self._refused = {}
        for channel, reason in list(session.refused.items()):
            room = self._rooms.get(channel)
            self._forget(channel)
            if room is not None and self._sink is not None:
                self._refused[room] = f"{self._url.name}: {reason}"
                self._sink.refused(room, self._refused[room])

    async def _follow(self, channel: bytes) -> RedisSession:
        """Return the session that delivers the messages of *channel*, once it does."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_s
        pauses = backoff(longest_s=1.0)
        while True:
            await self._reconnect.wait_connected(deadline)
            session = self._session
            try:
                if session is None:
                    raise ConnectionError("no session")
                if not session.follows(channel):
                    async with asyncio.timeout_at(deadline):
                        await session.subscribe([channel])
                if channel in session.refused:
                    reason = session.refused[channel]
                    session.unsubscribe(channel)
                    raise BrokerRefused(f"{self._url.name}: {reason}", room=self._rooms.get(channel))
                return session
            except BrokerRefused:
                raise
            except Exception as error:
                pause = next(pauses)
                if loop.time() + pause >= deadline:
                    raise BrokerUnavailable(f"{self._url.name}: {describe(error)}") from error
            await asyncio.sleep(pause)

    def _forget(self, channel: bytes) -> None:
        self._rooms.pop(channel, None)
        self._silent.discard(channel)
        if self._session is not None:
            self._session.unsubscribe(channel)

    async def _renew_rooms(self) -> None:
        """Renew the expiry of the rooms that this process follows, in which nothing may be published."""
        step_s = max(self._history.shortest_age_s, _SILENT_TTL_S) / 3
        renewed_at = asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(step_s)
            rooms = [self._rooms[channel] for channel in self._silent]
            if asyncio.get_running_loop().time() - renewed_at > self._ttl_ms / 3000:
                renewed_at = asyncio.get_running_loop().time()
                rooms = list(self._rooms.values())
            await gather_limited(self._renew_room, rooms, limit=_RENEWED_AT_A_TIME)

    async def _renew_room(self, room: str) -> None:
        with suppress(BrokerUnavailable):
            await self._client.run(scripts.TOP, self._keys(room), self._room_arguments(room))

    def _deliver(self, channel: bytes, data: bytes) -> None:
        room = self._rooms.get(channel)
        if room is None or self._sink is None:
            return
        match decode_push(room, data):
            case Publication() as publication:
                self._silent.discard(channel)
                self._sink.deliver(publication)
            case EphemeralPublication() as message:
                self._sink.deliver_ephemeral(message)
            case MemberEvent() as event:
                event.tell(self._sink, room)
            case None:
                self._warn_foreign(room)

    def _warn_foreign(self, room: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            _logger.warning(
                "%s: a message of another program on the channel of room %r is ignored (logged once)",
                self._url.name,
                room,
            )
