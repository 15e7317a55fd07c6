"""`falconws destroy`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from falconws_cli.commands.options import removing

if TYPE_CHECKING:
    from falconws_cli.change.write_options import WriteOptions


def _kinds(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    from falconws_cli.completions import generated_kinds

    return generated_kinds(ctx, parameter, incomplete)


def _names(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    from falconws_cli.completions import generated_names

    return generated_names(ctx, parameter, incomplete)


@click.command("destroy", short_help="Remove a generated resource, middleware or media handler.")
@click.argument("kind", metavar="KIND", shell_complete=_kinds)
@click.argument("name", shell_complete=_names)
@removing()
def command(kind: str, name: str, write_options: WriteOptions) -> None:
    """Remove what add-KIND made under NAME: its files, its registration, and dependencies that nothing else needs.

    KIND is resource, middleware or media-handler. Files that were edited since are kept and listed, unless --force is
    given. The resource echo of a new project can be removed like any other.

    \b
    Examples:
      falconws destroy resource "chat room" --dry-run
      falconws destroy media-handler orders
      falconws undo
    """
    from falconws_cli.lifecycle.undo import destroy
    from falconws_cli.project import require_project

    sys.exit(destroy(require_project(Path.cwd()), kind, name, write_options))
