"""``redis://``: the hub over Redis 7 or Valkey, one server or a cluster.

A room is a stream and a hash beside it; a publication is one atomic script that appends, trims and passes on by sharded
pub/sub. So live deliveries cost no polling, and history is there for whoever has missed one. Presence is a sorted set
of leases by the server's clock. Which keys, and why offsets are times: ``redis_scripts``.

Knows nothing of subscriptions: what a process follows, it delivers to the hub.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from . import redis_scripts as scripts
from .broker import BrokerUnavailable, Entry, Health, History, HistoryLimits, Payload, Publication, Sink
from .link import Link, describe, redact
from .position import Position
from .recovery import backoff
from .redis_feed import Feed

__all__ = ("RedisBroker",)

_ROOM_TTL_S = 86_400.0
_MOST_CONNECTIONS = 32
_SET_HERE = {"protocol", "max_connections", "timeout", "socket_timeout", "socket_connect_timeout"}
_SCHEMES = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss", "unix": "unix"}


class RedisBroker:
    """A broker on Redis 7 or Valkey; see ``falconws.hub.Broker`` for its methods.

    A room that nobody has published to, or followed, for a day (or twice the history's age, if that is longer) is
    forgotten: it begins again with a new epoch.

    Args:
        url: ``redis://[user:password@]host[:port][/db]``, ``rediss://`` for TLS, ``unix:///path``. For a cluster
            ``redis+cluster://host[:port][,host[:port]...]`` or ``rediss+cluster://``. ``valkey`` stands for ``redis``
            in each. ``?prefix=name`` keeps two applications on one server apart; other parameters are redis-py's.
        history: How much of each room is kept.
        timeout_s: Within which each call ends, and a publication is repeated when its connection breaks.

    Raises:
        ValueError: The URL is malformed, or redis-py is not installed.
    """

    def __init__(self, url: str, *, history: HistoryLimits | None = None, timeout_s: float = 5.0) -> None:
        self._limits = history or HistoryLimits()
        self._timeout_s = timeout_s
        self._server = _Server(url, timeout_s)
        self._ttl_ms = int(max(_ROOM_TTL_S, 2 * self._limits.age_s) * 1000)
        self._age_us = int(self._limits.age_s * 1_000_000)
        self._link = Link(self._server.name, self._session)
        self._sink: Sink | None = None
        self._rooms: dict[bytes, str] = {}
        self._subscribed: set[bytes] = set()
        self._waiting: dict[bytes, asyncio.Future[None]] = {}
        self._feeds: dict[str, Feed] = {}
        self._changed = asyncio.Event()
        self._moved = asyncio.Event()
        self._author = secrets.token_hex(6)
        self._count = count()

    async def start(self, sink: Sink) -> None:
        self._sink = sink
        self._server.open()
        await self._link.start(sink)

    async def stop(self) -> None:
        await self._link.stop()
        self._sink = None
        self._rooms.clear()
        await self._server.close()

    async def health(self) -> Health:
        name = self._server.name
        if not self._link.up:
            return Health(False, f"{name}: {self._link.problem or 'no answer'}")
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._server.ping()
        except Exception as error:
            return Health(False, f"{name}: {describe(error)}")
        return Health(True, name)

    # Messages

    async def publish(self, room: str, payload: Payload, *, key: str | None = None) -> Position:
        base = self._base(room)
        nonce = f"{self._author}{next(self._count):x}"
        text = isinstance(payload, str)
        began = asyncio.get_running_loop().time()
        attempts = 0

        def arguments() -> list[Any]:
            nonlocal attempts
            attempts += 1
            # A second more than has passed: the server's clock may run a little apart from this one.
            since = "" if attempts == 1 else int((asyncio.get_running_loop().time() - began + 1) * 1_000_000)
            fixed = [base, secrets.token_hex(4), self._ttl_ms, self._limits.messages, self._age_us, nonce, since]
            return [*fixed, "t" if text else "b", payload, *([] if key is None else [key])]

        answer = await self._run(scripts.PUBLISH, [f"{base}:meta", f"{base}:log", f"{base}:{nonce}"], arguments)
        if answer is None:
            raise BrokerUnavailable(f"{self._server.name}: the answer was lost; it may have been published")
        epoch, offset = answer.decode().split(" ")
        return Position(epoch, int(offset))

    async def subscribe(self, room: str) -> Position:
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        channel = self._base(room).encode()
        added = channel not in self._rooms
        self._rooms[channel] = room
        try:
            await self._link.wait_up(deadline)
            if channel not in self._subscribed:
                await self._ask_for(channel, deadline)
            epoch, offset = await self._run(scripts.TOP, self._log_keys(room), self._top_arguments)
        except BaseException:
            if added:
                self._forget(channel)
            raise
        return Position(epoch.decode(), int(offset))

    async def unsubscribe(self, room: str) -> None:
        self._forget(self._base(room).encode())

    async def history(self, room: str, since: Position) -> History:
        arguments = [*self._top_arguments(), self._age_us, since.epoch, since.offset]
        epoch, top, complete, entries = await self._run(scripts.HISTORY, self._log_keys(room), lambda: arguments)
        epoch = epoch.decode()
        publications = [_publication(room, epoch, *entry) for entry in entries]
        return History(publications, Position(epoch, int(top)), bool(complete))

    # Presence

    async def join(self, room: str, member: str, device: str, info: bytes, lease_s: float) -> bool:
        arguments = [self._base(room), self._ttl_ms, int(lease_s * 1_000_000), _entry(member, device), info]
        return bool(await self._run(scripts.JOIN, self._presence_keys(room), lambda: arguments))

    async def leave(self, room: str, member: str, device: str) -> bool:
        arguments = [self._base(room), _entry(member, device)]
        return bool(await self._run(scripts.LEAVE, self._presence_keys(room), lambda: arguments))

    async def renew(self, entries: Sequence[Entry], lease_s: float) -> Sequence[Entry]:
        by_room: dict[str, list[Entry]] = {}
        for entry in entries:
            by_room.setdefault(entry.room, []).append(entry)
        lost: list[Entry] = []

        async def renew_in(room: str) -> None:
            mine = by_room[room]
            arguments = [self._ttl_ms, int(lease_s * 1_000_000), *(_entry(e.member, e.device) for e in mine)]
            indexes = await self._run(scripts.RENEW, self._presence_keys(room), lambda: arguments)
            lost.extend(mine[index] for index in indexes)

        await _for_each(renew_in, by_room)
        return lost

    async def members(self, room: str) -> dict[str, bytes]:
        found = await self._run(scripts.MEMBERS, self._presence_keys(room), list)
        return {member.decode(): info for member, info in zip(found[::2], found[1::2], strict=True)}

    async def expire(self, rooms: Iterable[str]) -> Sequence[tuple[str, str]]:
        gone: list[tuple[str, str]] = []

        async def expire_in(room: str) -> None:
            base = self._base(room)
            members = await self._run(scripts.EXPIRE, self._presence_keys(room), lambda: [base])
            gone.extend((room, member.decode()) for member in members)

        await _for_each(expire_in, rooms)
        return gone

    # Names

    def _base(self, room: str) -> str:
        """The room's channel, and what its keys begin with; the braces put all of them into one slot."""
        if "}" in room or "%" in room:
            room = room.replace("%", "%25").replace("}", "%7D")
        return f"{self._server.prefix}:{{{room}}}"

    def _log_keys(self, room: str) -> list[str]:
        base = self._base(room)
        return [f"{base}:meta", f"{base}:log"]

    def _presence_keys(self, room: str) -> list[str]:
        base = self._base(room)
        return [f"{base}:leases", f"{base}:members", f"{base}:devices"]

    def _top_arguments(self) -> list[Any]:
        return [secrets.token_hex(4), self._ttl_ms]

    async def _run(self, script: str, keys: Sequence[str], arguments: Callable[[], Sequence[Any]]) -> Any:
        """Run *script* until it answers or the time is over; *arguments* are asked for anew for each attempt."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_s
        pauses = backoff(longest_s=1.0)
        while True:
            try:
                async with asyncio.timeout_at(min(deadline, loop.time() + self._timeout_s / 2)):
                    return await self._server.run(script, keys, arguments())
            except Exception as error:
                pause = next(pauses)
                if not self._server.may_recover(error) or loop.time() + pause >= deadline:
                    raise BrokerUnavailable(f"{self._server.name}: {describe(error)}") from error
            await asyncio.sleep(pause)

    # Deliveries

    def _forget(self, channel: bytes) -> None:
        self._rooms.pop(channel, None)
        if channel in self._subscribed:
            self._subscribed.discard(channel)
            with suppress(Exception):
                self._feeds[self._server.place(channel)].unsubscribe(channel)

    async def _ask_for(self, channel: bytes, deadline: float) -> None:
        waiting = self._waiting.setdefault(channel, asyncio.get_running_loop().create_future())
        try:
            feed = self._feeds.get(self._server.place(channel))
            if feed is not None:
                feed.subscribe([channel])
            async with asyncio.timeout_at(deadline):
                await asyncio.shield(waiting)
        except Exception as error:
            raise BrokerUnavailable(f"{self._server.name}: {describe(error)}") from None
        finally:
            self._waiting.pop(channel, None)

    async def _session(self, up: Callable[[], None]) -> str:
        """Subscribe all rooms on every server of the cluster; return why one of them was lost."""
        self._subscribed.clear()
        self._moved.clear()
        tasks: list[asyncio.Task[str]] = []
        try:
            async with asyncio.timeout(self._timeout_s):
                places = await self._server.places()
            for place in places:
                feed = Feed(self._server.connection(place), self._timeout_s, self._deliver, self._change)
                await feed.open()
                self._feeds[place] = feed
                tasks.append(asyncio.create_task(feed.run()))
            tasks.append(asyncio.create_task(self._wait_until_moved()))
            tasks.append(asyncio.create_task(self._keep_rooms()))
            await self._subscribe_all(tasks)
            up()
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return next(iter(done)).result()
        finally:
            feeds, self._feeds = self._feeds, {}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for feed in feeds.values():
                await feed.close()

    async def _subscribe_all(self, tasks: Sequence[asyncio.Task[str]]) -> None:
        asked: set[bytes] = set()
        heard = len(self._subscribed)
        while missing := self._rooms.keys() - self._subscribed:
            for channel in missing - asked:
                self._feeds[self._server.place(channel)].subscribe([channel])
            asked |= missing
            self._changed.clear()
            changed = asyncio.create_task(self._changed.wait())
            done, _ = await asyncio.wait(
                {changed, *tasks}, timeout=self._timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            changed.cancel()
            for task in done - {changed}:
                raise ConnectionError(task.result())
            if not done and len(self._subscribed) == heard:
                raise TimeoutError
            heard = len(self._subscribed)

    async def _wait_until_moved(self) -> str:
        await self._moved.wait()
        return "rooms have moved to another server of the cluster"

    async def _keep_rooms(self) -> str:
        """Keep rooms that this process follows from being forgotten, though nothing is published there."""
        while True:
            await asyncio.sleep(self._ttl_ms / 3000)
            for room in list(self._rooms.values()):
                with suppress(BrokerUnavailable):
                    await self._run(scripts.TOP, self._log_keys(room), self._top_arguments)

    def _change(self, channel: bytes, subscribed: bool) -> None:
        if subscribed and channel not in self._rooms:
            # Given up while the server was asked.
            self._feeds[self._server.place(channel)].unsubscribe(channel)
        elif subscribed:
            self._subscribed.add(channel)
            waiting = self._waiting.pop(channel, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(None)
        elif channel in self._rooms and channel in self._subscribed:
            # Not asked for: the slot is another server's now.
            self._moved.set()
        self._changed.set()

    def _deliver(self, channel: bytes, data: bytes) -> None:
        room = self._rooms.get(channel)
        if room is None or self._sink is None:
            return
        head, _, body = data.partition(b"\n")
        fields = head.decode("ascii").split(" ")
        match fields[0]:
            case "m":
                _, epoch, offset, previous, kind, key_size = fields
                key = None
                if key_size != "-":
                    size = int(key_size)
                    key, body = body[:size].decode(), body[size:]
                payload = body.decode() if kind == "t" else body
                self._sink.deliver(Publication(room, payload, Position(epoch, int(offset)), int(previous), key))
            case "j":
                size = int(fields[1])
                self._sink.joined(room, body[:size].decode(), body[size:])
            case "l":
                self._sink.left(room, body.decode())


class _Server:
    """One server or a cluster, as redis-py's clients know it."""

    def __init__(self, url: str, timeout_s: float) -> None:
        try:
            import redis.asyncio
        except ImportError:
            raise ValueError('The hub needs redis-py for this URL: pip install "falconws[redis]"') from None
        self.name = redact(url)
        self._redis = redis
        self._timeout_s = timeout_s
        self._client: Any = None
        self._asked = False
        self._digests: dict[str, str] = {}
        scheme, _, rest = url.partition("://")
        scheme, _, kind = scheme.lower().partition("+")
        if scheme not in _SCHEMES or kind not in ("", "cluster") or (kind and scheme == "unix"):
            raise ValueError(f"{self.name}: use redis://, rediss://, redis+cluster:// or unix://.")
        self._cluster = kind == "cluster"
        credentials, at, rest = rest.rpartition("@")
        netloc, slash, tail = rest.partition("/")
        others: list[str] = []
        if self._cluster:
            netloc, *others = netloc.split(",")
        try:
            parts = urlsplit(f"{_SCHEMES[scheme]}://{credentials}{at}{netloc}{slash}{tail}")
            query = parse_qs(parts.query)
            self.prefix = query.pop("prefix", ["falconws"])[0]
            plain = parts._replace(query=urlencode(query, doseq=True)).geturl()
            self._options: dict[str, Any] = dict(redis.asyncio.connection.parse_url(plain))
            self._seeds = [_host_and_port(host) for host in others]
        except ValueError as error:
            # urllib repeats the part that it cannot read, and that may be a piece of a password.
            raise ValueError(f"{self.name}: not a URL of a Redis server.") from error.__cause__
        if not self.prefix or set(self.prefix) & set("{}"):
            raise ValueError(f"{self.name}: prefix must be a name without braces.")
        if parts.scheme != "unix" and not re.fullmatch(r"/?\d*", parts.path, re.ASCII):
            # redis-py would take it for 0.
            raise ValueError(f"{self.name}: the number of the database is missing after the last slash.")
        if set_here := sorted(_SET_HERE & query.keys()):
            raise ValueError(f"{self.name}: {set_here[0]} is set by the hub (see timeout_s); leave it out.")
        try:
            self.connection("localhost:6379")
        except TypeError as error:
            raise ValueError(f"{self.name}: redis-py does not take these parameters: {describe(error)}.") from None

    def open(self) -> None:
        self._client, self._asked = self._make_client(), False

    def _make_client(self) -> Any:
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        # redis-py must not repeat a command on its own: the first may have been carried out.
        # And its socket_timeout waits with asyncio.wait_for(), which loses cancellations before Python 3.12.
        common: dict[str, Any] = {"protocol": 2, "retry": Retry(NoBackoff(), 0), "socket_timeout": None}
        common["socket_connect_timeout"] = self._timeout_s
        options = {**self._options}
        connection_class = options.pop("connection_class", None)
        if self._cluster:
            from redis.asyncio.cluster import ClusterNode

            options.pop("db", None)
            host, port = options.pop("host", "localhost"), options.pop("port", 6379)
            if connection_class is not None:
                options["ssl"] = True
            nodes = [ClusterNode(*seed) for seed in [(host, port), *self._seeds]]
            return self._redis.asyncio.RedisCluster(
                startup_nodes=nodes, max_connections=2 * _MOST_CONNECTIONS, **common, **options
            )
        if connection_class is not None:
            options["connection_class"] = connection_class
        pool = self._redis.asyncio.BlockingConnectionPool(
            max_connections=_MOST_CONNECTIONS, timeout=self._timeout_s, **common, **options
        )
        return self._redis.asyncio.Redis(connection_pool=pool)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):
                async with asyncio.timeout(1.0):
                    await client.aclose()
                    if not self._cluster:
                        await client.connection_pool.disconnect()

    async def ping(self) -> None:
        if self._client is None:
            raise ConnectionError("not started")
        await self._client.ping()

    async def run(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        client = self._client
        if client is None:
            raise ConnectionError("not started")
        digest = self._digests.get(script)
        if digest is None:
            digest = self._digests[script] = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        try:
            return await client.evalsha(digest, len(keys), *keys, *arguments)
        except self._redis.exceptions.NoScriptError:
            return await client.eval(script, len(keys), *keys, *arguments)

    def may_recover(self, error: Exception) -> bool:
        """Whether another attempt makes sense; it does not where the server has answered, and refuses."""
        errors = self._redis.exceptions
        if isinstance(error, errors.AuthenticationError | errors.AuthorizationError):
            return False
        transient = (errors.ReadOnlyError, errors.ClusterDownError, errors.TryAgainError, errors.MasterDownError)
        if isinstance(error, errors.ResponseError):
            return isinstance(error, transient)
        return self._client is not None

    async def places(self) -> list[str]:
        """Return where deliveries come from: "host:port" of each primary, as the cluster tells now."""
        if not self._cluster:
            return [""]
        if self._asked:
            # The client's own idea may be that of before a failover, and it would find out by the next command only.
            await self._client.nodes_manager.initialize()
        else:
            await self._client.initialize()
        self._asked = True
        return [node.name for node in self._client.get_primaries()]

    def place(self, channel: bytes) -> str:
        """Return where *channel* belongs."""
        if not self._cluster:
            return ""
        return str(self._client.get_node_from_key(channel.decode()).name)

    def connection(self, place: str) -> Any:
        """Return a new connection to *place*, for a subscriber."""
        from redis.asyncio.connection import Connection
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        options = {**self._options}
        connection_class = options.pop("connection_class", Connection)
        if self._cluster:
            options.pop("db", None)
            options["host"], options["port"] = _host_and_port(place)
        options |= {"protocol": 2, "retry": Retry(NoBackoff(), 0), "socket_timeout": None}
        return connection_class(**options, socket_connect_timeout=self._timeout_s)


async def _for_each(work: Callable[[str], Any], rooms: Iterable[str]) -> None:
    """Await ``work(room)`` for each room, some at a time; raise the first error."""
    waiting = iter(list(rooms))

    async def worker() -> None:
        for room in waiting:
            await work(room)

    results = await asyncio.gather(*(worker() for _ in range(_MOST_CONNECTIONS // 2)), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


def _publication(room: str, epoch: str, entry_id: bytes, fields: Sequence[bytes]) -> Publication:
    values = dict(zip(fields[::2], fields[1::2], strict=True))
    payload: Payload = values[b"d"].decode() if values[b"t"] == b"t" else values[b"d"]
    key = values[b"k"].decode() if b"k" in values else None
    offset = int(entry_id.partition(b"-")[0])
    return Publication(room, payload, Position(epoch, offset), int(values[b"p"]), key)


def _entry(member: str, device: str) -> bytes:
    """The member's size in bytes, the member, the device: two names in one, whatever is in them."""
    name = member.encode()
    return b"%d:%b%b" % (len(name), name, device.encode())


def _host_and_port(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        return text, 6379
    return host, int(port)
