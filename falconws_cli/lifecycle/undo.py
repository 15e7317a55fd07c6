"""`falconws destroy` and `falconws undo`, from what the project remembers to the transaction."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from falconws_cli.change.changes import FileChange
from falconws_cli.change.plan import PlannedFile
from falconws_cli.change.record import FOLDER, Record, read_record
from falconws_cli.change.transaction import transact
from falconws_cli.change.write_options import WriteOptions
from falconws_cli.errors import CommandError, ExitCode, RefusedError
from falconws_cli.lifecycle.removal import RemovalPlan, plan_removal
from falconws_cli.lifecycle.restore import plan_restore
from falconws_cli.project import Project

KINDS = ("resource", "middleware", "media-handler")


def destroy(project: Project, kind: str, name: str, options: WriteOptions) -> ExitCode:
    """Remove a generated thing; return how it went.

    Raises:
        RefusedError: There is no such thing.
        CommandError: The project does not remember what was generated, or it cannot be written.
    """
    record = _require_record(project.root)
    kinds = [*KINDS, *(operation.recipe.generator for operation in record.manifest.operations)]
    kinds = [known for known in dict.fromkeys(kinds) if known != "project"]
    if kind not in kinds:
        from falconws_cli.suggestions import did_you_mean

        raise RefusedError(f'There is no kind "{kind}"; known are {", ".join(kinds)}.{did_you_mean(kind, kinds)}')
    return _carry_out(record, _plan_destroy(record, kind, name, options), options)


def undo(root: Path, options: WriteOptions) -> ExitCode:
    """Take the last generating command back; return how it went.

    Raises:
        RefusedError: Nothing is left that can be undone.
        CommandError: The project does not remember what was generated, or it cannot be written.
    """
    record = _require_record(root)
    plan = _plan_undo(record, force=options.force)
    if not options.json:
        click.echo(f"Taking back: {plan.command}\n")
    return _carry_out(record, plan, options)


def _plan_undo(record: Record, *, force: bool) -> RemovalPlan:
    """Return what takes the last generating command back, or brings back what the last `destroy` took.

    Raises:
        CommandError: The project remembers nothing, or a text that is needed is lost.
        RefusedError: What is left cannot be undone.
    """
    manifest = record.manifest
    if manifest.destroyed is not None:
        return plan_restore(record, manifest.destroyed, force=force)
    last = len(manifest.operations) - 1
    # What an earlier undo has left, because it was edited, is asked for again with --force only.
    while last >= 0 and manifest.operations[last].partly_removed and not force:
        last -= 1
    if last < 0:
        raise RefusedError("Nothing is left to undo.")
    operation = manifest.operations[last]
    if operation.recipe.generator == "project":
        raise RefusedError(
            f"Nothing is left to undo but the project itself, which `{operation.command}` made; "
            f"to take that back, delete the folder {record.root}."
        )
    return plan_removal(record, [last], operation.command, destroys=False, force=force)


def _plan_destroy(record: Record, kind: str, name: str, options: WriteOptions) -> RemovalPlan:
    """Return what removes the thing of this kind and name, whatever commands made it.

    Raises:
        RefusedError: The project does not remember such a thing.
    """
    made = {
        position: operation.recipe.name
        for position, operation in enumerate(record.manifest.operations)
        if operation.recipe.generator == kind
    }
    wanted = _canonical(kind, name, made.values())
    positions = [position for position, known in made.items() if known == wanted]
    if not positions:
        from falconws_cli.suggestions import did_you_mean

        known = sorted(set(made.values()))
        hint = did_you_mean(name, known) or (f" There is {', '.join(known)}." if known else "")
        raise RefusedError(f'falconws made no {kind.replace("-", " ")} "{name}" in this project.{hint}')
    return plan_removal(record, positions, options.command, destroys=True, force=options.force)


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
        raise CommandError(f"This project has no record of what was generated: {FOLDER}/manifest.json is missing.")
    return record


def _carry_out(record: Record, plan: RemovalPlan, options: WriteOptions) -> ExitCode:
    def remember(record: Record, _: Sequence[FileChange]) -> list[PlannedFile]:
        return record.changes(plan.manifest, plan.texts)

    return transact(
        record.root,
        plan.files,
        options,
        remember,
        record=record,
        kept=plan.kept,
        registrations=plan.registrations,
        notes=plan.notes,
        left_to_do=plan.left_to_do,
    )
