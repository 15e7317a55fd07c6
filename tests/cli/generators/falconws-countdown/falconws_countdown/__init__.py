"""`falconws add-countdown`, from a package of its own."""

from collections.abc import Mapping
from pathlib import Path

import click

from falconws_cli.plugin_api import (
    Generated,
    Import,
    JsonValue,
    Project,
    Recipe,
    RefusedError,
    parse_name,
    render_trees,
    route,
)

TEMPLATES = Path(__file__).parent / "templates"


class CountdownGenerator:
    """Add a resource that counts down, its tests and its route.

    \b
    Examples:
      falconws add-countdown launch --start 10
    """

    params = (
        click.Option(["--start"], type=int, default=3, show_default=True, help="First number."),
        click.Option(["--route"], metavar="TEMPLATE", help="URI template.  [default: the name]"),
    )

    def recipe(self, project: Project, name: str, options: Mapping[str, JsonValue]) -> Recipe:
        parsed = parse_name(name, suffix="resource")
        start = options["start"]
        if not isinstance(start, int) or start < 1:
            raise RefusedError(f"A countdown from {start} has no numbers; give --start 1 or more.")
        return Recipe("countdown", parsed.kebab, {"start": start, "route": options["route"] or f"/{parsed.kebab}"})

    def make(self, project: Project, recipe: Recipe) -> Generated:
        name = parse_name(recipe.name)
        class_name = f"{name.class_prefix}Resource"
        context = {
            "package": project.package,
            "package_dir": str(project.package_path),
            "module": name.module,
            "class_name": class_name,
            **recipe.options,
        }
        files = render_trees(["countdown"], context, root=project.root, home=TEMPLATES)
        resource = Import(f"{project.package}.resources.{name.module}", class_name)
        spec = route(
            project.package_path / "routes.py",
            project.package,
            template=str(recipe.options["route"]),
            resource=resource,
        )
        return Generated(tuple(files), (spec,))
