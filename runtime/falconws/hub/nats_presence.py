"""Presence over JetStream: one record a member, changed by compare-and-set, so that each change has one author.

A record is the newest of two messages: ``PREFIX.who.ROOM.MEMBER.e`` tells who came or left, and is passed on to those
who follow the room; ``...r`` only renews. Leases are times of the server's clock. A record that nobody touches any more
goes by itself, an hour after its longest lease.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from .broker import Entry
from .nats_session import WRONG_LAST_SEQUENCE, ApiError, NatsSession, Stored

__all__ = ("EVENT_HEADER", "NatsPresence", "read_info")

EVENT_HEADER = "Falconws-Event"

_KEPT_S = 3600
_AT_A_TIME = 32
_READ_ROOM_FROM = 8
T = TypeVar("T")


class _Record:
    """A member of a room."""

    __slots__ = ("devices", "info", "revision", "ttl_s")

    def __init__(self, stored: Stored | None) -> None:
        self.revision = 0
        self.info = ""
        self.devices: dict[str, float] = {}
        self.ttl_s = 0
        if stored is not None:
            content = json.loads(stored.data)
            self.revision = stored.sequence
            self.info, self.devices, self.ttl_s = content["info"], content["devices"], content["ttl_s"]

    def live(self, now_s: float) -> dict[str, float]:
        return {device: until for device, until in self.devices.items() if until > now_s}


class NatsPresence:
    """The presence part of the broker, in one session.

    Args:
        session: The connection.
        prefix: What the subjects begin with.
        encode: Makes a token of a subject of any name.
        decode: The reverse.
    """

    def __init__(
        self, session: NatsSession, prefix: str, encode: Callable[[str], str], decode: Callable[[str], str]
    ) -> None:
        self._session = session
        self._prefix = prefix
        self._encode = encode
        self._decode = decode
        self._stream = f"{prefix}-presence"

    @staticmethod
    def config(prefix: str) -> dict[str, Any]:
        """Return the configuration of the stream."""
        return {
            "name": f"{prefix}-presence",
            "subjects": [f"{prefix}.who.*.*.*"],
            "max_msgs_per_subject": 1,
            "allow_direct": True,
            "allow_msg_ttl": True,
            "republish": {
                "src": f"{prefix}.who.*.*.e",
                "dest": f"{prefix}.live.who.{{{{wildcard(1)}}}}.{{{{wildcard(2)}}}}",
            },
        }

    async def join(self, room: str, member: str, device: str, info: bytes, lease_s: float) -> bool:
        while True:
            record = await self._read(room, member)
            now_s = self._session.now_s()
            live = record.live(now_s)
            event = None if live else "joined"
            if record.devices and not live:
                # The leases had run out, and nobody has said so yet.
                event = "left joined"
            record.info = base64.b64encode(info).decode()
            record.devices = {**live, device: now_s + lease_s}
            if await self._write(room, member, record, event, lease_s):
                return event is not None

    async def leave(self, room: str, member: str, device: str) -> bool:
        while True:
            record = await self._read(room, member)
            if record.devices.pop(device, None) is None:
                return False
            last = not record.devices
            if await self._write(room, member, record, "left" if last else None):
                return last

    async def renew(self, entries: Sequence[Entry], lease_s: float) -> Sequence[Entry]:
        by_room: dict[str, dict[str, list[Entry]]] = {}
        for entry in entries:
            by_room.setdefault(entry.room, {}).setdefault(entry.member, []).append(entry)
        lost: list[Entry] = []
        for room, members in by_room.items():
            known = await self._read_room(room) if len(members) >= _READ_ROOM_FROM else {}

            async def renew_member(
                member: str, room: str = room, members: dict[str, list[Entry]] = members, known: Any = known
            ) -> None:
                record = known.get(member) or await self._read(room, member)
                while True:
                    until = self._session.now_s() + lease_s
                    mine = [entry for entry in members[member] if entry.device in record.devices]
                    record.devices.update((entry.device, until) for entry in mine)
                    if not mine or await self._write(room, member, record, None, lease_s):
                        lost.extend(entry for entry in members[member] if entry not in mine)
                        return
                    record = await self._read(room, member)

            await _for_each(renew_member, members)
        return lost

    async def members(self, room: str) -> dict[str, bytes]:
        now_s = self._session.now_s()
        records = await self._read_room(room)
        return {member: base64.b64decode(record.info) for member, record in records.items() if record.live(now_s)}

    async def expire(self, rooms: Iterable[str]) -> Sequence[tuple[str, str]]:
        gone: list[tuple[str, str]] = []

        async def expire_in(room: str) -> None:
            for member, record in (await self._read_room(room)).items():
                live = record.live(self._session.now_s())
                if len(live) == len(record.devices):
                    continue
                record.devices = live
                # Whoever changed the record in between has seen to it, or a later call will.
                if await self._write(room, member, record, None if live else "left") and not live:
                    gone.append((room, member))

        await _for_each(expire_in, rooms)
        return gone

    def _subject(self, room: str, member: str, kind: str) -> str:
        return f"{self._prefix}.who.{self._encode(room)}.{member}.{kind}"

    async def _read(self, room: str, member: str) -> _Record:
        stored = await self._session.fetch(self._stream, self._subject(room, self._encode(member), "*"))
        return _Record(stored[-1] if stored else None)

    async def _read_room(self, room: str) -> dict[str, _Record]:
        stored = await self._session.fetch(self._stream, self._subject(room, "*", "*"))
        # In the order of sequence numbers: the newest message of a member is the last.
        return {self._decode(message.subject.split(".")[3]): _Record(message) for message in stored}

    async def _write(self, room: str, member: str, record: _Record, event: str | None, lease_s: float = 0.0) -> bool:
        """Replace the record, unless somebody else has; return whether it was replaced."""
        record.ttl_s = max(record.ttl_s, math.ceil(lease_s) + _KEPT_S)
        content = {"info": record.info, "devices": record.devices, "ttl_s": record.ttl_s}
        token = self._encode(member)
        headers = {
            "Nats-Expected-Last-Subject-Sequence": str(record.revision),
            "Nats-Expected-Last-Subject-Sequence-Subject": self._subject(room, token, "*"),
            # The end of a member has to outlive a renewal from before it.
            "Nats-TTL": f"{record.ttl_s if record.devices else record.ttl_s + 60}s",
        }
        if event is not None:
            headers[EVENT_HEADER] = event
        subject = self._subject(room, token, "r" if event is None else "e")
        try:
            record.revision = await self._session.append(subject, json.dumps(content).encode(), headers)
        except ApiError as error:
            if error.code == WRONG_LAST_SEQUENCE:
                return False
            raise
        return True


def read_info(data: bytes) -> bytes:
    """Return the info in a record."""
    content: Mapping[str, Any] = json.loads(data)
    return base64.b64decode(content["info"])


async def _for_each(work: Callable[[str], Awaitable[None]], names: Iterable[str]) -> None:
    """Await ``work(name)`` for each name, some at a time; raise the first error."""
    waiting = iter(list(names))

    async def worker() -> None:
        for name in waiting:
            await work(name)

    results = await asyncio.gather(*(worker() for _ in range(_AT_A_TIME)), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
