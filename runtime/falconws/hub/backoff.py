"""How long to wait before the next try. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator

__all__ = ("backoff",)


def backoff(first_s: float = 0.05, longest_s: float = 5.0) -> Iterator[float]:
    """Yield the seconds to wait before each further try, for ever.

    The bound doubles from *first_s* to *longest_s*, and each wait is a random part of it, half at least: those who lost
    the same server at the same moment do not all come back at once.
    """
    bound = first_s
    while True:
        yield bound * random.uniform(0.5, 1.0)
        bound = min(bound * 2, longest_s)
