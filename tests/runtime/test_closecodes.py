import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconws.closecodes import CloseCode, check_close, http_status_to_close_code

# RFC 6455 section 7.4 and the IANA registry, restated.
SENDABLE = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}


@given(st.integers(min_value=-1, max_value=70_000))
def test_only_codes_that_may_be_on_the_wire_pass(code: int) -> None:
    if code in SENDABLE:
        check_close(code, None)
    else:
        with pytest.raises(ValueError, match=r"close code"):
            check_close(code, None)


@pytest.mark.parametrize("code", ["1000", 1000.0, None, True])
def test_a_code_that_is_no_number_is_refused(code: object) -> None:
    with pytest.raises(ValueError, match="close code"):
        check_close(code, None)  # type: ignore[arg-type]


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
        check_close(1000, b"bye")  # type: ignore[arg-type]


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
