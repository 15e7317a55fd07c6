import logging
from functools import partial
from typing import Any

import pytest

from falconws import log_throttle
from falconws.log_throttle import LogThrottle


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(log_throttle, "monotonic", lambda: now[0])
    return now


def is_logged(log: LogThrottle, function: object, caplog: pytest.LogCaptureFixture) -> bool:
    caplog.clear()
    try:
        raise LookupError
    except LookupError:
        log.log_failure(function, "%s has failed", "it")
    return any(record.levelno == logging.ERROR for record in caplog.records)


def make(number: int) -> Any:
    def function() -> int:
        return number

    return function


class Thing:
    __hash__ = None

    def method(self) -> None: ...

    def __call__(self) -> None: ...


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (make(1), make(2)),
        (Thing().method, Thing().method),
        (Thing(), Thing()),
        (partial(make(1)), make(2)),
        (len, len),
    ],
)
def test_functions_of_one_definition_are_logged_once_in_ten_seconds(
    first: object, second: object, clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    log = LogThrottle(logging.getLogger("falconws.hub"), "hub.stats")
    assert is_logged(log, first, caplog)
    assert caplog.messages == ["it has failed (logged at most every 10 s)"]
    clock[0] += 9.9
    assert not is_logged(log, second, caplog)
    assert is_logged(log, test_functions_of_one_definition_are_logged_once_in_ten_seconds, caplog)
    clock[0] += 0.2
    assert is_logged(log, second, caplog)
    assert not is_logged(log, first, caplog)


def test_memory_is_bounded_by_the_functions_that_are_logged(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    log = LogThrottle(logging.getLogger("falconws.hub"), "hub.stats")
    functions = [eval(f"lambda: {number}") for number in range(1000)]
    assert sum(is_logged(log, function, caplog) for function in functions) == 16
    assert len(log._muted_until) == 16
    clock[0] += 10
    assert is_logged(log, functions[-1], caplog)
    assert len(log._muted_until) == 1


def test_repeated_lines_are_logged_ten_times_in_ten_seconds(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    log = LogThrottle(logging.getLogger("falconws.hub"), "hub.stats")
    for number in range(30):
        log.log_repeated(logging.WARNING, "room %d", number)
        log.log_repeated(logging.INFO, "client %d", number)
    is_logged = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert is_logged[:-1] == [f"room {number}" for number in range(9)]
    assert (
        is_logged[-1] == "room 9 (further lines of this kind within 10 s are logged at level DEBUG; hub.stats counts)"
    )
    clock[0] += 10
    log.log_repeated(logging.WARNING, "room %d", 30)
    assert caplog.messages[-1] == "room 30"
