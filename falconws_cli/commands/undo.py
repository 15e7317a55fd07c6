"""`falconws undo`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from falconws_cli.commands.options import removing

if TYPE_CHECKING:
    from falconws_cli.change.write_options import WriteOptions


@click.command("undo", short_help="Undo the last add- or remove- command.")
@click.option(
    "--yes", is_flag=True, help="Do not ask, even if another author committed it or it is older than an upgrade."
)
@removing(unrecorded=("yes",))
def command(yes: bool, write_options: WriteOptions) -> None:
    """Undo the last add- or remove- command of this working tree; run it again to undo the one before.

    Asks first if another author committed it, or if it is older than the last upgrade. Files that were edited since are
    kept and listed, unless --force is given. `falconws new`, another undo, an upgrade, and the packages that pip has
    installed cannot be undone.

    \b
    Examples:
      falconws undo --dry-run --diff
      falconws undo
    """
    from falconws_cli.lifecycle.undo import undo
    from falconws_cli.project import require_project

    sys.exit(undo(require_project(Path.cwd()).root, write_options, yes=yes))
