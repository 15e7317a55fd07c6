"""`falconws eject`."""

from __future__ import annotations

import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from falconws_cli.commands.options import generating

if TYPE_CHECKING:
    from falconws_cli.change.write_options import WriteOptions


def _complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    from falconws_cli.templating.ejecting import tree_names

    return [name for name in tree_names() if name.startswith(incomplete)]


@click.command("eject", short_help="Copy a template to customize it.")
@click.argument("template", required=False, shell_complete=_complete)
@click.option("--list", "list_them", is_flag=True, help="List the templates, and which of them you have customized.")
@click.option("--user", is_flag=True, help="Copy it into your settings folder, for all your projects.")
@generating()
def command(template: str | None, list_them: bool, user: bool, write_options: WriteOptions) -> None:
    """Copy a template into the project's .falconws/templates/, where it takes precedence over the built-in one.

    TEMPLATE is a name from --list, or one file below it. Delete the copies that you do not change: falconws then
    uses the built-in files.

    \b
    Examples:
      falconws eject --list
      falconws eject resource/echo
      falconws eject middleware/token-auth --dry-run
      falconws eject project/base --user
    """
    from falconws_cli.change.transaction import transact
    from falconws_cli.project import find_project, require_project
    from falconws_cli.templating import ejecting
    from falconws_cli.templating.templates import IN_PROJECT, users_folder

    if list_them:
        project = find_project(Path.cwd())
        root = project.root if project is not None else None
        for tree in ejecting.tree_names():
            own = [str(folder) for folder in ejecting.owners(root, tree)]
            click.echo(f"{tree}  ({', '.join(own)})" if own else tree)
        return
    if template is None:
        raise click.UsageError("Name a template; `falconws eject --list` shows them all.")
    templates = ejecting.find_templates(template)
    if user:
        root, folder = users_folder(), PurePosixPath()
    else:
        root, folder = require_project(Path.cwd()).root, PurePosixPath(*IN_PROJECT.parts)
    included = ejecting.included_by(templates)
    notes = [f"Still included from the built-in templates: {', '.join(included)}."] if included else []
    files = ejecting.copies(templates, folder)
    sys.exit(transact(root, files, write_options, lambda _memory, _changes: [], notes=notes))
