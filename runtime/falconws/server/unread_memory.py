"""One memory budget for all connections of a process: what they hold that the application has not received.

Theory of operation. Each connection has limits of its own, and ten thousand of them together could still fill the
machine. So a connection that holds more than a few kilobytes reports it, again after every further 16 KiB. When half of
the budget is taken, one that reports more than its equal share of this half is not read any more, and TCP slows its
client down. Connections that hold less go on, so the other half is for those. A connection is read again when three
eighths are taken, or as soon as the application has received everything that it holds.

A connection whose message is incomplete cannot make progress while it is not read, and what it holds is of no use to
anyone. It is closed with 1013 after the time in which a message has to come. Knows a connection by the port below.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Protocol

from falconws.log_throttle import LogThrottle

NOTABLE_BYTES = 4096
"""Less than this is not reported: any connection costs about as much."""
STEP_BYTES = 16 * 1024
_LOOK_INTERVAL_S = 1.0

_throttle = LogThrottle(logging.getLogger("falconws.server"))


class Holder(Protocol):
    """What the budget asks of a connection."""

    def unread_bytes(self) -> int: ...
    def has_only_incomplete_message(self) -> bool: ...
    def resume_for_memory(self) -> None: ...
    def close_for_memory(self) -> None: ...


class UnreadMemory(threading.local):
    """The budget of one process: an event loop, and its thread."""

    def __init__(self) -> None:
        self._held: dict[Holder, int] = {}
        self._total = 0
        self._paused: dict[Holder, float] = {}
        """When reading was paused, by connection."""
        self._timer: asyncio.TimerHandle | None = None

    @property
    def total(self) -> int:
        """Bytes that are held, as reported last."""
        return self._total

    def report(self, holder: Holder, held: int, limit_bytes: int | None) -> bool:
        """Record the number of bytes that *holder* has; return whether it must not be read for now."""
        self._total += held - self._held.get(holder, 0)
        if not held:
            self._held.pop(holder, None)
            return False
        self._held[holder] = held
        if limit_bytes is None or self._total <= limit_bytes // 2:
            return False
        return held > limit_bytes // 2 // len(self._held)

    def paused(
        self, holder: Holder, loop: asyncio.AbstractEventLoop, limit_bytes: int, timeout_s: float | None
    ) -> None:
        """Record that *holder* is not read any more, because `report` has asked for that."""
        self._paused[holder] = loop.time()
        _throttle.log_repeated(
            logging.WARNING,
            "Clients have sent %d bytes that the application has not received, more than half of %d "
            "(max_total_unread_bytes); %d connection(s) that hold most of it are not read for now",
            self._total, limit_bytes, len(self._paused),
        )  # fmt: skip
        if self._timer is None:
            self._timer = loop.call_later(_LOOK_INTERVAL_S, self._look, loop, limit_bytes, timeout_s)

    def resumed(self, holder: Holder) -> None:
        """Record that *holder* is read again, or has ended."""
        self._paused.pop(holder, None)

    def _look(self, loop: asyncio.AbstractEventLoop, limit_bytes: int, timeout_s: float | None) -> None:
        self._timer = None
        # A connection does not report what the application has received since.
        for holder in self._held:
            self._held[holder] = holder.unread_bytes()
        self._total = sum(self._held.values())
        if self._total <= limit_bytes * 3 // 8:
            for holder in list(self._paused):
                holder.resume_for_memory()
        elif timeout_s is not None:
            due = loop.time() - timeout_s
            for holder in [holder for holder, since in self._paused.items() if since <= due]:
                if holder.has_only_incomplete_message():
                    holder.close_for_memory()
        if self._paused:
            self._timer = loop.call_later(_LOOK_INTERVAL_S, self._look, loop, limit_bytes, timeout_s)


unread_memory = UnreadMemory()
