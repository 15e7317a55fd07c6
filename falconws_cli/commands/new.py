"""`falconws new`."""

import sys
from pathlib import Path

import click


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
@click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
def command(name: str, parent: Path, serve: bool, dry_run: bool) -> None:
    """Make a project: an app with tests, ready to serve.

    NAME is a word or several: demo, chat-room, "chat room" and ChatRoom all work.

    \b
    Examples:
      falconws new demo --serve
      falconws new "chat room" --in ~/src
      falconws new demo --dry-run
    """
    from falconws_cli.generators.new_project import plan_project
    from falconws_cli.report import carry_out

    root, _, plan = plan_project(name, parent)
    carry_out(root, plan, dry_run=dry_run)
    if dry_run:
        return
    click.echo(f"\nMade {root}.")
    if serve:
        from falconws_cli.serving import serve_new_project

        sys.exit(serve_new_project(root.resolve()))
    click.echo(f"Next: cd {root} && falconws serve")
