"""The resource that a full project starts with, /echo: what of the project is its, so that it can go like any other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from falconws_cli.change.plan import Piece, PlannedFile, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import PurePosixPath

    from falconws_cli.project import Project

STARTER = "echo"
ROUTE = "/echo"
_WITHOUT = "without"


def has_starter(recipe: Recipe) -> bool:
    """Tell whether the recipe is that of a project with the resource in files of its own."""
    left_out = recipe.options.get(_WITHOUT, [])
    full = recipe.generator == "project" and not recipe.options.get("minimal", False)
    return full and isinstance(left_out, list) and STARTER not in left_out


def with_starter(recipe: Recipe) -> Recipe:
    """Return the recipe of the same project with the resource."""
    return replace(recipe, options={name: value for name, value in recipe.options.items() if name != _WITHOUT})


def without_starter(recipe: Recipe) -> Recipe:
    """Return the recipe of the same project without the resource."""
    return replace(recipe, options={**recipe.options, _WITHOUT: [STARTER]})


STARTER_RECIPE = Recipe("resource", STARTER, {"route": ROUTE, "starter": True})
"""What makes the resource alone."""


def without_starters_files(files: Iterable[PlannedFile]) -> tuple[PlannedFile, ...]:
    """Return those of a project's files that stay without the resource."""
    return tuple(file for file in files if not _is_starters(file.path))


def make_starter(project: Project) -> Piece:
    """Return the resource, its tests and its route, as a new project has them."""
    # What edits sources is nothing that `falconws new`, which asks for the rest of this module, should pay for.
    from falconws_cli.generators.new_project import render_project
    from falconws_cli.names import parse_name
    from falconws_cli.source.python import Import
    from falconws_cli.source.registration import route

    files = render_project(Recipe("project", parse_name(project.package).kebab), root=project.root)
    resource = Import(f"{project.package}.resources.{STARTER}", "EchoResource")
    wiring = route(project.package_path / "routes.py", project.package, template=ROUTE, resource=resource)
    return Piece(tuple(file for file in files if _is_starters(file.path)), (wiring,))


def _is_starters(path: PurePosixPath) -> bool:
    return path.parent.name == "resources" and path.name in (f"{STARTER}.py", f"test_{STARTER}.py")
