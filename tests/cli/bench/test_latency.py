"""The histogram of latencies."""

import math

from hypothesis import given
from hypothesis import strategies as st

from falconws_cli.bench.latency import Histogram


@given(st.lists(st.integers(0, 10**8), min_size=1), st.sampled_from([50.0, 90.0, 99.0, 100.0]))
def test_percentiles_are_off_by_less_than_two_percent(latencies: list[int], percent: float) -> None:
    histogram = Histogram()
    for latency in latencies:
        histogram.add(latency)
    exact = sorted(latencies)[max(0, math.ceil(percent / 100 * len(latencies)) - 1)]
    assert exact <= histogram.percentile(percent) <= exact * 1.02
    assert histogram.largest_us == max(latencies)


def test_merged_histograms_count_what_both_have_counted() -> None:
    one, other = Histogram(), Histogram()
    one.add(10, 99)
    other.add(5000)
    one.merge(other)
    assert (one.count, one.percentile(99), one.percentile(100), one.largest_us) == (100, 10, 5000, 5000)
