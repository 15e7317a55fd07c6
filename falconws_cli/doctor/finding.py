"""What a check found, and what to do about it. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How bad it is; the worst comes last."""

    OK = "ok"
    WARNING = "warning"
    """The app can be served, but not as it should be."""
    PROBLEM = "problem"
    """The app cannot be served, or will fail."""


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    topic: str
    level: Level
    detail: str
    """What is there: the end of a sentence that the topic begins, without a full stop."""
    remedy: str = ""
    """What to do, as an order without a full stop; empty when all is well."""

    def __str__(self) -> str:
        return f"{self.detail}: {self.remedy}" if self.remedy else self.detail


def worst_of(findings: Iterable[Finding]) -> Level:
    """Return the worst level; OK when there are no findings."""
    order = list(Level)
    return max((finding.level for finding in findings), key=order.index, default=Level.OK)
