import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconws.log_text import InputFilter, escape_for_log, redact_query

ANYTHING = st.text(alphabet=st.characters(codec=None))


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("", ""),
        ("plain /path?q=é 世 😀", "plain /path?q=é 世 😀"),
        ("a\r\nINFO: forged", "a\\r\\nINFO: forged"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\0\x7f\x85\u2028\u2029", "\\x00\\x7f\\x85\\u2028\\u2029"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\ud800", "\\ud800"),
        ("x" * 201, "x" * 200 + "... (1 more characters)"),
        ("é" * 201, "é" * 100 + "... (101 more characters)"),
        ("\n" * 201, "\\n" * 100 + "... (101 more characters)"),
    ],
)
def test_what_cannot_be_printed_is_escaped_and_what_is_long_is_cut(text: str, escaped: str) -> None:
    assert escape_for_log(text) == escaped


@given(ANYTHING)
def test_the_result_is_one_printable_line_of_limited_size(text: str) -> None:
    escaped = escape_for_log(text)
    assert escaped.isprintable()
    assert len(escaped.encode()) <= 240


@pytest.mark.parametrize(
    ("url", "redacted"),
    [
        ("/ws?token=secret", "/ws?token=***"),
        ("/ws?a=1&access_token=secret&b=2", "/ws?a=1&access_token=***&b=2"),
        ("/ws?TOKEN=secret", "/ws?TOKEN=***"),
        ("/ws?%74oken=secret", "/ws?%74oken=***"),
        ("/ws?to%6Ben=secret;x=1", "/ws?to%6Ben=***"),
        ("token=secret", "token=***"),
        ("/ws?token=a&token=b", "/ws?token=***&token=***"),
        ("/ws?mytoken=shown&tokens=shown&token", "/ws?mytoken=shown&tokens=shown&token"),
        ("/token=shown", "/token=shown"),
        ("/ws?token=", "/ws?token=***"),
        ("/ws?token=se;cret", "/ws?token=***"),
        ("/ws?token=se\"cr'et&a=1", "/ws?token=***&a=1"),
        ("/ws?next=/in?token=secret", "/ws?next=/in?token=***"),
        ("/ws?next=%2Fin%3Ftoken%3Dsecret", "/ws?next=%2Fin%3Ftoken%3D***"),
        ("/ws?next=%2Fin%3Fa%3D1%26token%3dsecret&b=2", "/ws?next=%2Fin%3Fa%3D1%26token%3d***&b=2"),
    ],
)
def test_values_of_secret_parameters_are_masked(url: str, redacted: str) -> None:
    assert redact_query(url) == redacted


def test_the_names_of_secret_parameters_can_be_chosen() -> None:
    assert redact_query("/?token=shown&sig.v=secret", ("sig.v",)) == "/?token=shown&sig.v=***"
    assert redact_query("/?token=shown", ()) == "/?token=shown"


@given(ANYTHING)
def test_a_filtered_record_is_one_line_without_secrets(text: str) -> None:
    record = logging.LogRecord(
        "uvicorn.access", logging.INFO, "", 0, '%s - "GET %s" %d', ("1.2.3.4:5", f"/?token=SECRET&{text}", 200), None
    )
    assert InputFilter().filter(record)
    line = record.getMessage()
    assert line.isprintable()
    assert "SECRET" not in line
    assert len(line.encode()) < 1100
