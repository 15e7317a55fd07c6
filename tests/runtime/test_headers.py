import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconws.headers import check_headers


@pytest.mark.parametrize("value", [b"", b"a", b"a b\tc", "é".encode(), bytes(range(0x80, 0x100)), b"\x01\x0b\x85"])
def test_a_value_on_one_line_passes(value: bytes) -> None:
    check_headers([(b"x-a", value), (b"!#$%&'*+-.^_`|~09AZaz", b"")])


@pytest.mark.parametrize("name", [b"", b"x a", b"x:a", b"x\r\ny", b"x\n", b"x\0", b"\xc3\xa9", b"x\t"])
def test_a_name_that_is_no_token_is_refused(name: bytes) -> None:
    with pytest.raises(ValueError, match="must be a token"):
        check_headers([(b"x-a", b"1"), (name, b"2")])


@given(st.binary(), st.sampled_from([b"\r", b"\n", b"\0", b"\r\n"]), st.binary())
def test_a_value_with_a_line_break_or_nul_is_refused(before: bytes, bad: bytes, after: bytes) -> None:
    with pytest.raises(ValueError, match="line break or NUL") as caught:
        check_headers([(b"x-a", before + bad + after)])
    assert re.search(r"[\r\n\0]", str(caught.value)) is None
