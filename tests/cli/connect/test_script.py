"""Expectations, and the lines of standard input."""

import asyncio
import json
import os

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconws_cli.connect.script import Expectation, read_lines
from falconws_cli.errors import RefusedError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("expected", "message", "met"),
    [
        ("pong", "pong", True),
        ("pong", "pong ", False),
        ("pong", "ping-pong", False),
        ('{"a": 1, "b": [2]}', '{"b":[2],"a":1}', True),
        ('{"a": 1}', '{"a": true}', False),
        ('{"a": 1}', '{"a": 1.0}', False),
        ('{"a": 1}', msgpack.packb({"a": 1}), True),
        ('{"a": 1}', '{"a": 1, "b": 2}', False),
        ("/^po.g$/", "pong", True),
        ("/o/", "pong", True),
        ("/x/", "pong", False),
        ('/"a": 1/', msgpack.packb({"a": 1}), True),
        ("00 FF", b"\x00\xff", True),
        ("00ff", "00ff", True),
        ("00ff", b"\x00", False),
        ("/", "/", True),
        ("//", "//", True),
        ("", "", True),
    ],
)
def test_what_meets_an_expectation(expected: str, message: str | bytes, met: bool) -> None:
    assert Expectation(expected).matches(message) is met


@given(st.text().filter(lambda text: not (len(text) > 2 and text.startswith("/") and text.endswith("/"))))
def test_every_message_meets_its_own_words(text: str) -> None:
    assert Expectation(text).matches(text)


@given(JSON)
def test_every_value_meets_any_spelling_of_it(value: object) -> None:
    assert Expectation(json.dumps(value)).matches(json.dumps(value, indent=3, ensure_ascii=False, sort_keys=True))


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"/\(/ is not a valid regular expression"):
        Expectation("/(/")


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"one\ntwo\n", ["one", "two"]),
        (b"one\r\n\r\ntwo", ["one", "", "two"]),
        (b"\xff\n", ["\ufffd"]),
        (b"x" * 200_000 + b"\n" + b"y\n" * 1000, ["x" * 200_000, *["y"] * 1000]),
    ],
)
async def test_lines_come_as_they_are_written(data: bytes, lines: list[str]) -> None:
    theirs, ours = os.pipe()

    def write() -> None:
        with os.fdopen(ours, "wb") as file:
            file.write(data)

    writing = asyncio.get_running_loop().run_in_executor(None, write)
    async with asyncio.timeout(60):
        assert [line async for line in read_lines(theirs)] == lines
        await writing
    os.close(theirs)
