"""What a backlog keeps, drops and sends next, compared with a model in plain words."""

from dataclasses import dataclass

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

    @property
    def slot(self) -> object:
        return self if self.key is None else (self.room, self.key)


@dataclass
class Take:
    """The consumer takes so many."""

    count: int


@dataclass
class Leave:
    """The consumer leaves a room."""

    room: str

    def concerns(self, item: "Item") -> bool:
        return item.room == self.room


@dataclass
class Trim:
    """The event loop has tried to send."""


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
    st.one_of(ITEMS, ITEMS, ITEMS, st.builds(Take, st.integers(1, 4)), st.builds(Leave, ROOMS), st.builds(Trim)),
    max_size=60,
)
Step = Item | Take | Leave | Trim


def number(steps: list[Step]) -> list[Step]:
    for index, step in enumerate(steps):
        if isinstance(step, Item):
            step.number = index
    return steps


def over(waiting: list[Item], allowed: int) -> bool:
    messages = sum(item.is_message for item in waiting)
    size = sum(item.weight for item in waiting)
    return len(waiting) > 1 and (messages > MAX_MESSAGES + allowed or size > MAX_BYTES)


def drop_one(name: str, waiting: list[Item]) -> Item:
    """The policies in plain words."""
    if name == "drop_newest":
        return waiting.pop()
    if name == "conflate":
        oldest = min(waiting, key=lambda item: item.number)
        waiting.remove(oldest)
        return oldest
    return waiting.pop(0)


@pytest.mark.parametrize("name", ["drop_oldest", "drop_newest", "conflate"])
@given(steps=STEPS)
def test_a_backlog_does_what_its_policy_says(name: str, steps: list[Step]) -> None:
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
                taken.append(backlog.pop(0.0))
                assert taken[-1] is waiting.pop(0)
        elif isinstance(step, Leave):
            gone = [item for item in waiting if item.room == step.room]
            assert backlog.discard(step.concerns) == gone
            dropped += gone
            waiting[:] = [item for item in waiting if item.room != step.room]
        elif isinstance(step, Trim):
            expected = []
            while over(waiting, allowed):
                expected.append(drop_one(name, waiting))
            assert backlog.trim() == expected
            dropped += expected
        else:
            allowed += step.joining
            offered.append(step)
            replaced = backlog.add(step, float(step.number), joining=step.joining)
            places = [item.slot for item in waiting]
            if name == "conflate" and step.slot in places:
                assert replaced is waiting[places.index(step.slot)]
                dropped.append(replaced)
                waiting[places.index(step.slot)] = step
            else:
                assert replaced is None
                waiting.append(step)
        assert list(backlog) == waiting
        assert len(backlog) == len(waiting)
        assert backlog.bytes == sum(item.weight for item in waiting)
        assert backlog.is_over_limit == over(waiting, allowed)
    # Nothing is lost unnoticed, nothing is sent twice, and without keys the order is that of the offers.
    assert sorted(item.number for item in [*taken, *waiting, *dropped]) == [item.number for item in offered]
    if name != "conflate":
        numbers = [item.number for item in [*taken, *waiting]]
        assert numbers == sorted(numbers)


@given(steps=STEPS)
def test_conflating_keeps_the_newest_message_of_each_key(steps: list[Step]) -> None:
    backlog: Backlog[Item] = make_backlog(Policy.conflate(max_messages=1000, max_bytes=100_000))
    newest: dict[object, Item] = {}
    for step in number(steps):
        if isinstance(step, Item):
            backlog.add(step, 0.0)
            newest[step.slot] = step
        elif isinstance(step, Leave):
            backlog.discard(step.concerns)
            newest = {slot: item for slot, item in newest.items() if item.room != step.room}
    assert list(backlog) == list(newest.values())


def test_the_busiest_key_is_sent_as_often_as_any_other() -> None:
    """A key keeps its place in each room, however often it changes."""
    backlog: Backlog[Item] = make_backlog(Policy.conflate())
    sent = []
    slots = [("one", "busy"), ("two", "busy"), *(("one", f"quiet {number}") for number in range(8))]
    for step in range(200):
        for room, key in slots:
            backlog.add(Item(step, 10, key, room=room), float(step))
        for _ in range(20):
            backlog.add(Item(step, 10, "busy", room="one"), float(step))
        sent.append(backlog.pop(float(step)))
    counts = [sum((item.room, item.key) == slot for item in sent) for slot in slots]
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("policy", [Policy.drop_oldest(max_messages=MAX_MESSAGES, max_bytes=MAX_BYTES)])
@given(live=st.lists(ITEMS, max_size=20), replayed=st.lists(ITEMS, max_size=20))
def test_what_is_replayed_goes_first_and_is_not_counted(policy: Policy, live: list[Item], replayed: list[Item]) -> None:
    backlog: Backlog[Item] = make_backlog(policy)
    for item in live:
        backlog.add(item, 0.0)
    backlog.trim()
    waiting = list(backlog)
    size = backlog.bytes
    backlog.replay(replayed, 0.0)
    assert (backlog.bytes, backlog.is_over_limit) == (size, False)
    assert [backlog.pop(0.0) for _ in range(len(backlog))] == [*replayed, *waiting]
    assert backlog.bytes == 0


def test_only_time_and_bytes_limit_the_backlog_of_a_policy_that_drops_nothing() -> None:
    backlog: Backlog[Item] = make_backlog(Policy.disconnect(max_bytes=1000))
    backlog.add(Item(0, 5000, None), 1.0)
    assert not backlog.is_over_limit
    backlog.add(Item(1, 1, None), 2.0)
    assert backlog.is_over_limit
    assert backlog.lag(4.0) == 3.0
    backlog.pop(5.0)
    assert backlog.lag(5.0) == 3.0
    for index in range(500):
        backlog.add(Item(2 + index, 1, None), 5.0)
    assert not backlog.is_over_limit


def test_what_was_recovered_or_replayed_makes_nobody_late() -> None:
    backlog: Backlog[Item] = make_backlog(Policy.disconnect(max_bytes=1000))
    for index in range(10):
        backlog.add(Item(index, 500, None), 1.0, exempt=True)
    backlog.replay([Item(20, 500, None), Item(21, 500, None)], 1.0)
    backlog.add(Item(30, 10, None), 1.0)
    assert (backlog.bytes, backlog.is_over_limit) == (10, False)
    for now in range(2, 14):
        assert backlog.lag(now) <= 1.0
        backlog.pop(now)
    # From now on it is the client that takes nothing.
    assert backlog.lag(15.0) == 2.0
    assert backlog.pop(15.0).number == 30
