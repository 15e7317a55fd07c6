"""`falconws test`."""

import os
import sys
from pathlib import Path

import click


@click.command("test", short_help="Run the project's tests.", context_settings={"ignore_unknown_options": True})
@click.argument("pytest_args", nargs=-1, type=click.UNPROCESSED, metavar="[-- PYTEST ARGS]")
def command(pytest_args: tuple[str, ...]) -> None:
    """Run the project's tests with pytest, from any folder of the project.

    The exit code is that of pytest. Paths in PYTEST ARGS are relative to the current folder.

    \b
    Examples:
      falconws test
      falconws test -- -x -k echo
      falconws test -- test_echo.py
    """
    from falconws_cli.extras import TESTS, require_modules
    from falconws_cli.output import run_program
    from falconws_cli.project import require_project

    require_modules("`falconws test`", *TESTS)
    here = Path.cwd()
    project = require_project(here)
    arguments = [_from_root(argument, here, project.root) for argument in pytest_args]
    try:
        code = run_program([sys.executable, "-m", "pytest", *arguments], project.root)
    except KeyboardInterrupt:
        # pytest gets the signal too, and reports it.
        sys.exit(130)
    sys.exit(code if code >= 0 else 128 - code)


def _from_root(argument: str, here: Path, root: Path) -> str:
    """Return a path that exists in the current folder, and may name a test in it, as seen from the root."""
    path, separator, test = argument.partition("::")
    if here == root or not path or path.startswith("-") or not (here / path).exists():
        return argument
    return f"{os.path.relpath(here / path, root)}{separator}{test}"
