"""Presence over JetStream: one record a member, changed by compare-and-set, so that each change has one author.

A record is the newest of two messages: ``PREFIX.who.ROOM.MEMBER.e`` tells who came or left, and is passed on to those
who follow the room; ``...r`` only renews. Leases are times of the server's clock. A record that nobody touches any more
goes by itself, an hour after its longest lease. What is no record, because somebody else has written it, is an empty
one.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from falconws.hub.broker import Entry
from falconws.hub.concurrency import gather_limited

from .codec import Headers, name_of, token_of
from .session import NatsSession
from .stream import Conflict, NatsStream, Stored

__all__ = ("NatsPresence", "read_events")

_EVENT_HEADER = "Falconws-Event"

_KEPT_S = 3600
_AT_A_TIME = 32
_READ_ROOM_FROM = 8
"""Renewals in one room from which on all of the room is read at once."""

_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, OverflowError)


class _Record:
    """A member of a room."""

    __slots__ = ("devices", "info", "revision", "ttl_s")

    def __init__(self, stored: Stored | None) -> None:
        self.revision = 0 if stored is None else stored.sequence
        self.info = b""
        self.devices: dict[str, float] = {}
        self.ttl_s = 0
        if stored is not None:
            with suppress(*_UNREADABLE):
                self.info, self.devices, self.ttl_s = _parse(stored.data)

    def content(self) -> bytes:
        info = base64.b64encode(self.info).decode()
        return json.dumps({"info": info, "devices": self.devices, "ttl_s": self.ttl_s}).encode()

    def live(self, now_s: float) -> dict[str, float]:
        return {device: until for device, until in self.devices.items() if until > now_s}


class NatsPresence:
    """The presence part of the broker, in one session.

    Args:
        session: The connection.
        prefix: What the subjects begin_session with.
    """

    def __init__(self, session: NatsSession, prefix: str) -> None:
        self._prefix = prefix
        self._stream = NatsStream(session, f"{prefix}-presence")
        self.elections = self._stream.elections

    async def ensure(self, config: Mapping[str, Any]) -> None:
        """See to it that the stream is there.

        Args:
            config: How it is kept.
        """
        prefix = self._prefix
        await self._stream.ensure(
            {
                **config,
                "subjects": [f"{prefix}.who.*.*.*"],
                "max_msgs_per_subject": 1,
                "allow_msg_ttl": True,
                "republish": {
                    "src": f"{prefix}.who.*.*.e",
                    "dest": f"{prefix}.live.who.{{{{wildcard(1)}}}}.{{{{wildcard(2)}}}}",
                },
            }
        )

    async def read_clock(self) -> None:
        """Read the server's time."""
        await self._stream.leadership()

    async def join(self, room: str, member: str, device: str, info: bytes, lease_s: float) -> bool:
        while True:
            record = await self._read(room, member)
            now_s = self._stream.now_s()
            live = record.live(now_s)
            event = None if live else "joined"
            if record.devices and not live:
                # The leases had run out, and nobody has said so yet.
                event = "left joined"
            record.info = info
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
                    until = self._stream.now_s() + lease_s
                    mine = [entry for entry in members[member] if entry.device in record.devices]
                    record.devices.update((entry.device, until) for entry in mine)
                    if not mine or await self._write(room, member, record, None, lease_s):
                        lost.extend(entry for entry in members[member] if entry not in mine)
                        return
                    record = await self._read(room, member)

            await gather_limited(renew_member, members, limit=_AT_A_TIME)
        return lost

    async def members(self, room: str) -> dict[str, bytes]:
        now_s = self._stream.now_s()
        records = await self._read_room(room)
        return {member: record.info for member, record in records.items() if record.live(now_s)}

    async def expire(self, rooms: Iterable[str]) -> Sequence[tuple[str, str]]:
        gone: list[tuple[str, str]] = []

        async def expire_in(room: str) -> None:
            for member, record in (await self._read_room(room)).items():
                live = record.live(self._stream.now_s())
                if len(live) == len(record.devices):
                    continue
                record.devices = live
                # Whoever changed the record in between has seen to it, or a later call will.
                if await self._write(room, member, record, None if live else "left") and not live:
                    gone.append((room, member))

        await gather_limited(expire_in, rooms, limit=_AT_A_TIME)
        return gone

    def _subject(self, room: str, member_token: str, kind: str) -> str:
        return f"{self._prefix}.who.{token_of(room)}.{member_token}.{kind}"

    async def _read(self, room: str, member: str) -> _Record:
        return _Record(await self._stream.last(self._subject(room, token_of(member), "*")))

    async def _read_room(self, room: str) -> dict[str, _Record]:
        stored = await self._stream.read(self._subject(room, "*", "*"))
        # In the order of sequence numbers: the newest message of a member is the last.
        return {name_of(message.subject.split(".")[3]): _Record(message) for message in stored}

    async def _write(self, room: str, member: str, record: _Record, event: str | None, lease_s: float = 0.0) -> bool:
        """Replace the record, unless somebody else has; return whether it was replaced."""
        record.ttl_s = max(record.ttl_s, math.ceil(lease_s) + _KEPT_S)
        token = token_of(member)
        headers = {
            "Nats-Expected-Last-Subject-Sequence": str(record.revision),
            "Nats-Expected-Last-Subject-Sequence-Subject": self._subject(room, token, "*"),
            # The end of a member has to outlive a renewal from before it.
            "Nats-TTL": f"{record.ttl_s if record.devices else record.ttl_s + 60}s",
        }
        if event is not None:
            headers[_EVENT_HEADER] = event
        subject = self._subject(room, token, "r" if event is None else "e")
        try:
            record.revision = await self._stream.append(subject, record.content(), headers)
        except Conflict:
            return False
        return True


def read_events(headers: Headers, data: bytes) -> list[tuple[str, bytes]]:
    """Return what a record that was passed on tells: "joined" or "left", each with the member's info."""
    try:
        info, _, _ = _parse(data)
    except _UNREADABLE:
        return []
    return [(event, info) for event in headers.get(_EVENT_HEADER, "").split()]


def _parse(data: bytes) -> tuple[bytes, dict[str, float], int]:
    """Return info, devices and time to live of a record; raise one of ``_UNREADABLE`` if it is none."""
    content = json.loads(data)
    devices = {device: float(until) for device, until in content["devices"].items()}
    return base64.b64decode(content["info"], validate=True), devices, int(content["ttl_s"])
