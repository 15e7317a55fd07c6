from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconws import Position

EPOCHS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=64)


@given(EPOCHS, st.integers(0, 2**63 - 1))
def test_text_and_back(epoch: str, offset: int) -> None:
    position = Position(epoch, offset)
    assert str(position) == f"{epoch}:{offset}"
    assert Position.parse(str(position)) == position


@given(st.text(max_size=100))
def test_any_text_is_a_position_or_a_value_error(text: str) -> None:
    try:
        position = Position.parse(text)
    except ValueError:
        return
    assert 0 <= position.offset < 2**63
    assert 0 < len(position.epoch) <= 64


@pytest.mark.parametrize(
    "text",
    ["", ":", "e:", ":1", "1", "e:-1", "e:+1", "e: 1", "e:1 ", "e:١", "e:²", "e:1.0", "é:1", "e\n:1"],
)
def test_texts_that_are_not_positions(text: str) -> None:
    with pytest.raises(ValueError, match=r"^Not a position"):
        Position.parse(text)


@pytest.mark.parametrize("text", [None, 5, b"", b"e:1", Position("e", 1)])
def test_a_position_is_read_from_text_only(text: Any) -> None:
    with pytest.raises(TypeError, match=r"^Position\.parse\(\) takes a str, .*, not \w+\.$"):
        Position.parse(text)


@pytest.mark.parametrize("text", ["e" * 65 + ":1", "e:" + "9" * 19, "e:" + "9" * 5000])
def test_texts_that_are_too_long(text: str) -> None:
    with pytest.raises(ValueError, match=r"^Not a position"):
        Position.parse(text)
