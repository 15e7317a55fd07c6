"""The members of this process: it joins, updates and removes their devices, and renews the one lease that they share.

A member counts as present while a process that holds one of its devices is alive. A process that has died is noticed
within ``lease_s``: the lease in the broker is three quarters of that, and about once a second each process renews its
own, and looks for those that have run out. Knows nothing of connections.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import secrets
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

from .broker import Broker, BrokerUnavailable, Entry
from .concurrency import SingleFlight, gather_limited

__all__ = ("Membership", "Presence", "Roster", "decode_info", "encode_info")

_LONGEST_STEP_S = 1.0
"""After a server has lost its memory, members are missing for about this long."""
_AT_A_TIME = 250
_NO_INFO = b"null"
_RELEASE_S = 0.6
"""How long a process that stops removes its devices; other processes remove the rest."""

_logger = logging.getLogger("falconws.hub")


class Roster:
    """The members of rooms, as the broker knows them.

    Every method raises BrokerUnavailable if the broker cannot be reached.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._single_flight: SingleFlight[dict[str, Any]] = SingleFlight()

    async def members(self, room: str) -> dict[str, Any]:
        """Return the info of each member, by name, as of a moment after the call."""

        async def ask() -> dict[str, Any]:
            members = await self._broker.members(room)
            return {name: decode_info(room, name, member.info) for name, member in members.items()}

        return (await self._single_flight.do(room, ask)).copy()

    async def count(self, rooms: Sequence[str]) -> dict[str, int]:
        """Return the number of members in each room."""
        return dict(zip(rooms, await self._broker.count_members(rooms), strict=True))

    async def rooms_of(self, member: str) -> list[str]:
        """Return the rooms in which *member* is present, sorted."""
        return sorted(await self._broker.rooms_of(member))


class Membership:
    """One device of one member in one room."""

    __slots__ = ("entry", "grace_s", "info", "timer")

    def __init__(self, entry: Entry, info: bytes, grace_s: float) -> None:
        self.entry = entry
        self.info = info
        self.grace_s = grace_s
        """How long the device stays after its connection has ended."""
        self.timer: asyncio.TimerHandle | None = None
        """Runs while the connection has ended and the device stays."""


class Presence:
    """See the module's docstring.

    Args:
        broker: Keeps the list.
        lease_s: Seconds within which the members of a process that has died are gone.
        reachable: Returns whether the broker is not known to be away.
    """

    def __init__(self, broker: Broker, lease_s: float, reachable: Callable[[], bool]) -> None:
        self._broker = broker
        self._lease_s = lease_s
        self._reachable = reachable
        self._instance = secrets.token_hex(4)
        self._numbers = count()
        self._memberships: dict[Entry, Membership] = {}
        self._lingering: dict[tuple[str, str], Membership] = {}
        """The devices that stay for their grace period, by room and member."""
        self._renewal: SingleFlight[None] = SingleFlight()
        self._has_lease = False
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()

    async def join(self, room: str, member: str, info: bytes, grace_s: float = 0.0) -> Membership:
        """Add a device of *member*, and keep it until ``leave()``; take over one that stays for its grace period.

        If the caller is cancelled, the device is removed again.

        Raises:
            BrokerUnavailable: The broker cannot be reached; if it has added the device nevertheless, it is removed.
        """
        membership = self._lingering.pop((room, member), None)
        if membership is not None:
            assert membership.timer is not None
            membership.timer.cancel()
            membership.timer = None
            membership.grace_s = grace_s
            membership.info = info
        else:
            membership = Membership(Entry(room, member, f"{self._instance}{next(self._numbers):x}"), info, grace_s)
        joining = self._spawn(self._add(membership))
        try:
            await asyncio.wait({joining})
            if joining.cancelled():
                raise BrokerUnavailable("the hub has stopped")
            joining.result()
        except BaseException:
            self._spawn(self._undo_join(joining, membership.entry))
            raise
        return membership

    async def _add(self, membership: Membership) -> None:
        if not self._has_lease:
            await self._renew()
        await self._broker.join(membership.entry, membership.info)
        if self._stopping:
            await self._remove_one(membership.entry)
            raise BrokerUnavailable("the hub has stopped")
        # Here, and not when the caller continues: leave_all() may come in between.
        self._memberships[membership.entry] = membership

    async def _undo_join(self, joining: asyncio.Task[None], entry: Entry) -> None:
        # A join() in flight would come after the removal.
        await asyncio.wait({joining})
        if not joining.cancelled():
            _logger.debug("%s did not join room %r", entry.member, entry.room, exc_info=joining.exception())
        self._memberships.pop(entry, None)
        await self._remove([entry])

    async def update(self, membership: Membership, info: bytes) -> None:
        """Replace the info of a device.

        Raises:
            BrokerUnavailable: The broker cannot be reached; the info is replaced later.
        """
        membership.info = info
        if membership.entry in self._memberships:
            await self._broker.join(membership.entry, info)

    async def leave(self, memberships: Iterable[Membership], *, at_once: bool = False) -> None:
        """Remove devices, even if the caller is cancelled; those with a grace period later, unless *at_once*.

        Waits for the broker, unless it is known to be away. Devices of an unreachable broker end with the lease.
        """
        entries = []
        for membership in memberships:
            if membership.entry not in self._memberships:
                continue
            if membership.grace_s and not at_once and not self._stopping:
                self._linger(membership)
            else:
                del self._memberships[membership.entry]
                entries.append(membership.entry)
        if entries:
            removing = self._spawn(self._remove(entries))
            if self._reachable():
                await asyncio.wait({removing})
                if not removing.cancelled():
                    removing.result()

    def _linger(self, membership: Membership) -> None:
        if membership.timer is None:
            loop = asyncio.get_running_loop()
            membership.timer = loop.call_later(membership.grace_s, self._end_grace, membership)
            self._lingering[membership.entry[:2]] = membership

    def _end_grace(self, membership: Membership) -> None:
        membership.timer = None
        if self._lingering.get(membership.entry[:2]) is membership:
            del self._lingering[membership.entry[:2]]
        if self._memberships.pop(membership.entry, None) is not None:
            self._spawn(self._remove([membership.entry]))

    async def _remove(self, entries: Iterable[Entry]) -> None:
        await gather_limited(self._remove_one, entries, limit=_AT_A_TIME)

    async def _remove_one(self, entry: Entry) -> None:
        try:
            await self._broker.leave(entry)
        except BrokerUnavailable as error:
            _logger.info("%r leaves room %r when the lease ends: %s", entry.member, entry.room, error)

    async def leave_all(self) -> None:
        """End the lease of this process, and remove its devices; other processes remove the rest.

        Devices with a grace period stay for the longest of these periods: their clients may come back to another
        process.
        """
        self._stopping = True
        grace_s = max((membership.grace_s for membership in self._memberships.values()), default=0.0)
        for membership in self._memberships.values():
            if membership.timer is not None:
                membership.timer.cancel()
        if grace_s:
            self._spawn(self._remove([entry for entry, m in self._memberships.items() if not m.grace_s]))
        self._memberships.clear()
        self._lingering.clear()
        try:
            if self._tasks:
                await asyncio.wait(self._tasks)
            if self._has_lease:
                async with asyncio.timeout(_RELEASE_S):
                    await self._broker.release(grace_s)
        except TimeoutError:
            _logger.info("Other processes remove the members of this one: there were too many for %g s", _RELEASE_S)
        except BrokerUnavailable as error:
            _logger.info("The members of this process leave when its lease ends: %s", error)
        finally:
            for task in self._tasks:
                task.cancel()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def check_now(self) -> None:
        """Renew the lease at once: the broker is back, and may have lost it."""
        self._wake.set()

    async def run(self) -> None:
        """Renew the lease of this process, and notice those that have run out, until this is cancelled."""
        step_s = min(self._lease_s / 4, _LONGEST_STEP_S)
        expiring: asyncio.Task[None] | None = None
        try:
            while True:
                # At different moments in each process: all of them look for the same leases.
                with suppress(TimeoutError):
                    async with asyncio.timeout(step_s * random.uniform(0.8, 1.0)):
                        await self._wake.wait()
                self._wake.clear()
                try:
                    if self._memberships or self._has_lease:
                        await self._renew()
                except BrokerUnavailable as error:
                    _logger.info("The lease of this process is not renewed: %s", error)
                except Exception:
                    _logger.exception("The lease of this process is not renewed")
                if expiring is None or expiring.done():
                    # Renewals do not wait for it: a dead process may have had 100,000 devices.
                    expiring = self._spawn(self._expire())
        finally:
            if expiring is not None:
                expiring.cancel()

    async def _expire(self) -> None:
        try:
            await self._broker.expire()
        except BrokerUnavailable as error:
            _logger.info("Devices of dead processes are not removed: %s", error)
        except Exception:
            _logger.exception("Devices of dead processes are not removed")

    async def _renew(self) -> None:
        await self._renewal.do("", self._renew_once, lambda _: True)

    async def _renew_once(self) -> None:
        known = await self._broker.renew(self._lease_s * 0.75)
        self._has_lease = True
        if not known:
            await gather_limited(self._join_again, list(self._memberships.values()), limit=_AT_A_TIME)

    async def _join_again(self, membership: Membership) -> None:
        entry = membership.entry
        if entry in self._memberships:
            await self._broker.join(entry, membership.info)
            if entry not in self._memberships:
                await self._broker.leave(entry)


def encode_info(info: object) -> bytes:
    """Return *info* as JSON; raise TypeError or ValueError if JSON cannot express it."""
    # Most subscriptions have none, and there may be many.
    return _NO_INFO if info is None else json.dumps(info, ensure_ascii=False, allow_nan=False).encode()


def decode_info(room: str, member: str, info: bytes) -> Any:
    """Return the *info* of a member; None, with a log line, if another program has written something but JSON."""
    if info == _NO_INFO:
        return None
    try:
        return json.loads(info)
    except (ValueError, RecursionError):
        _logger.warning("The info of member %r of room %r is not JSON", member, room)
        return None
