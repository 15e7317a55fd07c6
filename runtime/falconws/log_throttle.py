"""Limits how often the log repeats itself: for failing functions of the application, and for faults of many clients.

A function that fails for every message of a busy room is not logged for every message, and a fault of a hundred
thousand connections or rooms is not logged for each of them. Knows neither.
"""

from __future__ import annotations

import logging
from functools import partial
from time import monotonic

__all__ = ("LogThrottle", "definition_of")

_INTERVAL_S = 10.0
"""Seconds between two log lines about the same function, and the length of a counting interval for repeated lines."""
_MAX_FUNCTIONS = 16
"""Functions with an interval each. If more of them fail at the same time, the rest is logged at level DEBUG."""
_MAX_REPEATS = 10
"""Log lines of one kind in an interval; the rest is logged at level DEBUG."""


class LogThrottle:
    """Logs failures at their own level or, if they repeat, at DEBUG.

    Functions that one line of code makes, such as a closure for each connection, count as one function.

    Args:
        logger: Where lines are logged.
        counted_in: Where failures are counted, such as ``"hub.stats"``, to be named when further lines are suppressed.
    """

    def __init__(self, logger: logging.Logger, counted_in: str | None = None) -> None:
        self._logger = logger
        self._counted = f"; {counted_in} counts" if counted_in is not None else ""
        self._muted_until: dict[object, float] = {}
        """By function."""
        self._logged: set[str] = set()
        self._repeats: dict[object, tuple[float, int]] = {}
        """By kind of line: when its interval began, and how many lines there were."""

    def log_failure(self, function: object, message: str, *arguments: object) -> None:
        """Log *message* and the current exception, as an error or, within the interval, at level DEBUG."""
        level = logging.ERROR if self._is_due(definition_of(function)) else logging.DEBUG
        self._logger.log(level, message + " (logged at most every %g s)", *arguments, _INTERVAL_S, exc_info=True)

    def log_repeated(self, level: int, message: str, *arguments: object, error: BaseException | None = None) -> None:
        """Log *message* at *level*, with the traceback of *error*; after the first few of this kind, at level DEBUG.

        Lines of the same *message* and the same class of *error* are of one kind.
        """
        now = monotonic()
        kind = message, type(error)
        since, count = self._repeats.get(kind, (now, 0))
        if now - since >= _INTERVAL_S:
            since, count = now, 0
        count += 1
        self._repeats[kind] = since, count
        if count > _MAX_REPEATS:
            level = min(level, logging.DEBUG)
        elif count == _MAX_REPEATS:
            message += f" (further lines of this kind within %g s are logged at level DEBUG{self._counted})"
            arguments = (*arguments, _INTERVAL_S)
        self._logger.log(level, message, *arguments, exc_info=error)

    def log_once(self, message: str, *arguments: object) -> None:
        """Log *message* as a warning, the first time only."""
        if message not in self._logged:
            self._logged.add(message)
            self._logger.warning(message + " (logged once)", *arguments)

    def _is_due(self, definition: object) -> bool:
        now = monotonic()
        self._muted_until = {function: until for function, until in self._muted_until.items() if now < until}
        if definition in self._muted_until or len(self._muted_until) >= _MAX_FUNCTIONS:
            return False
        self._muted_until[definition] = now + _INTERVAL_S
        return True


def definition_of(function: object) -> object:
    """Return a key that is equal for all functions that one line of code has defined."""
    while isinstance(function, partial):
        function = function.func
    # A method has the code of its function. Other callables need not be hashable.
    return getattr(function, "__code__", type(function))
