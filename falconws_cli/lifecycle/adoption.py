"""The way into the memory for projects of falconws 0.1, which remembered nothing. Reads, and never writes.

What that release would have made is rendered with its own templates, and compared with what is there: a file that is
the same was surely made so; one that was edited belongs to the recipe that comes closest, or else is left alone.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from pathlib import PurePosixPath

from falconws_cli.change.changes import Change
from falconws_cli.change.manifest import Manifest, Operation
from falconws_cli.change.plan import NOTHING, Piece, PlannedFile, Recipe, Requirements
from falconws_cli.change.record import Memory, sha256
from falconws_cli.change.writer import Status
from falconws_cli.errors import CommandError
from falconws_cli.generators import find_generator
from falconws_cli.generators.planning import PYPROJECT, read_text
from falconws_cli.history import FORGETFUL, rendering_as, trees_of
from falconws_cli.lifecycle.upgrade_plan import Version, as_registered
from falconws_cli.names import parse_name
from falconws_cli.project import Project
from falconws_cli.source.pyproject import requirements_in
from falconws_cli.source.register import RegisterOutcome, routes_in
from falconws_cli.source.registration import JsonValue
from falconws_cli.templating.rendering import render_trees

# Below this, a file has little more in common with a pattern than that both are resources.
_ALIKE = 0.6


@dataclass(frozen=True)
class Adoption:
    """What the project is going to remember, and what there is to say about its files."""

    manifest: Manifest
    texts: tuple[bytes, ...]
    changes: tuple[Change, ...]
    notes: tuple[str, ...]


def plan_adoption(project: Project, memory: Memory) -> Adoption:
    """Return what falconws 0.1 made in *project*, as far as it can be told.

    Raises:
        CommandError: The project remembers already, or is not one of falconws 0.1.
    """
    operations = memory.manifest.operations
    if any(operation.recipe.generator == "project" for operation in operations):
        raise CommandError("The project remembers what was generated already; there is nothing to adopt.")
    known = {path for operation in operations for path in operation.files}
    with rendering_as(FORGETFUL):
        found = [_project(project)]
        found += [piece for piece in _pieces(project) if not known & {str(f.path) for f in piece[1].files}]
    if sum(project.exists(file.path) for file in found[0][1].files) < len(found[0][1].files) / 2:
        raise CommandError(
            f"{project.root} does not look like a project that falconws 0.1 made: most of its files are not there. "
            "What you add with falconws from now on is remembered; there is nothing to adopt."
        )
    adopted = tuple(_operation(project, recipe, piece) for recipe, piece in found)
    claimed = {file.path for _, piece in found for file in piece.files}
    texts = {file.path: file.data for _, piece in found for file in piece.files}
    made = Version((*adopted, *operations), texts, spaced=False)
    changes = sorted(_changes(project, found, made), key=lambda change: change.file.path)
    strangers = [path for path in _modules(project) if path not in claimed and str(path) not in known]
    notes = [f"{path} is like nothing that falconws 0.1 made; upgrades leave it alone." for path in strangers]
    left = {**memory.manifest.left, **made.left(made.texts)}
    manifest = Manifest((*adopted, *operations), left=left)
    return Adoption(manifest, tuple(texts.values()), tuple(changes), tuple(notes))


def _project(project: Project) -> tuple[Recipe, Piece]:
    name = parse_name(project.package)
    context = {
        "distribution": name.kebab,
        "package": name.module,
        "env": name.constant,
        "falconws_version": FORGETFUL,
    }
    recipe = Recipe("project", name.kebab, {"minimal": False, "with": []})
    return recipe, Piece(tuple(render_trees(["project"], context)))


def _pieces(project: Project) -> Iterator[tuple[Recipe, Piece]]:
    """Yield what was added to the project, each as the recipe that comes closest to its module."""
    made_by_project = {file.path for file in _project(project)[1].files}
    for path in _modules(project):
        text = read_text(project, path)
        if path in made_by_project or text is None:
            continue
        best: tuple[float, Recipe, Piece] | None = None
        for recipe in _candidates(project, path, text):
            piece = find_generator(recipe.generator).make(project, recipe)
            rendered = next((f.data.decode() for f in piece.files if f.path == path), None)
            if rendered is None:
                continue
            likeness = SequenceMatcher(None, rendered.splitlines(), text.splitlines(), autojunk=False).ratio()
            if best is None or likeness > best[0]:
                best = (likeness, recipe, piece)
        if best is not None and best[0] >= _ALIKE:
            yield best[1], best[2]


def _modules(project: Project) -> list[PurePosixPath]:
    """Return the modules in the folders that generators put theirs into, resources as their routes are ordered."""
    routes = list(_routes(project).values())
    found = []
    for folder in ("resources", "middleware", "media"):
        path = project.package_path / folder
        names = sorted(file.name for file in (project.root / path).glob("*.py"))
        names.sort(key=lambda name: _position(routes, _resource_class(name.removesuffix(".py"))))
        found += [path / name for name in names if name != "__init__.py" and not name.endswith("_pb2.py")]
    return found


def _candidates(project: Project, path: PurePosixPath, text: str) -> Iterator[Recipe]:
    """Yield the recipes that could have made a module."""
    folder, name = path.parent.name, parse_name(path.stem).kebab
    if folder == "middleware":
        for (kind,) in trees_of(FORGETFUL, "middleware"):
            yield Recipe("middleware", name, {"kind": kind})
    elif folder == "media":
        for codec, payload in trees_of(FORGETFUL, "media_handler"):
            # A compiled codec has its .proto beside it; without one, there is no need for the compiler.
            if codec != "protobuf" or project.exists(path.with_suffix(".proto")):
                yield Recipe("media-handler", name, {"payload": payload, "codec": codec})
    else:
        class_name = _resource_class(path.stem)
        route = next((route for route, made in _routes(project).items() if made == class_name), None)
        if route is None:
            return
        subprotocol = _subprotocol_in(text)
        for (pattern,) in trees_of(FORGETFUL, "resource"):
            for http in (True, False):
                options: dict[str, JsonValue] = {"route": route, "pattern": pattern, "subprotocol": subprotocol}
                yield Recipe("resource", name, options | {"http": http})


def _routes(project: Project) -> dict[str, str]:
    """Return the resource's class of each route."""
    routes = routes_in(read_text(project, project.package_path / "routes.py") or "")
    return {route: made.split("(")[0].split(".")[-1] for route, made in routes.items()}


def _position(routes: list[str], class_name: str) -> int:
    return routes.index(class_name) if class_name in routes else len(routes)


def _resource_class(module: str) -> str:
    return "".join(word.capitalize() for word in module.split("_")) + "Resource"


def _subprotocol_in(text: str) -> str | None:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SUBPROTOCOL":
            value = node.value.value if isinstance(node.value, ast.Constant) else None
            return value if isinstance(value, str) else None
    return None


def _operation(project: Project, recipe: Recipe, piece: Piece) -> Operation:
    made = []
    for wiring in piece.wirings:
        there = wiring.register(read_text(project, wiring.path) or "").outcome is RegisterOutcome.ALREADY
        registered = as_registered(wiring)
        made.append(registered if there else replace(registered, outcome=RegisterOutcome.CANNOT.value, imports=()))
    files = {file.path: file.data for file in piece.files if project.exists(file.path)}
    return Operation(
        command=_command(recipe),
        version=FORGETFUL,
        recipe=recipe,
        files={str(path): sha256(data) for path, data in files.items()},
        registrations=tuple(made),
        requirements=piece.requirements,
        added=_added(project, piece.requirements),
    )


def _added(project: Project, wanted: Requirements) -> Requirements:
    present = requirements_in(read_text(project, PYPROJECT) or "")
    if not wanted.dependencies or not all(requirement in present for requirement in wanted.dependencies):
        return NOTHING
    return wanted


def _command(recipe: Recipe) -> str:
    """Return a command line that makes the same."""
    if recipe.generator == "project":
        return f"falconws new {recipe.name}"
    words = [f"falconws add-{recipe.generator} {recipe.name}"]
    for option, value in recipe.options.items():
        if value is False:
            words.append(f"--no-{option}")
        elif value is not None and value is not True:
            words.append(f"--{option} {value}")
    return " ".join(words)


def _changes(project: Project, found: list[tuple[Recipe, Piece]], made: Version) -> Iterator[Change]:
    """Yield what there is to say about each file; none of them is written."""
    for _, piece in found:
        for file in piece.files:
            current = project.read(file.path)
            planned = PlannedFile(file.path, file.data, file.mode, before=current)
            if current is None:
                yield Change(planned, Status.SKIP, note="not there; the next upgrade offers it as new")
            elif current.replace(b"\r\n", b"\n") in (file.data, made.wired(file.path)):
                yield Change(planned, Status.IDENTICAL, current)
            else:
                yield Change(planned, Status.SKIP, current, "edited; upgrades are going to merge it")
