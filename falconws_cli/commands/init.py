"""`falconws init`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from falconws_cli.commands.options import generating

if TYPE_CHECKING:
    from falconws_cli.change.write_options import WriteOptions


@click.command("init", short_help="Use falconws in an existing project.")
@click.argument("app_path", metavar="[MODULE:ATTR]", required=False)
@generating()
def command(app_path: str | None, write_options: WriteOptions) -> None:
    """Use falconws in an existing project: write [tool.falconws] into pyproject.toml.

    MODULE:ATTR names the Falcon app, or a factory of it; without it, the app is searched for in the current folder.
    The app is imported, to check that it is one. Options of pytest that generated tests need are added.

    \b
    Examples:
      falconws init
      falconws init shop.main:create_app
      falconws init --dry-run --diff
    """
    from falconws_cli.change.transaction import transact
    from falconws_cli.doctor.app_check import require_app
    from falconws_cli.generators.existing_project import plan_init

    root = Path.cwd()
    plan = plan_init(root, app_path)
    problem = require_app(plan.project)
    notes = [*plan.notes, *([problem] if problem else [])]
    sys.exit(
        transact(
            root, [plan.file], write_options, lambda _record, _changes: [], notes=notes, left_to_do=plan.left_to_do
        )
    )
