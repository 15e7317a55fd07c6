"""Generators, one module each: from options and a project to a recipe, from a recipe to files and registrations.

A recipe is checked once, when the user types it; a recorded recipe is made again without any check. Generators read the
project and never write; they know no command.
"""

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Protocol

from falconws_cli.change.lock import exclusive
from falconws_cli.change.plan import Generated, Plan, Recipe
from falconws_cli.change.transaction import carry_out
from falconws_cli.change.write_options import WriteOptions
from falconws_cli.errors import CommandError, ExitCode, RefusedError
from falconws_cli.layout import app_module
from falconws_cli.project import Project, require_package, require_project
from falconws_cli.source.python import CannotEditError, Source
from falconws_cli.source.register.apps import plain_app_line
from falconws_cli.source.registration import JsonValue


class Generator(Protocol):
    """Generates one kind of thing. Built in: "resource", "middleware", "media-handler", "part" and "client"."""

    def recipe(self, project: Project, name: str, options: Mapping[str, JsonValue]) -> Recipe:
        """Check what the user typed; return the recipe, with the defaults filled in.

        Raises:
            RefusedError: The name or an option cannot be used in the project, or is in use already.
        """
        ...

    def make(self, project: Project, recipe: Recipe) -> Generated:
        """Return what *recipe* makes. A recipe that was checked once is never refused.

        Raises:
            UnavailableError: Something that rendering needs is not installed.
        """
        ...


_GENERATORS = {
    "resource": ("resource", "ResourceGenerator"),
    "middleware": ("middleware", "MiddlewareGenerator"),
    "media-handler": ("media_handler", "MediaHandlerGenerator"),
    "part": ("part", "PartGenerator"),
    "client": ("client.generator", "ClientGenerator"),
}
"""The module and the class of each built-in generator; a command needs one of them."""


def find_generator(kind: str, package: str = "") -> Generator:
    """Return the generator of this kind, perhaps from another package.

    Args:
        kind: Its name, such as "resource".
        package: The package that it came with, if known; for the error message.

    Raises:
        CommandError: There is no such generator, or it cannot be loaded.
    """
    if kind in _GENERATORS:
        module, name = _GENERATORS[kind]
        generator: Generator = getattr(import_module(f"{__name__}.{module}"), name)()
        return generator
    from falconws_cli.generators.plugins import load_extension

    extension = load_extension(kind)
    if extension is None:
        what = f"the package {package}, which has it" if package else "the package that it came with"
        raise CommandError(f'There is no generator "{kind}"; install {what}.')
    return extension


def add(start: Path, kind: str, name: str, options: Mapping[str, JsonValue], write_options: WriteOptions) -> ExitCode:
    """Add a thing to the project around *start*; return the exit code.

    Raises:
        CommandError: There is no project or no such generator, or the files cannot be written.
        RefusedError: As `plan`.
        ConflictError: Files are in the way, and there is no terminal to ask on.
    """
    project = require_project(start)
    require_package(project)
    with exclusive(project.root):
        return carry_out(project.root, [plan(project, kind, name, options)], write_options)


def plan(project: Project, kind: str, name: str, options: Mapping[str, JsonValue]) -> Plan:
    """Return the plan that adds a thing to *project*.

    Raises:
        RefusedError: The name or the options are refused, or the app is one of Falcon's own class.
        CommandError: There is no such generator, or pyproject.toml cannot be edited.
    """
    from falconws_cli.generators.planning import plan_generated
    from falconws_cli.generators.pytest_setup import missing_for_tests

    generator = find_generator(kind)
    recipe = generator.recipe(project, name, options)
    generated = generator.make(project, recipe)
    _refuse_plain_app(project, generated)
    planned = plan_generated(project, recipe, generated)
    return replace(planned, left_to_do=missing_for_tests(project, generated.files))


def _refuse_plain_app(project: Project, generated: Generated) -> None:
    """Refuse code that needs falconws.App in a project whose app is a `falcon.asgi.App`."""
    in_app = any(spec.kind in ("middleware", "media-handler", "hub") for spec in generated.registrations)
    if not in_app and not any(b"def on_websocket(" in file.data for file in generated.files):
        return
    path = app_module(project)
    try:
        line = plain_app_line(Source((project.read(path) or b"").decode(errors="replace"), project.package))
    except CannotEditError:
        return
    if line is not None:
        raise RefusedError(
            f"{path}, line {line}: the app is a falcon.asgi.App, but generated code needs its subclass falconws.App. "
            "Use that class there (`import falconws`), and run the command again. Nothing was written."
        )


def make_again(project: Project, recipe: Recipe) -> Generated:
    """Return what the installed templates make of a recorded recipe. Nothing is refused.

    Raises:
        CommandError: There is no such generator any more, or something that it needs is not installed.
    """
    if recipe.generator == "project":
        from falconws_cli.generators.new_project import render_project

        return Generated(render_project(recipe, root=project.root))
    return find_generator(recipe.generator, recipe.package).make(project, recipe)
