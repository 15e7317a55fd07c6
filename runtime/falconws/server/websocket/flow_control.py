"""Watching a client that is slow to take what is sent to it. Exists only while sending is blocked."""

from __future__ import annotations

import asyncio
from typing import Protocol

_CHECKS = 10
"""Checks in one timeout: how late an eviction may be, as a part of it."""


class _Stalling(Protocol):
    @property
    def buffered_amount(self) -> int: ...
    def evict(self, why: str) -> None: ...


class StallWatch:
    """Evicts a client that takes not one byte within *timeout_s*; None only watches."""

    __slots__ = ("_connection", "_least", "_since", "_timeout_s", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout_s: float | None, connection: _Stalling) -> None:
        self._timeout_s = timeout_s
        self._connection = connection
        self._least = connection.buffered_amount
        self._since = loop.time()
        self._timer: asyncio.TimerHandle | None = None
        if timeout_s is not None:
            self._timer = loop.call_later(timeout_s / _CHECKS, self._check, loop)

    def _check(self, loop: asyncio.AbstractEventLoop) -> None:
        assert self._timeout_s is not None
        waiting = self._connection.buffered_amount
        now = loop.time()
        if waiting != self._least:
            # Sending is blocked meanwhile, so what waits changes only by what the client takes.
            self._least = waiting
            self._since = now
        elif now - self._since >= self._timeout_s:
            self._connection.evict(f"it took nothing of {waiting} waiting bytes for {self._timeout_s:g} s")
            return
        self._timer = loop.call_later(self._timeout_s / _CHECKS, self._check, loop)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
