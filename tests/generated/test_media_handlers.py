"""Media handlers of the templates decode any payload to a value, or raise a ValueError, and nothing else.

What it makes is bounded by a multiple of what it gets. Looked at: compressed data (custom); references and large
numbers (CBOR); sizes that a payload claims and does not have (MessagePack, CBOR); the smallest items that there are
(all). For sizes that are claimed in a nest of lists, msgpack reserves addresses, but touches no memory.
"""

import tracemalloc
import types
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from falconws import BinaryBaseHandlerWS, JSONHandlerWS, MessagePackHandlerWS, TextBaseHandlerWS

TEMPLATES = Path(__file__).parents[2] / "templates" / "media_handler"
MODULE = "%package_dir%/media/%module%.py.jinja"
NAMES = sorted(path.parents[2].relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("%module%.py.jinja"))


def handler_of(name: str) -> Any:
    """Return the handler of the template *name*, or one that is shipped."""
    if name == "shipped/text":
        return JSONHandlerWS()
    if name == "shipped/binary":
        return MessagePackHandlerWS()
    lines = (TEMPLATES / name / MODULE).read_text().replace("{{ class_name }}", "Handler").splitlines()
    source = "\n".join(line for line in lines if not line.startswith("{{ from_import"))
    module = types.ModuleType("generated")
    if name == "protobuf/binary":
        from google.protobuf import struct_pb2

        source = source.replace("{{ class_prefix }}Message", "Message")
        vars(module)["Message"] = struct_pb2.Value
    exec(compile(source, name, "exec", dont_inherit=True), vars(module))
    handler: Any = module.Handler()
    return handler


TEXTS = ["shipped/text", *(name for name in NAMES if name.endswith("/text"))]
BINARIES = ["shipped/binary", *(name for name in NAMES if name.endswith("/binary"))]

NASTY_TEXTS = [
    "1e400",
    "-1e400",
    "[1e999999]",
    "1" * 400 + ".0",
    "9" * 5000,
    r'"\ud800"',
    r'"\udfff\ud800"',
    r'{"\ud83d": 1}',
    r'["\\ud800", "\ud83d\ude00"]',
    '{"$datetime": "9999-99-99"}',
    '{"$uuid": ""}',
    "NaN",
    "[" * 100_000,
    '{"a":' * 50_000,
]
NASTY_PAYLOADS = [
    b"\xc7\x0c\xff" + b"\0\0\0\0" + b"\x7f" + b"\xff" * 7,  # MessagePack: a timestamp after the year 9999
    b"\xc7\x0c\xff" + b"\xff" * 12,  # one with too many nanoseconds
    b"\xd7\xff" + b"\xff" * 8,
    b"\xc7\x05\xff" + b"\0" * 5,  # one of a length that there is not
    b"\x81\x90\x01",  # a map with an array as a key
    b"\x91" * 100_000,
    b"\xdd\xff\xff\xff\xff",
    b"\xa1\xff",
    b"\xa3\xed\xa0\x80",  # a lone surrogate in UTF-8
    b"\xc1\xfb\x7f\xef\xff\xff\xff\xff\xff\xff",  # CBOR: a time after the year 9999
    b"\xc1\xf9\x7e\x00",  # a time that is NaN
    b"\xc0\x61x",  # not a valid date
    b"\xc4\x82\x1b\x7f\xff\xff\xff\xff\xff\xff\xff\x01",  # a decimal with a large exponent
    b"\xd8\x25\x41\x00",  # a UUID of one byte
    b"\xd8\x23\x61(",  # not a valid regular expression
    b"\xd8\x1e\x82\x01\x00",  # a fraction of zero
    b"\xd8\x1c\x81\xd8\x1d\x00",  # a list that has itself
    b"\xd8\x1d\x18\xff",
    b"\xd9\x01\x04\x41\x01",  # an address of one byte
    b"\xa1\x80\x01",
    b"\xbf\xff\xff",
    *(text.encode("utf-8", "surrogatepass") for text in NASTY_TEXTS),
]


def holds(handler: Any, payload: Any) -> None:
    try:
        media = handler.deserialize(payload)
    except ValueError:
        return
    # What it has read, it can be asked to write; what it cannot express is an error of those kinds.
    try:
        handler.serialize(media)
    except (ValueError, TypeError, OverflowError, RecursionError):
        return


def test_all_templates_are_here() -> None:
    assert len(TEXTS) >= 6
    assert len(BINARIES) >= 9


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_handler_takes_anything(name: str) -> None:
    handler = handler_of(name)
    assert isinstance(handler, TextBaseHandlerWS)
    for text in NASTY_TEXTS:
        holds(handler, text)

    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.text() | st.text('[]{}":,\\\\udD8eE+-.019$ntrua').map(str))
    @example("")
    def check(text: str) -> None:
        holds(handler, text)

    check()


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("text", ["1e400", "[-1e400]", r'"\ud800"', r'{"\udc00": 1}', "NaN", "[" * 100_000])
def test_a_text_handler_refuses_what_nothing_else_can_express(name: str, text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        handler_of(name).deserialize(text)


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_handler_takes_whole_surrogate_pairs(name: str) -> None:
    handler = handler_of(name)
    assert handler.deserialize(r'["\ud83d\ude00", "\\ud800", 1.5e3]') == ["😀", r"\ud800", 1500.0]


@pytest.mark.parametrize("name", BINARIES)
def test_a_binary_handler_takes_anything(name: str) -> None:
    handler = handler_of(name)
    assert isinstance(handler, BinaryBaseHandlerWS)
    for payload in NASTY_PAYLOADS:
        holds(handler, payload)

    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.binary() | st.sampled_from(NASTY_PAYLOADS).flatmap(lambda p: st.binary(max_size=4).map(lambda b: b + p)))
    @example(b"")
    def check(payload: bytes) -> None:
        holds(handler, payload)

    check()


KIB = 1024


def references(levels: int) -> bytes:
    """Return CBOR in which each list has the one before twice: 2 to the power of *levels* lists without references."""
    lists = [b"\xd8\x1c\x82" + (b"\xd8\x1d\x18" + bytes([level])) * 2 for level in range(levels)]
    return b"\x98" + bytes([levels + 1]) + b"\xd8\x1c\x80" + b"".join(lists)


def large_integer(size: int) -> bytes:
    return b"\xc2\x5a" + size.to_bytes(4, "big") + b"\xff" * size


TEXT_BOMBS = [
    "[" + "{}," * (20 * KIB) + "{}]",
    "[" + '{"a":1},' * (8 * KIB) + "{}]",
    "[" + "[]," * (20 * KIB) + "[]]",
    "1e" + "9" * 64 * KIB,
    "0." + "9" * 64 * KIB,
    '"' + "\N{SEEDLING}" * 16 * KIB + '"',
]
BINARY_BOMBS = [
    zlib.compress(b'"' + b"x" * 100_000 * KIB + b'"', 9),
    zlib.compress(b"[" + b"{}," * 10_000 * KIB + b"{}]", 9),
    references(60),
    # A decimal of two million digits, a fraction and a string that is repeated by references.
    b"\xc4\x82\x01" + large_integer(1000 * KIB),
    b"\xc5\x82\x01" + large_integer(1000 * KIB),
    b"\xd8\x1e\x82" + large_integer(500 * KIB) * 2,
    b"\xd9\x01\x00\x9a\x00\x00\x40\x00\x59\x80\x00" + b"x" * 32 * KIB + b"\xd8\x19\x00" * (16 * KIB - 1),
    # Sizes that are not there.
    b"\xdd\x7f\xff\xff\xff",
    b"\x9b\x00\x00\x00\x00\x7f\xff\xff\xff",
    b"\x5b\x00\x00\x00\x00\x7f\xff\xff\xff",
    # The smallest items: lists and maps without anything in them.
    b"\xdd" + (64 * KIB).to_bytes(4, "big") + b"\x80" * 64 * KIB,
    b"\x9a" + (64 * KIB).to_bytes(4, "big") + b"\xa0" * 64 * KIB,
    *(text.encode() for text in TEXT_BOMBS),
]
_LARGEST_MULTIPLE = 100
"""An empty map has one byte in MessagePack, and 64 as an object, beside 8 in the list that has it."""


@pytest.mark.parametrize("name", [*TEXTS, *BINARIES])
def test_what_a_handler_makes_is_bounded_by_what_it_gets(name: str) -> None:
    handler = handler_of(name)
    for payload in TEXT_BOMBS if name in TEXTS else BINARY_BOMBS:
        tracemalloc.start()
        try:
            # With an echo, a client also has it written: references would be as many values.
            holds(handler, payload)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        # The limit of the handler for compressed messages is 1 MiB, which can be the smallest items too.
        allowed = _LARGEST_MULTIPLE * (1000 * KIB if name.startswith("custom") else len(payload) + 10 * KIB)
        assert peak < allowed, (payload[:20], peak)
