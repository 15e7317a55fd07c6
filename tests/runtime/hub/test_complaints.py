import logging
from functools import partial
from typing import Any

import pytest

from falconws.hub import log_throttle as complaints
from falconws.hub.log_throttle import Complaints


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(complaints, "monotonic", lambda: now[0])
    return now


def told(log: Complaints, function: object, caplog: pytest.LogCaptureFixture) -> bool:
    caplog.clear()
    try:
        raise LookupError
    except LookupError:
        log.failed(function, "%s has failed", "it")
    return any(record.levelno == logging.ERROR for record in caplog.records)


def make(number: int) -> Any:
    def function() -> int:
        return number

    return function


class Thing:
    __hash__ = None  # type: ignore[assignment]

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
def test_what_one_definition_makes_is_told_once_in_ten_seconds(
    first: object, second: object, clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    log = Complaints()
    assert told(log, first, caplog)
    assert caplog.messages == ["it has failed (said again after 10 s at the earliest)"]
    clock[0] += 9.9
    assert not told(log, second, caplog)
    assert told(log, test_what_one_definition_makes_is_told_once_in_ten_seconds, caplog)
    clock[0] += 0.2
    assert told(log, second, caplog)
    assert not told(log, first, caplog)


def test_not_more_is_kept_than_is_told(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    log = Complaints()
    functions = [eval(f"lambda: {number}") for number in range(1000)]
    assert sum(told(log, function, caplog) for function in functions) == 16
    assert len(log._silent_until) == 16
    clock[0] += 10
    assert told(log, functions[-1], caplog)
    assert len(log._silent_until) == 1


def test_what_happens_to_many_is_told_of_the_first_ten_in_ten_seconds(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    log = Complaints()
    for number in range(30):
        log.gap(logging.WARNING, "room %d", number)
        log.gap(logging.INFO, "client %d", number)
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert told[:-1] == [f"room {number}" for number in range(9)]
    assert told[-1] == "room 9 (of more within 10 s only hub.stats tells, and the level DEBUG)"
    clock[0] += 10
    log.gap(logging.WARNING, "room %d", 30)
    assert caplog.messages[-1] == "room 30"
