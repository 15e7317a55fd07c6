"""Who of this process is present where: leases are renewed here, and those of others that ran out are noticed.

A member is gone from everybody's list, and everybody has been told, ``lease_s`` after its process died: the lease in
the broker is three quarters of that, and every quarter each process renews its own and looks for those that ran out.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import secrets
from collections.abc import Callable, Coroutine, Iterable
from itertools import count
from typing import Any

from .broker import Broker, BrokerUnavailable, Entry
from .concurrency import SingleFlight, gather_limited

__all__ = ("Membership", "Presence", "Roster", "decode_info")


class Roster:
    """The members of rooms.

    Args:
        broker: Knows them.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._single_flight: SingleFlight[dict[str, Any]] = SingleFlight()

    async def members(self, room: str) -> dict[str, Any]:
        """Return the info of each member, by name, as of a moment after the call.

        Raises:
            BrokerUnavailable: The broker cannot be reached.
        """

        async def ask() -> dict[str, Any]:
            return {
                member: decode_info(room, member, info) for member, info in (await self._broker.members(room)).items()
            }

        return (await self._single_flight.do(room, ask)).copy()


_STEPS = 4
_AT_A_TIME = 200
"""So many leave at once when a process stops, which has little time for it."""

_logger = logging.getLogger("falconws.hub")


class Membership:
    """One device of one member in one room, as this process has it."""

    __slots__ = ("entry", "info")

    def __init__(self, entry: Entry, info: bytes) -> None:
        self.entry = entry
        self.info = info


class Presence:
    """The members of this process.

    Args:
        broker: Keeps the list.
        lease_s: Seconds within which the members of a process that died are gone.
        watched: Returns the rooms of this process in which somebody wants to be told who leaves.
        reachable: Returns whether the broker is not known to be away.
    """

    def __init__(
        self, broker: Broker, lease_s: float, watched: Callable[[], Iterable[str]], reachable: Callable[[], bool]
    ) -> None:
        self._broker = broker
        self._step_s = lease_s / _STEPS
        self._watched = watched
        self._reachable = reachable
        self._process = secrets.token_hex(8)
        self._numbers = count()
        self._memberships: dict[Entry, Membership] = {}
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def join(self, room: str, member: str, info: bytes) -> Membership:
        """Add one more device of *member*, and keep it there until ``leave()``.

        A device that is not wanted any more when the broker has it, because the caller was cancelled, is removed again.

        Raises:
            BrokerUnavailable: The broker cannot be reached; if it has the device nevertheless, that is removed too.
        """
        entry = Entry(room, member, f"{self._process}-{next(self._numbers)}")
        membership = Membership(entry, info)
        joining = self._spawn(self._add(membership))
        try:
            await asyncio.wait({joining})
            if joining.cancelled():
                raise BrokerUnavailable("the hub has stopped")
            joining.result()
        except BaseException:
            self._spawn(self._take_back(joining, entry))
            raise
        return membership

    async def _add(self, membership: Membership) -> None:
        await self._tell(membership)
        if self._stopping:
            await self._remove_one(membership.entry)
            raise BrokerUnavailable("the hub has stopped")
        # Here, and not when the caller goes on: leave_all() may come in between.
        self._memberships[membership.entry] = membership

    async def _tell(self, membership: Membership) -> None:
        await self._broker.join(*membership.entry, membership.info, self._step_s * (_STEPS - 1))

    async def _take_back(self, joining: asyncio.Task[None], entry: Entry) -> None:
        # Not at once: a join() that is still on its way would come after.
        await asyncio.wait({joining})
        if not joining.cancelled():
            _logger.debug(
                "%s is not present in room %r after all", entry.member, entry.room, exc_info=joining.exception()
            )
        self._memberships.pop(entry, None)
        await self._remove([entry])

    async def leave(self, memberships: Iterable[Membership]) -> None:
        """Remove devices, even if the caller is cancelled. Where the broker cannot be reached, the lease does it.

        Waits for the broker, unless that is known to be away.
        """
        entries = [membership.entry for membership in memberships]
        entries = [entry for entry in entries if self._memberships.pop(entry, None) is not None]
        if entries:
            removing = self._spawn(self._remove(entries))
            if self._reachable():
                await asyncio.wait({removing})
                if not removing.cancelled():
                    removing.result()

    async def _remove(self, entries: Iterable[Entry]) -> None:
        await gather_limited(self._remove_one, entries, limit=_AT_A_TIME)

    async def _remove_one(self, entry: Entry) -> None:
        try:
            await self._broker.leave(*entry)
        except BrokerUnavailable as error:
            _logger.info("%r leaves room %r by lease: %s", entry.member, entry.room, error)

    async def leave_all(self) -> None:
        """Remove all devices of this process, and wait for what is on its way; cancelling this ends that too."""
        self._stopping = True
        self._spawn(self._remove(list(self._memberships)))
        self._memberships.clear()
        try:
            await asyncio.wait(self._tasks)
        finally:
            for task in self._tasks:
                task.cancel()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def run(self) -> None:
        """Renew what is here and notice what has run out elsewhere, for ever."""
        while True:
            # At different moments in each process: every one of them looks for the same leases.
            await asyncio.sleep(self._step_s * random.uniform(0.8, 1.0))
            try:
                await self._renew()
                await self._broker.expire(set(self._watched()))
            except BrokerUnavailable as error:
                _logger.info("Leases are not renewed: %s", error)
            except Exception:
                _logger.exception("Leases are not renewed")

    async def _renew(self) -> None:
        entries = list(self._memberships)
        if not entries:
            return
        for entry in await self._broker.renew(entries, self._step_s * (_STEPS - 1)):
            membership = self._memberships.get(entry)
            if membership is None:
                continue
            # This process was away for so long that the others took it for dead.
            await self._tell(membership)
            if entry not in self._memberships:
                await self._broker.leave(*entry)


def decode_info(room: str, member: str, info: bytes) -> Any:
    """Return the *info* of a member; None, and a line in the log, when another program has written what is no JSON."""
    if info == b"null":
        return None
    try:
        return json.loads(info)
    except (ValueError, RecursionError):
        _logger.warning("The info of member %r of room %r is not JSON", member, room)
        return None
