"""The benchmark of typed messages measures every echo. What it measures is not judged here."""

from tests.benchmarks.test_smoke import needs_two_cores
from tests.benchmarks.typed.__main__ import PATHS, echo_us, ratio, verdict


@needs_two_cores
def test_every_echo_is_measured() -> None:
    found = echo_us(rounds=1, seconds=0.3)
    assert list(found) == list(PATHS)
    assert all(value > 0 for [value] in found.values())


def test_a_ratio_is_the_median_of_those_within_a_round() -> None:
    assert ratio([1.0, 20.0, 3.0], [1.0, 10.0, 1.0]) == 2.0


def test_a_goal_that_is_missed_is_told() -> None:
    assert verdict("a to b", 0.5, 0.6) == "ok      a to b: 0.50 (goal: at most 0.6)"
    assert verdict("import", 41, 40.0, " ms") == "missed  import: 41.00 ms (goal: at most 40 ms)"
