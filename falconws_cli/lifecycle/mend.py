"""`falconws moved` and `falconws forget`: the record follows what was moved or deleted by hand."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from falconws_cli import VERSION
from falconws_cli.change.changes import FileChange
from falconws_cli.change.lock import exclusive
from falconws_cli.change.operation import Operation
from falconws_cli.change.paths import check_path
from falconws_cli.change.plan import PlannedFile
from falconws_cli.change.record import Record, read_record
from falconws_cli.change.transaction import transact
from falconws_cli.change.write_options import WriteOptions
from falconws_cli.errors import CommandError, ExitCode, RefusedError
from falconws_cli.lifecycle.moves import locate
from falconws_cli.lifecycle.undo import find_operations
from falconws_cli.project import Project


def moved(project: Project, old: PurePosixPath, new: PurePosixPath, options: WriteOptions) -> ExitCode:
    """Record that a generated file, or a folder with generated files, is somewhere else now; return the exit code.

    Raises:
        RefusedError: Nothing recorded was at the old place, or nothing is at the new one.
        CommandError: The record cannot be written.
    """
    for path in (old, new):
        check_path(path)
    with exclusive(project.root):
        record = read_record(project.root)
        recorded = _recorded_paths(record)
        if not any(str(old) in (path, *map(str, PurePosixPath(path).parents)) for path in recorded):
            raise RefusedError(f"falconws generated nothing at {old}; `falconws status` shows what it generated.")
        if not project.exists(new):
            raise RefusedError(f"There is nothing at {new}; move {old} there first.")
        if project.exists(old) and (project.root / old).is_file():
            raise RefusedError(f"{old} is still there. Nothing was written.")
        command = shlex.join(["falconws", "moved", str(old), str(new)])
        move = Operation(record.next_id(), command, VERSION, moves={str(old): str(new)})
        return _write(record, [*record.operations, move], options)


def forget(project: Project, name: str, options: WriteOptions) -> ExitCode:
    """Remove a thing, or one file, from the record; the files stay as they are; return the exit code.

    Args:
        project: The project.
        name: The name of a resource, middleware or other thing, perhaps as "KIND/NAME", or the path of a file.
        options: How to write.

    Raises:
        RefusedError: Nothing of this name is recorded, or two things are.
        CommandError: The record cannot be written.
    """
    with exclusive(project.root):
        record = read_record(project.root)
        if name in _recorded_paths(record):
            return _write(record, [_without(operation, record, name) for operation in record.operations], options)
        gone = _named(record, name)
        return _write(record, [operation for operation in record.operations if operation not in gone], options)


def _recorded_paths(record: Record) -> set[str]:
    """Return the paths of all generated files: those that are recorded, and those where they are now."""
    located = locate(record).record
    return {path for one in (record, located) for operation in one.generated for path in operation.files}


def _without(operation: Operation, record: Record, path: str) -> Operation:
    moves = locate(record).since(operation.id)
    files = {made: text for made, text in operation.files.items() if path not in (made, moves.path(made))}
    return operation if files == dict(operation.files) else replace(operation, files=files)


def _named(record: Record, name: str) -> list[Operation]:
    kinds = dict.fromkeys(one.recipe.generator for one in record.generated if one.recipe is not None)
    kind, slash, thing = name.rpartition("/")
    found: dict[str, list[Operation]] = {}
    for known in kinds:
        if known == "project" or (slash and kind != known):
            continue
        try:
            found[known] = find_operations(record, known, thing)
        except RefusedError:
            continue
    if not found:
        raise RefusedError(f'Nothing called "{name}" is recorded. `falconws status` shows what is.')
    if len(found) > 1:
        choices = " or ".join(f"{known}/{thing}" for known in found)
        raise RefusedError(f'There are several things called "{thing}"; use {choices}.')
    return next(iter(found.values()))


def _write(record: Record, operations: Sequence[Operation], options: WriteOptions) -> ExitCode:
    if not record.exists:
        raise CommandError("This project has no record of what was generated.")

    def recording(record: Record, _: Sequence[FileChange]) -> list[PlannedFile]:
        return record.changes(operations)

    return transact(record.root, [], options, recording, record=record)
