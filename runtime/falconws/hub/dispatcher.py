"""Dispatches the broker's publications to the rooms of this process, and owns everything that runs while a hub runs.

There is one for each run of a hub. It is the broker's sink and the host of rooms and subscribers. Knows nothing of
connections.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from falconws.log_throttle import LogThrottle

from .broadcast import Encoder
from .broker import Broker, BrokerRefused, BrokerUnavailable, EphemeralPublication, Health, History, Publication
from .checks import check_name
from .codec import Media
from .concurrency import SingleFlight
from .control import CONTROL_ROOM, Control
from .events import Ephemeral, Joined, Left, Message, Updated
from .limits import HubLimitReached, HubLimits, RoomQuota
from .presence import Presence, Roster, decode_info
from .presence_events import PresenceEvents
from .recovery import RecoveryQueue
from .replay import ReplayCache
from .room import CLOSING, OPENING, Room
from .stats import Dropped, Stats
from .subscriber import Subscriber

__all__ = ("Dispatcher",)

_MAX_MESSAGES = 16
_MAX_BYTES = 16 * 1024
"""The most that is published in one iteration of the event loop."""

_HEALTH_S = 1.0
"""How long a report of the broker's health is reused, so that many probes are one request to it."""

_STOP_S = 2.0
"""Time for removing members from the broker at the end; the broker may be away."""

_logger = logging.getLogger("falconws.hub")


class Dispatcher:
    """See the module's docstring.

    Args:
        broker: Not started yet.
        media: Decodes messages, and encodes the results of ``encode`` functions.
        lease_s: For presence.
        timeout_s: How long rooms may fail to recover before ``health()`` reports it and clients cannot resume.
        limits: Quotas.
        on_drop: Called when messages are dropped.
    """

    def __init__(
        self,
        broker: Broker,
        media: Media,
        *,
        lease_s: float,
        timeout_s: float,
        limits: HubLimits,
        on_drop: Callable[[Dropped], object] | None,
    ) -> None:
        self.broker = broker
        self.limits = limits
        self._quota = RoomQuota(limits)
        self.stats = Stats()
        self.encoder = Encoder(media)
        self.replay_cache = ReplayCache(broker, self.message)
        self.roster = Roster(broker)
        self._presence_events = PresenceEvents(broker, self.spawn)
        self._recovery_queue = RecoveryQueue(broker, self._take_history, self.spawn, timeout_s)
        self.presence = Presence(broker, lease_s, lambda: self._interruption is None)
        self.control = Control(broker)
        self.rooms: dict[str, Room] = {}
        self.lagging: set[Subscriber] = set()
        self.subscribers: dict[str, Subscriber] = {}
        self._media = media
        self._timeout_s = timeout_s
        self._on_drop = on_drop
        self._log_throttle = LogThrottle(_logger, "hub.stats")
        self._loop = asyncio.get_running_loop()
        self._stopped = False
        self._empty_rooms: dict[Room, None] = {}
        self._closer: asyncio.Task[None] | None = None
        self._interruption: str | None = None
        self._iteration_messages = 0
        self._iteration_bytes = 0
        self._health_calls: SingleFlight[Health] = SingleFlight()
        self._last_health: tuple[float, Health] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Start the broker and the background tasks; if that fails, nothing is left running."""
        try:
            await self.broker.start(self)
        except BaseException:
            await self.broker.stop()
            raise
        self.spawn(self.presence.run())

    async def stop(self) -> None:
        """End all subscriptions and listeners, and stop the broker, whatever its state."""
        self._stopped = True
        # What the broker reports from now on reaches no room.
        rooms, self.rooms = self.rooms, {}
        try:
            for room in rooms.values():
                for follower in room.followers:
                    follower.end()
                room.settle()
            self.replay_cache.clear()
            self._presence_events.stop()
            self._recovery_queue.stop()
            self.control.stop()
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=_STOP_S)
            async with asyncio.timeout(_STOP_S):
                await self.presence.leave_all()
        except TimeoutError:
            _logger.info(
                "Not all members of this process could be removed within %g s: the leases of the others expire", _STOP_S
            )
        finally:
            await self.broker.stop()

    def check_loop(self) -> None:
        """Raise RuntimeError in any other event loop than that of ``start()``."""
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError(
                "This hub belongs to another event loop; from another thread use hub.publish_threadsafe(...)."
            )

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop in which the hub was started."""
        return self._loop

    async def yield_to_loop(self, size: int) -> None:
        """Let the event loop run now and then while messages of *size* bytes are published in a loop.

        A memory broker never waits. Without this, servers would not get to write: their buffers would grow without a
        bound, and backlogs would overflow however fast the clients are.
        """
        if not self._iteration_messages:
            self._loop.call_soon(self._iteration_ended)
        self._iteration_messages += 1
        self._iteration_bytes += size
        if self._iteration_messages > _MAX_MESSAGES or self._iteration_bytes > _MAX_BYTES:
            await asyncio.sleep(0)

    def _iteration_ended(self) -> None:
        self._iteration_messages = self._iteration_bytes = 0

    async def health(self) -> Health:
        """Return whether messages can be published and delivered."""
        health = await self._health_calls.do("", self._probe, lambda _: True)
        problem = self._interruption or self._recovery_queue.problem()
        if health.ok and problem is not None:
            return Health(False, problem)
        return health

    async def _probe(self) -> Health:
        now = self._loop.time()
        if self._last_health is None or now - self._last_health[0] >= _HEALTH_S:
            self._last_health = (now, await self.broker.health())
        return self._last_health[1]

    def measure(self) -> Stats:
        """Return the counters, with ``waiting`` and ``lag_s`` as they are now."""
        self.stats.waiting = sum(subscriber.waiting for subscriber in self.lagging)
        self.stats.lag_s = max((subscriber.lag_s for subscriber in self.lagging), default=0.0)
        return self.stats

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run *coroutine* in the background, at most until the hub stops; log its error."""
        # Not made by the loop's task factory, which may run the coroutine before the caller has the task.
        task = asyncio.Task(coroutine, loop=self._loop)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _logger.error("A background task of the hub has failed", exc_info=task.exception())

    # What subscribers use

    def message(self, publication: Publication) -> Message:
        """Return the message that subscribers receive for *publication*."""
        return Message(publication, self._media.decode)

    async def members(self, name: str) -> dict[str, Any]:
        """Return the info of each member of a room, by name."""
        members = await self.roster.members(name)
        room = self._reporting(name)
        if room is not None:
            self._presence_events.listed(room, members)
        return members

    def follower(self, subscription: str | None) -> Subscriber | None:
        """Return the subscriber with the id *subscription*, if it is in this process."""
        return None if subscription is None else self.subscribers.get(subscription)

    def note_drop(self, dropped: Dropped) -> None:
        """Call ``on_drop`` in the next iteration of the event loop.

        Not at once: a room is delivering a message, and the function may publish another one.
        """
        if self._on_drop is not None:
            self._loop.call_soon(self._report_drop, self._on_drop, dropped)

    def _report_drop(self, on_drop: Callable[[Dropped], object], dropped: Dropped) -> None:
        try:
            on_drop(dropped)
        except BaseException:
            self._log_throttle.log_failure(on_drop, "on_drop() has failed for %r", dropped)

    def _check_open(self) -> None:
        if self._stopped:
            raise RuntimeError("The hub has stopped.")
        self.check_loop()

    async def open(self, name: str) -> Room:
        """Return the room, subscribed at the broker. A caller that does not follow it calls ``release()``."""
        check_name("room", name)
        self._check_open()
        while True:
            room = self.rooms.get(name)
            if room is None:
                return await self._open_new(name)
            if room.state not in (OPENING, CLOSING):
                return room
            await room.wait()
            self._check_open()

    async def _open_new(self, name: str) -> Room:
        self._use(name, refused="joined")
        room = self.rooms[name] = Room(self, name)
        self._quota.follow(name)
        try:
            position = await self.broker.subscribe(name)
        except BaseException as error:
            if isinstance(error, BrokerUnavailable):
                self._forget(room, error)
            else:
                # Cancelled at some point: the room may be subscribed. Callers of ``open()`` wait until it is not.
                room.state = CLOSING
                self.release(room)
            raise
        self._check_open()
        room.opened(position)
        return room

    async def recover(self, room: Room) -> None:
        """Request what *room* has missed, and return when it flows again.

        Raises:
            BrokerUnavailable: It does not within the timeout.
        """
        self._check_open()
        room.recover()
        try:
            async with asyncio.timeout(self._timeout_s):
                await room.wait()
        except TimeoutError:
            raise BrokerUnavailable(f"room {room.name!r} has not recovered within {self._timeout_s:g} s") from None

    def use(self, name: str, *, refused: str = "published to") -> None:
        """Record that the broker is asked to do something with a room, which makes it remember the room.

        Args:
            name: The room.
            refused: What cannot be done with one room too many, for the error message.

        Raises:
            HubLimitReached: The process uses too many rooms.
        """
        if name not in self.rooms:
            self._use(name, refused=refused)

    def _use(self, name: str, *, refused: str) -> None:
        try:
            self._quota.use(name, len(self.rooms), self._loop.time(), refused=refused)
        except HubLimitReached:
            self.stats.refused += 1
            raise

    def _forget(self, room: Room, error: BrokerUnavailable | None = None) -> None:
        if self.rooms.pop(room.name, None) is not None:
            self._quota.leave(room.name, self._loop.time())
        self._presence_events.forget(room)
        room.settle(error)

    def release(self, room: Room) -> None:
        """Called when a follower has left *room*; if it was the last one, the room is closed soon."""
        if not room.followers and not self._stopped:
            self._empty_rooms[room] = None
            if self._closer is None:
                self._closer = self.spawn(self._close_empty_rooms())

    async def _close_empty_rooms(self) -> None:
        try:
            while self._empty_rooms:
                room = next(iter(self._empty_rooms))
                del self._empty_rooms[room]
                if room.followers or self.rooms.get(room.name) is not room:
                    continue
                room.state = CLOSING
                try:
                    await self.broker.unsubscribe(room.name)
                except Exception:
                    _logger.exception("Room %r cannot be unsubscribed", room.name)
                finally:
                    self._forget(room)
        finally:
            self._closer = None

    # Reports of the broker (see ``Sink``)

    def deliver(self, publication: Publication) -> None:
        """Deliver *publication* to its room."""
        room = self.rooms.get(publication.room)
        if room is not None:
            self._presence_events.flush(room)
            room.receive(publication)

    def deliver_ephemeral(self, publication: EphemeralPublication) -> None:
        """Deliver a message that is not kept to its room, whatever the room's state."""
        if publication.room == CONTROL_ROOM:
            self.spawn(self.control.receive(publication))
            return
        room = self.rooms.get(publication.room)
        if room is not None and room.followers:
            self._presence_events.flush(room)
            event = Ephemeral(publication, self._media.decode)
            room.send(event, key=publication.key, excluded=self.follower(publication.exclude))

    def interrupted(self, reason: str) -> None:
        """Called when the connection of the broker is lost: deliveries may be missing."""
        if self._interruption is None:
            _logger.warning("The connection to the broker is lost: %s", reason)
        self._interruption = reason

    def restored(self) -> None:
        """Called when the connection of the broker is back: all rooms recover."""
        if self._interruption is not None:
            # At the level of the interruption, so that readers of that line see this one.
            _logger.warning("The connection to the broker is back")
        self._interruption = None
        self._recovery_queue.retry_now()
        self.presence.check_now()
        self._presence_events.compare_soon()
        for room in self.rooms.values():
            room.recover()

    def refused(self, room: str, reason: str) -> None:
        """End the subscriptions of *room*, which the broker no longer delivers."""
        if room == CONTROL_ROOM:
            self.control.refused(reason)
            return
        local = self.rooms.get(room)
        if local is None or not local.followers:
            return
        _logger.warning("Room %r is refused by the broker from now on; its subscribers are told: %s", room, reason)
        error = BrokerRefused(reason, room=room)
        for follower in list(local.followers):
            follower.refuse(error)

    def joined(self, room: str, member: str, info: bytes, devices: int) -> None:
        """Announce the member to the followers of *room*."""
        local = self._reporting(room)
        if local is not None:
            self._presence_events.announce(local, Joined(room, member, decode_info(room, member, info), devices))

    def updated(self, room: str, member: str, info: bytes, devices: int) -> None:
        """Called when the info, or the number of devices, of a present member has changed."""
        local = self._reporting(room)
        if local is not None:
            self._presence_events.announce(local, Updated(room, member, decode_info(room, member, info), devices))

    def left(self, room: str, member: str) -> None:
        """Announce the member to the followers of *room*."""
        local = self._reporting(room)
        if local is not None:
            self._presence_events.announce(local, Left(room, member))

    def _reporting(self, name: str) -> Room | None:
        """Return the room if events of its members concern its followers."""
        room = self.rooms.get(name)
        return room if room is not None and room.reports_members else None

    # Recovery

    def request_history(self, room: Room) -> None:
        """Have ``room.take_history()`` called soon."""
        self._recovery_queue.add(room)

    def _take_history(self, room: Room, history: History, held: tuple[Publication, ...]) -> bool:
        self._presence_events.flush(room)
        return room.take_history(history, held)
