"""The limit of what one client may send: messages and bytes a second, with a burst.

Owns the setting and its arithmetic. Knows nothing of connections.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

__all__ = ("Meter", "RateLimit")


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How much a client may send; for ``ws_options.rate_limit``. Made by ``slow_down()`` and ``disconnect()``.

    Two token buckets are filled at these rates, and hold what comes in *burst_s* seconds. When the application receives
    a message, it takes one token from the first bucket, and as many as its size from the second.

    Attributes:
        messages_per_s: Messages a second; None sets no limit.
        bytes_per_s: Bytes a second (for TEXT, characters); None sets no limit.
        burst_s: An idle client saves up what it may send in this many seconds.
        policy: What happens to a client that sends more.

    Raises:
        ValueError: A rate or the burst is not more than 0, or there is no rate.
    """

    messages_per_s: float | None
    bytes_per_s: float | None
    burst_s: float
    policy: Literal["slow_down", "disconnect"]

    def __post_init__(self) -> None:
        for name in ("messages_per_s", "bytes_per_s", "burst_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} is {value!r}; it must be more than 0.")
        if self.messages_per_s is None and self.bytes_per_s is None:
            raise ValueError("Give messages_per_s, bytes_per_s or both.")

    @classmethod
    def slow_down(
        cls, *, messages_per_s: float | None = None, bytes_per_s: float | None = None, burst_s: float = 10.0
    ) -> Self:
        """Return a limit that receives no further message until the rate allows it.

        The server then stops reading, and TCP slows the client down. No message is lost.
        """
        return cls(messages_per_s, bytes_per_s, burst_s, "slow_down")

    @classmethod
    def disconnect(
        cls, *, messages_per_s: float | None = None, bytes_per_s: float | None = None, burst_s: float = 10.0
    ) -> Self:
        """Return a limit that closes with 1008 and the reason "rate limit exceeded".

        A message larger than *bytes_per_s* times *burst_s* exceeds it at once.
        """
        return cls(messages_per_s, bytes_per_s, burst_s, "disconnect")


class Meter:
    """Meters what one client has sent. Each of the two buckets is one point in time (GCRA).

    Args:
        limit: The limit.
        now: The time in seconds, of any monotonic clock.
    """

    __slots__ = ("_due", "_limit")

    def __init__(self, limit: RateLimit, now: float) -> None:
        self._limit = limit
        self._due = [now - limit.burst_s] * 2
        """When the messages, and the bytes, are paid for. A full bucket is *burst_s* in the past."""

    def charge(self, size: int, now: float) -> None:
        """Count a message of *size* bytes."""
        limit = self._limit
        for index, (amount, rate) in enumerate(((1, limit.messages_per_s), (size, limit.bytes_per_s))):
            if rate is not None:
                self._due[index] = max(self._due[index], now - limit.burst_s) + amount / rate

    def debt_s(self, now: float) -> float:
        """Return the seconds until everything is paid for; 0 or less if it is."""
        return max(self._due) - now
