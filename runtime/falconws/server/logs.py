"""The log of the server: uvicorn's configuration with our logger beside it, and a throttle.

Knows nothing of connections.
"""

from __future__ import annotations

import copy
import logging
from time import monotonic
from typing import Any

from uvicorn.config import LOGGING_CONFIG

LOGGERS = ("uvicorn.access", "uvicorn.error", "falconws.server")
_INTERVAL_S = 10.0
_MAX_REPEATS = 20
"""Lines of one kind in an interval."""


def log_config(log_level: str) -> dict[str, Any]:
    """Return uvicorn's logging configuration, with the logger of falconws.server added."""
    config = copy.deepcopy(LOGGING_CONFIG)
    config["loggers"]["falconws.server"] = {
        "handlers": ["default"],
        "level": "DEBUG" if log_level == "trace" else log_level.upper(),
        "propagate": False,
    }
    return config


class LineThrottle:
    """Limits how many lines of one kind are logged in ten seconds; counts the others."""

    def __init__(self, max_lines: int = _MAX_REPEATS) -> None:
        self._max_lines = max_lines
        self._kinds: dict[object, tuple[float, int]] = {}

    def log(self, logger: logging.Logger, level: int, kind: object, message: str, *arguments: object) -> None:
        """Log *message*, or count it if there were too many lines of this *kind* in the present interval."""
        now = monotonic()
        since, count = self._kinds.get(kind, (now, 0))
        if now - since >= _INTERVAL_S:
            if count > self._max_lines:
                logger.log(level, "%d more lines like the next one were not logged", count - self._max_lines)
            since, count = now, 0
        self._kinds[kind] = since, count + 1
        if count < self._max_lines:
            logger.log(level, message, *arguments)


THROTTLE = LineThrottle()
"""Of the process."""
