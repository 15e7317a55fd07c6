"""What a shell may complete beyond commands, options and choices: names that the project has. Reads; says nothing.

Functions for click's `shell_complete=`. Where there is no project, or a broken one, there is nothing to complete.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from falconws_cli.errors import CommandError
from falconws_cli.project import Project, find_project

if TYPE_CHECKING:
    import click


def generated_kinds(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the kinds of things that the project's generating commands have made."""
    kinds = dict.fromkeys(kind for kind, _ in _generated())
    return [kind for kind in kinds if kind.startswith(incomplete)]


def generated_names(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of what was generated of the kind that stands before them."""
    wanted = ctx.params.get("kind")
    names = dict.fromkeys(name for kind, name in _generated() if kind == wanted)
    return [name for name in names if name.startswith(incomplete)]


def route_paths(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the project's routes, each up to its first field."""
    from falconws_cli.project_routes import written_routes

    project = _project()
    if project is None:
        return []
    try:
        paths = dict.fromkeys(route.partition("{")[0] for route in written_routes(project))
    except CommandError:
        return []
    return [path for path in paths if path.startswith(incomplete)]


def _generated() -> list[tuple[str, str]]:
    """Return kind and name of what was generated and is still there."""
    from falconws_cli.change.record import read_record

    project = _project()
    if project is None:
        return []
    try:
        operations = read_record(project.root).manifest.operations
    except CommandError:
        return []
    return [
        (operation.recipe.generator, operation.recipe.name)
        for operation in operations
        if operation.recipe.generator != "project" and not operation.partly_removed
    ]


def _project() -> Project | None:
    try:
        return find_project(Path.cwd())
    except (CommandError, OSError):
        return None
