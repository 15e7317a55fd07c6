import json
from contextlib import suppress
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconws import JSONHandlerWS, MessagePackHandlerWS

DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(DOCUMENTS)
def test_json_documents_come_back_as_they_were(document: Any) -> None:
    handler = JSONHandlerWS()
    assert handler.deserialize(handler.serialize(document)) == document


@given(DOCUMENTS)
def test_messagepack_documents_come_back_as_they_were(document: Any) -> None:
    handler = MessagePackHandlerWS()
    assert handler.deserialize(bytes(handler.serialize(document))) == document


def test_json_is_formatted_as_falcon_does() -> None:
    assert JSONHandlerWS().serialize({"name": "Zoë", "n": [1, 2]}) == '{"name": "Zoë", "n": [1, 2]}'


@pytest.mark.parametrize("payload", ["", "{", "[1,]", "NaN", "[Infinity]", "-Infinity", "[" * 100_000, '{"a": 1} x'])
def test_what_is_not_json_raises_jsondecodeerror(payload: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        JSONHandlerWS().deserialize(payload)


def test_json_cannot_express_nan() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        JSONHandlerWS().serialize(float("nan"))


def test_other_functions_can_do_the_work() -> None:
    handler = JSONHandlerWS(dumps=lambda media: f"<{media}>", loads=lambda payload: payload[1:-1])
    assert handler.serialize("x") == "<x>"
    assert handler.deserialize("<x>") == "x"


def test_a_subclass_can_override_one_direction() -> None:
    class Upper(JSONHandlerWS):
        def serialize(self, media: object) -> str:
            return super().serialize(media).upper()

    assert Upper().serialize(["a"]) == '["A"]'


@given(st.binary(max_size=64))
def test_what_is_not_messagepack_raises_valueerror(payload: bytes) -> None:
    with suppress(ValueError):
        MessagePackHandlerWS().deserialize(payload)


@pytest.mark.parametrize(
    "payload", [b"", b"\xc1", b"\x91" * 5000, msgpack.packb([1, 2])[:-1], msgpack.packb(1) + b"\x00", b"\xa1\xff"]
)
def test_broken_messagepack_raises_valueerror(payload: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - msgpack's messages are its own
        MessagePackHandlerWS().deserialize(payload)


def test_a_lone_surrogate_of_the_application_is_sent_as_an_escape() -> None:
    """As it is, no TEXT message could have it."""
    assert JSONHandlerWS().serialize(["é", "\ud800"]) == r'["\u00e9", "\ud800"]'
    assert JSONHandlerWS().serialize("é") == '"é"'
