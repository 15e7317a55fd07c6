"""`falconws new`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from falconws_cli.commands.options import generating

if TYPE_CHECKING:
    from falconws_cli.choices import Choices


@click.command("new", short_help="Make a project.")
@click.argument("name")
@click.option(
    "--in",
    "parent",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    default=Path(),
    help="Where to make the project's folder.  [default: here]",
)
@click.option("--serve", is_flag=True, help="Serve the project afterwards, on port 8000 or a free one.")
@generating(unrecorded=("parent", "serve"))
def command(name: str, parent: Path, serve: bool, choices: Choices) -> None:
    """Make a project: an app with tests, ready to serve.

    NAME is a word or several: demo, chat-room, "chat room" and ChatRoom all work.

    \b
    Examples:
      falconws new demo --serve
      falconws new "chat room" --in ~/src
      falconws new demo --dry-run
    """
    from falconws_cli.generators.new_project import plan_project
    from falconws_cli.transaction import carry_out

    root, _, plan = plan_project(name, parent)
    code = carry_out(root, plan, choices)
    if choices.dry_run or choices.json:
        sys.exit(code)
    click.echo(f"\nMade {root}.")
    if serve:
        from falconws_cli.serving import serve_new_project

        sys.exit(serve_new_project(root.resolve()))
    click.echo(f"Next: cd {root} && falconws serve")
