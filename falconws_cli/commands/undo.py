"""`falconws undo`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from falconws_cli.commands.options import removing

if TYPE_CHECKING:
    from falconws_cli.change.write_options import WriteOptions


@click.command("undo", short_help="Take the last generating command back.")
@removing()
def command(write_options: WriteOptions) -> None:
    """Take the last generating command back, or the last `falconws destroy`; again, the one before.

    Files that were edited since are kept and named, unless --force. What cannot be undone: `falconws new`, an undo,
    what pip has installed.

    \b
    Examples:
      falconws undo --dry-run --diff
      falconws undo
    """
    from falconws_cli.lifecycle.undo import undo
    from falconws_cli.project import require_project

    sys.exit(undo(require_project(Path.cwd()).root, write_options))
