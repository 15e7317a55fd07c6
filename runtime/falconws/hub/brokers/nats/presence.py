"""Presence over JetStream: one lease a process, and one record a member, changed by compare-and-set.

``PREFIX.process.PROCESS`` says until when the lease of a process lasts. ``PREFIX.who.ROOM.MEMBER`` has the devices of a
member, each with its process and info; the stream republishes it to those who follow the room. All times are those of
the server's clock. Records of other programs that cannot be read count as empty. Knows nothing of a room's messages.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from typing import Any

from falconws.hub.broker import Entry, Member
from falconws.hub.brokers.presence import CLAIM_S, FIRST_LEASE_S, OWN_CLAIM_S
from falconws.hub.concurrency import SingleFlight, gather_limited

from .codec import name_of, token_of
from .jetstream import Conflict, NatsStream, Stored
from .records import EVENT_HEADER, UNREADABLE, Device, ReadRoom, ReadRooms, encode_record, parse_record
from .session import NatsSession

__all__ = ("NatsPresence", "PresenceIdentity")

_KEPT_S = 3600
"""How long an empty record is kept: longer than an earlier write that was delayed can take to arrive."""
_AT_A_TIME = 100


class PresenceIdentity:
    """This process, as the presence stream knows it. It outlives sessions."""

    def __init__(self) -> None:
        self.process = ""
        self.revision = 0
        """The sequence number of the lease."""
        self.lease_s = FIRST_LEASE_S
        self.is_lost = False
        """Whether the lease was lost since the last renewal."""
        self.replacing = asyncio.Lock()
        self.revisions: dict[Entry, int] = {}
        """The devices of this process, each with the sequence number of its record if it is the only one there: to
        remove it, the record need not be read."""


class _Record:
    """A member of a room."""

    __slots__ = ("devices", "revision")

    def __init__(self, stored: Stored | None) -> None:
        self.revision = 0 if stored is None else stored.sequence
        self.devices = {} if stored is None else parse_record(stored.data)


class NatsPresence:
    """The presence part of the broker, in one session.

    Args:
        session: The connection.
        prefix: The beginning of the subjects.
        identity: This process.
    """

    def __init__(self, session: NatsSession, prefix: str, identity: PresenceIdentity) -> None:
        self._prefix = prefix
        self._identity = identity
        self._stream = NatsStream(session, f"{prefix}-presence")
        self.elections = self._stream.elections
        self._read_rooms = ReadRooms()
        self._reading: SingleFlight[ReadRoom] = SingleFlight()

    async def ensure(self, config: Mapping[str, Any]) -> None:
        """Create the stream if it does not exist.

        Args:
            config: The storage settings.
        """
        prefix = self._prefix
        await self._stream.ensure(
            {
                **config,
                "subjects": [f"{prefix}.who.*.*", f"{prefix}.process.*"],
                "max_msgs_per_subject": 1,
                "allow_msg_ttl": True,
                "republish": {
                    "src": f"{prefix}.who.*.*",
                    "dest": f"{prefix}.live.who.{{{{wildcard(1)}}}}.{{{{wildcard(2)}}}}",
                },
            }
        )

    async def read_clock(self) -> None:
        """Read the server's time."""
        await self._stream.leadership()

    async def probe(self) -> None:
        """Raise what is wrong, if members cannot be present."""
        await self._stream.probe(self._subject("%probe", "%probe"), self._process_subject("%probe"))

    # The lease

    async def renew(self, lease_s: float) -> bool:
        identity = self._identity
        identity.lease_s = lease_s
        if not identity.process or not await self._write_lease(lease_s):
            await self._replace_process(identity.process)
        lost, identity.is_lost = identity.is_lost, False
        return not lost

    async def _write_lease(self, lease_s: float) -> bool:
        identity = self._identity
        process = identity.process
        try:
            revision = await self._write_process(process, identity.revision, lease_s)
        except Conflict:
            # It is this process's own write if the answer to that was lost.
            stored = await self._stream.last(self._process_subject(process))
            if stored is None or _parse_lease(stored.data)[1]:
                return False
            revision = stored.sequence
        if process == identity.process:
            identity.revision = revision
        return True

    async def _write_process(self, process: str, before: int, lease_s: float, *, over: bool = False) -> int:
        content = {"until": self._stream.now_s() + lease_s, "over": over}
        headers = {"Nats-Expected-Last-Subject-Sequence": str(before)}
        return await self._stream.append(self._process_subject(process), json.dumps(content).encode(), headers)

    async def _replace_process(self, process: str) -> None:
        """Get a lease under another name; a process that notices the end of the old lease removes its devices."""
        identity = self._identity
        async with identity.replacing:
            if process == identity.process:
                # The next renewal reports it.
                identity.is_lost = True
                identity.process, identity.revision = secrets.token_hex(8), 0
                identity.revisions.clear()
                with suppress(Conflict):
                    identity.revision = await self._write_process(identity.process, 0, identity.lease_s)

    async def _processes(self) -> tuple[set[str], dict[str, Stored]]:
        """Return the live processes, and the leases of those that are dead."""
        now_s = self._stream.now_s()
        live, dead = set(), {}
        for stored in await self._stream.read(self._process_subject("*")):
            until, over = _parse_lease(stored.data)
            if until > now_s and not over:
                live.add(stored.subject.rpartition(".")[2])
            elif until <= now_s:
                dead[stored.subject.rpartition(".")[2]] = stored
        return live, dead

    async def claim_dead(self) -> set[str]:
        """Claim the processes whose lease has run out, and return those whose devices have to be removed here."""
        _, dead = await self._processes()
        claimed: set[str] = set()
        for process, stored in dead.items():
            if stored.data:
                with suppress(Conflict):
                    await self._write_process(process, stored.sequence, CLAIM_S, over=True)
                    claimed.add(process)
        return claimed

    async def release(self, after_s: float) -> None:
        identity = self._identity
        process, revision = identity.process, identity.revision
        identity.process = ""
        if not process:
            return
        with suppress(Conflict):
            if after_s:
                await self._write_process(process, revision, after_s)
                return
            await self._write_process(process, revision, OWN_CLAIM_S, over=True)
            entries = list(identity.revisions)
            await gather_limited(lambda entry: self._leave(process, entry), entries, limit=_AT_A_TIME)
            await self._forget_process(process)

    async def remove_devices(self, processes: Set[str], sequence: int) -> int | None:
        """Remove some of the devices of dead *processes*: those in the next records from *sequence* on.

        Returns the sequence number at which to continue, or None if all devices are removed.
        """
        batch = await anext(self._stream.batches(self._subject("*", "*"), sequence), None)
        if batch is None:
            for process in processes:
                await self._forget_process(process)
            return None

        async def remove(stored: Stored) -> None:
            record = _Record(stored)
            _, _, room, member = stored.subject.split(".")
            while dead := [name for name, device in record.devices.items() if device.process in processes]:
                for name in dead:
                    del record.devices[name]
                if await self._write(name_of(room), name_of(member), record, "updated" if record.devices else "left"):
                    return
                record = await self._read(name_of(room), name_of(member))

        await gather_limited(remove, batch, limit=_AT_A_TIME)
        return batch[-1].sequence + 1

    async def _forget_process(self, process: str) -> None:
        await self._stream.append(self._process_subject(process), b"", {"Nats-TTL": "1s"})

    # Devices

    async def join(self, entry: Entry, info: bytes) -> None:
        room, member, device = entry
        identity = self._identity
        record = _Record(None)
        # Most members have one device: nothing is read first.
        record.revision = identity.revisions.get(entry, 0)
        while True:
            process = identity.process
            if not process:
                await self._replace_process(process)
                continue
            name = _device_name(process, device)
            event = "updated" if record.devices or identity.revisions.get(entry) else "joined"
            record.devices.pop(name, None)
            record.devices[name] = Device(process, info)
            if not await self._write(room, member, record, event):
                if entry in identity.revisions:
                    identity.revisions[entry] = 0
                record = await self._read(room, member)
            elif process == identity.process:
                identity.revisions[entry] = record.revision if len(record.devices) == 1 else 0
                return

    async def leave(self, entry: Entry) -> None:
        await self._leave(self._identity.process, entry)

    async def _leave(self, process: str, entry: Entry) -> None:
        room, member, device = entry
        name = _device_name(process, device)
        record = _Record(None)
        record.revision = self._identity.revisions.pop(entry, 0)
        if record.revision:
            record.devices[name] = Device(process, b"")
        else:
            record = await self._read(room, member)
        while record.devices.pop(name, None) is not None:
            if await self._write(room, member, record, "updated" if record.devices else "left"):
                return
            record = await self._read(room, member)

    # Queries. The records are read first: a process that had a device then and has a lease now was alive in between.

    async def _read_room(self, room: str) -> ReadRoom:
        """Return the records of *room*. Callers that ask at the same time share the requests."""
        return await self._reading.do(room, lambda: self._read_changes(room))

    async def _read_changes(self, room: str) -> ReadRoom:
        read = self._read_rooms.get(room, self._stream.created)
        try:
            async for batch in self._stream.batches(self._subject(token_of(room), "*"), read.sequence + 1):
                read.add(batch)
        finally:
            # If this attempt is cut short, the next one continues here.
            self._read_rooms.keep(room, read)
        return read

    async def members(self, room: str) -> dict[str, Member]:
        read = await self._read_room(room)
        live, _ = await self._processes()
        return read.present(live)

    async def count_members(self, rooms: Sequence[str]) -> list[int]:
        read: dict[str, ReadRoom] = {}

        async def read_one(room: str) -> None:
            read[room] = await self._read_room(room)

        await gather_limited(read_one, rooms, limit=_AT_A_TIME)
        live, _ = await self._processes()
        return [read[room].count(live) for room in rooms]

    async def rooms_of(self, member: str) -> list[str]:
        records = await self._stream.read(self._subject("*", token_of(member)))
        live, _ = await self._processes()
        rooms = {stored.subject.split(".")[2]: parse_record(stored.data) for stored in records}
        return [name_of(room) for room, devices in rooms.items() if any(d.process in live for d in devices.values())]

    # Records

    def _subject(self, room_token: str, member_token: str) -> str:
        return f"{self._prefix}.who.{room_token}.{member_token}"

    def _process_subject(self, process: str) -> str:
        return f"{self._prefix}.process.{process}"

    async def _read(self, room: str, member: str) -> _Record:
        return _Record(await self._stream.last(self._subject(token_of(room), token_of(member))))

    async def _write(self, room: str, member: str, record: _Record, event: str) -> bool:
        """Replace the record, unless another process has changed it; return whether it was replaced."""
        headers = {"Nats-Expected-Last-Subject-Sequence": str(record.revision), EVENT_HEADER: event}
        if not record.devices:
            headers["Nats-TTL"] = f"{_KEPT_S}s"
        subject = self._subject(token_of(room), token_of(member))
        try:
            record.revision = await self._stream.append(subject, encode_record(record.devices), headers)
        except Conflict:
            return False
        return True


def _device_name(process: str, device: str) -> str:
    return f"{process} {device}"


def _parse_lease(data: bytes) -> tuple[float, bool]:
    """Return until when a lease lasts, and whether its process has ended; a lease that is unreadable has ended."""
    try:
        content = json.loads(data)
        return float(content["until"]), bool(content["over"])
    except UNREADABLE:
        return 0.0, True
