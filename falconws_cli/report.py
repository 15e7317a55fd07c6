"""What a generating command says: one line for each file and registration, then what is left to do."""

from pathlib import Path

import click

from falconws_cli.exitcodes import ExitCode
from falconws_cli.plan import Plan
from falconws_cli.register import Outcome
from falconws_cli.writer import Status, commit, compare

_COLORS = {Status.CREATE: "green", Status.UPDATE: "yellow", Status.CONFLICT: "red"}


def carry_out(root: Path, plan: Plan, *, dry_run: bool, quiet: bool = False) -> ExitCode:
    """Write the plan below *root*, or only show it, and say what happened; return how it went.

    Raises:
        CommandError: The plan cannot be written; the disk is as it was.
    """
    statuses = [(file, compare(root, file)) for file in plan.files]
    if not dry_run:
        commit(root, plan.files)
    if not quiet or dry_run:
        for file, status in statuses:
            _line(status.value, str(file.path), _COLORS.get(status))
    left_to_do = [entry for entry in plan.registrations if entry.registration.outcome is Outcome.CANNOT]
    for entry in plan.registrations:
        registration = entry.registration
        if registration.outcome is Outcome.REGISTERED:
            _line("register", f"{registration.what} in {entry.path}", "green")
        elif registration.outcome is Outcome.ALREADY:
            _line("already", f"{registration.what} in {entry.path}", None)
    for entry in left_to_do:
        registration = entry.registration
        click.echo()
        click.echo(f"Cannot register {registration.what} in {entry.path}: {registration.reason}.")
        click.echo("Add these lines yourself:\n")
        for line in registration.lines:
            click.echo(f"    {line}".rstrip())
    if dry_run:
        click.echo("\nNothing was written: this was a dry run.")
    elif plan.notes:
        click.echo()
        for note in plan.notes:
            click.echo(note)
    return ExitCode.REGISTER_BY_HAND if left_to_do else ExitCode.OK


def _line(verb: str, what: str, color: str | None) -> None:
    click.echo(f"{click.style(f'{verb:>10}', fg=color)}  {what}")
