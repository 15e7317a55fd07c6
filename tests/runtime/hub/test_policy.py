from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconws import Policy
from falconws.hub.backlog import Backlog, make_backlog


@dataclass(eq=False)
class Item:
    number: int
    size: int
    key: str | None
    is_message: bool = True
    room: str = "one"
    joining: bool = False

    @property
    def weight(self) -> int:
        return self.size if self.is_message else self.size + 64


@dataclass
class Take:
    """The consumer takes so many."""

    count: int


@dataclass
class Leave:
    """The consumer leaves a room."""

    room: str


MAX_MESSAGES, MAX_BYTES = 5, 200
ROOMS = st.sampled_from(["one", "two"])

ITEMS = st.one_of(
    st.builds(
        Item,
        st.just(0),
        st.integers(0, 250),
        st.sampled_from([None, None, "a", "b", "c"]),
        room=ROOMS,
        joining=st.sampled_from([False, False, False, True]),
    ),
    st.builds(Item, st.just(0), st.integers(0, 10), st.none(), st.just(False), ROOMS),
)
STEPS = st.lists(
    st.one_of(ITEMS, ITEMS, ITEMS, st.builds(Take, st.integers(1, 4)), st.builds(Leave, ROOMS)), max_size=60
)


def number(steps: list[Item | Take | Leave]) -> list[Item | Take | Leave]:
    for index, step in enumerate(steps):
        if isinstance(step, Item):
            step.number = index
    return steps


def fits(waiting: list[Item], item: Item, allowed: int) -> bool:
    if not waiting:
        return True
    messages = sum(other.is_message for other in [*waiting, item])
    return messages <= MAX_MESSAGES + allowed and sum(other.weight for other in [*waiting, item]) <= MAX_BYTES


def model(name: str, waiting: list[Item], item: Item, allowed: int) -> list[Item] | None:
    """The policies in plain words; returns what is dropped, None for a broken bound."""
    dropped: list[Item] = []
    if name == "conflate" and item.key is not None:
        dropped = [other for other in waiting if (other.room, other.key) == (item.room, item.key)]
        waiting[:] = [other for other in waiting if other not in dropped]
    if name == "disconnect" and not fits(waiting, item, allowed):
        return None
    if name == "drop_newest" and not fits(waiting, item, allowed):
        return [item]
    while not fits(waiting, item, allowed):
        dropped.append(waiting.pop(0))
    waiting.append(item)
    return dropped


@pytest.mark.parametrize("name", ["drop_oldest", "drop_newest", "conflate", "disconnect"])
@given(steps=STEPS)
def test_a_backlog_does_what_its_policy_says(name: str, steps: list[Item | Take | Leave]) -> None:
    policy: Policy = getattr(Policy, name)(max_messages=MAX_MESSAGES, max_bytes=MAX_BYTES)
    assert policy.name == name
    backlog: Backlog[Item] = make_backlog(policy)
    waiting: list[Item] = []
    offered, taken, dropped = [], [], []
    allowed = 0
    for step in number(steps):
        if isinstance(step, Take):
            for _ in range(min(step.count, len(waiting))):
                assert backlog.peek() is waiting[0]
                taken.append(backlog.pop())
                assert taken[-1] is waiting.pop(0)
        elif isinstance(step, Leave):
            backlog.discard(step.room)
            dropped += [item for item in waiting if item.room == step.room]
            waiting[:] = [item for item in waiting if item.room != step.room]
        else:
            had_room = backlog.has_room(step.weight, messages=step.is_message)
            assert had_room == fits(waiting, step, allowed)
            allowed += step.joining
            expected = model(name, waiting, step, allowed)
            gone = backlog.add(step, joining=step.joining)
            assert gone == expected
            offered.append(step)
            dropped += [step] if gone is None else gone
        assert list(backlog) == waiting
        assert len(backlog) == backlog.counted == len(waiting)
        assert backlog.bytes == sum(item.weight for item in waiting)
        # The bounds; a single message may be larger than the bytes allow.
        assert sum(item.is_message for item in waiting) <= MAX_MESSAGES + allowed
        assert backlog.bytes <= MAX_BYTES or len(waiting) == 1
    # Nothing is lost in silence, nothing comes twice, and the order is that of the offers.
    assert sorted(item.number for item in [*taken, *waiting, *dropped]) == [item.number for item in offered]
    numbers = [item.number for item in [*taken, *waiting]]
    assert numbers == sorted(numbers)


@given(steps=STEPS)
def test_conflating_keeps_the_newest_of_each_key(steps: list[Item | Take | Leave]) -> None:
    backlog: Backlog[Item] = make_backlog(Policy.conflate(max_messages=1000, max_bytes=100_000))
    newest: dict[tuple[str, str], Item] = {}
    for step in number(steps):
        if isinstance(step, Item):
            backlog.add(step)
            if step.key is not None:
                newest[step.room, step.key] = step
        elif isinstance(step, Leave):
            backlog.discard(step.room)
            newest = {slot: item for slot, item in newest.items() if item.room != step.room}
    assert [item for item in backlog if item.key is not None] == sorted(newest.values(), key=lambda item: item.number)


@given(st.lists(ITEMS, max_size=20), st.lists(ITEMS, max_size=20))
def test_what_is_replayed_goes_first_and_is_not_counted(live: list[Item], replayed: list[Item]) -> None:
    backlog: Backlog[Item] = make_backlog(Policy.drop_oldest(max_messages=MAX_MESSAGES, max_bytes=MAX_BYTES))
    for item in live:
        backlog.add(item)
    waiting = list(backlog)
    backlog.replay(replayed)
    assert backlog.counted == len(waiting)
    assert [backlog.pop() for _ in range(len(backlog))] == [*replayed, *waiting]
    assert backlog.bytes == 0


@pytest.mark.parametrize("bounds", [{"max_messages": 0}, {"max_bytes": 0}, {"max_messages": -1}])
def test_bounds_are_at_least_one(bounds: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"Policy.drop_oldest\(max_.*: use 1 or more"):
        Policy.drop_oldest(**bounds)


@pytest.mark.parametrize("make", [Policy.drop_oldest, Policy.drop_newest, Policy.conflate, Policy.disconnect])
@pytest.mark.parametrize("bound", ["max_messages", "max_bytes"])
@pytest.mark.parametrize("value", [1.5, True, "3", None])
def test_bounds_are_whole_numbers(make: Any, bound: str, value: Any) -> None:
    with pytest.raises(TypeError, match=rf"^Policy\.{make.__name__}\({bound}={value!r}\): use a whole number\.$"):
        make(**{bound: value})


def test_bounds_may_be_as_large_as_one_likes() -> None:
    assert Policy.drop_oldest(max_bytes=2**63).max_bytes == 2**63
