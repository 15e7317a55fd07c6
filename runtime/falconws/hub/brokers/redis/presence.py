"""Presence over Redis: one lease a process, and the devices of each room in a hash; each change is one atomic script.

A device is recorded twice: in its room, and with its process, so that the process that notices its death finds them.
It is recorded with its process first, so that it is never in a room only. The keys and scripts are in ``scripts``.
Knows nothing of messages and their history.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator, Sequence

from falconws.hub.broker import Entry, Member
from falconws.hub.brokers.presence import CLAIM_S, FIRST_LEASE_S, OWN_CLAIM_S
from falconws.hub.concurrency import gather_limited

from . import scripts
from .codec import microseconds
from .redis_client import RedisClient

__all__ = ("RedisPresence",)

_ROOMS_AT_A_TIME = 100
_DEVICES_AT_A_TIME = 500


class RedisPresence:
    """The presence part of the broker.

    Args:
        client: Runs the scripts; raises BrokerUnavailable.
        base: Returns the common prefix of a room's keys.
        channel: Returns the channel of a room.
    """

    def __init__(self, client: RedisClient, base: Callable[[str], str], channel: Callable[[str], str]) -> None:
        self._client = client
        self._base = base
        self._channel = channel
        self._common = f"{base('presence')}:"
        self.start()

    def start(self) -> None:
        """Begin as a new process."""
        self._process = ""
        self._lease_s = FIRST_LEASE_S
        self._is_lost = False
        self._replacing = asyncio.Lock()

    # The lease

    async def renew(self, lease_s: float) -> bool:
        self._lease_s = lease_s
        if not self._process or not await self._renew(create=False):
            await self._replace_process(self._process)
        lost, self._is_lost = self._is_lost, False
        return not lost

    async def _renew(self, *, create: bool) -> bool:
        arguments = (self._process, microseconds(self._lease_s), int(create))
        return bool(await self._client.run(scripts.RENEW, [self._key("processes")], arguments))

    async def expire(self) -> None:
        keys = [self._key("processes"), self._key("dead")]
        for process in await self._client.run(scripts.CLAIM, keys, (microseconds(CLAIM_S),)):
            await self._remove_process(process.decode())

    async def release(self, after_s: float) -> None:
        process, self._process = self._process, ""
        if process and after_s:
            arguments = (process, microseconds(after_s), 0)
            await self._client.run(scripts.RENEW, [self._key("processes")], arguments)
        elif process:
            keys = [self._key("processes"), self._key("dead")]
            await self._client.run(scripts.END, keys, (process, microseconds(OWN_CLAIM_S)))
            await self._remove_process(process)

    async def _remove_process(self, process: str) -> None:
        at = self._key("at", process)
        packed = list(_unpack(await self._client.run(scripts.UNPACKED, [at], ())))
        rooms: dict[str, list[tuple[bytes, str]]] = {}
        for device, where in zip(packed[::2], packed[1::2], strict=True):
            room, member = (part.decode("utf-8", "replace") for part in _unpack(where))
            rooms.setdefault(room, []).append((device, member))

        async def remove_from(room: str) -> None:
            devices = rooms[room]
            for first in range(0, len(devices), _DEVICES_AT_A_TIME):
                chunk = devices[first : first + _DEVICES_AT_A_TIME]
                fields = [_field(process, device) for device, _ in chunk]
                await self._client.run(scripts.LEAVE, self._room_keys(room), (self._channel(room), *fields))
                await self._unregister(process, room, chunk)

        await gather_limited(remove_from, rooms, limit=_ROOMS_AT_A_TIME)
        await self._client.run(scripts.REMOVED, [self._key("dead"), at], (process,))

    # Devices

    async def join(self, entry: Entry, info: bytes) -> None:
        room, member, device = entry
        while True:
            process = self._process
            keys = [self._key("processes"), self._key("at", process), self._key("of", member)]
            arguments = (process, device, _pack(room, member), _pack(process, device, room))
            if process and await self._client.run(scripts.REGISTER, keys, arguments):
                change = (self._channel(room), _field(process, device.encode()), member, info)
                await self._client.run(scripts.JOIN, self._room_keys(room), change, room=room)
                if process == self._process:
                    return
            else:
                await self._replace_process(process)

    async def _replace_process(self, process: str) -> None:
        """Get a lease under another name; a process that notices the end of the old lease removes its devices."""
        async with self._replacing:
            if process == self._process:
                # The next renewal reports it.
                self._is_lost = True
                self._process = secrets.token_hex(8)
                await self._renew(create=True)

    async def leave(self, entry: Entry) -> None:
        room, member, device = entry
        process = self._process
        fields = (_field(process, device.encode()),)
        await self._client.run(scripts.LEAVE, self._room_keys(room), (self._channel(room), *fields))
        await self._unregister(process, room, [(device.encode(), member)])

    async def _unregister(self, process: str, room: str, devices: Sequence[tuple[bytes, str]]) -> None:
        keys = [self._key("at", process), *(self._key("of", member) for _, member in devices)]
        names = [device for device, _ in devices]
        entries = [_pack(process, device, room) for device, _ in devices]
        await self._client.run(scripts.UNREGISTER, keys, (*names, *entries))

    # Queries. The devices are read first: a process that had a device then and has a lease now was alive in between.

    async def members(self, room: str) -> dict[str, Member]:
        packed = list(_unpack(await self._client.run(scripts.UNPACKED, self._room_keys(room)[:1], ())))
        if not packed:
            return {}
        live = {process.decode() for process in await self._live()}
        newest: dict[bytes, tuple[int, bytes, int]] = {}
        for field, value in zip(packed[::2], packed[1::2], strict=True):
            try:
                time, member, info = _parse_device(value)
            except ValueError:
                # Another program has written it.
                continue
            if field.partition(b" ")[0].decode("ascii", "replace") in live:
                before = newest.get(member)
                if before is None:
                    newest[member] = (time, info, 1)
                else:
                    newest[member] = (*max(before[:2], (time, info)), before[2] + 1)
        return {member.decode("utf-8", "replace"): Member(info, count) for member, (_, info, count) in newest.items()}

    async def count_members(self, rooms: Sequence[str]) -> list[int]:
        counts: dict[str, int] = {}

        async def count(room: str) -> None:
            counts[room] = await self._client.run(scripts.COUNT, self._room_keys(room)[1:], ())

        async def count_live(room: str) -> None:
            counts[room] = len(await self.members(room))

        await gather_limited(count, rooms, limit=_ROOMS_AT_A_TIME)
        keys = [self._key("processes"), self._key("dead")]
        if await self._client.run(scripts.ANY_DEAD, keys, ()):
            # Its devices may be among those that were counted.
            await gather_limited(count_live, [room for room in rooms if counts[room]], limit=_ROOMS_AT_A_TIME)
        return [counts[room] for room in rooms]

    async def rooms_of(self, member: str) -> list[str]:
        packed = await self._client.run(scripts.ROOMS_OF, [self._key("of", member)], ())
        live = set(await self._live())
        entries = [tuple(_unpack(entry)) for entry in packed]
        return list({room.decode("utf-8", "replace"): None for process, _, room in entries if process in live})

    async def _live(self) -> list[bytes]:
        live: list[bytes] = await self._client.run(scripts.LIVE, [self._key("processes")], ())
        return live

    # Names

    def _key(self, kind: str, name: str = "") -> str:
        return f"{self._common}{kind}:{name}" if name else f"{self._common}{kind}"

    def _room_keys(self, room: str) -> list[str]:
        base = self._base(room)
        return [f"{base}:devices", f"{base}:members"]


def _field(process: str, device: bytes) -> bytes:
    return process.encode() + b" " + device


def _pack(*parts: str | bytes) -> bytes:
    """Return *parts* as one string, each behind its size."""
    encoded = [part if isinstance(part, bytes) else part.encode() for part in parts]
    return b"".join(b"%d:%b" % (len(part), part) for part in encoded)


def _unpack(data: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(data):
        colon = data.index(b":", position)
        end = colon + 1 + int(data[position:colon])
        yield data[colon + 1 : end]
        position = end


def _parse_device(value: bytes) -> tuple[int, bytes, bytes]:
    """Return time, member and info of a device; raise ValueError if *value* is not of the scripts."""
    time, space, rest = value.partition(b" ")
    size, colon, rest = rest.partition(b":")
    if not (space and colon and time.isdigit() and size.isdigit()):
        raise ValueError("not a device")
    return int(time), rest[: int(size)], rest[int(size) :]
