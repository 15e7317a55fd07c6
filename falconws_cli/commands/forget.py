"""`falconws forget`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from falconws_cli.commands.options import recording
from falconws_cli.completions import recorded_names

if TYPE_CHECKING:
    from falconws_cli.change.write_options import WriteOptions


@click.command("forget", short_help="Stop managing generated code; its files stay.")
@click.argument("name", shell_complete=recorded_names)
@recording()
def command(name: str, write_options: WriteOptions) -> None:
    """Remove NAME from .falconws/, where falconws records the code that it has generated. No file of yours changes.

    NAME is a resource, middleware or media handler, or the path of one generated file. After that, `undo`, `upgrade`
    and the remove- commands, such as `remove-resource`, leave it alone.

    \b
    Examples:
      falconws forget chat
      falconws forget middleware/auth
      falconws forget tests/resources/test_chat.py
    """
    from falconws_cli.lifecycle.mend import forget
    from falconws_cli.project import require_project

    sys.exit(forget(require_project(Path.cwd()), name, write_options))
