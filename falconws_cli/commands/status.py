"""`falconws status`."""

import sys
from pathlib import Path

import click


@click.command("status", short_help="Show what was generated, and what has changed since.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
def command(as_json: bool) -> None:
    """Show the recorded commands of the project, and which of their files were edited or are missing.

    The exit code is 5 while a file has conflict markers of a merge.

    \b
    Examples:
      falconws status
      falconws status --json
    """
    from falconws_cli.change.record import read_record
    from falconws_cli.extras import GENERATORS, require_modules
    from falconws_cli.lifecycle.status import show_status
    from falconws_cli.project import require_project

    require_modules("`falconws status`", *GENERATORS)
    sys.exit(show_status(read_record(require_project(Path.cwd()).root), as_json=as_json))
