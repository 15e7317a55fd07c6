"""What the log is told of functions of the application that fail, and of faults that meet many rooms: not the same for
every message of a busy room, nor for each of a hundred thousand rooms.

Knows neither rooms nor events.
"""

from __future__ import annotations

import logging
from functools import partial
from time import monotonic

__all__ = ("Complaints",)

_SILENCE_S = 10.0
"""Seconds between two lines about the same function."""
_MOST = 16
"""Functions that are told apart; of more that fail at the same time, the log hears nothing."""

_FEW = 10
"""Lines of one kind in that time; the rest is at the level DEBUG."""

_logger = logging.getLogger("falconws.hub")


class Complaints:
    """When each function may be complained of again.

    Functions that one line of code makes, such as a closure for each connection, count as the same.
    """

    def __init__(self) -> None:
        self._silent_until: dict[object, float] = {}
        """The first ends first."""
        self._of_late: dict[str, tuple[float, int]] = {}
        """Since when each kind of line is counted, and how many there were."""

    def failed(self, function: object, message: str, *arguments: object) -> None:
        """Log *message* with the exception that is being handled: as an error, or for debugging only."""
        level = logging.ERROR if self._may_complain(_definition(function)) else logging.DEBUG
        _logger.log(level, message + " (said again after %g s at the earliest)", *arguments, _SILENCE_S, exc_info=True)

    def gap(self, level: int, message: str, *arguments: object) -> None:
        """Log *message*, which is the same for all that it happens to, at *level*: for the first few of them."""
        now = monotonic()
        since, count = self._of_late.get(message, (now, 0))
        if now - since >= _SILENCE_S:
            since, count = now, 0
        count += 1
        self._of_late[message] = since, count
        if count > _FEW:
            _logger.debug(message, *arguments)
        elif count == _FEW:
            more = " (of more within %g s only hub.stats tells, and the level DEBUG)"
            _logger.log(level, message + more, *arguments, _SILENCE_S)
        else:
            _logger.log(level, message, *arguments)

    def _may_complain(self, definition: object) -> bool:
        now = monotonic()
        silent_until = self._silent_until
        while silent_until:
            first, until = next(iter(silent_until.items()))
            if now < until:
                break
            del silent_until[first]
        if definition in silent_until or len(silent_until) >= _MOST:
            return False
        silent_until[definition] = now + _SILENCE_S
        return True


def _definition(function: object) -> object:
    while isinstance(function, partial):
        function = function.func
    # A method has that of its function. What can be called otherwise need not be hashable.
    return getattr(function, "__code__", type(function))
