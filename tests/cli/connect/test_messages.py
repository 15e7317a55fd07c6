"""Messages as they are typed and read."""

import datetime
import json
import re

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconws_cli.connect.messages import Payload, encode, indent, kind_of, media_of, plain, printable, readable

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
CONTAINERS = st.lists(JSON) | st.dictionaries(st.text(), JSON)


@pytest.mark.parametrize(
    ("line", "payload", "message"),
    [
        ("grüße", Payload.TEXT, "grüße"),
        ("grüße", Payload.BINARY, "grüße".encode()),
        ("00 ffFE", Payload.HEX, b"\x00\xff\xfe"),
        ('{"id": 7}', Payload.MSGPACK, msgpack.packb({"id": 7})),
        ("", Payload.TEXT, ""),
    ],
)
def test_a_line_becomes_a_message(line: str, payload: Payload, message: str | bytes) -> None:
    assert encode(line, payload) == message


@pytest.mark.parametrize(
    ("line", "payload", "problem"),
    [
        ("0", Payload.HEX, "is not hexadecimal"),
        ("xy", Payload.HEX, "is not hexadecimal"),
        ("{", Payload.MSGPACK, "is not JSON"),
        ("1" + "0" * 30, Payload.MSGPACK, "is not JSON that MessagePack can encode"),
        ("[" * 100_000, Payload.MSGPACK, "is not JSON"),
    ],
)
def test_a_line_that_is_no_message_says_why(line: str, payload: Payload, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        encode(line, payload)


@given(CONTAINERS)
def test_messagepack_is_shown_as_json(value: object) -> None:
    line = json.dumps(value)
    try:
        message = encode(line, Payload.MSGPACK)
    except ValueError:
        # An integer of more than 64 bits, or half of a surrogate pair.
        return
    assert json.loads(plain(message)) == value
    assert kind_of(message).startswith("(MessagePack, ")


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (b"\x05", "05"),
        (b"hello", "68656c6c6f"),
        (b"", ""),
        (b"\xc1\xff", "c1ff"),
        (msgpack.packb({"at": datetime.datetime(2030, 1, 31, tzinfo=datetime.UTC)}, datetime=True), "2030-01-31T00:00"),
        (msgpack.packb({"raw": b"\x01\x02"}), '{"raw": "0102"}'),
        (msgpack.packb({1: "one"}), '{"1": "one"}'),
    ],
)
def test_bytes_are_messagepack_only_when_they_surely_are(message: bytes, shown: str) -> None:
    assert shown in plain(message)


def test_a_lone_number_is_messagepack_where_messagepack_is_spoken() -> None:
    assert plain(b"\x05", scalars=True) == "5"
    assert kind_of(b"\x05", scalars=True) == "(MessagePack, 1 byte)"
    assert kind_of(b"\x05") == "(BINARY, 1 byte)"


@given(JSON)
def test_indenting_changes_nothing_but_spaces(value: object) -> None:
    text = json.dumps(value)
    indented = indent(text)
    assert json.loads(indented) == value

    def without_spaces(document: str) -> str:
        return re.sub(r'("(?:[^"\\]|\\.)*")|\s+', r"\1", document)

    assert without_spaces(indented) == without_spaces(text)


def test_a_wide_document_is_shown_as_it_was_written_one_item_a_line() -> None:
    text = '{"a":1.50,"a":[],"b":[1e400,{}]}'
    assert readable(text, 80) == text
    assert readable(text, 20) == '{\n  "a": 1.50,\n  "a": [],\n  "b": [\n    1e400,\n    {}\n  ]\n}'


def test_a_long_message_is_cut_and_says_so() -> None:
    assert readable("x" * 25_000, 80).endswith("x ... (5,000 more characters)")
    assert len(readable(json.dumps(["x"] * 10_000), 80)) < 21_000


@given(st.text())
def test_what_is_shown_cannot_steer_a_terminal(text: str) -> None:
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", readable(text, 80))


def test_an_escape_sequence_is_spelled_out() -> None:
    assert printable("\x1b[2J\ttext\n") == "\\x1b[2J\ttext\n"


@given(st.text(), st.booleans())
def test_json_is_what_python_reads_as_json(text: str, scalars: bool) -> None:
    try:
        value = json.loads(text)
    except ValueError:
        assert media_of(text, scalars=scalars) is None
    else:
        found = media_of(text, scalars=scalars)
        assert found is not None
        assert found.text == text
        assert json.dumps(found.value) == json.dumps(value)
