"""What all subscribers have in common: their rooms, where they stand in each, and what waits for them.

Who takes what waits is the subclasses' business: a connection (``subscription.py``) or a loop (``listener.py``).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from .backlog import Backlog, make_backlog
from .broadcast import AS_EVENT, Broadcaster, Encode, Encoder, Outgoing
from .broker import Publication
from .events import Gap
from .policy import Policy
from .position import Position, check_position
from .replay import Replays
from .room import Room
from .smallset import Few
from .stats import Dropped, Stats

__all__ = ("HubSide", "Subscriber", "since_for")

TOO_SLOW = "client too slow"
MISSING = "messages are missing"
"""Why a subscriber is disconnected; connections are closed with it."""

_logger = logging.getLogger("falconws.hub")


class HubSide(Protocol):
    """What a subscriber needs of the hub."""

    encoder: Encoder
    replays: Replays
    stats: Stats

    def note_drop(self, dropped: Dropped) -> None: ...
    async def open(self, name: str) -> Room: ...
    def release(self, room: Room) -> None: ...


class Subscriber:
    """A follower of rooms with a backlog."""

    __slots__ = (
        "_backlog",
        "_behind",
        "_dropped",
        "_gaps",
        "_hub",
        "_joining",
        "_over",
        "_policy",
        "_rooms",
        "_seen",
        "_stood",
        "direct",
        "encode",
    )

    def __init__(self, hub: HubSide, policy: Policy, encode: Encode | None) -> None:
        self._hub = hub
        self._policy = policy
        self.encode = encode
        self.direct: Broadcaster | None = None
        self._rooms: Few[Room] = Few()
        self._over = False
        self._joining = 0
        """While it is not 0, what comes is kept: what is replayed has to go before it."""
        # Most subscribers never need any of these.
        self._backlog: Backlog[Outgoing] | None = None
        self._behind: dict[str, Position] | None = None
        """Where it stands in rooms whose history has been asked for."""
        self._dropped: Counter[str] | None = None
        self._gaps: set[str] | None = None
        self._seen: dict[str, Position] | None = None
        self._stood: dict[str, Position] | None = None

    # Where it stands

    @property
    def positions(self) -> dict[str, Position]:
        """Where this subscription stands in each of its rooms: what came before was passed on, or dropped.

        Once it is over, where it stood then.
        """
        if self._stood is not None:
            return self._stood.copy()
        return self._where(self._backlog or ())

    def _where(self, waiting: Iterable[Outgoing]) -> dict[str, Position]:
        """Return where it stands while *waiting* waits for it."""
        positions = {room.name: room.position for room in self._rooms}
        for name, seen in (self._seen or {}).items():
            if name in positions and seen.epoch == positions[name].epoch and seen.offset > positions[name].offset:
                positions[name] = seen
        for outgoing in reversed(list(waiting)):
            if outgoing.position is not None and outgoing.room in positions:
                epoch, offset = outgoing.position
                before = offset - 1 if outgoing.previous is None else outgoing.previous
                positions[outgoing.room] = Position(epoch, before)
        return positions | (self._behind or {})

    @property
    def position(self) -> Position:
        """Where this subscription stands in its only room; see ``positions`` for several.

        Raises:
            RuntimeError: It has no room, or several.
        """
        positions = self.positions
        if not positions:
            raise RuntimeError("This subscription has no room yet, or none any more: there is no position.")
        if len(positions) != 1:
            raise RuntimeError(f"This subscription has {len(positions)} rooms: use positions[room].")
        (position,) = positions.values()
        return position

    @property
    def gap(self) -> bool:
        """Whether messages of any room are missing, and the client should reload: ``since=`` lay too far back, or the
        broker has lost them since."""
        return bool(self._gaps)

    @property
    def gaps(self) -> frozenset[str]:
        """The rooms for which ``gap`` is true."""
        return frozenset(self._gaps or ())

    @property
    def dropped(self) -> Mapping[str, int]:
        """How many messages of each room the policy has dropped; rooms without any are 0."""
        return Counter() if self._dropped is None else self._dropped.copy()

    # Rooms

    async def _join(self, name: str, since: Position | None) -> Room | None:
        """Follow a room, from *since* or from now on; None when the subscription is over or has it already."""
        room = await self._hub.open(name)
        if self._over or room in self._rooms:
            if self._stood is not None:
                self._stood.setdefault(name, since or room.position)
            self._hub.release(room)
            return None
        start = room.position
        if since is None or since == start:
            room.add(self)
            self._rooms.add(room)
            return room
        self._joining += 1
        self._go_direct(None)
        if since.epoch == start.epoch and since.offset > start.offset:
            # It was connected to a process that is ahead of this one.
            if self._seen is None:
                self._seen = {}
            self._seen[name] = since
        room.add(self)
        self._rooms.add(room)
        if self._behind is None:
            self._behind = {}
        # A copy, that no other has: the room may be left and joined again meanwhile.
        mark = self._behind[name] = Position(*since)
        try:
            await self._catch_up(room, mark, start)
        except BaseException:
            if self._behind.get(name) is mark:
                self._leave(room)
            raise
        finally:
            self._joining -= 1
            self._flush()
        return room

    async def _catch_up(self, room: Room, since: Position, start: Position) -> None:
        """Put before what comes live, which begins behind *start*, what has come since *since*.

        All up to *start* has been delivered here, so the history has it.
        """
        history = await self._hub.replays.history(room.name, since, start)
        assert self._behind is not None
        if self._over or self._behind.get(room.name) is not since:
            return
        del self._behind[room.name]
        current = history.top.epoch == start.epoch
        publications = [p for p in history.publications if current and p.position.offset <= start.offset]
        replay: list[Outgoing | None] = []
        if not history.complete:
            if self._seen and self._seen.pop(room.name, None) is not None:
                # What it has seen there is lost to the broker, and what came here meanwhile was taken for it.
                start, publications = room.position, []
            if publications:
                start = Position(start.epoch, _previous(publications[0]))
            gap = Gap(room.name, start, "the broker does not know the position given, or not any more")
            self._hub.stats.gaps += 1
            self._note_gap(room)
            self._hub.encoder.complaints.gap(
                logging.INFO, "%s comes back to room %r at %s: %s", self.client, room.name, since, gap.reason
            )
            replay.append(room.encode(self.encode, gap))
        replay += [self._hub.replays.encode(room, self.encode, publication) for publication in publications]
        self._hub.stats.delivered += len(publications)
        self._make_backlog().replay(outgoing for outgoing in replay if outgoing is not None)

    def _leave(self, room: Room) -> None:
        if room in self._rooms:
            self._rooms.discard(room)
            room.remove(self)
            if self._seen is not None:
                self._seen.pop(room.name, None)
            if self._behind is not None:
                self._behind.pop(room.name, None)
            if self._gaps is not None and not self._over:
                self._gaps.discard(room.name)
            if self._backlog is not None:
                # Who has left a room is told nothing of it any more.
                self._backlog.discard(room.name)
            self._hub.release(room)

    def _detach(self) -> None:
        """End it: no room, nothing waits, nobody waits for it."""
        if self._stood is None:
            self._stood = self.positions
        self._over = True
        self._go_direct(None)
        self._backlog = None
        for room in self._rooms:
            self._leave(room)

    # Deliveries

    def _go_direct(self, connection: Broadcaster | None) -> None:
        """Have messages sent on *connection* at once, or offered."""
        if self.direct is not connection:
            self.direct = connection
            for room in self._rooms:
                room.rearrange()

    @property
    def client(self) -> str:
        """Who it is, for logs."""
        raise NotImplementedError

    @property
    def watches(self) -> bool:
        """Whether it wants to be told who leaves."""
        return self.encode is not None and self.encode is not AS_EVENT

    def offer(self, outgoing: Outgoing) -> None:
        """Keep what could not be sent at once, as the policy allows."""
        if self._over or (self._seen and self._has_seen(outgoing)):
            return
        backlog = self._make_backlog()
        dropped = backlog.add(outgoing, joining=self._joining > 0)
        if dropped is None:
            self._count(outgoing.room, 1)
            self._stood = self._where([*backlog, outgoing])
            self._disconnect(TOO_SLOW)
            return
        for gone in dropped:
            self._count(gone.room, 1)
        self._flush()

    def miss(self, room: Room, *, told: bool) -> None:
        """Know that messages of *room* behind its position are lost, and whether the client can be told so.

        Without an ``encode`` function, or with one that fails, it cannot. A client that must not miss any is
        disconnected then: it reloads when it comes back.
        """
        self._note_gap(room)
        if not told and not self._policy.drops:
            self._disconnect(MISSING)

    def _note_gap(self, room: Room) -> None:
        if self._gaps is None:
            self._gaps = set()
        self._gaps.add(room.name)

    def _disconnect(self, reason: str) -> None:
        for waiting in self._backlog or ():
            self._count(waiting.room, 1)
        self._hub.stats.disconnected += 1
        self._detach()
        self._evict(reason)

    def _make_backlog(self) -> Backlog[Outgoing]:
        if self._backlog is None:
            self._go_direct(None)
            self._backlog = make_backlog(self._policy)
        return self._backlog

    def _has_seen(self, outgoing: Outgoing) -> bool:
        assert self._seen is not None
        seen = self._seen.get(outgoing.room)
        if seen is None or outgoing.position is None:
            return False
        if outgoing.position.epoch == seen.epoch and outgoing.position.offset <= seen.offset:
            return True
        del self._seen[outgoing.room]
        return False

    def _count(self, room: str, count: int) -> None:
        if self._dropped is None:
            self._dropped = Counter()
            _logger.warning(
                "%s does not keep up with room %r: policy %s%s (said once; subscription.dropped counts)",
                self.client,
                room,
                self._policy.name,
                "" if self._policy.drops else ", it is disconnected",
            )
        self._dropped[room] += count
        self._hub.stats.dropped += count
        self._hub.note_drop(Dropped(self.client, room, count, self._policy.name))

    def end(self) -> None:
        """End it because the hub stops."""
        self._detach()

    def _flush(self) -> None:
        """Begin to pass on what waits, unless that is under way."""
        raise NotImplementedError

    def _evict(self, reason: str) -> None:
        """Tell the consumer why it ends; it is detached already."""
        raise NotImplementedError


def _previous(publication: Publication) -> int:
    return publication.position.offset - 1 if publication.previous is None else publication.previous


def since_for(rooms: Sequence[str], since: Position | Mapping[str, Position] | None) -> dict[str, Position | None]:
    """Return the position for each room.

    Raises:
        TypeError, ValueError: *since* does not fit the rooms.
    """
    if since is None:
        return dict.fromkeys(rooms)
    if isinstance(since, Position):
        check_position("since is a Position", since)
        if len(rooms) != 1:
            raise ValueError("One position is for one room: with several, use since={room: position}.")
        return {rooms[0]: since}
    if not isinstance(since, Mapping):
        raise TypeError(f"since is a Position or a mapping of room and Position, not {type(since).__name__}.")
    for position in since.values():
        check_position("since has Positions", position)
    unknown = sorted(map(str, set(since) - set(rooms)))
    if unknown:
        raise ValueError(f"since names rooms that are not subscribed: {', '.join(unknown)}.")
    return {room: since.get(room) for room in rooms}
