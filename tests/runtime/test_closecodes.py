import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconws.closecodes import CloseCode, check_close, http_status_to_close_code, is_sendable, meaning_of

ROOT = Path(__file__).parents[2]

# RFC 6455 section 7.4 and the IANA registry, restated.
SENDABLE = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}


@given(st.integers(min_value=-1, max_value=70_000))
def test_only_codes_that_may_be_on_the_wire_pass(code: int) -> None:
    assert is_sendable(code) == (code in SENDABLE)
    if code in SENDABLE:
        check_close(code, None)
    else:
        with pytest.raises(ValueError, match=r"close code"):
            check_close(code, None)


@pytest.mark.parametrize("code", ["1000", 1000.0, None, True])
def test_a_code_that_is_no_number_is_refused(code: object) -> None:
    with pytest.raises(ValueError, match="close code"):
        check_close(code, None)


@given(st.text(max_size=130))
def test_a_reason_fits_into_a_control_frame_or_is_refused(reason: str) -> None:
    try:
        size = len(reason.encode())
    except UnicodeEncodeError:
        size = 124
    if size <= 123:
        check_close(1000, reason)
    else:
        with pytest.raises(ValueError, match=r"reason|surrogates"):
            check_close(1000, reason)


def test_a_reason_that_is_no_text_is_refused() -> None:
    with pytest.raises(ValueError, match="must be a str, not bytes"):
        check_close(1000, b"bye")


def test_names_stand_for_the_registered_numbers() -> None:
    assert {code.name: code.value for code in CloseCode} == {
        "NORMAL": 1000,
        "GOING_AWAY": 1001,
        "PROTOCOL_ERROR": 1002,
        "UNSUPPORTED_DATA": 1003,
        "NO_STATUS": 1005,
        "ABNORMAL": 1006,
        "INVALID_PAYLOAD": 1007,
        "POLICY_VIOLATION": 1008,
        "MESSAGE_TOO_BIG": 1009,
        "MANDATORY_EXTENSION": 1010,
        "INTERNAL_ERROR": 1011,
        "SERVICE_RESTART": 1012,
        "TRY_AGAIN_LATER": 1013,
        "BAD_GATEWAY": 1014,
    }


def test_http_statuses_follow_falcons_mapping() -> None:
    assert http_status_to_close_code(404) == 3404


# The numbers are written once


def close_codes_in(source: str) -> Iterator[int]:
    """Yield the lines of *source* with a literal close code.

    1000 to 1015 count as close codes, except for operands of arithmetic and of comparisons by size. Other amounts are
    written with an underscore: ``1_000``.
    """
    tree = ast.parse(source)
    amounts: set[ast.expr] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp):
            amounts |= {node.left, node.right}
        elif isinstance(node, ast.Compare) and not isinstance(node.ops[0], ast.Eq | ast.NotEq | ast.In | ast.NotIn):
            amounts |= {node.left, *node.comparators}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and type(node.value) is int
            and 1000 <= node.value <= 1015
            and node not in amounts
            and "_" not in (ast.get_source_segment(source, node) or "")
        ):
            yield node.lineno


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("ws.close(1000)", 1),
        ("GOOD = (1000, 1001)", 2),
        ("if code == 1006: pass", 1),
        ("KNOWN = frozenset({*range(1007, 1015)})", 2),
        ("def close(code=1011): ...", 1),
        ("seconds = ms / 1000", 0),
        ("if us < 1000: pass", 0),
        ("BATCH = 1_000", 0),
        ("x = '1000', 1016, 999", 0),
    ],
)
def test_a_literal_close_code_is_told_from_an_amount(source: str, found: int) -> None:
    assert len(list(close_codes_in(source))) == found


def test_no_module_but_closecodes_has_a_literal_close_code() -> None:
    paths = [*ROOT.joinpath("runtime/falconws").rglob("*.py"), *ROOT.joinpath("falconws_cli").rglob("*.py")]
    literals = [
        f"{name}:{line}"
        for path in paths
        if (name := path.relative_to(ROOT).as_posix()) != "runtime/falconws/closecodes.py"
        for line in close_codes_in(path.read_text())
    ]
    assert literals == []


@pytest.mark.parametrize("code", CloseCode)
def test_every_registered_code_has_a_meaning_in_words(code: CloseCode) -> None:
    assert meaning_of(code)


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (1012, "the server restarts"),
        (3404, "HTTP status 404 Not Found, after the handshake"),
        (3999, ""),
        (4001, "The room was closed"),
        (4002, ""),
        (1004, ""),
        (70_000, ""),
    ],
)
def test_a_code_in_words(code: int, meaning: str) -> None:
    assert meaning_of(code, {4001: "The room was closed"}) == meaning


def test_the_application_says_what_its_codes_mean() -> None:
    assert meaning_of(4403) != meaning_of(4403, {4403: "You are out."}) == "You are out."
