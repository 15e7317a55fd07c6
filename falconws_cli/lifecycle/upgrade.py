"""`falconws upgrade`, from the plan to the transaction."""

import json
from collections.abc import Sequence

import click

from falconws_cli import VERSION
from falconws_cli.change.changes import FileChange, preview
from falconws_cli.change.git import require_clean
from falconws_cli.change.lock import exclusive
from falconws_cli.change.plan import PlannedFile
from falconws_cli.change.record import read_record
from falconws_cli.change.report import Report, record_status
from falconws_cli.change.write_options import WriteOptions
from falconws_cli.change.writer import commit
from falconws_cli.errors import ExitCode
from falconws_cli.lifecycle.upgrade_plan import Upgrade, plan_upgrade, require_operations
from falconws_cli.project import Project


def upgrade(project: Project, options: WriteOptions) -> ExitCode:
    """Upgrade the project to the installed templates, or only show the changes; return the exit code.

    Raises:
        CommandError: The upgrade failed. Nothing was changed.
    """
    with exclusive(project.root):
        record = read_record(project.root)
        require_operations(record)
        plan = plan_upgrade(project, record)
        notes = _notes(plan)
        if not plan.changes and not options.json:
            click.echo("\n".join([_up_to_date(plan), *notes]))
            notes = []
        code = ExitCode.MERGE_CONFLICTS if plan.conflicts else None
        recorded = record.changes(plan.operations)
        return _write(project, plan.changes, recorded, options, notes, left_to_do=plan.left_out, code=code)


def check(project: Project, *, as_json: bool = False) -> ExitCode:
    """Print whether an upgrade is available; return `UPGRADE_AVAILABLE` if so.

    Return `LEFT_TO_DO` if none was found, but something was left out.

    Raises:
        CommandError: A template cannot be rendered, or a file cannot be read.
    """
    record = read_record(project.root)
    require_operations(record)
    plan = plan_upgrade(project, record)
    if as_json:
        files = [str(change.file.path) for change in plan.changes]
        document = {"available": plan.available, "version": VERSION, "files": files, "left_out": list(plan.left_out)}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    elif plan.available:
        count = f"{len(plan.changes)} file{'s' if len(plan.changes) != 1 else ''}"
        click.echo(f"An upgrade to falconws {VERSION} is available for {count}: see `falconws upgrade --dry-run`.")
    else:
        click.echo(_up_to_date(plan))
    if plan.left_out and not as_json:
        click.echo("\n".join(plan.left_out))
    if plan.available:
        return ExitCode.UPGRADE_AVAILABLE
    return ExitCode.LEFT_TO_DO if plan.left_out else ExitCode.OK


def _write(
    project: Project,
    changes: Sequence[FileChange],
    recorded: Sequence[PlannedFile],
    options: WriteOptions,
    notes: Sequence[str],
    *,
    left_to_do: Sequence[str] = (),
    code: ExitCode | None = None,
) -> ExitCode:
    written = [change.file for change in changes if change.writes]
    recording = preview(project.root, recorded)
    writes = written or any(change.writes for change in recording)
    if writes and not options.dry_run and not options.force:
        require_clean(project.root, [file.path for file in (*written, *recorded)])
    report = Report(changes, (), notes, record_status(recording), left_to_do, code)
    if not options.dry_run:
        commit(project.root, [*written, *recorded])
    if changes or left_to_do or options.json or options.dry_run:
        report.show(options)
    return report.exit_code


def _up_to_date(plan: Upgrade) -> str:
    what = "The rest of the project" if plan.left_out else "The project"
    return f"{what} is up to date: it matches the templates of falconws {VERSION}."


def _notes(plan: Upgrade) -> list[str]:
    notes = []
    if plan.conflicts:
        count = f"{plan.conflicts} conflict{'s' if plan.conflicts > 1 else ''}"
        notes.append(f"{count} to resolve: look for <<<<<<< and >>>>>>> in the files above.")
    if any(change.writes for change in plan.changes):
        notes.append("Then run `falconws test`, and commit." if plan.conflicts else "Run `falconws test`, and commit.")
    if not any(one.recipe is not None and one.recipe.generator == "project" for one in plan.operations):
        notes.append("What `falconws new` made is not recorded, and stays as it is.")
    return notes
