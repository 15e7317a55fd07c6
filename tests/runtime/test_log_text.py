"""Text from outside cannot forge a log line, fill the log, or leave a secret in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconws.log_text import escape_for_log, redact_url


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain /path?x=1", "plain /path?x=1"),
        ("a\r\nINFO: forged", "a\\x0d\\x0aINFO: forged"),
        ("\x1b[31mred\x07\x00\x7f", "\\x1b[31mred\\x07\\x00\\x7f"),
        ("\x85\u2028\u2029", "\\x85\\u2028\\u2029"),
        ("\u202egnp.exe\u2066", "\\u202egnp.exe\\u2066"),
        ("caf\xe9 \U0001f600", "caf\xe9 \U0001f600"),
        ("\ud800", "\\ud800"),
        (b"a\nb\xe9", "a\\x0ab\xe9"),
        (None, "None"),
    ],
)
def test_control_characters_are_escaped(text, escaped):
    assert escape_for_log(text) == escaped


@given(st.one_of(st.text(), st.binary()), st.integers(3, 50))
def test_any_text_is_one_short_line(text, limit):
    escaped = escape_for_log(text, limit)
    assert len(escaped) <= limit
    assert len(escaped.splitlines()) <= 1
    escaped.encode()


@pytest.mark.parametrize(
    ("url", "redacted"),
    [
        ("/a?token=secret", "/a?token=***"),
        ("/a?b=c&token=secret&d=e", "/a?b=c&token=***&d=e"),
        ("/a?ACCESS_TOKEN=secret;token=x", "/a?ACCESS_TOKEN=***;token=***"),
        ("/a?access%5Ftoken=secret&%74oken=x", "/a?access%5Ftoken=***&%74oken=***"),
        ("/a?+token=x&token", "/a?+token=***&token"),
        ("/a?x=1?token=secret", "/a?x=1?token=***"),
        ("/a?tokens=public&mytoken=x", "/a?tokens=public&mytoken=x"),
        ("/token=x", "/token=x"),
    ],
)
def test_secret_query_parameters_are_masked(url, redacted):
    assert redact_url(url, {"token", "access_token"}) == redacted
