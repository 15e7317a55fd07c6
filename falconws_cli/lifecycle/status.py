"""What `falconws status` says."""

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from itertools import groupby
from pathlib import PurePosixPath

import click

from falconws_cli.change.manifest import Operation
from falconws_cli.change.merge import has_markers
from falconws_cli.change.record import FOLDER, Record, is_text
from falconws_cli.errors import ExitCode


class FileState(Enum):
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
    state: FileState
    operation: Operation


def generated_files(record: Record) -> list[GeneratedFile]:
    """Return every generated file, in the order of the operations, and of paths within one."""
    makers = {path: operation for operation in record.manifest.operations for path in operation.files}
    return [
        GeneratedFile(PurePosixPath(path), state_of(record, path), operation)
        for operation in record.manifest.operations
        for path in sorted(operation.files)
        if makers[path] is operation
    ]


def state_of(record: Record, path: str) -> FileState:
    """Return what became of the file at *path*."""
    try:
        data = (record.root / path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return FileState.MISSING
    except OSError:
        return FileState.EDITED
    if has_markers(data):
        return FileState.CONFLICT
    return (
        FileState.INTACT if any(is_text(data, key) for key in record.manifest.left_behind(path)) else FileState.EDITED
    )


_COLORS = {FileState.EDITED: "yellow", FileState.MISSING: "red", FileState.CONFLICT: "red"}
_NOTES = {FileState.CONFLICT: " (conflict markers of a merge: settle them)"}
FORGOTTEN = f"This project has no record of what was generated: {FOLDER}/manifest.json is missing."


def show_status(record: Record, *, as_json: bool) -> ExitCode:
    """Print each operation with those of its files that are not as falconws left them, and a summary.

    Return `MERGE_CONFLICTS` when some have conflict markers.
    """
    files = generated_files(record)
    if as_json:
        _print_json(record, files)
    elif record.exists:
        _print(record, files)
    else:
        click.echo(FORGOTTEN)
    return ExitCode.MERGE_CONFLICTS if any(file.state is FileState.CONFLICT for file in files) else ExitCode.OK


def _print(record: Record, files: list[GeneratedFile]) -> None:
    # What a command has made is remembered in two parts when one of them was destroyed and brought back.
    for title, operations in groupby(record.manifest.operations, _title):
        parts_of_one = list(operations)
        own = [file for file in files if any(file.operation is operation for operation in parts_of_one)]
        click.echo(title)
        for file in own:
            if file.state is not FileState.INTACT:
                state = click.style(f"{file.state.value:>10}", fg=_COLORS[file.state])
                click.echo(f"{state}  {file.path}{_NOTES.get(file.state, '')}")
        intact = sum(file.state is FileState.INTACT for file in own)
        if intact:
            click.echo(f"{'intact':>10}  {intact} {'file' if intact == 1 else 'files'}")
    found = Counter(file.state for file in files)
    parts = [f"{found[state]} {state.value}" for state in FileState if state is not FileState.CONFLICT]
    if found[FileState.CONFLICT]:
        parts.append(f"{found[FileState.CONFLICT]} with conflict markers")
    click.echo(f"\n{len(files)} generated {'file' if len(files) == 1 else 'files'}: {', '.join(parts)}.")
    if record.manifest.destroyed is not None:
        click.echo(f"`falconws undo` brings back what `{record.manifest.destroyed.command}` took away.")


def _title(operation: Operation) -> str:
    partly_removed = ", taken back but for what was edited" if operation.partly_removed else ""
    return f"{operation.command} (falconws {operation.version}{partly_removed})"


def _print_json(record: Record, files: list[GeneratedFile]) -> None:
    import json

    found = Counter(file.state for file in files)
    destroyed = record.manifest.destroyed
    document = {
        "recorded": record.exists,
        "operations": [
            {
                "command": operation.command,
                "version": operation.version,
                "generator": operation.recipe.generator,
                "name": operation.recipe.name,
                "options": dict(operation.recipe.options),
                "partly_removed": operation.partly_removed,
                "files": [
                    {"path": str(file.path), "state": file.state.value} for file in files if file.operation is operation
                ],
                "registrations": [
                    {"path": made.path, "kind": made.kind, "outcome": made.outcome} for made in operation.registrations
                ],
                "dependencies": list(operation.added.dependencies),
            }
            for operation in record.manifest.operations
        ],
        "counts": {state.value: found[state] for state in FileState},
        "destroyed": None if destroyed is None else destroyed.command,
    }
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
