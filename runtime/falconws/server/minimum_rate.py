"""A minimum rate for a transfer: a peer that sends or takes next to nothing must not keep its connection.

Pure: is told the time and a number of bytes, and knows no connection.
"""

from __future__ import annotations

from enum import Enum, auto


class Pace(Enum):
    """The progress of a transfer."""

    FINE = auto()
    STALLED = auto()
    """Nothing has passed for the whole timeout."""
    SLOW = auto()
    """Something has passed in time, but too little on average."""


class MinimumRate:
    """Judges one transfer.

    Something has to pass in every *timeout_s*, and *min_bytes_per_s* on average. The first *timeout_s* do not count for
    the average, so that a short pause does no harm.

    Args:
        timeout_s: Seconds.
        min_bytes_per_s: 0 requires no rate.
        now: The present time.
        total: The number of bytes that have passed so far, from any starting point.

    Attributes:
        passed: Bytes that have passed since the beginning.
        elapsed_s: Seconds since the beginning that count.
    """

    __slots__ = ("_last", "_looked", "_min_bytes_per_s", "_still_s", "_timeout_s", "elapsed_s", "passed")

    def __init__(self, timeout_s: float, min_bytes_per_s: int, now: float, total: int) -> None:
        self._timeout_s = timeout_s
        self._min_bytes_per_s = min_bytes_per_s
        self._looked = now
        self._last = total
        self._still_s = 0.0
        self.elapsed_s = 0.0
        self.passed = 0

    def judge(self, now: float, total: int) -> Pace:
        """Return the progress of the transfer; *total* is the number of bytes that have passed by *now*."""
        since_s, self._looked = now - self._looked, now
        self.elapsed_s += since_s
        if total > self._last:
            self.passed += total - self._last
            self._still_s = 0.0
        else:
            self._still_s += since_s
        self._last = total
        if self._still_s >= self._timeout_s:
            return Pace.STALLED
        if self.passed < self._min_bytes_per_s * (self.elapsed_s - self._timeout_s):
            return Pace.SLOW
        return Pace.FINE

    def excuse(self, now: float, total: int) -> None:
        """Do not count the time since the last call: the peer was not to blame."""
        self._looked = now
        if total > self._last:
            self.passed += total - self._last
            self._last = total
