"""What `falconws status` says: which files were generated, and what became of them. Reads only."""

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath

import click

from falconws_cli.change.changes import read
from falconws_cli.change.merge import has_markers
from falconws_cli.change.operation import Operation
from falconws_cli.change.record import OPERATIONS, Record
from falconws_cli.errors import CommandError, ExitCode
from falconws_cli.lifecycle.moves import locate
from falconws_cli.lifecycle.rendered import RenderedVersion, recorded_version


class FileState(Enum):
    """What became of a generated file."""

    INTACT = "intact"
    """As templates and registrations make it."""
    EDITED = "edited"
    MOVED = "moved"
    """Not where it was made, and found again."""
    MISSING = "missing"
    CONFLICT = "conflict"
    """It has conflict markers of a merge."""


@dataclass(frozen=True)
class GeneratedFile:
    """A file that is recorded, and the last operation that made it."""

    path: PurePosixPath
    state: FileState
    operation: Operation
    was: str = ""
    """Where it was made, if it was found elsewhere."""


def generated_files(record: Record) -> list[GeneratedFile]:
    """Return every generated file, in the order of the operations, and of paths within one."""
    located = locate(record)
    operations = located.record.generated
    makers = {path: operation for operation in operations for path in operation.files}
    version = recorded_version(located.record)
    found = {new: old for old, new in located.found.items()}
    files = []
    for operation in operations:
        for path in sorted(operation.files):
            if makers[path] is operation:
                state = _state_of(record, version, path)
                if path in found and state is not FileState.CONFLICT:
                    state = FileState.MOVED
                files.append(GeneratedFile(PurePosixPath(path), state, operation, found.get(path, "")))
    return files


def _state_of(record: Record, version: RenderedVersion, path: str) -> FileState:
    try:
        data = read(record.root, path)
    except CommandError:
        return FileState.EDITED
    if data is None:
        return FileState.MISSING
    if has_markers(data):
        return FileState.CONFLICT
    return FileState.INTACT if version.is_untouched(PurePosixPath(path), data) else FileState.EDITED


_COLORS = {FileState.EDITED: "yellow", FileState.MOVED: "cyan", FileState.MISSING: "red", FileState.CONFLICT: "red"}
_NOTES = {FileState.CONFLICT: " (conflict markers of a merge: resolve them)"}
_ADVICE = {
    FileState.MOVED: "`falconws moved OLD NEW` records where a file or folder is now.",
    FileState.MISSING: "`falconws moved OLD NEW` records where a file is, `falconws forget PATH` that it is deleted.",
}
NO_RECORD = f"This project has no record of what was generated: {OPERATIONS}/ is missing or empty."


def show_status(record: Record, *, as_json: bool) -> ExitCode:
    """Print each operation with those of its files that are not as falconws left them, and a summary.

    Return `MERGE_CONFLICTS` when some have conflict markers, and `LEFT_TO_DO` when an operation cannot be read.
    """
    files = generated_files(record)
    if as_json:
        _print_json(record, files)
    elif record.exists:
        _print(record, files)
    else:
        click.echo(NO_RECORD)
    if any(file.state is FileState.CONFLICT for file in files):
        return ExitCode.MERGE_CONFLICTS
    return ExitCode.LEFT_TO_DO if record.damaged else ExitCode.OK


def _print(record: Record, files: list[GeneratedFile]) -> None:
    for operation in record.generated:
        own = [file for file in files if file.operation.id == operation.id]
        click.echo(_title(operation))
        for file in own:
            if file.state is not FileState.INTACT:
                state = click.style(f"{file.state.value:>10}", fg=_COLORS[file.state])
                note = f" (was {file.was})" if file.was else _NOTES.get(file.state, "")
                click.echo(f"{state}  {file.path}{note}")
        intact = sum(file.state is FileState.INTACT for file in own)
        if intact:
            click.echo(f"{'intact':>10}  {intact} {'file' if intact == 1 else 'files'}")
    found = Counter(file.state for file in files)
    always = (FileState.INTACT, FileState.EDITED, FileState.MISSING)
    shown = [one for one in FileState if one in always or (one is FileState.MOVED and found[one])]
    parts = [f"{found[one]} {one.value}" for one in shown]
    if found[FileState.CONFLICT]:
        parts.append(f"{found[FileState.CONFLICT]} with conflict markers")
    click.echo(f"\n{len(files)} generated {'file' if len(files) == 1 else 'files'}: {', '.join(parts)}.")
    for operation in record.operations:
        if not operation.is_generated:
            click.echo(f"`{operation.command}` can be undone.")
    for one, advice in _ADVICE.items():
        if found[one]:
            click.echo(advice)
    for sentence in record.damaged:
        click.echo(sentence)


def _title(operation: Operation) -> str:
    partly = ", removed except for edited files" if operation.partly_removed else ""
    return f"{operation.command} (falconws {operation.version}{partly})"


def _print_json(record: Record, files: list[GeneratedFile]) -> None:
    import json

    found = Counter(file.state for file in files)
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
                    {"path": str(file.path), "state": file.state.value, **({"was": file.was} if file.was else {})}
                    for file in files
                    if file.operation.id == operation.id
                ],
                "registrations": [
                    {"path": made.path, "kind": made.kind, "outcome": made.outcome} for made in operation.registrations
                ],
                "dependencies": list(operation.added.dependencies),
            }
            for operation in record.generated
            if operation.recipe is not None
        ],
        "counts": {state.value: found[state] for state in FileState},
        "destroyed": [operation.command for operation in record.operations if not operation.is_generated],
        "damaged": list(record.damaged),
    }
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
