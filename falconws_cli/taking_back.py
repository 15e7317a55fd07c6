"""`falconws destroy` and `falconws undo`, from what the project remembers to the transaction."""

from collections.abc import Sequence
from pathlib import Path

import click

from falconws_cli.choices import Choices
from falconws_cli.errors import CommandError, RefusedError
from falconws_cli.exitcodes import ExitCode
from falconws_cli.memory import FOLDER, Memory, read_memory
from falconws_cli.plan import PlannedFile
from falconws_cli.preview import Change
from falconws_cli.transaction import transact
from falconws_cli.withdrawal import Withdrawal, plan_destroy, plan_undo

KINDS = ("resource", "middleware", "media-handler")


def destroy(root: Path, kind: str, name: str, choices: Choices) -> ExitCode:
    """Remove a generated thing; return how it went.

    Raises:
        RefusedError: There is no such thing.
        CommandError: The project does not remember what was generated, or it cannot be written.
    """
    memory = _require_memory(root)
    kinds = [*KINDS, *(operation.recipe.generator for operation in memory.manifest.operations)]
    kinds = [known for known in dict.fromkeys(kinds) if known != "project"]
    if kind not in kinds:
        from falconws_cli.suggestions import did_you_mean

        raise RefusedError(f'There is no kind "{kind}"; known are {", ".join(kinds)}.{did_you_mean(kind, kinds)}')
    return _carry_out(memory, plan_destroy(memory, kind, name, choices.command, force=choices.force), choices)


def undo(root: Path, choices: Choices) -> ExitCode:
    """Take the last generating command back; return how it went.

    Raises:
        RefusedError: Nothing is left that can be undone.
        CommandError: The project does not remember what was generated, or it cannot be written.
    """
    memory = _require_memory(root)
    withdrawal = plan_undo(memory, force=choices.force)
    if not choices.json:
        click.echo(f"Taking back: {withdrawal.command}\n")
    return _carry_out(memory, withdrawal, choices)


def _require_memory(root: Path) -> Memory:
    memory = read_memory(root)
    if not memory.is_there:
        raise CommandError(
            f"This project does not remember what was generated: it has no {FOLDER}/manifest.json, because it was made "
            "by falconws 0.1 or by hand; `falconws upgrade --adopt` makes it remember what falconws 0.1 made."
        )
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
