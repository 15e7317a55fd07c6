"""A histogram of latencies with a fixed number of counters and an error below 2 %. Pure."""

_PRECISE_BITS = 6
_HALF = 1 << _PRECISE_BITS


class Histogram:
    """Counts latencies: in steps of 1 us up to 128 us, then in 64 steps for each doubling."""

    __slots__ = ("_counts", "count", "largest_us")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self.count = 0
        self.largest_us = 0

    def add(self, latency_us: int, times: int = 1) -> None:
        """Count a latency in microseconds."""
        shift = latency_us.bit_length() - _PRECISE_BITS - 1
        bucket = latency_us if shift <= 0 else (shift << _PRECISE_BITS) + (latency_us >> shift)
        counts = self._counts
        counts[bucket] = counts.get(bucket, 0) + times
        self.count += times
        if latency_us > self.largest_us:
            self.largest_us = latency_us

    def merge(self, other: "Histogram") -> None:
        """Add the counts of *other*."""
        for bucket, times in other._counts.items():
            self._counts[bucket] = self._counts.get(bucket, 0) + times
        self.count += other.count
        self.largest_us = max(self.largest_us, other.largest_us)

    def percentile(self, percent: float) -> int:
        """Return the latency in microseconds that *percent* of all do not exceed; 0 when nothing was counted."""
        wanted = percent / 100 * self.count
        seen = 0
        for bucket in sorted(self._counts):
            seen += self._counts[bucket]
            if seen >= wanted:
                return min(_upper_edge(bucket), self.largest_us)
        return self.largest_us


def _upper_edge(bucket: int) -> int:
    if bucket < 2 * _HALF:
        return bucket
    shift = (bucket >> _PRECISE_BITS) - 1
    steps = (bucket & (_HALF - 1)) | _HALF
    return ((steps + 1) << shift) - 1
