"""What waits for one subscriber, within the limits of its policy. Pure: sends nothing and has no clock."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from .policy import Policy

__all__ = ("Backlog", "Item", "ItemT", "make_backlog")

_EVENT_BYTES = 64
"""What an event that is not a message counts for in addition to its bytes: nothing else limits their number."""


class Item(Protocol):
    """What waits in a backlog."""

    @property
    def size(self) -> int: ...
    @property
    def room(self) -> str: ...
    @property
    def key(self) -> str | None: ...
    @property
    def is_message(self) -> bool:
        """Whether it counts as a message; events that report members are limited by their bytes only."""


ItemT = TypeVar("ItemT", bound=Item)


class _Entry(Generic[ItemT]):
    __slots__ = ("item", "messages", "since", "weight")

    def __init__(self, item: ItemT, now: float, *, exempt: bool = False) -> None:
        self.item = item
        self.since = now
        """When it began to wait."""
        self.messages = 0 if exempt else int(item.is_message)
        self.weight = 0 if exempt else item.size if item.is_message else item.size + _EVENT_BYTES
        """What counts for the limits; nothing of what is exempt: the history of its room limits it."""


class Backlog(Generic[ItemT]):
    """What waits for one subscriber, in order.

    What is replayed to a client that resumes goes first and is exempt from the limits.
    """

    __slots__ = ("_allowed", "_lag_base", "_messages", "_policy", "_replay", "_waiting", "bytes")

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._replay: deque[_Entry[ItemT]] | None = None
        self._waiting: deque[_Entry[ItemT]] = deque()
        self._messages = 0
        self._allowed = 0
        """Further messages that may wait: they came while the subscriber joined a room."""
        self._lag_base = 0.0
        """When exempt items were sent last: what waited behind them was not late before."""
        self.bytes = 0
        """The size of all that waits and is not exempt."""

    def __len__(self) -> int:
        return self._count() + (len(self._replay) if self._replay else 0)

    def __iter__(self) -> Iterator[ItemT]:
        for entry in self._replay or ():
            yield entry.item
        for entry in self._entries():
            yield entry.item

    def replay(self, items: Iterable[ItemT], now: float) -> None:
        """Put *items* before all that waits, after what was replayed before."""
        if self._replay is None:
            self._replay = deque()
        self._replay.extend(_Entry(item, now, exempt=True) for item in items)

    def add(self, item: ItemT, now: float, *, joining: bool = False, exempt: bool = False) -> ItemT | None:
        """Add *item*; return the item that it replaces, if there is one.

        The limits are not enforced here: see ``is_over_limit`` and ``trim()``.

        Args:
            item: The new item.
            now: The time.
            joining: The subscriber is joining a room: the number of messages is not limited, the bytes are.
            exempt: *item* was recovered: with a policy that does not drop, it does not count.
        """
        self._allowed += joining and item.is_message
        entry = _Entry(item, now, exempt=exempt and not self._policy.drops)
        self._put(entry)
        self._weigh(entry, 1)
        return None

    @property
    def is_over_limit(self) -> bool:
        """Whether more waits than the policy allows. A single item may be larger."""
        if self._count() < 2:
            return False
        most = self._policy.max_messages
        return self.bytes > self._policy.max_bytes or (most is not None and self._messages > most + self._allowed)

    def trim(self) -> list[ItemT]:
        """Drop what the policy drops until the rest is within the limits, and return it."""
        newest = self._policy.name == "drop_newest"
        dropped = []
        while self.is_over_limit:
            entry = self._waiting.pop() if newest else self._waiting.popleft()
            self._weigh(entry, -1)
            dropped.append(entry.item)
        return dropped

    def lag(self, now: float) -> float:
        """Return for how many seconds the next item has waited, not counting the time in which others were exempt."""
        entry = self._replay[0] if self._replay else self._first()
        return now - max(entry.since, self._lag_base)

    def discard(self, is_unwanted: Callable[[ItemT], bool]) -> list[ItemT]:
        """Remove all that is unwanted, and return it."""
        discarded = [item for item in self if is_unwanted(item)]
        if self._replay is not None:
            self._replay = deque(entry for entry in self._replay if not is_unwanted(entry.item))
        waiting = list(self._entries())
        self._clear()
        for entry in waiting:
            if is_unwanted(entry.item):
                self._weigh(entry, -1)
            else:
                self._put(entry)
        return discarded

    def peek(self) -> ItemT:
        """Return the next item to send."""
        return self._replay[0].item if self._replay else self._first().item

    def pop(self, now: float) -> ItemT:
        """Remove and return the next item to send."""
        entry = self._replay.popleft() if self._replay else self._pop_first()
        if not entry.weight and not entry.messages:
            self._lag_base = now
        return entry.item

    def _pop_first(self) -> _Entry[ItemT]:
        entry = self._take()
        self._weigh(entry, -1)
        return entry

    def _weigh(self, entry: _Entry[ItemT], sign: int) -> None:
        self.bytes += sign * entry.weight
        self._messages += sign * entry.messages

    # How what is not replayed is kept

    def _count(self) -> int:
        return len(self._waiting)

    def _entries(self) -> Iterable[_Entry[ItemT]]:
        return self._waiting

    def _first(self) -> _Entry[ItemT]:
        return self._waiting[0]

    def _put(self, entry: _Entry[ItemT]) -> None:
        self._waiting.append(entry)

    def _take(self) -> _Entry[ItemT]:
        return self._waiting.popleft()

    def _clear(self) -> None:
        self._waiting.clear()


class _ConflatingBacklog(Backlog[ItemT]):
    """A backlog in which the newest message of a key takes the place of the one that waits."""

    __slots__ = ("_by_key",)

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        # By room and key, or by item. Not a dict: it finds its first entry ever more slowly while entries are removed
        # at the front.
        self._by_key: OrderedDict[object, _Entry[ItemT]] = OrderedDict()

    def add(self, item: ItemT, now: float, *, joining: bool = False, exempt: bool = False) -> ItemT | None:
        replaced = self._by_key.get(_slot(item))
        if replaced is None:
            return super().add(item, now, joining=joining, exempt=exempt)
        self._weigh(replaced, -1)
        entry = self._by_key[_slot(item)] = _Entry(item, now)
        self._weigh(entry, 1)
        return replaced.item

    def trim(self) -> list[ItemT]:
        dropped: list[ItemT] = []
        if self.is_over_limit:
            # Not in the order of the places: the newest value of a key may have the first one.
            for slot, entry in sorted(self._by_key.items(), key=lambda pair: pair[1].since):
                del self._by_key[slot]
                self._weigh(entry, -1)
                dropped.append(entry.item)
                if not self.is_over_limit:
                    break
        return dropped

    def _count(self) -> int:
        return len(self._by_key)

    def _entries(self) -> Iterable[_Entry[ItemT]]:
        return self._by_key.values()

    def _first(self) -> _Entry[ItemT]:
        return next(iter(self._by_key.values()))

    def _put(self, entry: _Entry[ItemT]) -> None:
        self._by_key[_slot(entry.item)] = entry

    def _take(self) -> _Entry[ItemT]:
        return self._by_key.popitem(last=False)[1]

    def _clear(self) -> None:
        self._by_key.clear()


def _slot(item: Item) -> object:
    """Return what the newest item replaces: a key belongs to its room; a message without a key replaces nothing."""
    return item if item.key is None else (item.room, item.key)


def make_backlog(policy: Policy) -> Backlog[ItemT]:
    """Return an empty backlog for *policy*."""
    return _ConflatingBacklog(policy) if policy.name == "conflate" else Backlog(policy)
