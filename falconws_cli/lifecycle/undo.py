"""`falconws destroy` and `falconws undo`, from what the project remembers to the transaction."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from falconws_cli.change.changes import Change
from falconws_cli.change.plan import PlannedFile
from falconws_cli.change.record import FOLDER, Memory, read_memory
from falconws_cli.change.transaction import transact
from falconws_cli.change.write_options import Choices
from falconws_cli.errors import CommandError, ExitCode, RefusedError
from falconws_cli.lifecycle.removal import Withdrawal, take_back
from falconws_cli.lifecycle.restore import bring_back
from falconws_cli.project import Project

KINDS = ("resource", "middleware", "media-handler")


def destroy(project: Project, kind: str, name: str, choices: Choices) -> ExitCode:
    """Remove a generated thing; return how it went.

    Raises:
        RefusedError: There is no such thing.
        CommandError: The project does not remember what was generated, or it cannot be written.
    """
    memory = _require_memory(project.root)
    kinds = [*KINDS, *(operation.recipe.generator for operation in memory.manifest.operations)]
    kinds = [known for known in dict.fromkeys(kinds) if known != "project"]
    if kind not in kinds:
        from falconws_cli.suggestions import did_you_mean

        raise RefusedError(f'There is no kind "{kind}"; known are {", ".join(kinds)}.{did_you_mean(kind, kinds)}')
    return _carry_out(memory, _plan_destroy(memory, kind, name, choices), choices)


def undo(root: Path, choices: Choices) -> ExitCode:
    """Take the last generating command back; return how it went.

    Raises:
        RefusedError: Nothing is left that can be undone.
        CommandError: The project does not remember what was generated, or it cannot be written.
    """
    memory = _require_memory(root)
    withdrawal = _plan_undo(memory, force=choices.force)
    if not choices.json:
        click.echo(f"Taking back: {withdrawal.command}\n")
    return _carry_out(memory, withdrawal, choices)


def _plan_undo(memory: Memory, *, force: bool) -> Withdrawal:
    """Return what takes the last generating command back, or brings back what the last `destroy` took.

    Raises:
        CommandError: The project remembers nothing, or a text that is needed is lost.
        RefusedError: What is left cannot be undone.
    """
    manifest = memory.manifest
    if manifest.destroyed is not None:
        return bring_back(memory, manifest.destroyed, force=force)
    last = len(manifest.operations) - 1
    # What an earlier undo has left, because it was edited, is asked for again with --force only.
    while last >= 0 and manifest.operations[last].taken_back and not force:
        last -= 1
    if last < 0:
        raise RefusedError("Nothing is left to undo.")
    operation = manifest.operations[last]
    if operation.recipe.generator == "project":
        raise RefusedError(
            f"Nothing is left to undo but the project itself, which `{operation.command}` made; "
            f"to take that back, delete the folder {memory.root}."
        )
    return take_back(memory, [last], operation.command, destroys=False, force=force)


def _plan_destroy(memory: Memory, kind: str, name: str, choices: Choices) -> Withdrawal:
    """Return what removes the thing of this kind and name, whatever commands made it.

    Raises:
        RefusedError: The project does not remember such a thing.
    """
    made = {
        position: operation.recipe.name
        for position, operation in enumerate(memory.manifest.operations)
        if operation.recipe.generator == kind
    }
    wanted = _canonical(kind, name, made.values())
    positions = [position for position, known in made.items() if known == wanted]
    if not positions:
        from falconws_cli.suggestions import did_you_mean

        known = sorted(set(made.values()))
        hint = did_you_mean(name, known) or (f" There is {', '.join(known)}." if known else "")
        raise RefusedError(f'falconws made no {kind.replace("-", " ")} "{name}" in this project.{hint}')
    return take_back(memory, positions, choices.command, destroys=True, force=choices.force)


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


def _require_memory(root: Path) -> Memory:
    memory = read_memory(root)
    if not memory.is_there:
        raise CommandError(f"This project has no record of what was generated: {FOLDER}/manifest.json is missing.")
    return memory


def _carry_out(memory: Memory, withdrawal: Withdrawal, choices: Choices) -> ExitCode:
    def remember(memory: Memory, _: Sequence[Change]) -> list[PlannedFile]:
        return memory.changes(withdrawal.manifest, withdrawal.texts)

    return transact(
        memory.root,
        withdrawal.files,
        choices,
        remember,
        memory=memory,
        kept=withdrawal.kept,
        registrations=withdrawal.registrations,
        notes=withdrawal.notes,
        left_to_do=withdrawal.left_to_do,
    )
