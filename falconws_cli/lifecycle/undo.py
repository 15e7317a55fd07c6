"""`falconws destroy` and `falconws undo`, from the record to the transaction.

Must not know how a removal is planned.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import click

from falconws_cli.change.changes import FileChange
from falconws_cli.change.git import Authors, read_authors
from falconws_cli.change.lock import exclusive
from falconws_cli.change.operation import Operation
from falconws_cli.change.plan import PlannedFile
from falconws_cli.change.record import OPERATIONS, Record, read_record, seconds_between
from falconws_cli.change.transaction import transact
from falconws_cli.change.write_options import WriteOptions
from falconws_cli.errors import CommandError, ExitCode, RefusedError
from falconws_cli.lifecycle.moves import Located, locate
from falconws_cli.lifecycle.removal import RemovalPlan, plan_removal
from falconws_cli.lifecycle.restore import plan_restore
from falconws_cli.project import Project
from falconws_cli.suggestions import did_you_mean, listed

KINDS = ("resource", "middleware", "media-handler", "part")


def destroy(project: Project, kind: str, name: str, options: WriteOptions) -> ExitCode:
    """Remove a generated thing; return the exit code.

    Raises:
        RefusedError: There is no such thing.
        CommandError: Nothing is recorded, or the project cannot be written.
    """
    with exclusive(project.root):
        record = _require_record(project.root)
        kinds = [*KINDS, *(operation.recipe.generator for operation in record.operations if operation.recipe)]
        kinds = [known for known in dict.fromkeys(kinds) if known != "project"]
        if kind not in kinds:
            raise RefusedError(
                f'There is no kind "{kind}"; the kinds are {", ".join(kinds)}.{did_you_mean(kind, kinds)}'
            )
        located = locate(record)
        operations = find_operations(located.record, kind, name)
        if not options.force:
            located.require(operations, "nothing was removed")
        plan = plan_removal(located.record, operations, options.command, destroys=True, force=options.force)
        return _carry_out(located, plan, options)


def undo(root: Path, options: WriteOptions, *, yes: bool = False) -> ExitCode:
    """Undo the last command of this working tree; return the exit code.

    Args:
        root: The project.
        options: How to write.
        yes: Do not ask before undoing what somebody else committed, or what is older than an upgrade.

    Raises:
        RefusedError: Nothing is left that can be undone, or the user has to confirm.
        CommandError: Nothing is recorded, or the project cannot be written.
    """
    with exclusive(root):
        record = _require_record(root)
        located = locate(record)
        record = located.record
        operation, doubt = _last(record, force=options.force)
        if doubt and not options.dry_run and not yes:
            _confirm(f"{doubt} Undo it?", options)
        if operation.moves:
            plan = RemovalPlan(operation.command, [other for other in record.operations if other is not operation])
        elif operation.is_generated:
            if not options.force:
                located.require([operation], "nothing was removed")
            plan = plan_removal(record, [operation], operation.command, destroys=False, force=options.force)
        else:
            plan = plan_restore(located, operation, force=options.force)
        if not options.json:
            new = _new_that_ran(record, operation)
            click.echo(f"Undoing: {plan.command}{f' (a part of `{new}`)' if new else ''}\n")
        return _carry_out(located, plan, options)


def find_operations(record: Record, kind: str, name: str) -> list[Operation]:
    """Return the operations that made the thing of this kind and name.

    Raises:
        RefusedError: No such thing is recorded.
    """
    made = {op.id: op.recipe.name for op in record.operations if op.recipe and op.recipe.generator == kind}
    wanted = _canonical(kind, name, made.values())
    found = [operation for operation in record.operations if operation.id in made and made[operation.id] == wanted]
    if not found:
        if kind == "part":
            _refuse_part_of_new(record, name)
        known = sorted(set(made.values()))
        hint = did_you_mean(name, known) or (f" It has {listed(known, 'and')}." if known else "")
        raise RefusedError(f'This project has no generated {kind.replace("-", " ")} "{name}".{hint}')
    return found


def _refuse_part_of_new(record: Record, name: str) -> None:
    """Refuse to remove a part that the project was created with: its files are among those of the project.

    Raises:
        RefusedError: It is such a part; the message names its files.
    """
    from falconws_cli.generators.new_project import files_of_part

    for operation in record.generated:
        recipe = operation.recipe
        assert recipe is not None
        if recipe.generator == "project" and name.lower() in recipe.names("with"):
            there = [path for path in files_of_part(recipe, name.lower()) if (record.root / path).exists()]
            files = f"delete {' and '.join(there)}, and " if there else ""
            raise RefusedError(
                f"The part {name.lower()} belongs to the project that `{operation.command}` created, and cannot be "
                f"removed on its own. Remove it by hand: {files}edit the other files that mention it."
            )


def _last(record: Record, *, force: bool) -> tuple[Operation, str]:
    """Return the operation to undo, and what makes it doubtful that the user means this one.

    It is the last one of this working tree: one that is not committed, or that its user has committed. If there is no
    such operation, it is the last one of all.

    Raises:
        RefusedError: No operation can be undone.
    """
    # Edited files that an earlier undo has left are removed with --force only.
    candidates = [operation for operation in record.operations if force or not operation.partly_removed]
    undoable = [op for op in candidates if op.recipe is None or op.recipe.generator != "project"]
    if not undoable:
        if candidates:
            raise RefusedError(
                f"Nothing is left to undo except the project itself, which `{candidates[-1].command}` created; "
                f"to undo that, delete the folder {record.root}."
            )
        raise RefusedError("Nothing is left to undo.")
    authors = read_authors(record.root, str(OPERATIONS))
    own = [operation for operation in undoable if authors.is_own(f"{operation.id}.json")]
    operation = (own or undoable)[-1]
    return operation, _doubt(record, operation, authors)


def _doubt(record: Record, operation: Operation, authors: Authors) -> str:
    author = authors.of(f"{operation.id}.json")
    if author is not None and not authors.is_own(f"{operation.id}.json"):
        return f"{_made_by(record, operation)} was committed by {author}."
    if operation.upgraded:
        return f"{_made_by(record, operation)} is older than the upgrade to falconws {operation.upgraded}."
    return ""


def _made_by(record: Record, operation: Operation) -> str:
    """Return the command line of the operation for a sentence, with the `falconws new` that it was a part of."""
    new = _new_that_ran(record, operation)
    return f"`{operation.command}`, a part of `{new}`," if new else f"`{operation.command}`"


def _new_that_ran(record: Record, operation: Operation) -> str:
    """Return the `falconws new` that added its first resource with the operation; "" if the user typed the command."""
    from falconws_cli.generators.new_project import FIRST_RESOURCE

    if operation.command != FIRST_RESOURCE:
        return ""
    index = [other.id for other in record.operations].index(operation.id)
    before = record.operations[index - 1] if index else None
    if before is None or before.recipe is None or before.recipe.generator != "project":
        return ""
    # `falconws new` records both at once.
    return before.command if seconds_between(before, operation) < 1 else ""


def _confirm(question: str, options: WriteOptions) -> None:
    """Ask on a terminal.

    Raises:
        RefusedError: There is no terminal, or the answer is no.
    """
    if options.json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise RefusedError(f"{question} Confirm with --yes. Nothing was written.")
    if not click.confirm(question):
        raise RefusedError("Nothing was written.")


def _canonical(kind: str, name: str, known: Iterable[str]) -> str | None:
    """Return which of *known* the user means by *name*, in whatever spelling, or None."""
    from falconws_cli.names import parse_name

    known = set(known)
    if name in known:
        return name
    for suffix in ("", kind.rpartition("-")[2]):
        try:
            spelled = parse_name(name, suffix=suffix).kebab
        except CommandError:
            return None
        if spelled in known:
            return spelled
    return None


def _require_record(root: Path) -> Record:
    record = read_record(root)
    if not record.exists:
        raise CommandError(f"This project has no record of what was generated: {OPERATIONS}/ is missing or empty.")
    return record


def _carry_out(located: Located, plan: RemovalPlan, options: WriteOptions) -> ExitCode:
    written = {operation.id: operation for operation in located.original.operations}
    operations = [
        one if one.id in written else replace(one, destroyed=tuple(written[gone.id] for gone in one.destroyed))
        for one in located.as_written(plan.operations)
    ]
    operations = sorted([*operations, *plan.restored], key=lambda operation: operation.id)

    def recording(record: Record, _: Sequence[FileChange]) -> list[PlannedFile]:
        return record.changes(operations)

    return transact(
        located.original.root,
        plan.files,
        options,
        recording,
        record=located.original,
        kept=plan.kept,
        registrations=plan.registrations,
        notes=plan.notes,
        left_to_do=plan.left_to_do,
    )
