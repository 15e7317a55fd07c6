"""The results of registering and unregistering."""

from dataclasses import dataclass
from enum import Enum

from falconws_cli.source.python import Import


class RegisterOutcome(Enum):
    """Whether the statement was added."""

    REGISTERED = "registered"
    ALREADY = "already registered"
    CANNOT = "cannot register"


@dataclass(frozen=True)
class RegisterResult:
    """The result of registering: *text* is the edited source, *lines* are what a user would add by hand."""

    what: str
    outcome: RegisterOutcome
    text: str
    lines: tuple[str, ...]
    reason: str = ""
    imports: tuple[Import, ...] = ()
    """The imports that were added, without those that were already there."""


class UnregisterOutcome(Enum):
    """Whether the statement was removed."""

    REMOVED = "removed"
    ABSENT = "not registered"
    CANNOT = "cannot remove"


@dataclass(frozen=True)
class UnregisterResult:
    """The result of unregistering: *text* is the edited source.

    *lines* are the lines that still use what was registered, for the user to edit. There may be some after a
    successful removal too.
    """

    what: str
    outcome: UnregisterOutcome
    text: str
    lines: tuple[str, ...] = ()
    reason: str = ""
