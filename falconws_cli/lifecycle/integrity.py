"""What became of the generated files: as falconws left them, edited since, or missing. Reads, and never writes."""

from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath

from falconws_cli.change.merging import has_markers
from falconws_cli.lifecycle.manifest import Operation
from falconws_cli.lifecycle.memory import Memory, is_text


class State(Enum):
    """What became of a generated file."""

    INTACT = "intact"
    """As a template made it, or as a later falconws command left it."""
    EDITED = "edited"
    MISSING = "missing"
    CONFLICT = "conflict"
    """With conflict markers of a merge in it, which are still to be settled."""


@dataclass(frozen=True)
class GeneratedFile:
    """A file that the project remembers, and the last operation that made it."""

    path: PurePosixPath
    state: State
    operation: Operation


def generated_files(memory: Memory) -> list[GeneratedFile]:
    """Return every generated file, in the order of the operations, and of paths within one."""
    makers = {path: operation for operation in memory.manifest.operations for path in operation.files}
    return [
        GeneratedFile(PurePosixPath(path), state_of(memory, path), operation)
        for operation in memory.manifest.operations
        for path in sorted(operation.files)
        if makers[path] is operation
    ]


def state_of(memory: Memory, path: str) -> State:
    """Return what became of the file at *path*."""
    try:
        data = (memory.root / path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return State.MISSING
    except OSError:
        return State.EDITED
    if has_markers(data):
        return State.CONFLICT
    return State.INTACT if any(is_text(data, key) for key in memory.manifest.left_behind(path)) else State.EDITED
