"""Shell completion of names that the project defines: functions for click's `shell_complete=`.

Must not write or print. Without a project, or with a broken one, there is nothing to complete.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from falconws_cli.errors import CommandError
from falconws_cli.project import Project, find_project

if TYPE_CHECKING:
    import click


def generated_kinds(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the kinds of generated code in the project: "resource", ..."""
    kinds = dict.fromkeys(kind for kind, _ in _generated())
    return [kind for kind in kinds if kind.startswith(incomplete)]


def generated_names(wanted: str, incomplete: str) -> list[str]:
    """Return the names of the generated code of a kind."""
    names = dict.fromkeys(name for kind, name in _generated() if kind == wanted)
    return [name for name in names if name.startswith(incomplete)]


def recorded_names(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of all that was generated, each also as "kind/name"."""
    names = dict.fromkeys(spelling for kind, name in _generated() for spelling in (name, f"{kind}/{name}"))
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
    """Return kind and name of the generated code that still exists."""
    from falconws_cli.change.record import read_record

    project = _project()
    if project is None:
        return []
    try:
        operations = read_record(project.root).generated
    except CommandError:
        return []
    return [
        (operation.recipe.generator, operation.recipe.name)
        for operation in operations
        if operation.recipe and operation.recipe.generator != "project" and not operation.partly_removed
    ]


def _project() -> Project | None:
    try:
        return find_project(Path.cwd())
    except (CommandError, OSError):
        return None
