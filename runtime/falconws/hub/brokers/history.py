"""The last messages of one room, bounded by count and age. Pure: the time is an argument."""

from __future__ import annotations

from collections import deque

from falconws.hub.broker import HistoryLimits, Publication

__all__ = ("Log",)


class Log:
    """The offset that a room has reached, and its newest publications.

    Args:
        offset: Where the room begins: the first publication gets the offset after it.
    """

    __slots__ = ("_complete_since", "_kept", "offset")

    def __init__(self, offset: int) -> None:
        self.offset = offset
        """The offset of the newest publication."""
        self._complete_since = offset
        # Most rooms of a process that has many are quiet, and an empty deque takes 0.7 kB.
        self._kept: deque[tuple[float, Publication]] | None = None

    def append(self, publication: Publication, now: float, limits: HistoryLimits) -> None:
        """Add the room's newest publication, made at *now* (seconds)."""
        self.offset = publication.position.offset
        if not limits.messages:
            self._complete_since = self.offset
            return
        if self._kept is None:
            self._kept = deque()
        self._kept.append((now, publication))
        while len(self._kept) > limits.messages:
            self._drop_oldest()
        self.expire(now, limits)

    def expire(self, now: float, limits: HistoryLimits) -> bool:
        """Let go of what is older than the limits allow at *now*; return whether nothing is kept any more."""
        while self._kept and self._kept[0][0] <= now - limits.age_s:
            self._drop_oldest()
        if not self._kept:
            self._kept = None
        return self._kept is None

    def _drop_oldest(self) -> None:
        assert self._kept is not None
        _, publication = self._kept.popleft()
        self._complete_since = publication.position.offset

    def after(self, offset: int) -> tuple[list[Publication], bool]:
        """Return the kept publications after *offset*, in order, and whether they are all that there were."""
        complete = self._complete_since <= offset <= self.offset
        if offset > self.offset:
            # Nobody can have seen what was never published: the caller's past is not this room's.
            offset = -1
        if self._kept is None:
            return [], complete
        # Offsets of a room have no holes, so where to begin is known.
        skip = max(0, offset - self._kept[0][1].position.offset + 1)
        return [self._kept[index][1] for index in range(skip, len(self._kept))], complete
