import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconws.headers import clean_headers


@pytest.mark.parametrize("value", [b"", b"a", b"a b\tc", "é".encode(), bytes(range(0x80, 0x100))])
def test_a_value_on_one_line_passes(value: bytes) -> None:
    headers = [(b"x-a", value), (b"!#$%&'*+-.^_`|~09AZaz", b"")]
    assert clean_headers(headers) == headers
    assert clean_headers([(b"x-a", b"\t " + value + b" \t")]) == headers[:1]


@pytest.mark.parametrize("name", [b"", b"x a", b"x:a", b"x\r\ny", b"x\n", b"x\0", b"\xc3\xa9", b"x\t"])
def test_a_name_that_is_no_token_is_refused(name: bytes) -> None:
    with pytest.raises(ValueError, match="must be a token"):
        clean_headers([(b"x-a", b"1"), (name, b"2")])


@given(st.binary(), st.sampled_from([b"\r", b"\n", b"\0", b"\r\n", b"\x0b", b"\x1b", b"\x7f"]), st.binary())
def test_a_value_with_a_control_character_is_refused(before: bytes, bad: bytes, after: bytes) -> None:
    with pytest.raises(ValueError, match="a control character") as caught:
        clean_headers([(b"x-a", before + bad + after)])
    assert re.search(r"[\x00-\x1f\x7f]", str(caught.value)) is None
