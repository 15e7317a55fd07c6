"""`falconws destroy`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from falconws_cli.commands.options import removing

if TYPE_CHECKING:
    from falconws_cli.choices import Choices


@click.command("destroy", short_help="Remove a generated resource, middleware or media handler.")
@click.argument("kind", metavar="KIND")
@click.argument("name")
@removing()
def command(kind: str, name: str, choices: Choices) -> None:
    """Remove what add-KIND made under NAME: files, registration, and the dependency that nothing else needs.

    KIND is resource, middleware or media-handler. Files that were edited since are kept and named, unless --force.

    \b
    Examples:
      falconws destroy resource "chat room" --dry-run
      falconws destroy media-handler orders
      falconws undo
    """
    from falconws_cli.project import require_project
    from falconws_cli.taking_back import destroy

    sys.exit(destroy(require_project(Path.cwd()).root, kind, name, choices))
