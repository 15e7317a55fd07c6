"""Resolves conflicts with existing files: by an option for all of them, or by a question for each on a terminal."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from falconws_cli.change.changes import FileChange, preview, show_diff
from falconws_cli.change.plan import PlannedFile
from falconws_cli.change.record import Record
from falconws_cli.change.write_options import ConflictPolicy, WriteOptions
from falconws_cli.change.writer import Status
from falconws_cli.errors import ConflictError
from falconws_cli.suggestions import listed

_ANSWERS = {
    "d": "show the difference",
    "o": "overwrite it",
    "k": "keep it as it is",
    "m": "merge both, as git would",
    "a": "overwrite all files that are in the way",
    "q": "quit, and write nothing",
}


def resolve_conflicts(
    root: Path, changes: Sequence[FileChange], options: WriteOptions, record: Record
) -> list[FileChange]:
    """Return *changes* with a decision for each conflict. A dry run leaves conflicts open that would need a question.

    Raises:
        ConflictError: A question is needed and there is no terminal, or the user has quit.
    """
    if options.policy is ConflictPolicy.ASK:
        changes = [
            change.keeping() if change.status is Status.CONFLICT and change.file.keep_existing else change
            for change in changes
        ]
    conflicts = [change for change in changes if change.status is Status.CONFLICT]
    unwritable = [str(change.file.path) for change in conflicts if change.current is None]
    if unwritable and not options.dry_run:
        raise ConflictError(
            f"{listed(unwritable, 'and')} cannot be written: there is a folder, the file cannot be read, or it was "
            "deleted; move what is there to another place. Nothing was written."
        )
    if not conflicts or (options.policy is ConflictPolicy.ASK and options.dry_run):
        return list(changes)
    if options.policy is ConflictPolicy.ASK and not _can_ask(options):
        raise refusal(changes)
    settled: list[FileChange] = []
    policy = options.policy
    for change in changes:
        if change.status is not Status.CONFLICT or change.current is None:
            settled.append(change)
            continue
        decision = _ask(change) if policy is ConflictPolicy.ASK else policy
        if decision is None:
            policy = decision = ConflictPolicy.OVERWRITE
        if decision is ConflictPolicy.OVERWRITE:
            settled.append(change.overwriting())
        elif decision is ConflictPolicy.KEEP:
            settled.append(change.keeping())
        else:
            settled += _merged(root, change, record)
    return settled


def refusal(changes: Sequence[FileChange]) -> ConflictError:
    """Return the error that names the conflicts among *changes* and the options that resolve them."""
    names = [str(change.file.path) for change in changes if change.status is Status.CONFLICT]
    them = "them" if len(names) > 1 else "it"
    return ConflictError(
        f"{listed(names, 'and')} {'exist and differ' if len(names) > 1 else 'exists and differs'} from what would be "
        f"written; --force overwrites {them}, --skip keeps {them}, --merge merges both versions. Nothing was written."
    )


def _can_ask(options: WriteOptions) -> bool:
    return not options.json and sys.stdin.isatty() and sys.stdout.isatty()


def _ask(change: FileChange) -> ConflictPolicy | None:
    """Return what the user wants; None means: overwrite this file and all that follow."""
    click.echo(f"\n{click.style('  conflict', fg='red')}  {change.file.path} exists and differs.")
    while True:
        question = "[d]iff, [o]verwrite, [k]eep, [m]erge, [a]ll: overwrite, [q]uit, [?]"
        answer = click.prompt(question, prompt_suffix=" > ", default="", show_default=False).strip().lower()[:1]
        if answer == "d":
            show_diff(change.diff())
        elif answer == "o":
            return ConflictPolicy.OVERWRITE
        elif answer == "k":
            return ConflictPolicy.KEEP
        elif answer == "m":
            return ConflictPolicy.MERGE
        elif answer == "a":
            return None
        elif answer == "q":
            raise ConflictError("Nothing was written.")
        else:
            for key, meaning in _ANSWERS.items():
                click.echo(f"  {key}  {meaning}")


def _merged(root: Path, change: FileChange, record: Record) -> list[FileChange]:
    """Return the merged file. If the versions cannot be merged, return the new one beside the existing one."""
    from falconws_cli.change.merge import CannotMergeError, Labels, three_way

    base = record.base(change.file.path)
    assert change.current is not None
    try:
        merged = three_way(base, change.current, change.file.data, Labels())
    except CannotMergeError as error:
        beside = PlannedFile(change.file.path.with_name(change.file.path.name + ".new"), change.file.data)
        kept = change.keeping(f"not merged: {error}; compare it with {beside.path.name}")
        # A file of an earlier attempt may be overwritten.
        new = [c.overwriting() if c.status is Status.CONFLICT else c for c in preview(root, [beside])]
        return [replace(kept, left_to_do=True), *new]
    if merged.data == change.current:
        return [replace(change, file=replace(change.file, data=merged.data), status=Status.IDENTICAL, note="merged")]
    note = "merged"
    if merged.conflicts:
        plural = "s" if merged.conflicts > 1 else ""
        note = f"merged, with {merged.conflicts} conflict{plural} between <<<<<<< and >>>>>>> to resolve"
    file = replace(change.file, data=merged.data, before=change.current)
    marked = bool(merged.conflicts)
    return [replace(change, file=file, status=Status.UPDATE, note=note, left_to_do=marked, markers=marked)]
