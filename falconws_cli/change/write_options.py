"""The options of commands that write: preview or write, the form of the report, and the policy for conflicts."""

from dataclasses import dataclass
from enum import Enum


class ConflictPolicy(Enum):
    """How to resolve a conflict: a file that exists and differs from the one to be written."""

    ASK = "ask"
    """Ask about each file on a terminal; without a terminal the command fails before it writes."""
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
    """The command line as it is recorded: without these options and without paths of this machine."""

    @property
    def force(self) -> bool:
        return self.policy is ConflictPolicy.OVERWRITE
