"""What a user chose about a command that writes: to see or to do it, in what form, and what becomes of conflicts."""

from dataclasses import dataclass
from enum import Enum


class ConflictPolicy(Enum):
    """What becomes of a file that is in the way."""

    ASK = "ask"
    """Each on its own, on a terminal; without one the command fails before it writes."""
    OVERWRITE = "--force"
    KEEP = "--skip"
    MERGE = "--merge"


@dataclass(frozen=True)
class WriteOptions:
    """The options that every writing command has."""

    dry_run: bool = False
    diff: bool = False
    json: bool = False
    policy: ConflictPolicy = ConflictPolicy.ASK
    command: str = "falconws"
    """The command line, as the project remembers it: without these options, without paths of this machine."""

    @property
    def force(self) -> bool:
        return self.policy is ConflictPolicy.OVERWRITE
