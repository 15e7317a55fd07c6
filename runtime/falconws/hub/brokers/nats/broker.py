"""``nats://``: the hub over NATS with JetStream.

All rooms are subjects of one stream, which republishes what it stores, with the sequence number of the message and of
the one before it on the same subject. So a room that is followed costs one core subscription and no consumer, and a
loss is seen at once. The history is read from the stream directly. The subject of a republished message contains the
stream's epoch; a stream that is created again gets another.

The next message reveals a loss. If messages are lost between the servers of a cluster and none follows, the loss has to
be found in another way: all rooms are checked when the stream has a new leader, and some of them every now and then.

The stream removes old messages; with a room's last one, it would lose the proof that none came after it. So a room in
which nothing is published for long gets an *anchor*: a message that stands for the last one, and that no subscriber
sees.

Knows nothing of subscriptions: it delivers the rooms that a process follows to the hub.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence, Set
from contextlib import suppress
from typing import Any

from falconws.hub.broker import (
    BrokerRefused,
    BrokerUnavailable,
    Entry,
    Health,
    History,
    Member,
    Payload,
    Sink,
)
from falconws.hub.brokers.reconnect import ReconnectLoop
from falconws.hub.brokers.url import describe
from falconws.hub.history_rules import HistoryRules, RoomHistory
from falconws.hub.limits import DEFAULT_LIMITS, HubLimits
from falconws.hub.position import Position

from .calls import Calls
from .codec import ANCHOR_HEADER, decode, decode_ephemeral, encode, name_of, offset_of, token_of
from .hub_streams import EPHEMERAL, HubStreams
from .jetstream import Stored
from .library import check_credentials, load_nats
from .presence import PresenceIdentity
from .records import read_event
from .rooms import FollowedRooms
from .session import NatsSession, is_refusal
from .url import NatsUrl

__all__ = ("NatsBroker",)

_ROUNDS_PER_TTL = 6
"""How often, while a room is remembered, all rooms that are followed are checked for an anchor. An anchor is in time
for three rounds. A room may have to wait for two, if rooms come and go; that leaves one for a server that is away."""


class NatsBroker:
    """A broker on NATS 2.11 or newer, with JetStream; see ``falconws.hub.Broker`` for its methods.

    It creates two streams, ``PREFIX-rooms`` and ``PREFIX-presence``. The stream of rooms keeps a message for at least
    ``room_ttl_s``, and for half of that more than the history's age; messages older than the history's age are not
    served. So a room keeps its position for that long after its last message, and as long as it is followed. After that
    it begins again, and a client that comes back to it is told ``Gap``.

    Args:
        url: ``nats://[user:password@]host[:port][,host[:port]...]``, or ``tls://``. Parameters: ``prefix`` (default
            ``falconws``) separates two applications on one server; ``replicas`` (1, 3 or 5) and ``storage`` (``file``
            or ``memory``) are used when the streams are created; ``credentials`` names a credentials file.
        history: How much of each room is kept. ``None``: the limits that another process has set, or the default.
        timeout_s: Bounds each call, in which a publication is repeated if its connection breaks.
        limits: How long a room that is not used is remembered.

    Raises:
        ValueError: The URL is malformed, its credentials file cannot be read, or nats-py is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        history: RoomHistory | None = None,
        timeout_s: float = 5.0,
        limits: HubLimits = DEFAULT_LIMITS,
    ) -> None:
        load_nats()
        self._history = HistoryRules(history)
        self._timeout_s = timeout_s
        self._room_ttl_s = limits.room_ttl_s
        self._url = NatsUrl(url)
        check_credentials(self._url)
        self._reconnect = ReconnectLoop(self._url.name, self._run_session)
        self._sink: Sink | None = None
        self._rooms = FollowedRooms(self._url.prefix, timeout_s, self._deliver)
        self._streams: HubStreams | None = None
        self._identity = PresenceIdentity()
        self._calls = Calls(self._url.name, timeout_s, self._reconnect, lambda: self._streams)
        self._anchoring: asyncio.Task[None] | None = None

    async def start(self, sink: Sink) -> None:
        self._sink = sink
        self._identity = PresenceIdentity()
        try:
            await self._reconnect.start(sink)
        except BaseException:
            await self.stop()
            raise
        anchoring = self._rooms.anchor_forever(self._anchor_if_needed, self._room_ttl_s / _ROUNDS_PER_TTL)
        self._anchoring = asyncio.create_task(anchoring, name=f"hub anchors {self._url.name}")

    async def stop(self) -> None:
        anchoring, self._anchoring = self._anchoring, None
        if anchoring is not None:
            anchoring.cancel()
        try:
            await self._reconnect.stop()
        finally:
            self._sink = None
            self._rooms.clear()

    async def health(self) -> Health:
        name = self._url.name
        streams = self._streams
        if streams is None or not self._reconnect.connected:
            return Health(False, f"{name}: {self._reconnect.problem or 'no session'}")
        try:
            async with asyncio.timeout(self._timeout_s):
                await streams.probe()
        except Exception as error:
            return Health(False, f"{name}: {describe(error)}")
        for room, reason in self._rooms.refused.items():
            return Health(True, f"room {room!r} is refused: {reason}")
        return Health(True, name)

    # Messages

    async def publish(
        self, room: str, payload: Payload, *, key: str | None = None, exclude: str | None = None
    ) -> Position:
        data, headers = encode(payload, key, exclude)

        async def append(streams: HubStreams) -> Position:
            sequence = await streams.rooms.append(streams.subject(token_of(room)), data, headers)
            # If the call is retried, the stream stores the message only once.
            streams.check_epoch()
            return Position(streams.epoch, sequence)

        return await self._calls.run(append, room)

    async def publish_many(
        self, room: str, messages: Sequence[tuple[Payload, str | None]], *, exclude: str | None = None
    ) -> list[Position]:
        # The tasks begin in their order, and the connection keeps it.
        return await asyncio.gather(
            *(self.publish(room, payload, key=key, exclude=exclude) for payload, key in messages)
        )

    async def broadcast(
        self, room: str, payload: Payload, *, key: str | None = None, exclude: str | None = None
    ) -> None:
        data, headers = encode(payload, key, exclude)
        await self._calls.run(
            lambda streams: streams.session.publish(streams.ephemeral_subject(token_of(room)), data, headers)
        )

    async def subscribe(self, room: str) -> Position:
        token = token_of(room)
        known = self._rooms.get(token)
        cursor = self._rooms.add(room) if known is None else known

        async def follow(streams: HubStreams) -> Position:
            if cursor.streams is not streams:
                await self._rooms.subscribe(streams, token, cursor)
            await streams.rooms.reach_leader(streams.subject(token))
            streams.session.confirm(self._rooms.live_subject(token))
            position = await streams.position(token)
            cursor.advance_to(streams.epoch, position)
            self._rooms.refused.pop(room, None)
            return Position(streams.epoch, position.offset)

        try:
            return await self._calls.run_without_misses(follow, room)
        except BaseException:
            if known is None:
                await self._rooms.remove(token)
            raise

    async def unsubscribe(self, room: str) -> None:
        await self._rooms.remove(token_of(room))

    async def history(self, room: str, since: Position) -> History:
        token = token_of(room)

        async def read(streams: HubStreams) -> History:
            epoch, stream, subject = streams.epoch, streams.rooms, streams.subject(token)
            known = since.epoch == epoch
            stored = await stream.read(subject, since.offset if known else 1)
            if known and not stored:
                # Nothing at or after that position: it lies in the future, or the stream has removed everything.
                stored = await stream.read(subject)
                known = False
            cursor = self._rooms.get(token)
            if cursor is not None and not stored:
                # Followers that are told of a gap now need a position.
                await streams.position(token)
                stored = await stream.read(subject)
            if known and cursor is not None and cursor.differs_from(stored[0], since.offset):
                # The server has lost the message that was delivered here, and has reused its number.
                known = False
            history = _make_history(room, streams, since if known else None, stored)
            if cursor is not None and history.publications:
                cursor.remember(next(message for message in reversed(stored) if ANCHOR_HEADER not in message.headers))
            return history

        return await self._calls.run_without_misses(read, room)

    async def claim(self, room: str, group: str, position: Position, claimant: str) -> bool:
        token = token_of(room)
        return await self._calls.run(lambda streams: streams.claim(token, group, position, claimant))

    # Presence

    async def renew(self, lease_s: float) -> bool:
        return await self._calls.run(lambda streams: streams.presence.renew(lease_s))

    async def join(self, entry: Entry, info: bytes) -> None:
        await self._calls.run(lambda streams: streams.presence.join(entry, info), entry.room)

    async def leave(self, entry: Entry) -> None:
        await self._calls.run(lambda streams: streams.presence.leave(entry))

    async def members(self, room: str) -> dict[str, Member]:
        return await self._calls.run(lambda streams: streams.presence.members(room), room)

    async def count_members(self, rooms: Sequence[str]) -> list[int]:
        return await self._calls.run(lambda streams: streams.presence.count_members(rooms))

    async def rooms_of(self, member: str) -> list[str]:
        return await self._calls.run(lambda streams: streams.presence.rooms_of(member))

    async def expire(self) -> None:
        dead = await self._calls.run(lambda streams: streams.presence.claim_dead())
        sequence = 1 if dead else None
        while sequence is not None:
            # Each call takes one batch: a process may have had 100,000 devices.
            sequence = await self._remove_devices(dead, sequence)

    async def _remove_devices(self, processes: Set[str], sequence: int) -> int | None:
        return await self._calls.run(lambda streams: streams.presence.remove_devices(processes, sequence))

    async def release(self, after_s: float = 0.0) -> None:
        await self._calls.run(lambda streams: streams.presence.release(after_s))

    # Sessions

    async def _anchor_if_needed(self, token: str) -> None:
        cursor, streams = self._rooms.get(token), self._streams
        if cursor is not None and streams is not None and streams.needs_anchor(cursor.last_stamp):
            # If it fails, the next round tries again.
            with suppress(BrokerUnavailable):
                await self._calls.run(lambda streams: streams.position(token))

    async def _run_session(self, ready: Callable[[], None]) -> str:
        session = NatsSession(
            self._url,
            self._timeout_s,
            lambda: self._deliveries_missed("the client library dropped messages, this process was too slow"),
            self._room_refused,
        )
        streams = HubStreams(session, self._url, self._history, self._room_ttl_s, self._identity)

        async def on_election(_: Any) -> None:
            self._leader_changed(streams)

        async def on_presence_election(_: Any) -> None:
            self._calls.retry_now()

        try:
            try:
                await session.open()
                await streams.ensure()
            except Exception as error:
                if is_refusal(error):
                    raise BrokerRefused(describe(error)) from error
                raise
            await session.subscribe(streams.rooms.elections, on_election)
            await session.subscribe(streams.presence.elections, on_presence_election)
            refused = await self._rooms.subscribe_all(streams)
            self._streams = streams
            ready()
            for subject, reason in refused.items():
                await self._room_refused(subject, reason)
            return await session.wait(lambda: self._check_streams(streams))
        finally:
            self._streams = None
            await session.close()

    async def _room_refused(self, subject: str, reason: str) -> None:
        """Called when the server refuses to deliver a room that it has delivered before."""
        room = await self._rooms.refuse(subject, f"{self._url.name}: {reason}")
        if room is not None and self._sink is not None:
            self._sink.refused(room, self._rooms.refused[room])

    def _leader_changed(self, streams: HubStreams) -> None:
        # The new leader does not republish what the old one had stored and not republished yet.
        streams.leadership = None
        self._calls.retry_now()
        self._deliveries_missed(f"the stream {streams.rooms.name} has another leader")

    async def _check_streams(self, streams: HubStreams) -> str | None:
        """Check whether the stream has a leader, and the same as before; return why the session should end."""
        try:
            leadership = await streams.check()
            undelivered = leadership is not None and await self._rooms.find_undelivered(streams)
        except Exception as error:
            # An election takes some seconds; but a server that has lost the others never recovers by itself.
            streams.checks_without_leader += 1
            return None if streams.checks_without_leader == 1 else f"stream {streams.rooms.name}: {describe(error)}"
        if streams.leadership not in (None, leadership) or streams.checks_without_leader:
            self._leader_changed(streams)
        elif undelivered:
            self._deliveries_missed("the servers have lost messages between them")
        streams.leadership, streams.checks_without_leader = leadership, 0
        return None

    def _deliveries_missed(self, reason: str) -> None:
        """Make the hub look for what may have been missed."""
        self._calls.misses += 1
        self._rooms.invalidate()
        if self._sink is not None and self._reconnect.connected:
            self._sink.interrupted(f"{self._url.name}: {reason}")
            self._sink.restored()

    async def _deliver(self, message: Any) -> None:
        _, _, epoch, token, what = message.subject.split(".")
        headers, data = message.headers or {}, message.data
        # The client library keeps the last message of each subscription; there may be many, and large ones.
        message.headers, message.data = None, b""
        cursor = self._rooms.get(token)
        sink = self._sink
        if cursor is None or sink is None:
            return
        if epoch == "who":
            if event := read_event(name_of(what), headers, data):
                event.tell(sink, cursor.name)
            return
        if epoch == EPHEMERAL:
            sink.deliver_ephemeral(decode_ephemeral(cursor.name, headers, data))
            return
        publication = cursor.accept(epoch, headers, data)
        # A message of another program that did not come from the stream has not changed the cursor.
        if self._streams is not None and cursor.epoch == epoch:
            self._streams.saw_epoch(epoch)
        if publication is not None:
            sink.deliver(publication)


def _make_history(room: str, streams: HubStreams, since: Position | None, stored: list[Stored]) -> History:
    """Return the history in what the stream has from *since* on, including the message at *since* or its anchor."""
    epoch, limits, now_s = streams.epoch, streams.limits_for(room), streams.rooms.now_s()
    offsets = [offset_of(message.headers, message.sequence) for message in stored]
    complete = since is not None and since.offset == offsets[0]
    before = since.offset if since is not None else 0
    publications = []
    for message, offset in zip(stored, offsets, strict=True):
        if since is not None and message.sequence <= since.offset:
            continue
        if ANCHOR_HEADER in message.headers:
            pass
        elif message.time_s <= now_s - limits.age_s:
            complete = False
        else:
            position = Position(epoch, message.sequence)
            publications.append(decode(room, position, before, message.headers, message.data))
        before = offset
    if len(publications) > limits.messages:
        complete = False
        publications = publications[len(publications) - limits.messages :]
    return History(publications, Position(epoch, offsets[-1] if offsets else 0), complete)
