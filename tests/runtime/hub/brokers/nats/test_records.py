"""What a process keeps of the records that it has read of a room."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconws.hub import Member
from falconws.hub.brokers.nats import records
from falconws.hub.brokers.nats.codec import token_of
from falconws.hub.brokers.nats.jetstream import Stored
from falconws.hub.brokers.nats.records import Device, ReadRoom, ReadRooms, encode_record

CREATED = "2026-01-01T00:00:00Z"
PROCESSES = ("p1", "p2", "p3")

devices = st.dictionaries(st.sampled_from("abc"), st.builds(Device, st.sampled_from(PROCESSES), st.binary(max_size=3)))
changes = st.lists(st.tuples(st.sampled_from(["ada", "b ö.b", "eve"]), devices | st.none()), max_size=12)


def stored(sequence: int, member: str, devices: dict[str, Device] | None) -> Stored:
    data = b"of another program" if devices is None else encode_record(devices)
    return Stored(f"prefix.who.room.{token_of(member)}", sequence, CREATED, {}, data)


@given(changes, st.integers(1, 5), st.sets(st.sampled_from(PROCESSES)))
def test_the_newest_record_of_each_member_counts(
    changes: list[tuple[str, dict[str, Device] | None]], size: int, live: set[str]
) -> None:
    messages = [stored(number, *change) for number, change in enumerate(changes, 1)]
    room = ReadRoom()
    for first in range(0, len(messages), size):
        room.add(messages[first : first + size])
        room.count(live)
    expected = {}
    for member, newest in dict(changes).items():
        infos = [device.info for device in (newest or {}).values() if device.process in live]
        if infos:
            expected[member] = Member(infos[-1], len(infos))
    assert room.sequence == len(messages)
    assert room.present(live) == expected
    assert room.count(live) == len(expected)


def room_of(members: int) -> ReadRoom:
    room = ReadRoom()
    room.add(stored(number, f"member {number}", {"d": Device("p1", b"")}) for number in range(1, members + 1))
    return room


def test_only_large_rooms_are_kept_until_the_stream_is_another() -> None:
    kept = ReadRooms()
    large, small = room_of(records._WORTH_KEEPING), room_of(records._WORTH_KEEPING - 1)
    for name, room in (("large", large), ("small", small)):
        assert kept.get(name, CREATED).sequence == 0
        kept.keep(name, room)
    assert kept.get("large", CREATED) is large
    assert kept.get("small", CREATED).sequence == 0
    assert kept.get("large", "later").sequence == 0
    assert kept.get("large", CREATED).sequence == 0


def test_the_rooms_that_were_read_longest_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_MAX_KEPT", 300)
    kept = ReadRooms()
    for name in "abc":
        kept.get(name, CREATED)
        kept.keep(name, room_of(100))
    kept.keep("a", kept.get("a", CREATED))
    kept.keep("d", room_of(150))
    assert [name for name in "abcd" if kept.get(name, CREATED).sequence] == ["a", "d"]
    kept.keep("huge", room_of(400))
    assert [name for name in ("a", "d", "huge") if kept.get(name, CREATED).sequence] == ["huge"]
