"""``nats://``: the hub over NATS with JetStream.

All rooms are subjects of one stream, which passes on what it has stored (``republish``), with the number of the message
and of the one before it on the same subject. So a room that is followed costs one core subscription, no consumer, and a
hole is seen at once. History is read from the stream directly. The subject of what is passed on carries the stream's
epoch: whoever makes the stream anew, chooses another.

A hole is seen by the message after it. So what is lost between the servers of a cluster, with no message after it, has
to be noticed otherwise: all rooms are looked into whenever another server has come to lead the stream, and some of them
every now and then.

The stream lets go of messages, and with a room's last one goes what shows that none came after it. So a room in which
nothing is published for long gets an *anchor*: a message that stands for the last one, and that nobody is told of.

Knows nothing of subscriptions: what a process follows, it delivers to the hub.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from falconws.hub.broker import BrokerUnavailable, Entry, Health, History, HistoryLimits, Payload, Sink
from falconws.hub.brokers.reconnect import Link
from falconws.hub.brokers.url import describe
from falconws.hub.concurrency import backoff, for_each
from falconws.hub.position import Position

from .codec import ANCHOR_HEADER, decode, encode, name_of, place_of, token_of
from .cursor import FollowedRoom, Place
from .hub_streams import Streams, round_s
from .presence import read_events
from .session import NatsSession, TooLargeError, check_credentials, load_nats
from .stream import Stored
from .url import NatsUrl

__all__ = ("NatsBroker",)

_ROOMS_A_LOOK = 50
"""So many requests every ``timeout_s`` are not noticed."""

_KEPT_AT_A_TIME = 16
"""Rooms that are seen to at once, so that they keep their places."""

T = TypeVar("T")


class NatsBroker:
    """A broker on NATS 2.11 or newer, with JetStream; see ``falconws.hub.Broker`` for its methods.

    It makes two streams, ``PREFIX-rooms`` and ``PREFIX-presence``. The stream keeps a message for an hour at least, and
    for half an hour more than the history's age; what is older than the history's age is not served. By that a quiet
    room keeps its place for so long, and for as long as anybody follows it. After that it begins again, and a client
    that comes back to it is told ``Gap``.

    Args:
        url: ``nats://[user:password@]host[:port][,host[:port]...]``, or ``tls://``. Parameters: ``prefix`` (default
            ``falconws``) keeps two applications on one server apart; ``replicas`` (1, 3 or 5) and ``storage``
            (``file`` or ``memory``) are for the streams when they are made; ``credentials`` names a file.
        history: How much of each room is kept. ``None``: as much as others have said, or the default.
        timeout_s: Within which each call ends, and a publication is repeated when its connection breaks.

    Raises:
        ValueError: The URL is malformed, its file of credentials is not there, or nats-py is not installed.
    """

    def __init__(self, url: str, *, history: HistoryLimits | None = None, timeout_s: float = 5.0) -> None:
        load_nats()
        self._history = history
        self._timeout_s = timeout_s
        self._url = NatsUrl(url)
        check_credentials(self._url)
        self._link = Link(self._url.name, self._run_session)
        self._sink: Sink | None = None
        self._rooms: dict[str, FollowedRoom] = {}
        self._streams: Streams | None = None
        self._attempts: set[asyncio.Timeout] = set()
        self._keeping: asyncio.Task[None] | None = None
        self._to_look_into: list[str] = []
        self._misses = 0
        """How often deliveries may have been missed while the connection held."""

    async def start(self, sink: Sink) -> None:
        self._sink = sink
        try:
            await self._link.start(sink)
        except BaseException:
            await self.stop()
            raise
        self._keeping = asyncio.create_task(self._keep_rooms(), name=f"hub rooms {self._url.name}")

    async def stop(self) -> None:
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            keeping.cancel()
        try:
            await self._link.stop()
        finally:
            self._sink = None
            self._rooms.clear()

    async def health(self) -> Health:
        name = self._url.name
        streams = self._streams
        if streams is None or not self._link.up:
            return Health(False, f"{name}: {self._link.problem or 'no session'}")
        try:
            async with asyncio.timeout(self._timeout_s):
                await streams.rooms.leadership()
        except Exception as error:
            return Health(False, f"{name}: {describe(error)}")
        return Health(True, name)

    # Messages

    async def publish(self, room: str, payload: Payload, *, key: str | None = None) -> Position:
        data, headers = encode(payload, key)

        async def append(streams: Streams) -> Position:
            sequence = await streams.rooms.append(streams.subject(token_of(room)), data, headers)
            # If it is to be done again: one stream takes it once.
            streams.check()
            return Position(streams.epoch, sequence)

        return await self._call(append)

    async def subscribe(self, room: str) -> Position:
        token = token_of(room)
        state = self._rooms.get(token)
        added = state is None
        if state is None:
            state = self._rooms[token] = FollowedRoom(room)

        async def follow(streams: Streams) -> Position:
            if state.streams is not streams:
                await self._follow(streams, token, state)
            await streams.rooms.reach_leader(streams.subject(token))
            place = await streams.place(token)
            state.stands_at(streams.epoch, place)
            return Position(streams.epoch, place.offset)

        try:
            return await self._call_undisturbed(follow)
        except BaseException:
            if added:
                await self._forget(token)
            raise

    async def unsubscribe(self, room: str) -> None:
        await self._forget(token_of(room))

    async def history(self, room: str, since: Position) -> History:
        token = token_of(room)

        async def read(streams: Streams) -> History:
            epoch, stream, subject = streams.epoch, streams.rooms, streams.subject(token)
            known = since.epoch == epoch
            stored = await stream.read(subject, since.offset if known else 1)
            if known and not stored:
                # Nothing at or after that position: it lies in the future, or all of its past is gone.
                stored = await stream.read(subject)
                known = False
            state = self._rooms.get(token)
            if state is not None and not stored:
                # Those who are told of a gap now have to stand somewhere.
                await streams.place(token)
                stored = await stream.read(subject)
            if known and state is not None and state.is_another(stored[0], since.offset):
                # The server has lost the message that was delivered here, and given its number away again.
                known = False
            history = self._judge(room, streams, since if known else None, stored)
            if state is not None and history.publications:
                state.remember(next(message for message in reversed(stored) if ANCHOR_HEADER not in message.headers))
            return history

        return await self._call_undisturbed(read)

    def _judge(self, room: str, streams: Streams, since: Position | None, stored: list[Stored]) -> History:
        """Make a history of what the stream has from *since* on, with the message at *since*, or what stands for it."""
        epoch, limits, now_s = streams.epoch, streams.limits, streams.rooms.now_s()
        places = [place_of(message.headers, message.sequence) for message in stored]
        complete = since is not None and since.offset == places[0]
        before = since.offset if since is not None else 0
        publications = []
        for message, place in zip(stored, places, strict=True):
            if since is not None and message.sequence <= since.offset:
                continue
            if ANCHOR_HEADER in message.headers:
                pass
            elif message.time_s <= now_s - limits.age_s:
                complete = False
            else:
                position = Position(epoch, message.sequence)
                publications.append(decode(room, position, before, message.headers, message.data))
            before = place
        if not limits.messages:
            complete = complete and not publications
            publications = []
        return History(publications, Position(epoch, places[-1] if places else 0), complete)

    # Presence

    async def join(self, room: str, member: str, device: str, info: bytes, lease_s: float) -> bool:
        return await self._call(lambda streams: streams.presence.join(room, member, device, info, lease_s))

    async def leave(self, room: str, member: str, device: str) -> bool:
        return await self._call(lambda streams: streams.presence.leave(room, member, device))

    async def renew(self, entries: Sequence[Entry], lease_s: float) -> Sequence[Entry]:
        return await self._call(lambda streams: streams.presence.renew(entries, lease_s))

    async def members(self, room: str) -> dict[str, bytes]:
        return await self._call(lambda streams: streams.presence.members(room))

    async def expire(self, rooms: Iterable[str]) -> Sequence[tuple[str, str]]:
        names = list(rooms)
        return await self._call(lambda streams: streams.presence.expire(names))

    # Calls

    async def _call(self, work: Callable[[Streams], Awaitable[T]]) -> T:
        """Do *work* in a session, again until it succeeds or the time is over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_s
        pauses = backoff(longest_s=1.0)
        while True:
            await self._link.wait_up(deadline)
            streams = self._streams
            try:
                if streams is None:
                    raise ConnectionError("no session")
                streams.check()
                async with self._attempt(min(deadline, loop.time() + self._timeout_s / 2)):
                    return await work(streams)
            except TooLargeError:
                raise
            except Exception as error:
                pause = next(pauses)
                if loop.time() + pause >= deadline:
                    raise BrokerUnavailable(f"{self._url.name}: {describe(error)}") from error
                if streams is not None and streams is self._streams:
                    # They may be gone, with the server's memory or by hand.
                    with suppress(Exception):
                        async with self._attempt(min(deadline, loop.time() + self._timeout_s / 4)):
                            await streams.ensure()
            await asyncio.sleep(pause)

    @asynccontextmanager
    async def _attempt(self, deadline: float) -> AsyncIterator[None]:
        """Bound the block by *deadline*, or by the next election: what was asked of the old leader has no answer."""
        async with asyncio.timeout_at(deadline) as attempt:
            self._attempts.add(attempt)
            try:
                yield
            finally:
                self._attempts.discard(attempt)

    async def _call_undisturbed(self, work: Callable[[Streams], Awaitable[T]]) -> T:
        """Do as ``_call()``; *work* that was under way while deliveries were missed may not know of these."""

        async def check(streams: Streams) -> T:
            misses = self._misses
            result = await work(streams)
            streams.check()
            if misses != self._misses:
                raise ConnectionError("deliveries were missed meanwhile")
            return result

        return await self._call(check)

    # Deliveries

    async def _run_session(self, up: Callable[[], None]) -> str:
        session = NatsSession(
            self._url, self._timeout_s, lambda: self._missed("deliveries were dropped, this process was too slow")
        )
        streams = Streams(session, self._url, self._history)

        async def on_election(_: Any) -> None:
            self._lead_has_changed(streams)

        async def on_presence_election(_: Any) -> None:
            self._repeat_attempts()

        try:
            await session.open()
            await streams.ensure()
            await session.subscribe(streams.rooms.elections, on_election)
            await session.subscribe(streams.presence.elections, on_presence_election)
            while waiting := [(token, room) for token, room in self._rooms.items() if room.streams is not streams]:
                for token, room in waiting:
                    await self._follow(streams, token, room)
                await streams.rooms.reach_leader(streams.subject(waiting[0][0]))
            self._streams = streams
            up()
            return await session.wait(lambda: self._look(streams))
        finally:
            self._streams = None
            await session.close()

    async def _follow(self, streams: Streams, token: str, state: FollowedRoom) -> None:
        state.begin(streams.epoch)
        state.subscription = await streams.session.subscribe(f"{self._url.prefix}.live.*.{token}.*", self._deliver)
        # Not before: one that was refused has to be tried again.
        state.streams = streams
        if self._rooms.get(token) is not state:
            # Whoever wanted it has left meanwhile, and found nothing to end.
            await self._unsubscribe(state)

    async def _forget(self, token: str) -> None:
        state = self._rooms.pop(token, None)
        if state is not None:
            await self._unsubscribe(state)

    async def _unsubscribe(self, state: FollowedRoom) -> None:
        subscription, state.subscription = state.subscription, None
        if subscription is not None:
            # That of a session that has ended refuses.
            with suppress(Exception):
                async with asyncio.timeout(self._timeout_s):
                    await subscription.unsubscribe()

    def _lead_has_changed(self, streams: Streams) -> None:
        # What the old leader had stored and not passed on yet, the new one does not pass on.
        streams.leadership = None
        self._repeat_attempts()
        self._missed(f"the stream {streams.rooms.name} has another leader")

    def _repeat_attempts(self) -> None:
        now = asyncio.get_running_loop().time()
        for attempt in self._attempts:
            if not attempt.expired():
                attempt.reschedule(now)

    async def _look(self, streams: Streams) -> str | None:
        """See whether the stream is led, and by the same server as before; return why the session should end."""
        try:
            leadership = await streams.look()
            late = leadership is not None and await self._find_late(streams)
        except Exception as error:
            # An election takes some seconds; but a server that has lost the others never gets out of it.
            streams.leaderless += 1
            return None if streams.leaderless == 1 else f"stream {streams.rooms.name}: {describe(error)}"
        if streams.leadership not in (None, leadership) or streams.leaderless:
            self._lead_has_changed(streams)
        elif late:
            self._missed("the servers have lost messages between them")
        streams.leadership, streams.leaderless = leadership, 0
        return None

    async def _find_late(self, streams: Streams) -> bool:
        """Look into some rooms, others each time, whether they have messages that have not come."""
        late = False
        self._to_look_into = self._to_look_into or list(self._rooms)
        for token in self._to_look_into[-_ROOMS_A_LOOK:]:
            newest = await streams.rooms.last(streams.subject(token))
            state = self._rooms.get(token)
            if newest is None or state is None:
                continue
            place = Place(newest.sequence, place_of(newest.headers, newest.sequence), newest.stamp)
            if state.lacks(place.offset):
                # It may be on its way. What the leader says now comes behind it.
                await streams.rooms.reach_leader(streams.subject(token))
                if state.lacks(place.offset):
                    state.stands_at(streams.epoch, place)
                    late = True
        del self._to_look_into[-_ROOMS_A_LOOK:]
        return late

    async def _keep_rooms(self) -> None:
        """See to it, round after round, that the rooms which this process follows keep their places."""
        while True:
            tokens = list(self._rooms)
            parts = [tokens[i : i + _KEPT_AT_A_TIME] for i in range(0, len(tokens), _KEPT_AT_A_TIME)] or [[]]
            for part in parts:
                # Whichever takes longer.
                pause = asyncio.sleep(round_s() / len(parts))
                await asyncio.gather(pause, for_each(self._keep, part, at_a_time=_KEPT_AT_A_TIME))

    async def _keep(self, token: str) -> None:
        state, streams = self._rooms.get(token), self._streams
        if state is not None and streams is not None and streams.needs_anchor(state.heard):
            # If it fails, the next round tries again.
            with suppress(BrokerUnavailable):
                await self._call(lambda streams: streams.place(token))

    def _missed(self, reason: str) -> None:
        """Have the hub look for what may have been missed."""
        self._misses += 1
        for state in self._rooms.values():
            state.followed = 0
        if self._sink is not None and self._link.up:
            self._sink.interrupted(f"{self._url.name}: {reason}")
            self._sink.restored()

    async def _deliver(self, message: Any) -> None:
        _, _, epoch, token, what = message.subject.split(".")
        headers, data = message.headers or {}, message.data
        # The client library holds on to the last message of each subscription; there may be many, and large ones.
        message.headers, message.data = None, b""
        state = self._rooms.get(token)
        sink = self._sink
        if state is None or sink is None:
            return
        if epoch == "who":
            for event, info in read_events(headers, data):
                if event == "left":
                    sink.left(state.name, name_of(what))
                else:
                    sink.joined(state.name, name_of(what), info)
            return
        publication = state.take(epoch, headers, data)
        # What somebody else sends past the stream has left no trace.
        if self._streams is not None and state.epoch == epoch:
            self._streams.see(epoch)
        if publication is not None:
            sink.deliver(publication)
