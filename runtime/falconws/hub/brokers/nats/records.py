"""The records of members in the presence stream: their format, and what this process has read of large rooms.

A record has the devices of one member in one room, each with its process and info. Records of other programs that
cannot be read count as empty. Knows neither leases nor requests.
"""

from __future__ import annotations

import base64
import json
from collections import OrderedDict
from collections.abc import Container, Iterable, Mapping, Set
from contextlib import suppress
from typing import NamedTuple

from falconws.hub.broker import Member
from falconws.hub.brokers.presence import MemberEvent

from .codec import Headers, name_of
from .jetstream import Stored

__all__ = (
    "EVENT_HEADER",
    "UNREADABLE",
    "Device",
    "ReadRoom",
    "ReadRooms",
    "encode_record",
    "parse_record",
    "read_event",
)

EVENT_HEADER = "Falconws-Event"
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, OverflowError)

_WORTH_KEEPING = 100
_MAX_KEPT = 200_000
"""Records in all rooms; each takes about 400 bytes."""


class Device(NamedTuple):
    """One device of a member."""

    process: str
    info: bytes


def encode_record(devices: Mapping[str, Device]) -> bytes:
    """Return the record of a member with *devices*, each by its name, in the order in which they were updated."""
    encoded = {name: [device.process, base64.b64encode(device.info).decode()] for name, device in devices.items()}
    return json.dumps({"devices": encoded}).encode()


def parse_record(data: bytes) -> dict[str, Device]:
    """Return the devices of a record by name; the one that was updated last comes last."""
    with suppress(*UNREADABLE):
        return _parse(data)
    return {}


def read_event(member: str, headers: Headers, data: bytes) -> MemberEvent | None:
    """Return the change of *member* that a republished record tells; None if another program has written it."""
    try:
        devices = list(_parse(data).values())
    except UNREADABLE:
        return None
    match headers.get(EVENT_HEADER):
        case "joined" | "updated" as kind if devices:
            return MemberEvent(kind, member, devices[-1].info, len(devices))
        case "left" if not devices:
            return MemberEvent("left", member, b"", 0)
    return None


def _parse(data: bytes) -> dict[str, Device]:
    return {
        name: Device(str(process), base64.b64decode(info, validate=True))
        for name, (process, info) in json.loads(data)["devices"].items()
    }


class ReadRoom:
    """The records of one room, up to a sequence number of the stream."""

    __slots__ = ("_processes", "members", "sequence")

    def __init__(self) -> None:
        self.sequence = 0
        """That of the newest record that was read."""
        self.members: dict[str, tuple[Device, ...]] = {}
        """The devices of each member that has any."""
        self._processes: set[str] = set()
        """All processes that have a device, and some that had one."""

    def add(self, records: Iterable[Stored]) -> None:
        """Add the next records of the stream."""
        for stored in records:
            self.sequence = stored.sequence
            member = name_of(stored.subject.rpartition(".")[2])
            if devices := parse_record(stored.data):
                self.members[member] = tuple(devices.values())
                self._processes.update(device.process for device in devices.values())
            else:
                self.members.pop(member, None)

    def present(self, live: Container[str]) -> dict[str, Member]:
        """Return the members that have a device of a process in *live*."""
        found = {}
        for member, devices in self.members.items():
            infos = [info for process, info in devices if process in live]
            if infos:
                found[member] = Member(infos[-1], len(infos))
        return found

    def count(self, live: Set[str]) -> int:
        """Return how many members have a device of a process in *live*."""
        if not self._processes <= live:
            # Some of them may have no device any more.
            self._processes = {process for devices in self.members.values() for process, _ in devices}
        if self._processes <= live:
            return len(self.members)
        return sum(any(process in live for process, _ in devices) for devices in self.members.values())


class ReadRooms:
    """The large rooms that were read last. Records that have not changed since need not be read again."""

    def __init__(self) -> None:
        self._rooms: OrderedDict[str, ReadRoom] = OrderedDict()
        self._created = ""

    def get(self, room: str, created: str) -> ReadRoom:
        """Return what is known of *room*, if the stream is still the one that was *created* then."""
        if created != self._created:
            self._rooms.clear()
            self._created = created
        return self._rooms.get(room) or ReadRoom()

    def keep(self, room: str, read: ReadRoom) -> None:
        """Keep what was read, and forget the rooms that were read longest ago if there is too much."""
        is_known = self._rooms.pop(room, None) is not None
        if len(read.members) >= _WORTH_KEEPING:
            self._rooms[room] = read
        if not is_known:
            kept = sum(len(read.members) for read in self._rooms.values())
            while kept > _MAX_KEPT and len(self._rooms) > 1:
                _, oldest = self._rooms.popitem(last=False)
                kept -= len(oldest.members)
