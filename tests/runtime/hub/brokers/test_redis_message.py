"""What is read from a room's stream and channel on Redis, whoever has written it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconws.hub import Position
from falconws.hub.broker import Publication
from falconws.hub.brokers.redis.codec import Came, Went, encode, follow_each_other, read_entry, read_passed_on

names = st.text(st.characters(codec="utf-8"), min_size=1)
payloads = st.one_of(st.text(st.characters(codec="utf-8")), st.binary())
keys = st.one_of(st.none(), st.text(st.characters(codec="utf-8")))
offsets = st.integers(0, 2**53)
words = st.lists(st.one_of(st.sampled_from([b"m", b"j", b"l", b"e0", b"0", b"1", b"t", b"b", b"-"]), st.binary()))


@given(offsets, offsets, payloads, keys)
def test_a_publication_is_read_as_it_was_written(
    offset: int, previous: int, payload: str | bytes, key: str | None
) -> None:
    kind, data = encode(payload)
    written = Publication("room", payload, Position("e0", offset), previous, key)
    name = b"" if key is None else key.encode()
    size = b"-" if key is None else b"%d" % len(name)
    assert read_passed_on("room", b"m e0 %d %d %b %b\n%b%b" % (offset, previous, kind, size, name, data)) == written
    fields = [b"n", b"nonce", b"p", b"%d" % previous, b"t", kind, b"d", data, *([] if key is None else [b"k", name])]
    assert read_entry("room", "e0", b"%d-0" % offset, fields) == written


@given(names, st.binary())
def test_comings_are_read_as_they_were_written(member: str, info: bytes) -> None:
    name = member.encode()
    assert read_passed_on("room", b"j %d\n%b%b" % (len(name), name, info)) == Came(member, info)
    assert read_passed_on("room", b"l\n" + name) == Went(member)


@given(words, st.binary(), st.booleans())
def test_whatever_comes_by_a_channel_nothing_is_raised(head: list[bytes], body: bytes, ends: bool) -> None:
    told = read_passed_on("room", b" ".join(head) + (b"\n" if ends else b"") + body)
    assert told is None or isinstance(told, Publication | Came | Went)


@given(st.binary(), st.lists(st.one_of(st.sampled_from([b"p", b"t", b"d", b"k", b"1"]), st.binary())))
def test_whatever_is_in_a_stream_nothing_is_raised(entry_id: bytes, fields: list[bytes]) -> None:
    told = read_entry("room", "e0", entry_id, fields)
    assert told is None or isinstance(told, Publication)


@pytest.mark.parametrize(
    ("chain", "complete"),
    [([], False), ([(3, 2), (5, 3)], True), ([(5, 3)], False), ([(3, 2)], False), ([(3, 2), (5, 4)], False)],
)
def test_what_follows_each_other_from_first_to_last_is_complete(chain: list[tuple[int, int]], complete: bool) -> None:
    publications = [Publication("room", "", Position("e0", offset), previous) for offset, previous in chain]
    assert follow_each_other(publications, 2, 5) is complete


def test_nothing_is_all_where_nothing_was_published() -> None:
    assert follow_each_other([], 5, 5)
