"""Decoding of a room's stream and channel on Redis, whichever program has written them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconws.hub import Position
from falconws.hub.broker import EphemeralPublication, Publication
from falconws.hub.brokers.presence import MemberEvent
from falconws.hub.brokers.redis.codec import (
    decode_entry,
    decode_push,
    encode,
    encode_ephemeral,
    is_contiguous,
)

names = st.text(st.characters(codec="utf-8"), min_size=1)
payloads = st.one_of(st.text(st.characters(codec="utf-8")), st.binary())
keys = st.one_of(st.none(), st.text(st.characters(codec="utf-8")))
offsets = st.integers(0, 2**53)
excluded = st.none() | st.from_regex("[a-z0-9]{1,16}", fullmatch=True)
words = st.lists(st.one_of(st.sampled_from([b"m", b"e", b"j", b"l", b"e0", b"0", b"1", b"t", b"b", b"-"]), st.binary()))


@given(offsets, offsets, payloads, keys, excluded)
def test_a_publication_is_decoded_as_it_was_written(
    offset: int, previous: int, payload: str | bytes, key: str | None, exclude: str | None
) -> None:
    kind, data = encode(payload)
    written = Publication("room", payload, Position("e0", offset), previous, key, exclude)
    name = b"" if key is None else key.encode()
    size = b"-" if key is None else b"%d" % len(name)
    other = b"-" if exclude is None else exclude.encode()
    head = b"m e0 %d %d %b %b %b\n" % (offset, previous, kind, size, other)
    assert decode_push("room", head + name + data) == written
    fields = [b"n", b"nonce", b"p", b"%d" % previous, b"t", kind, b"d", data, *([] if key is None else [b"k", name])]
    fields += [] if exclude is None else [b"x", other]
    assert decode_entry("room", "e0", b"%d-0" % offset, fields) == written


@given(payloads, keys, excluded)
def test_an_ephemeral_message_is_decoded_as_it_was_encoded(
    payload: str | bytes, key: str | None, exclude: str | None
) -> None:
    data = encode_ephemeral(payload, key, exclude)
    assert decode_push("room", data) == EphemeralPublication("room", payload, key, exclude)


@given(names, st.binary())
def test_presence_events_are_decoded_as_they_were_written(member: str, info: bytes) -> None:
    name = member.encode()
    assert decode_push("room", b"j 1 %d\n%b%b" % (len(name), name, info)) == MemberEvent("joined", member, info, 1)
    assert decode_push("room", b"u 2 %d\n%b%b" % (len(name), name, info)) == MemberEvent("updated", member, info, 2)
    assert decode_push("room", b"l 0 %d\n%b" % (len(name), name)) == MemberEvent("left", member, b"", 0)


@given(words, st.binary(), st.booleans())
def test_arbitrary_channel_data_never_raises(head: list[bytes], body: bytes, ends: bool) -> None:
    told = decode_push("room", b" ".join(head) + (b"\n" if ends else b"") + body)
    assert told is None or isinstance(told, Publication | EphemeralPublication | MemberEvent)


@given(st.binary(), st.lists(st.one_of(st.sampled_from([b"p", b"t", b"d", b"k", b"1"]), st.binary())))
def test_arbitrary_stream_entries_never_raise(entry_id: bytes, fields: list[bytes]) -> None:
    told = decode_entry("room", "e0", entry_id, fields)
    assert told is None or isinstance(told, Publication)


@pytest.mark.parametrize(
    ("chain", "complete"),
    [([], False), ([(3, 2), (5, 3)], True), ([(5, 3)], False), ([(3, 2)], False), ([(3, 2), (5, 4)], False)],
)
def test_publications_that_follow_each_other_are_contiguous(chain: list[tuple[int, int]], complete: bool) -> None:
    publications = [Publication("room", "", Position("e0", offset), previous) for offset, previous in chain]
    assert is_contiguous(publications, 2, 5) is complete


def test_no_publications_are_contiguous_where_none_was_published() -> None:
    assert is_contiguous([], 5, 5)
