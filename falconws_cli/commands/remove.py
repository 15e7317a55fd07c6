"""`falconws remove-KIND`, for each kind of generated code, and its older spelling `falconws destroy KIND`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from falconws_cli.commands.options import removing
from falconws_cli.completions import generated_kinds, generated_names

if TYPE_CHECKING:
    from falconws_cli.change.write_options import WriteOptions


_EXAMPLES = {
    "resource": ("orders", '"chat room"'),
    "middleware": ("auth", '"access log"'),
    "media-handler": ("orders", '"fast json"'),
    "part": ("docker", "redis"),
}
"""Names for the help of a command; those of a resource also stand for the kinds of plugins."""


def _names(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    kind = ctx.params.get("kind") or (ctx.command.name or "").removeprefix("remove-")
    return generated_names(kind, incomplete)


def _remove(kind: str, name: str, write_options: WriteOptions) -> None:
    from falconws_cli.lifecycle.undo import destroy
    from falconws_cli.project import require_project

    sys.exit(destroy(require_project(Path.cwd()), kind, name, write_options))


def command_of(kind: str) -> click.Command:
    """Return `falconws remove-KIND`."""
    phrase = kind.replace("-", " ")
    first, second = _EXAMPLES.get(kind, _EXAMPLES["resource"])

    @removing()
    def run(name: str, write_options: WriteOptions) -> None:
        _remove(kind, name, write_options)

    command = click.command(
        f"remove-{kind}",
        short_help=f"Remove a generated {phrase}.",
        help=f"""Remove what add-{kind} generated under NAME.

        Removes the files, the registration, and dependencies that nothing else needs. Files that were edited since
        are kept and listed, unless --force is given. `falconws undo` brings everything back.

        \b
        Examples:
          falconws remove-{kind} {second} --dry-run
          falconws remove-{kind} {first}
        """,
    )(run)
    command.params.insert(0, click.Argument(["name"], shell_complete=_names))
    return command


@click.command("destroy", hidden=True, short_help="Remove generated code: the older spelling of remove-KIND.")
@click.argument("kind", metavar="KIND", shell_complete=generated_kinds)
@click.argument("name", shell_complete=_names)
@removing()
def destroy(kind: str, name: str, write_options: WriteOptions) -> None:
    """Remove what add-KIND generated under NAME, as `falconws remove-KIND NAME` does.

    \b
    Examples:
      falconws destroy resource "chat room" --dry-run
    """
    _remove(kind, name, write_options)
