"""What became of a registration, or of taking one back."""

from dataclasses import dataclass
from enum import Enum

from falconws_cli.source.python import Import


class Outcome(Enum):
    """What became of a registration."""

    REGISTERED = "registered"
    ALREADY = "already registered"
    CANNOT = "cannot register"


@dataclass(frozen=True)
class Registration:
    """The outcome; *text* is the source afterwards, *lines* is what a user would add by hand."""

    what: str
    outcome: Outcome
    text: str
    lines: tuple[str, ...]
    reason: str = ""
    imports: tuple[Import, ...] = ()
    """The imports that were added, without those that were there."""


class RemovalOutcome(Enum):
    """What became of taking a registration back."""

    REMOVED = "removed"
    ABSENT = "not registered"
    CANNOT = "cannot remove"


@dataclass(frozen=True)
class Removal:
    """The outcome; *text* is the source afterwards.

    *lines* are those of the text that still use what was registered: a user has to see to them. There may be some
    after a removal too.
    """

    what: str
    outcome: RemovalOutcome
    text: str
    lines: tuple[str, ...] = ()
    reason: str = ""
