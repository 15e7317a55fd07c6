"""What waits for one slow follower."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from .policy import Policy

__all__ = ("Backlog", "Item", "ItemT", "make_backlog")
_EVENT_BYTES = 64
"""What an event that is no message counts for beside its bytes: nothing else bounds how many wait."""


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
        """Whether it counts as one; what tells who comes and goes is bounded by its bytes alone."""


ItemT = TypeVar("ItemT", bound=Item)


class Backlog(Generic[ItemT]):
    """What waits for one subscriber, in order, within the bounds of its policy.

    What is replayed to a subscriber that comes back goes first and is not counted: the history bounds it.
    """

    __slots__ = ("_allowed", "_messages", "_policy", "_replay", "_waiting", "bytes")

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._replay: deque[ItemT] | None = None
        self._waiting: deque[ItemT] = deque()
        self._messages = 0
        self._allowed = 0
        """How many messages came while they could not be sent, which is not the subscriber's fault."""
        self.bytes = 0
        """The size of all that waits, without what is replayed."""

    def __len__(self) -> int:
        return self.counted + (len(self._replay) if self._replay else 0)

    def __iter__(self) -> Iterator[ItemT]:
        yield from self._replay or ()
        yield from self._items()

    @property
    def counted(self) -> int:
        """How much waits, without what is replayed."""
        return len(self._waiting)

    def replay(self, items: Iterable[ItemT]) -> None:
        """Put *items* before all that waits, behind what was put there before."""
        if self._replay is None:
            self._replay = deque()
        self._replay.extend(items)

    def has_capacity(self, size: int, *, messages: int = 1) -> bool:
        """Whether a message of *size* bytes would break no bound; or what is not a *message*."""
        if not self.counted:
            # Otherwise a message larger than the bound could reach nobody who is not writable at this very moment.
            return True
        policy = self._policy
        most = policy.max_messages + self._allowed
        return self._messages + messages <= most and self.bytes + size <= policy.max_bytes

    def add(self, item: ItemT, *, joining: bool = False) -> list[ItemT] | None:
        """Take *item* in, and return what was dropped, which may be *item* itself.

        What comes while the subscriber is *joining* is bounded by its bytes alone: the broker makes it wait.
        ``None``: a bound is broken, and the policy does not allow to drop anything. The backlog is as it was.
        """
        self._allowed += joining and item.is_message
        if self._fits(item):
            self._append(item)
            return []
        if not self._policy.drops:
            return None
        if self._policy.name == "drop_newest":
            return [item]
        dropped: list[ItemT] = []
        while not self._fits(item):
            dropped.append(self._pop_counted())
        self._append(item)
        return dropped

    def discard(self, room: str) -> None:
        """Let go of what waits of *room*."""
        if self._replay is not None:
            self._replay = deque(item for item in self._replay if item.room != room)
        waiting = list(self._items())
        self._clear()
        for item in waiting:
            if item.room == room:
                self._weigh(item, -1)
            else:
                self._put(item)

    def peek(self) -> ItemT:
        """Return what is to be sent next."""
        if self._replay:
            return self._replay[0]
        return self._first()

    def pop(self) -> ItemT:
        """Remove and return what is to be sent next."""
        if self._replay:
            return self._replay.popleft()
        return self._pop_counted()

    def _items(self) -> Iterable[ItemT]:
        return self._waiting

    def _first(self) -> ItemT:
        return self._waiting[0]

    def _fits(self, item: ItemT) -> bool:
        return self.has_capacity(_weight(item), messages=item.is_message)

    def _append(self, item: ItemT) -> None:
        self._put(item)
        self._weigh(item, 1)

    def _put(self, item: ItemT) -> None:
        self._waiting.append(item)

    def _clear(self) -> None:
        self._waiting.clear()

    def _pop_counted(self) -> ItemT:
        item = self._waiting.popleft()
        self._weigh(item, -1)
        return item

    def _weigh(self, item: ItemT, sign: int) -> None:
        self.bytes += sign * _weight(item)
        self._messages += sign * item.is_message


class _ConflatingBacklog(Backlog[ItemT]):
    """A backlog in which the newest message of a key replaces the one that waits."""

    __slots__ = ("_by_key",)

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        # See _slot(). A plain dict takes ever longer to find its first entry when
        # entries are removed at the front.
        self._by_key: OrderedDict[object, ItemT] = OrderedDict()

    @property
    def counted(self) -> int:
        return len(self._by_key)

    def add(self, item: ItemT, *, joining: bool = False) -> list[ItemT] | None:
        superseded = None if item.key is None else self._by_key.pop(_slot(item), None)
        if superseded is None:
            return super().add(item, joining=joining)
        self._weigh(superseded, -1)
        return [superseded, *(super().add(item, joining=joining) or ())]

    def _items(self) -> Iterable[ItemT]:
        return self._by_key.values()

    def _first(self) -> ItemT:
        return next(iter(self._by_key.values()))

    def _put(self, item: ItemT) -> None:
        self._by_key[_slot(item)] = item

    def _clear(self) -> None:
        self._by_key.clear()

    def _pop_counted(self) -> ItemT:
        _, item = self._by_key.popitem(last=False)
        self._weigh(item, -1)
        return item


def _slot(item: Item) -> object:
    """Return what the newest replaces: the key is one room's; a message without one stands for itself."""
    return item if item.key is None else (item.room, item.key)


def _weight(item: Item) -> int:
    return item.size if item.is_message else item.size + _EVENT_BYTES


def make_backlog(policy: Policy) -> Backlog[ItemT]:
    """Return an empty backlog for *policy*."""
    return _ConflatingBacklog(policy) if policy.name == "conflate" else Backlog(policy)
