"""Messages out of fragments: order, limits, UTF-8 across their borders."""

import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconws.server.errors import ProtocolError
from falconws.server.websocket.assembler import Compressed, MessageAssembler

CONTINUATION, TEXT, BINARY = 0, 1, 2


def assembler(**limits):
    return MessageAssembler(**{"max_message_bytes": 1000, **limits})


def refuses(code, assembler, *frame, **flags):
    with pytest.raises(ProtocolError) as caught:
        assembler.add(*frame, **flags)
    assert caught.value.code == code


@given(st.text(max_size=200), st.lists(st.integers(0, 800), max_size=10))
def test_text_cut_anywhere_comes_out_whole(text, cuts):
    data = text.encode()
    borders = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(borders)]
    subject = assembler()
    results = [
        subject.add(CONTINUATION if i else TEXT, piece, fin=i == len(pieces) - 1) for i, piece in enumerate(pieces)
    ]
    assert results == [None] * (len(pieces) - 1) + [text]
    assert not subject.within_message


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=20))
def test_binary_fragments_come_out_joined(pieces):
    subject = assembler()
    last = len(pieces) - 1
    results = [subject.add(CONTINUATION if i else BINARY, p, fin=i == last) for i, p in enumerate(pieces)]
    assert results == [None] * last + [b"".join(pieces)]


@given(st.binary(min_size=1, max_size=60), st.lists(st.integers(0, 60), max_size=4))
def test_text_is_refused_exactly_when_it_is_not_utf8(data, cuts):
    borders = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(borders)]
    subject = assembler()
    try:
        expected = data.decode()
    except UnicodeDecodeError:
        expected = None
    result = None
    try:
        for i, piece in enumerate(pieces):
            result = subject.add(CONTINUATION if i else TEXT, piece, fin=i == len(pieces) - 1)
    except ProtocolError as error:
        result = error.code
    assert result == (1007 if expected is None else expected)


def test_bad_utf8_is_refused_before_the_message_ends():
    subject = assembler()
    subject.add(TEXT, b"\xce\xba\xe1", fin=False)
    refuses(1007, subject, CONTINUATION, b"\xff", fin=False)


def test_a_continuation_needs_a_beginning():
    refuses(1002, assembler(), CONTINUATION, b"x", fin=True)


def test_a_new_message_waits_for_the_end_of_the_last():
    subject = assembler()
    subject.add(TEXT, b"one", fin=False)
    refuses(1002, subject, TEXT, b"two", fin=True)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_the_limit_counts_the_whole_message(opcode):
    subject = assembler(max_message_bytes=10)
    assert subject.add(opcode, b"12345", fin=False) is None
    assert subject.add(CONTINUATION, b"67890", fin=False) is None
    refuses(1009, subject, CONTINUATION, b"x", fin=True)


def test_empty_fragments_count():
    subject = assembler(max_fragments=3)
    for opcode in (BINARY, CONTINUATION, CONTINUATION, CONTINUATION):
        assert subject.add(opcode, b"", fin=False) is None
    refuses(1009, subject, CONTINUATION, b"", fin=True)


def test_the_limit_starts_anew_with_each_message():
    subject = assembler(max_message_bytes=3)
    for _ in range(5):
        assert subject.add(BINARY, b"ab", fin=False) is None
        assert subject.add(CONTINUATION, b"c", fin=True) == b"abc"


def test_rsv1_without_compression_is_a_protocol_error():
    refuses(1002, assembler(), TEXT, b"x", fin=True, rsv1=True)


def test_rsv1_marks_a_compressed_message_on_its_first_frame_only():
    subject = assembler(compression=True)
    assert subject.add(TEXT, b"\xff", fin=False, rsv1=True) is None
    assert subject.add(CONTINUATION, b"\xfe", fin=True) == Compressed(TEXT, b"\xff\xfe")
    subject.add(TEXT, b"\xff", fin=False, rsv1=True)
    refuses(1002, subject, CONTINUATION, b"", fin=True, rsv1=True)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_costs_no_more_memory_in_many_fragments_than_in_one(opcode):
    subject = assembler(max_message_bytes=1_048_576)
    tracemalloc.start()
    try:
        subject.add(opcode, b"x" * 16, fin=False)
        for _ in range(65_000):
            subject.add(CONTINUATION, b"x" * 16, fin=False)
        held = tracemalloc.get_traced_memory()[0]
        whole = subject.add(CONTINUATION, b"", fin=True)
    finally:
        tracemalloc.stop()
    assert len(whole) == 65_001 * 16
    assert held < 1.2 * 1_048_576
