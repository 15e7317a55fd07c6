"""What a hub is made of while it runs: the rooms of this process, its broker, presence and background tasks.

One for each run. It is the broker's sink, and what rooms and subscribers need of a hub; applications see ``Hub``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from .broadcast import Encoder
from .broker import Broker, BrokerUnavailable, Health, History, Publication
from .checks import check_name
from .codec import Media
from .events import Joined, Left, Message
from .log_throttle import Complaints
from .presence import Presence, Roster, decode_info
from .presence_events import Comings
from .recovery import Recoveries
from .replay import Replays
from .room import CLOSING, OPENING, Room
from .stats import Dropped, Stats

__all__ = ("Switchboard",)

_PACE_MESSAGES = 16
_PACE_BYTES = 16 * 1024
"""What may be published before the event loop has to turn."""

_STOP_S = 2.0
"""Seconds for saying goodbye to the broker; it may be the one that is away."""

_logger = logging.getLogger("falconws.hub")


class Switchboard:
    """See the module's docstring.

    Args:
        broker: Not started yet.
        media: Decodes messages, and encodes what ``encode`` functions return.
        lease_s: For presence.
        timeout_s: How long rooms may fail to recover before ``health()`` says so.
        on_drop: Told of dropped messages.
    """

    def __init__(
        self,
        broker: Broker,
        media: Media,
        *,
        lease_s: float,
        timeout_s: float,
        on_drop: Callable[[Dropped], object] | None,
    ) -> None:
        self.broker = broker
        self.stats = Stats()
        self.encoder = Encoder(media)
        self.replays = Replays(broker, self.message)
        self.roster = Roster(broker)
        self._comings = Comings()
        self._recoveries = Recoveries(broker, self._take_history, self.spawn, timeout_s)
        self.presence = Presence(broker, lease_s, self._watched, lambda: self._interruption is None)
        self.rooms: dict[str, Room] = {}
        self._media = media
        self._on_drop = on_drop
        self._complaints = Complaints()
        self._loop = asyncio.get_running_loop()
        self._stopped = False
        self._deserted: dict[Room, None] = {}
        self._closer: asyncio.Task[None] | None = None
        self._interruption: str | None = None
        self._paced_messages = 0
        self._paced_bytes = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Start the broker and what runs in the background; nothing is left running when that fails."""
        try:
            await self.broker.start(self)
        except BaseException:
            await self.broker.stop()
            raise
        self.spawn(self.presence.run())

    async def stop(self) -> None:
        """End all subscriptions and listeners, and let go of the broker, whatever state it is in."""
        self._stopped = True
        # Whatever the broker tells from now on, nobody is there to be told.
        rooms, self.rooms = self.rooms, {}
        try:
            for room in rooms.values():
                for follower in room.followers:
                    follower.end()
                _settle(room)
            self.replays.forget()
            self._comings.stop()
            self._recoveries.stop()
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=_STOP_S)
            async with asyncio.timeout(_STOP_S):
                await self.presence.leave_all()
        except TimeoutError:
            _logger.info("Within %g s not all who were present here could be removed: the rest leave by lease", _STOP_S)
        finally:
            await self.broker.stop()

    def check_loop(self) -> None:
        """Raise RuntimeError in another event loop than that of the start."""
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError(
                "This hub belongs to another event loop; from another thread use hub.publish_threadsafe(...)."
            )

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that all of this belongs to."""
        return self._loop

    async def pace(self, size: int) -> None:
        """Let the event loop turn now and then, while messages of *size* bytes are published one after the other.

        A memory broker never waits. In a loop that publishes, servers would otherwise never get to write: their buffers
        would grow without a bound, or backlogs break theirs, however fast the clients are.
        """
        if not self._paced_messages:
            self._loop.call_soon(self._loop_has_turned)
        self._paced_messages += 1
        self._paced_bytes += size
        if self._paced_messages > _PACE_MESSAGES or self._paced_bytes > _PACE_BYTES:
            await asyncio.sleep(0)

    def _loop_has_turned(self) -> None:
        self._paced_messages = self._paced_bytes = 0

    async def health(self) -> Health:
        """Return whether messages can be published and delivered."""
        health = await self.broker.health()
        problem = self._interruption or self._recoveries.problem()
        if health.ok and problem is not None:
            return Health(False, problem)
        return health

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run *coroutine* in the background, until the hub stops at the latest; an error in it is logged."""
        # Not by the loop's factory: it may run the coroutine, to its end even, before the caller has the task.
        task = asyncio.Task(coroutine, loop=self._loop)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _logger.error("A task of the hub has failed", exc_info=task.exception())

    # What subscribers use

    def message(self, publication: Publication) -> Message:
        """Return what subscribers get of *publication*."""
        return Message(publication, self._media.decode)

    def note_drop(self, dropped: Dropped) -> None:
        """Tell whoever wants to know, in the event loop's next turn.

        Not at once: a room is in the middle of a message, and the function may begin to publish another.
        """
        if self._on_drop is not None:
            self._loop.call_soon(self._tell_of_drop, self._on_drop, dropped)

    def _tell_of_drop(self, on_drop: Callable[[Dropped], object], dropped: Dropped) -> None:
        try:
            on_drop(dropped)
        except Exception:
            self._complaints.failed(on_drop, "on_drop() has failed for %r", dropped)

    def _check_open(self) -> None:
        if self._stopped:
            raise RuntimeError("The hub has stopped.")
        self.check_loop()

    async def open(self, name: str) -> Room:
        """Return the room, subscribed at the broker. Who does not stay calls ``release()``."""
        check_name("room", name)
        self._check_open()
        while True:
            room = self.rooms.get(name)
            if room is None:
                return await self._open_new(name)
            if room.state not in (OPENING, CLOSING):
                return room
            if room.settled is None:
                room.settled = asyncio.get_running_loop().create_future()
            await asyncio.shield(room.settled)
            self._check_open()

    async def _open_new(self, name: str) -> Room:
        room = self.rooms[name] = Room(self, name)
        try:
            position = await self.broker.subscribe(name)
        except BaseException as error:
            if isinstance(error, BrokerUnavailable):
                self._forget(room, error)
            else:
                # Cancelled at some point: it may be subscribed. Those who come meanwhile wait until it is not.
                room.state = CLOSING
                self.release(room)
            raise
        self._check_open()
        room.opened(position)
        _settle(room)
        return room

    def _forget(self, room: Room, error: BrokerUnavailable | None = None) -> None:
        self.rooms.pop(room.name, None)
        _settle(room, error)

    def release(self, room: Room) -> None:
        """Know that somebody has left *room*; if it was the last one, it is closed soon."""
        if not room.followers and not self._stopped:
            self._deserted[room] = None
            if self._closer is None:
                self._closer = self.spawn(self._close_deserted())

    async def _close_deserted(self) -> None:
        try:
            while self._deserted:
                room = next(iter(self._deserted))
                del self._deserted[room]
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

    # What the broker tells (see ``Sink``)

    def deliver(self, publication: Publication) -> None:
        """Take a publication."""
        room = self.rooms.get(publication.room)
        if room is not None:
            self._comings.flush(room)
            room.take(publication)

    def interrupted(self, reason: str) -> None:
        """Know that deliveries may be missing from now on."""
        if self._interruption is None:
            _logger.warning("The broker is cut off: %s", reason)
        self._interruption = reason

    def restored(self) -> None:
        """Look in all rooms for what was missed."""
        if self._interruption is not None:
            # As loud as the interruption: who heard of that waits for this.
            _logger.warning("The broker is back")
        self._interruption = None
        self._recoveries.hurry()
        for room in self.rooms.values():
            room.interrupted()

    def joined(self, room: str, member: str, info: bytes) -> None:
        """Tell the room's followers."""
        local = self.rooms.get(room)
        if local is not None:
            self._comings.tell(local, Joined(room, member, decode_info(room, member, info)))

    def left(self, room: str, member: str) -> None:
        """Tell the room's followers."""
        local = self.rooms.get(room)
        if local is not None:
            self._comings.tell(local, Left(room, member))

    # Recovery

    def recover(self, room: Room) -> None:
        """Ask for the history of *room* soon."""
        self._recoveries.begin(room)

    def _take_history(self, room: Room, history: History, held: tuple[Publication, ...]) -> bool:
        self._comings.flush(room)
        return room.take_history(history, held)

    def _watched(self) -> Iterable[str]:
        return [room.name for room in self.rooms.values() if room.watchers]


def _settle(room: Room, error: BrokerUnavailable | None = None) -> None:
    settled, room.settled = room.settled, None
    if settled is not None and not settled.done():
        if error is None:
            settled.set_result(None)
        else:
            settled.set_exception(error)
            # It may be that nobody waits any more.
            settled.exception()
