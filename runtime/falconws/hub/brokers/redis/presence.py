"""Presence over Redis: a sorted set of leases a room, by the server's clock; each change is one atomic script.

Which keys, and what the scripts do with them: ``scripts``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from falconws.hub.broker import Entry
from falconws.hub.concurrency import gather_limited

from . import scripts
from .client import RedisClient
from .connection import Argument

__all__ = ("RedisPresence",)

_AT_A_TIME = 16


class RedisPresence:
    """The presence part of the broker.

    Args:
        server: Runs the scripts; raises BrokerUnavailable.
        base: Returns what the keys of a room begin with.
        channel: Returns the channel of a room.
        ttl_ms: After which a room that nobody touches is forgotten.
    """

    def __init__(
        self, client: RedisClient, base: Callable[[str], str], channel: Callable[[str], str], ttl_ms: int
    ) -> None:
        self._client = client
        self._base = base
        self._channel = channel
        self._ttl_ms = ttl_ms

    async def join(self, room: str, member: str, device: str, info: bytes, lease_s: float) -> bool:
        arguments = (self._channel(room), self._ttl_ms, _microseconds(lease_s), _entry(member, device), info)
        return bool(await self._client.run(scripts.JOIN, self._keys(room), arguments))

    async def leave(self, room: str, member: str, device: str) -> bool:
        arguments = (self._channel(room), _entry(member, device))
        return bool(await self._client.run(scripts.LEAVE, self._keys(room), arguments))

    async def renew(self, entries: Sequence[Entry], lease_s: float) -> Sequence[Entry]:
        by_room: dict[str, list[Entry]] = {}
        for entry in entries:
            by_room.setdefault(entry.room, []).append(entry)
        lost: set[Entry] = set()

        async def renew_in(room: str) -> None:
            mine = by_room[room]
            leases = [_entry(entry.member, entry.device) for entry in mine]
            arguments: list[Argument] = [self._ttl_ms, _microseconds(lease_s), *leases]
            indexes = await self._client.run(scripts.RENEW, self._keys(room), arguments)
            lost.update(mine[index] for index in indexes)

        await gather_limited(renew_in, by_room, limit=_AT_A_TIME)
        return [entry for entry in entries if entry in lost]

    async def members(self, room: str) -> dict[str, bytes]:
        found = await self._client.run(scripts.MEMBERS, self._keys(room), [])
        return {member.decode("utf-8", "replace"): info for member, info in zip(found[::2], found[1::2], strict=True)}

    async def expire(self, rooms: Iterable[str]) -> Sequence[tuple[str, str]]:
        gone: list[tuple[str, str]] = []

        async def expire_in(room: str) -> None:
            members = await self._client.run(scripts.EXPIRE, self._keys(room), [self._channel(room)])
            gone.extend((room, member.decode("utf-8", "replace")) for member in members)

        await gather_limited(expire_in, rooms, limit=_AT_A_TIME)
        return gone

    def _keys(self, room: str) -> list[str]:
        base = self._base(room)
        return [f"{base}:leases", f"{base}:members", f"{base}:devices"]


def _microseconds(seconds: float) -> int:
    return int(seconds * 1_000_000)


def _entry(member: str, device: str) -> bytes:
    """The member's size in bytes, the member, the device: two names in one, whatever is in them."""
    name = member.encode()
    return b"%d:%b%b" % (len(name), name, device.encode())
