"""A set that costs almost no memory while it has one member. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

__all__ = ("SmallSet",)

_T = TypeVar("_T")


class SmallSet(Generic[_T]):
    """A set of objects, in the order in which they were added.

    A dict takes more memory than the rest of a room with one subscriber, and most rooms have one.
    """

    __slots__ = ("_many", "_only")

    def __init__(self) -> None:
        self._only: _T | None = None
        self._many: dict[_T, None] | None = None

    def add(self, item: _T) -> None:
        """Add *item*, which is not None."""
        if self._many is not None:
            self._many[item] = None
        elif self._only is None or self._only == item:
            self._only = item
        else:
            self._many = {self._only: None, item: None}
            self._only = None

    def discard(self, item: _T) -> None:
        """Remove *item* if it is a member."""
        if self._many is not None:
            self._many.pop(item, None)
            if not self._many:
                self._many = None
        elif self._only == item:
            self._only = None

    def __contains__(self, item: object) -> bool:
        return item in self._many if self._many is not None else item is not None and self._only == item

    def __len__(self) -> int:
        return len(self._many) if self._many is not None else self._only is not None

    def __iter__(self) -> Iterator[_T]:
        """Iterate over the current members; adding and removing during the iteration is safe."""
        if self._many is not None:
            return iter(list(self._many))
        return iter(()) if self._only is None else iter((self._only,))
