"""`falconws moved`."""

from __future__ import annotations

import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from falconws_cli.commands.options import recording

if TYPE_CHECKING:
    from falconws_cli.change.write_options import WriteOptions


@click.command("moved", short_help="Record that generated code was moved or renamed.")
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@recording()
def command(old: str, new: str, write_options: WriteOptions) -> None:
    """Record that the generated file or folder OLD is at NEW now. Moves nothing.

    `status`, `undo`, `upgrade` and the remove- commands, such as `remove-resource`, then find it there. Paths are
    relative to the project's root.

    \b
    Examples:
      falconws moved demo/resources/chat.py demo/rooms/chat.py
      falconws moved demo src/demo
      falconws moved demo chat_service
    """
    from falconws_cli.lifecycle.mend import moved
    from falconws_cli.project import require_project

    sys.exit(moved(require_project(Path.cwd()), PurePosixPath(old), PurePosixPath(new), write_options))
