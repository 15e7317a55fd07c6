from math import inf, nan
from typing import Any

import pytest

from falconws import Policy


@pytest.mark.parametrize("bounds", [{"max_messages": 0}, {"max_bytes": 0}, {"max_messages": -1}])
def test_limits_are_at_least_one(bounds: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"Policy.drop_oldest\(max_.*: use 1 or more"):
        Policy.drop_oldest(**bounds)


@pytest.mark.parametrize("make", [Policy.drop_oldest, Policy.drop_newest, Policy.conflate])
@pytest.mark.parametrize("limit", ["max_bytes", "max_messages"])
@pytest.mark.parametrize("value", [1.5, True, "3", None])
def test_limits_are_whole_numbers(make: Any, limit: str, value: Any) -> None:
    with pytest.raises(TypeError, match=rf"^Policy\.{make.__name__}\({limit}={value!r}\): use a whole number\.$"):
        make(**{limit: value})


@pytest.mark.parametrize("seconds", [0, -1, -inf, nan])
def test_a_lag_is_positive(seconds: float) -> None:
    with pytest.raises(ValueError, match=rf"^Policy\.disconnect\(max_lag_s={seconds}\): use a positive number"):
        Policy.disconnect(max_lag_s=seconds)


@pytest.mark.parametrize("seconds", ["5", True])
def test_a_lag_is_a_number(seconds: Any) -> None:
    with pytest.raises(TypeError, match=r"^Policy\.disconnect\(max_lag_s="):
        Policy.disconnect(max_lag_s=seconds)


def test_limits_may_be_as_large_as_one_likes() -> None:
    assert Policy.drop_oldest(max_bytes=2**63).max_bytes == 2**63


def test_only_disconnect_drops_nothing() -> None:
    assert not Policy.disconnect().drops
    assert all(policy.drops for policy in (Policy.drop_oldest(), Policy.drop_newest(), Policy.conflate()))
