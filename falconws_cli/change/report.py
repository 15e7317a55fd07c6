"""The output of a writing command: a line for each path and registration, and what is left to do; or JSON.

Must not write to the project.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from falconws_cli.change.changes import FileChange, counts, show_diff
from falconws_cli.change.plan import PlannedRegistration
from falconws_cli.change.record import FOLDER
from falconws_cli.change.write_options import WriteOptions
from falconws_cli.change.writer import Status
from falconws_cli.errors import ExitCode

_COLORS = {
    Status.CREATE: "green",
    Status.UPDATE: "yellow",
    Status.DELETE: "yellow",
    Status.CONFLICT: "red",
    Status.SKIP: "cyan",
}
_SAID = {
    "REGISTERED": ("register", "in", "green"),
    "ALREADY": ("already", "in", None),
    "REMOVED": ("remove", "from", "yellow"),
    "ABSENT": ("missing", "in", None),
}
"""The words for each outcome of a registration or of its removal."""


@dataclass(frozen=True)
class Report:
    """The result of one command."""

    changes: Sequence[FileChange]
    registrations: Sequence[PlannedRegistration] = ()
    notes: Sequence[str] = ()
    record: Status = Status.IDENTICAL
    """The change of `.falconws/`, shown as one line."""
    left_to_do: Sequence[str] = ()
    """What else the user has to do."""

    code: ExitCode | None = None
    """The exit code, if it does not follow from the changes."""

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command."""
        if self.code is not None:
            return self.code
        if any(change.status is Status.CONFLICT for change in self.changes):
            return ExitCode.CONFLICT
        if any(change.markers for change in self.changes):
            return ExitCode.MERGE_CONFLICTS
        by_hand = [change for change in self.changes if change.left_to_do]
        return ExitCode.LEFT_TO_DO if by_hand or self._needing_user() or self.left_to_do else ExitCode.OK

    def show(self, options: WriteOptions) -> None:
        """Print the report."""
        if options.json:
            self._print_json(options)
            return
        for change in self.changes:
            _line(change.status.value, f"{change.file.path}{_aside(change.note)}", _COLORS.get(change.status))
            if options.diff:
                show_diff(change.diff())
        if self.record is not Status.IDENTICAL:
            _line(self.record.value, f"{FOLDER}/", _COLORS.get(self.record))
        for planned in self.registrations:
            outcome = planned.registration.outcome
            if outcome.name in _SAID:
                verb, where, color = _SAID[outcome.name]
                _line(verb, f"{planned.registration.what} {where} {planned.path}", color)
        for planned in self._needing_user():
            _advise(planned)
        if self.left_to_do:
            click.echo("\n" + "\n".join(self.left_to_do))
        if options.dry_run:
            click.echo(f"\nNothing was written: this was a dry run. {self._summary()}")
        elif self.notes:
            click.echo()
            for note in self.notes:
                click.echo(note)

    def _needing_user(self) -> list[PlannedRegistration]:
        """Return the registrations that need the user: those that failed, and those that are still used."""
        return [
            planned
            for planned in self.registrations
            if planned.registration.outcome.name == "CANNOT"
            or (planned.registration.outcome.name == "REMOVED" and planned.registration.lines)
        ]

    def _summary(self) -> str:
        """Return "3 files to create, 1 to update." """
        found = [(name, count) for name, count in counts(self.changes).items() if count]
        parts = [
            f"{count} {'file ' if i == 0 and count == 1 else 'files ' if i == 0 else ''}{_COUNTED[name]}"
            for i, (name, count) in enumerate(found)
        ]
        return f"{', '.join(parts)}." if parts else "There is nothing to do."

    def _print_json(self, options: WriteOptions) -> None:
        import json

        files: list[dict[str, Any]] = []
        for change in self.changes:
            entry = {"path": str(change.file.path), "status": change.status.value}
            if change.note:
                entry["note"] = change.note
            if options.diff:
                entry["diff"] = change.diff()
            files.append(entry)
        document = {
            "command": options.command,
            "written": not options.dry_run and self.exit_code is not ExitCode.CONFLICT,
            "exit_code": int(self.exit_code),
            "counts": counts(self.changes),
            "files": files,
            "record": self.record.value,
            "registrations": [
                {
                    "what": planned.registration.what,
                    "path": str(planned.path),
                    "outcome": planned.registration.outcome.value,
                    "reason": planned.registration.reason,
                    "lines": list(planned.registration.lines),
                }
                for planned in self.registrations
            ],
            "left_to_do": list(self.left_to_do),
            "notes": list(self.notes),
        }
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))


_COUNTED = {
    "create": "to create",
    "update": "to update",
    "identical": "identical",
    "delete": "to delete",
    "conflict": "in conflict",
    "skip": "to skip",
}


def record_status(changes: Sequence[FileChange]) -> Status:
    """Return the change of the record as a whole."""
    if all(change.status is Status.IDENTICAL for change in changes):
        return Status.IDENTICAL
    # The one file that is there as long as anything is recorded.
    (attributes,) = (change.status for change in changes if change.file.path.name == ".gitattributes")
    return attributes if attributes in (Status.CREATE, Status.DELETE) else Status.UPDATE


def _advise(planned: PlannedRegistration) -> None:
    """Print the lines that the user has to add or edit, and why."""
    from falconws_cli.source.register.result import RegisterResult

    entry = planned.registration
    adds = isinstance(entry, RegisterResult)
    if entry.outcome.name == "CANNOT":
        verb, where = ("register", "in") if adds else ("remove", "from")
        click.echo(f"\nCannot {verb} {entry.what} {where} {planned.path}: {entry.reason}.")
    else:
        click.echo(f"\n{planned.path}: {entry.reason}.")
    if not entry.lines:
        click.echo("Edit it by hand.")
        return
    click.echo(f"{'Add these lines to it' if adds else 'Edit these lines'} by hand:\n")
    for line in entry.lines:
        click.echo(f"    {line}".rstrip())


def _aside(note: str) -> str:
    return f" ({note})" if note else ""


def _line(verb: str, what: str, color: str | None) -> None:
    click.echo(f"{click.style(f'{verb:>10}', fg=color)}  {what}")
