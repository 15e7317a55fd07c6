"""`falconws upgrade`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from falconws_cli.commands.options import upgrading

if TYPE_CHECKING:
    from falconws_cli.change.write_options import WriteOptions


@click.command("upgrade", short_help="Upgrade the project to the installed templates.")
@click.option(
    "--check", "only_check", is_flag=True, help="Only check for an upgrade; the exit code is 6 if there is one."
)
@upgrading()
def command(only_check: bool, write_options: WriteOptions) -> None:
    """Upgrade the project to the templates of the installed falconws.

    Your changes and those of the templates are merged file by file, as git would. If both changed the same lines, the
    file gets conflict markers and the exit code is 5. In a git repository, commit everything first.

    \b
    Examples:
      falconws upgrade --check
      falconws upgrade --dry-run --diff
      falconws upgrade
    """
    from falconws_cli.lifecycle import upgrade
    from falconws_cli.project import require_project

    project = require_project(Path.cwd())
    if only_check:
        sys.exit(upgrade.check(project, as_json=write_options.json))
    sys.exit(upgrade.upgrade(project, write_options))
