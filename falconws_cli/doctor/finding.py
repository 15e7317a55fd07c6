"""The result of a check, and what to do about it. Pure; must not know the checks."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """The severity; the worst comes last."""

    OK = "ok"
    WARNING = "warning"
    """The app can be served, with a drawback."""
    PROBLEM = "problem"
    """The app cannot be served, or will fail."""


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    topic: str
    level: Level
    detail: str
    """What was found, as the end of a sentence that the topic begins, without a full stop."""
    remedy: str = ""
    """What to do, in the imperative, without a full stop; empty when nothing is wrong."""

    def __str__(self) -> str:
        return f"{self.detail}: {self.remedy}" if self.remedy else self.detail


def worst_of(findings: Iterable[Finding]) -> Level:
    """Return the worst level; OK when there are no findings."""
    order = list(Level)
    return max((finding.level for finding in findings), key=order.index, default=Level.OK)
