"""`falconws upgrade`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from falconws_cli.commands.options import upgrading

if TYPE_CHECKING:
    from falconws_cli.change.write_options import WriteOptions


@click.command("upgrade", short_help="Bring the project to the installed templates.")
@click.option("--check", "only_check", is_flag=True, help="Only say whether there is an upgrade: exit code 6 if so.")
@upgrading()
def command(only_check: bool, write_options: WriteOptions) -> None:
    """Bring the project to the templates of the installed falconws.

    What you changed and what the templates changed are merged, file by file, as git would; where both changed the
    same lines, there are conflict markers, and the exit code is 5. In a git repository, everything has to be
    committed first.

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
