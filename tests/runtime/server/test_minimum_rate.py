"""A transfer goes on as long as something passes, and enough of it."""

import pytest

from falconws.server.minimum_rate import MinimumRate, Pace


def paces(looks: list[tuple[float, int]], *, timeout_s: float = 10.0, min_bytes_per_s: int = 100) -> list[Pace]:
    rate = MinimumRate(timeout_s, min_bytes_per_s, 1000.0, 5000)
    return [rate.judge(1000.0 + at, 5000 + total) for at, total in looks]


@pytest.mark.parametrize(
    ("looks", "last"),
    [
        ([(5, 0), (9, 0)], Pace.FINE),
        ([(5, 0), (10, 0)], Pace.STALLED),
        ([(5, 1000), (14, 1000)], Pace.FINE),
        ([(5, 1000), (15, 1000)], Pace.STALLED),
        ([(10, 1)], Pace.FINE),
        ([(11, 99)], Pace.SLOW),
        ([(11, 100)], Pace.FINE),
        ([(10, 5), (20, 999)], Pace.SLOW),
        ([(10, 5), (20, 1000)], Pace.FINE),
        # A counter that also falls by what is written.
        ([(5, 500), (6, 0), (11, 500)], Pace.FINE),
    ],
)
def test_something_has_to_pass_in_each_timeout_and_enough_after_the_first(looks, last):
    assert [pace is Pace.FINE for pace in paces(looks)[:-1]] == [True] * (len(looks) - 1)
    assert paces(looks)[-1] is last


def test_no_rate_is_asked_for_with_0():
    assert paces([(i * 9.0, i) for i in range(1, 50)], min_bytes_per_s=0) == [Pace.FINE] * 49


def test_excused_time_does_not_count():
    rate = MinimumRate(10.0, 100, 0.0, 0)
    for now in range(1, 100):
        rate.excuse(float(now), 0)
    assert rate.judge(105.0, 1) is Pace.FINE
    assert (rate.elapsed_s, rate.passed) == (6.0, 1)
