"""`falconws add-part`: an optional part of a project, added after the project was created.

A part is the difference between the project's templates with it and without it: whole files that are new, and lines in
files that are there. A project that falconws has not created gets only the files. Must not write.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from falconws_cli.change.plan import NOTHING, Generated, PlannedFile, Recipe, Requirements
from falconws_cli.change.record import read_record
from falconws_cli.errors import RefusedError
from falconws_cli.generators.new_project import BROKER_URLS, render_project
from falconws_cli.generators.parts import BROKERS, Part, ProjectOptions, parse_parts
from falconws_cli.generators.planning import PYPROJECT, read_text
from falconws_cli.layout import app_module, routes_module
from falconws_cli.project import Project
from falconws_cli.source.register.route_reader import routes_in
from falconws_cli.source.registration import JsonValue, lines
from falconws_cli.source.registration import hub as hub_in

_HEALTH = "/healthz"
_NO_HUB, _MEMORY_HUB, _OTHER_HUB = "none", "memory", "other"
"""The app's hub before a broker is added: none, that of `add-resource --pattern room`, or one of the user's."""
_MEMORY_LINE = "    app.add_middleware(falconws.Hub())"
_SETTINGS_LINE = "    app.add_middleware(falconws.Hub(settings.hub_url))"


class PartGenerator:
    """Generates parts.

    Options: those of the project's own recipe, and its parts; none for a project that falconws has not created.
    """

    def recipe(self, project: Project, name: str, options: Mapping[str, JsonValue]) -> Recipe:
        """Return the recipe of a part.

        Raises:
            RefusedError: The project has it already, or it does not go with what the project has.
        """
        (*_, part) = parse_parts([name])
        made = [operation.recipe for operation in read_record(project.root).generated if operation.recipe is not None]
        own = next((recipe for recipe in made if recipe.generator == "project"), None)
        there = _parts_of(recipe for recipe in made if recipe.generator in ("project", "part"))
        again = next((recipe for recipe in made if (recipe.generator, recipe.name) == ("part", part.value)), None)
        if again is not None:
            return again
        if part in there:
            raise RefusedError(f"The project has the part {part.value} already.")
        with_parts = parse_parts([*(one.value for one in there), part.value])
        minimal = own is not None and bool(own.options.get("minimal", False))
        ProjectOptions(minimal, with_parts).refuse_contradiction()
        chosen: dict[str, JsonValue] = {"parts": [one.value for one in there]}
        if part in BROKERS:
            chosen["hub"] = _hub_of(project)
        if own is not None:
            chosen["project"] = own.name
            chosen["options"] = {key: value for key, value in own.options.items() if key != "with"}
        return Recipe("part", part.value, chosen)

    def make(self, project: Project, recipe: Recipe) -> Generated:
        """Return the files of the part, and its lines in other files."""
        part = Part(recipe.name)
        there = list(recipe.names("parts"))
        if "project" not in recipe.options:
            return _made_for_others(project, part, there)
        options = recipe.options["options"]
        if not isinstance(options, dict):
            raise TypeError("options is not an object")

        def rendered(names: list[str]) -> dict[PurePosixPath, PlannedFile]:
            own = Recipe("project", str(recipe.options["project"]), {**options, "with": list(names)})
            return {file.path: file for file in render_project(own, root=project.root)}

        before, after = rendered(there), rendered([*there, part.value])
        # A README that was there before the project is the user's.
        own = {path for operation in read_record(project.root).generated for path in operation.files}
        specs = [
            lines(path, what=f"the part {part.value}", old=before[path].data.decode(), new=after[path].data.decode())
            for path in after
            if path in before and before[path].data != after[path].data and str(path) in own
        ]
        notes = []
        if part in BROKERS:
            app = app_module(project)
            # Its extra is a requirement: the line may have other extras.
            specs = [spec for spec in specs if spec.path != PYPROJECT]
            if recipe.options["hub"] != _NO_HUB:
                specs = [spec for spec in specs if spec.path != app]
            if recipe.options["hub"] == _MEMORY_HUB:
                specs.append(lines(app, what=f"the part {part.value}", old=_MEMORY_LINE, new=_SETTINGS_LINE))
            if recipe.options["hub"] == _OTHER_HUB:
                notes.append(f"{app} has a hub already: change it to `falconws.Hub(settings.hub_url)`.")
            else:
                # Resources that need a hub share this registration: it is removed with the last of them.
                specs.append(hub_in(app, project.package))
            notes.append(f"`docker compose up -d {part.value}` starts a broker here.")
        return Generated(
            tuple(file for path, file in after.items() if path not in before),
            tuple(specs),
            _broker_requirements(part),
            tuple(notes),
        )


def _broker_requirements(part: Part) -> Requirements:
    return Requirements((f"falconws[{part.value}]",)) if part in BROKERS else NOTHING


def _hub_of(project: Project) -> str:
    """Return what hub the project's app has."""
    text = read_text(project, app_module(project)) or ""
    if _MEMORY_LINE in text.splitlines():
        return _MEMORY_HUB
    return _OTHER_HUB if "Hub(" in text else _NO_HUB


def _parts_of(recipes: Iterable[Recipe]) -> tuple[Part, ...]:
    """Return the parts that a project was created with, and those that were added later."""
    names: list[str] = []
    for recipe in recipes:
        names += recipe.names("with") if recipe.generator == "project" else [recipe.name]
    return parse_parts(names) if names else ()


def _made_for_others(project: Project, part: Part, there: list[str]) -> Generated:
    """Return the files of a part for a project that falconws has not created."""
    values = {
        "distribution": _distribution(project),
        "package": project.package,
        "package_dir": str(project.package_path),
        "env": project.env_prefix,
        "app": project.app,
    }

    def rendered(names: list[str]) -> dict[PurePosixPath, PlannedFile]:
        own = Recipe("project", "project", {"minimal": True, "with": list(names)})
        return {file.path: file for file in render_project(own, root=project.root, values=values)}

    plain, before, after = rendered([]), rendered(there), rendered([*there, part.value])
    files = tuple(file for path, file in after.items() if path not in before and path.parts[0] != "tests")
    specs = [
        lines(path, what=f"the part {part.value}", old=before[path].data.decode(), new=after[path].data.decode())
        for path in after
        if path in before and path not in plain and before[path].data != after[path].data
    ]
    notes = []
    if Part.DOCKER in parse_parts([part.value]) and _HEALTH not in routes_in(
        read_text(project, routes_module(project)) or ""
    ):
        notes.append(f"The health check of the Dockerfile requests {_HEALTH}: add this route, or change the path.")
    if part in BROKERS:
        url = BROKER_URLS[part.value]
        notes.append(f'Add the hub in {app_module(project)}: `app.add_middleware(falconws.Hub("{url}"))`.')
    requirements = _broker_requirements(part)
    if part is Part.PRE_COMMIT:
        requirements = Requirements(dev_dependencies=("pre-commit>=4,<5",))
    return Generated(files, tuple(specs), requirements, tuple(notes))


def _distribution(project: Project) -> str:
    """Return the normalized name of the project's distribution (PEP 503), else that of its package."""
    table = tomllib.loads(read_text(project, PYPROJECT) or "").get("project")
    name = table.get("name") if isinstance(table, dict) else None
    return re.sub(r"[-_.]+", "-", str(name or project.package)).strip("-").lower()
