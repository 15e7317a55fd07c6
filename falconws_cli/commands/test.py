"""`falconws test`."""

import subprocess
import sys
from pathlib import Path

import click


@click.command("test", short_help="Run the project's tests.", context_settings={"ignore_unknown_options": True})
@click.argument("pytest_args", nargs=-1, type=click.UNPROCESSED, metavar="[-- PYTEST ARGS]")
def command(pytest_args: tuple[str, ...]) -> None:
    """Run the project's tests with pytest, from any folder of the project.

    The exit code is that of pytest.

    \b
    Examples:
      falconws test
      falconws test -- -x -k echo
    """
    from falconws_cli.project import require_project

    project = require_project(Path.cwd())
    try:
        done = subprocess.run([sys.executable, "-m", "pytest", *pytest_args], cwd=project.root, check=False)
    except KeyboardInterrupt:
        # pytest gets the signal too, and reports it.
        sys.exit(130)
    sys.exit(done.returncode if done.returncode >= 0 else 128 - done.returncode)
