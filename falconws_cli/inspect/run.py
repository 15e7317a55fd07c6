"""Loads an app and shows its parts.

Must not know how a survey is laid out.
"""

import contextlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from falconws.server import StartError
from falconws.server.importer import load_application
from falconws_cli.errors import CommandError
from falconws_cli.inspect.survey import survey
from falconws_cli.inspect.view import table, tree
from falconws_cli.project import find_project, require_project


def inspect(app_path: str | None, start: Path, *, as_tree: bool, as_json: bool, everything: bool) -> None:
    """Show the app that *app_path* names, "module:attribute", or that of the project around *start*.

    Raises:
        CommandError: There is no project, or the app does not load.
    """
    found = survey(*load_app(app_path, start))
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2))
    else:
        shown = _drawable(tree(found, everything=everything)) if as_tree else table(found, everything=everything)
        click.echo(shown)


def _drawable(text: str) -> str:
    """Return the tree with the lines that standard output can show."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    try:
        "└├─│".encode(encoding)
    except UnicodeEncodeError:
        return text.translate(str.maketrans("└├─│", "`|-|"))
    return text


def load_app(app_path: str | None, start: Path) -> tuple[Any, str, Path]:
    """Return the app that *app_path* names, or that of the project around *start*; its name; and its folder.

    Its output during the import goes to stderr.

    Raises:
        CommandError: There is no project, or the app does not load.
    """
    project = require_project(start) if app_path is None else find_project(start)
    named = app_path or (project.app if project else "")
    sys.path.insert(0, str(project.import_root if project else start))
    try:
        with contextlib.redirect_stdout(sys.stderr):
            app = load_application(named)
    except StartError as error:
        raise CommandError(str(error)) from error
    except SystemExit as error:
        raise CommandError(f'The import of "{named}" called sys.exit({error.code}).') from error
    return app, named, (project.root if project else start).resolve()
