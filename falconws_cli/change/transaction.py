"""A writing command from plan to disk in one transaction: preview, conflicts, record, commit, report.

Must not know what the files are for, nor which command writes them.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from falconws_cli import VERSION
from falconws_cli.change.changes import FileChange, preview
from falconws_cli.change.missing import without_missing
from falconws_cli.change.operation import MAX_TEXT_BYTES, Operation, RecordedEdit, RecordedRegistration
from falconws_cli.change.plan import Plan, PlannedFile, PlannedRegistration, stacked
from falconws_cli.change.record import Record, read_record, sha256
from falconws_cli.change.report import Report, record_status
from falconws_cli.change.write_options import ConflictPolicy, WriteOptions
from falconws_cli.change.writer import Status, commit
from falconws_cli.errors import CommandError, ExitCode

Remember = Callable[[Record, Sequence[FileChange]], list[PlannedFile]]
"""Returns the planned files of the record for the changes that will be written."""
Settle = Callable[[Sequence[FileChange]], tuple[Sequence[FileChange], Sequence[PlannedRegistration]]]
"""Returns what is left of the changes and registrations, once each conflict is resolved."""


def carry_out(
    root: Path, plans: Sequence[Plan], options: WriteOptions, *, earlier: Sequence[Operation] = ()
) -> ExitCode:
    """Write the plans below *root* and record them, or only show them; print a report; return the exit code.

    The report shows the registrations of the first plan only.

    Args:
        root: The folder that the paths are relative to.
        plans: What to write.
        options: Whether to write, the form of the report, and the policy for conflicts.
        earlier: Recorded operations as they are recorded from now on.

    Raises:
        ConflictError: Files are in the way, and there was no terminal to ask on. Nothing was written.
        CommandError: The plan cannot be written; the disk is as it was.
    """

    settled = list(plans)

    def settle(changes: Sequence[FileChange]) -> tuple[Sequence[FileChange], Sequence[PlannedRegistration]]:
        settled[:], changes, missing = without_missing(root, plans, changes)
        return changes, [*settled[0].registrations, *(one for one in missing if one not in settled[0].registrations)]

    def recording(record: Record, changes: Sequence[FileChange]) -> list[PlannedFile]:
        return _recording(record, settled, changes, options.command, earlier)

    first = plans[0]
    return transact(
        root,
        stacked(plans),
        options,
        recording,
        settle=settle,
        registrations=first.registrations,
        notes=first.notes,
        left_to_do=first.left_to_do,
    )


def transact(
    root: Path,
    files: Sequence[PlannedFile],
    options: WriteOptions,
    recording: Remember,
    *,
    record: Record | None = None,
    settle: Settle | None = None,
    kept: Sequence[FileChange] = (),
    registrations: Sequence[PlannedRegistration] = (),
    notes: Sequence[str] = (),
    left_to_do: Sequence[str] = (),
) -> ExitCode:
    """Write *files* and what *recording* returns for them, all or nothing, or only show it; return the exit code.

    Args:
        root: The folder that the paths are relative to.
        files: What to write or delete.
        options: Whether to write, the form of the report, and the policy for conflicts.
        recording: Returns the changes of the record.
        record: The record, if the caller has read it already.
        settle: Called when each conflict is resolved; returns the changes and registrations that are left.
        kept: Files that the caller keeps; for the report only.
        registrations: For the report only; their edits are among *files*.
        notes: Printed after writing.
        left_to_do: What the user has to do; sets the exit code.

    Raises:
        ConflictError: Files are in the way, and there was no terminal to ask on. Nothing was written.
        CommandError: The files cannot be written; the disk is as it was.
    """
    record = record or read_record(root)
    changes = preview(root, files)
    if any(change.status is Status.CONFLICT for change in changes):
        changes = _resolved(
            root, changes, options, record, Report(changes, registrations, notes, left_to_do=left_to_do)
        )
        if settle is not None:
            settled, registrations = settle(changes)
            changes = list(settled)
    recorded = preview(root, recording(record, changes))
    shown = sorted([*changes, *kept], key=lambda change: change.file.path)
    report = Report(shown, registrations, [*notes, *record.damaged], record_status(recorded), left_to_do)
    if options.dry_run:
        report.show(options)
        if report.exit_code is ExitCode.CONFLICT:
            from falconws_cli.change.conflicts import refusal

            raise refusal(changes)
        return report.exit_code
    commit(root, [change.file for change in changes if change.writes] + [change.file for change in recorded])
    report.show(options)
    return report.exit_code


def _resolved(
    root: Path, changes: Sequence[FileChange], options: WriteOptions, record: Record, report: Report
) -> list[FileChange]:
    """Return *changes* with a decision for each conflict. Print the report as JSON before a refusal."""
    from falconws_cli.change.conflicts import refusal, resolve_conflicts

    if options.json and options.policy is ConflictPolicy.ASK:
        report.show(options)
        raise refusal(changes)
    return resolve_conflicts(root, changes, options, record)


def _recording(
    record: Record,
    plans: Sequence[Plan],
    changes: Sequence[FileChange],
    command: str,
    earlier: Sequence[Operation],
) -> list[PlannedFile]:
    """Return the planned files that record the plans; a plan that changes nothing is recorded once only."""
    if any(change.status is Status.CONFLICT for change in changes):
        return []
    changed = {operation.id: operation for operation in earlier}
    operations = [changed.get(operation.id, operation) for operation in record.operations]
    # What was replaced entirely has nothing left to be upgraded, undone or shown.
    operations = [operation for operation in operations if operation.files or operation.id not in changed]
    for plan in plans:
        name = record.next_id(operations[-1].id if operations else "")
        operation = _operation(name, plan, changes, plan.command or command)
        if any(change.writes for change in changes) or not _is_known(record, operation):
            operations.append(operation)
    return record.changes(operations)


def _is_known(record: Record, operation: Operation) -> bool:
    return not operation.files or any(
        operation.files.items() <= known.files.items()
        for known in record.generated
        if known.recipe is not None and operation.recipe is not None and known.recipe.is_same_thing(operation.recipe)
    )


def _operation(name: str, plan: Plan, changes: Sequence[FileChange], command: str) -> Operation:
    """Return the operation that records the plan."""
    assert plan.recipe is not None
    pristine = {file.path: file.data for file in plan.files if file.path in plan.generated}
    for path, data in pristine.items():
        if len(data) > MAX_TEXT_BYTES:
            raise CommandError(f"{path} would have more than {MAX_TEXT_BYTES} bytes. Nothing was written.")
    planned = {file.path: file for file in plan.files}
    here = {c.file.path: c for c in changes if c.status is not Status.SKIP and c.file.path in planned}
    edits = {}
    for path, change in here.items():
        # What an earlier plan of the same command makes is not on the disk yet.
        before = planned[path].before if change.current is None else change.current
        if before is not None and (change.writes or path in pristine):
            edits[str(path)] = recorded_edit(before, change.file.data)
    return Operation(
        id=name,
        command=command,
        version=VERSION,
        recipe=plan.recipe,
        files={str(path): data for path, data in pristine.items() if path in here},
        packages=tuple(
            str(path)
            for path, change in here.items()
            if change.status is Status.CREATE and path.name == "__init__.py" and path not in pristine
        ),
        edits=edits,
        registrations=tuple(_made(one) for one in plan.registrations if one.spec is not None),
        requirements=plan.requirements,
        added=plan.added,
    )


def recorded_edit(before: bytes, after: bytes) -> RecordedEdit:
    """Return the edit as it is recorded; a text that is too large is not."""
    return RecordedEdit(before if len(before) <= MAX_TEXT_BYTES else None, sha256(after))


def _made(planned: PlannedRegistration) -> RecordedRegistration:
    from falconws_cli.source.register.result import RegisterResult
    from falconws_cli.source.registration import import_text

    spec = planned.spec
    assert spec is not None
    registration = planned.registration
    assert isinstance(registration, RegisterResult)
    imports = tuple(import_text(wanted) for wanted in registration.imports)
    outcome = registration.outcome.value
    return RecordedRegistration(spec.kind, str(spec.path), spec.package, spec.arguments, outcome, imports)
