"""`falconws upgrade` from plan to disk: check, write in one transaction with the memory, report."""

import json
from collections.abc import Sequence

import click

from falconws_cli import VERSION
from falconws_cli.change.changes import Change, preview
from falconws_cli.change.git import require_clean
from falconws_cli.change.plan import PlannedFile
from falconws_cli.change.record import MANIFEST, read_memory
from falconws_cli.change.report import Report, memory_status
from falconws_cli.change.write_options import Choices
from falconws_cli.change.writer import commit
from falconws_cli.errors import ExitCode
from falconws_cli.lifecycle.upgrade_plan import Upgrade, plan_upgrade, require_operations
from falconws_cli.project import Project


def upgrade(project: Project, choices: Choices) -> ExitCode:
    """Bring the project to the installed templates, or only show what that means; return how it went.

    Raises:
        CommandError: It cannot be done; the disk is as it was.
    """
    memory = read_memory(project.root)
    require_operations(memory)
    plan = plan_upgrade(project, memory)
    notes = _notes(plan)
    if not plan.changes and not choices.json:
        click.echo("\n".join([_up_to_date(plan), *notes]))
        notes = []
    code = ExitCode.MERGE_CONFLICTS if plan.conflicts else None
    remembered = memory.changes(plan.manifest, plan.texts)
    return _write(project, plan.changes, remembered, choices, notes, left_to_do=plan.left_out, code=code)


def check(project: Project, *, as_json: bool = False) -> ExitCode:
    """Say whether an upgrade is available; return `UPGRADE_AVAILABLE` when one is.

    `LEFT_TO_DO` is for none as far as can be told, with something left out.

    Raises:
        CommandError: It cannot be told.
    """
    memory = read_memory(project.root)
    require_operations(memory)
    plan = plan_upgrade(project, memory)
    if as_json:
        files = [str(change.file.path) for change in plan.changes]
        document = {"available": plan.available, "version": VERSION, "files": files, "left_out": list(plan.left_out)}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    elif plan.available:
        count = f"{len(plan.changes)} file{'s' if len(plan.changes) != 1 else ''}"
        click.echo(f"An upgrade to falconws {VERSION} is available, of {count}: see `falconws upgrade --dry-run`.")
    else:
        click.echo(_up_to_date(plan))
    if plan.left_out and not as_json:
        click.echo("\n".join(plan.left_out))
    if plan.available:
        return ExitCode.UPGRADE_AVAILABLE
    return ExitCode.LEFT_TO_DO if plan.left_out else ExitCode.OK


def _write(
    project: Project,
    changes: Sequence[Change],
    remembered: Sequence[PlannedFile],
    choices: Choices,
    notes: Sequence[str],
    *,
    left_to_do: Sequence[str] = (),
    code: ExitCode | None = None,
) -> ExitCode:
    written = [change.file for change in changes if change.writes]
    remembering = preview(project.root, remembered)
    writes = written or any(change.writes for change in remembering)
    if writes and not choices.dry_run and not choices.force:
        require_clean(project.root, [*(file.path for file in written), MANIFEST])
    report = Report(changes, (), notes, memory_status(remembering), left_to_do, code)
    if not choices.dry_run:
        commit(project.root, [*written, *remembered])
    if changes or left_to_do or choices.json or choices.dry_run:
        report.show(choices)
    return report.exit_code


def _up_to_date(plan: Upgrade) -> str:
    what = "All the rest of the project" if plan.left_out else "The project"
    return f"{what} is up to date: it has what falconws {VERSION} makes."


def _notes(plan: Upgrade) -> list[str]:
    notes = []
    if plan.conflicts:
        count = f"{plan.conflicts} conflict{'s' if plan.conflicts > 1 else ''}"
        notes.append(f"{count} to settle: look for <<<<<<< and >>>>>>> in the files above.")
    if any(change.writes for change in plan.changes):
        notes.append("Then run `falconws test`, and commit." if plan.conflicts else "Run `falconws test`, and commit.")
    if not any(operation.recipe.generator == "project" for operation in plan.manifest.operations):
        notes.append("What `falconws new` made is not recorded, and stays as it is.")
    return notes
