"""`falconws init`: lets a Falcon app that was not generated use the other commands. Plans; must not write."""

import ast
import os
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from falconws_cli.change.plan import PlannedFile
from falconws_cli.errors import CommandError, RefusedError
from falconws_cli.generators.planning import PYPROJECT
from falconws_cli.generators.pytest_setup import app_fixture_advice, has_app_fixture, pytest_options
from falconws_cli.layout import app_module, routes_module
from falconws_cli.package_folders import package_folders
from falconws_cli.project import Project, is_app_path
from falconws_cli.source.python import CannotEditError, Source
from falconws_cli.source.register.apps import creations
from falconws_cli.source.toml_table import set_in_table

_SKIPPED = frozenset({"tests", "test", "docs", "build", "dist", "node_modules", "site-packages", "venv", "env"})
_MAX_DEPTH = 4
_MODE_IS_AUTO = {"asyncio_mode": "auto"}
_IS_FALCONWS = re.compile(r"\s*falconws(?![\w.-])", re.IGNORECASE)


@dataclass(frozen=True)
class InitPlan:
    """What `falconws init` does."""

    project: Project
    """The project as it will be."""
    file: PlannedFile
    """pyproject.toml."""
    notes: tuple[str, ...]
    left_to_do: tuple[str, ...]


def plan_init(folder: Path, app: str | None) -> InitPlan:
    """Return the plan of pyproject.toml with [tool.falconws] and the options of pytest that generated tests need.

    Args:
        folder: The root of the project.
        app: "module:attribute"; None looks for the app.

    Raises:
        RefusedError: The table is there already and no app is named, or it is not clear which app is meant.
        CommandError: pyproject.toml is not valid.
    """
    before = Project(folder, "").read(PYPROJECT)
    text = (before or b"").decode("utf-8", "surrogateescape")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CommandError(f"Cannot edit {PYPROJECT}: {error}.") from error
    if app is None and "falconws" in document.get("tool", {}):
        raise RefusedError(
            f"{PYPROJECT} has [tool.falconws] already; name the app to change it, such as "
            "`falconws init demo.app:create_app`, or see `falconws doctor`."
        )
    folders = package_folders(document)
    if app is None:
        app = _only(list(_find_apps(folder, [str(path) for path in folders.values()])), _projects_below(folder))
    elif not is_app_path(app):
        raise RefusedError(f'"{app}" is not of the form module:attribute, such as demo.app:create_app.')
    project = Project(folder, app, folders)
    edited = set_in_table(text, "tool.falconws", {"app": app})
    if edited is None:
        raise RefusedError(f'{PYPROJECT} has a [tool.falconws] that cannot be edited: set app = "{app}" in it.')
    edited, left_to_do = _with_pytest_options(project, edited)
    if not has_app_fixture(project, [PurePosixPath("tests/test_app.py")]):
        left_to_do = (*left_to_do, app_fixture_advice(project))
    if _lacks_falconws(document):
        left_to_do = (*left_to_do, f'Add "falconws" to the dependencies of the project in {PYPROJECT}.')
    file = PlannedFile(PYPROJECT, edited.encode("utf-8", "surrogateescape"), before=before)
    return InitPlan(project, file, _notes(project), left_to_do)


def _with_pytest_options(project: Project, text: str) -> tuple[str, tuple[str, ...]]:
    """Return pyproject.toml with the options that generated tests need, and what is left to the user."""
    found = pytest_options(project)
    values: dict[str, str | list[str]] = {**found.missing}
    if not found.exists:
        # pytest alone does not put the project on the import path.
        root = project.import_root.relative_to(project.root).as_posix()
        values["pythonpath"] = [*([root] if root != "." else []), "."]
    edited = set_in_table(text, found.table, values) if found.path == PYPROJECT else None
    done = found.is_auto or (edited is not None and _MODE_IS_AUTO.items() <= values.items())
    return text if edited is None else edited, () if done else (found.left_to_do,)


def _lacks_falconws(document: Mapping[str, Any]) -> bool:
    """Return whether [project] lists its dependencies, without falconws. Other files may list them too."""
    project = document.get("project")
    if not isinstance(project, dict) or "dependencies" in project.get("dynamic", ()):
        return False
    return not any(_IS_FALCONWS.match(str(one)) for one in project.get("dependencies", ()))


def _notes(project: Project) -> tuple[str, ...]:
    notes = [
        f"The app is {project.app}, which `falconws serve`, `inspect` and `doctor` use.",
        f"`falconws add-resource` adds routes to {routes_module(project)}; `add-middleware` and `add-media-handler` "
        f"edit {app_module(project)}.",
    ]
    return tuple(notes)


def _only(found: list[str], projects: list[str]) -> str:
    if len(found) == 1:
        return found[0]
    if not found and projects:
        raise RefusedError(f"There is no app here; run the command in the folder of a project: {', '.join(projects)}.")
    if not found:
        raise RefusedError("No module here creates a Falcon app; name it, such as `falconws init demo.app:create_app`.")
    raise RefusedError(f"Several modules create an app; name the one to serve: {', '.join(found)}.")


def _find_apps(folder: Path, roots: Collection[str]) -> Iterator[str]:
    """Yield the import path of each app below the folder, or of the factory that creates it."""
    for path in _modules(folder):
        parts = path.relative_to(folder).with_suffix("").parts
        inside = parts[1:] if parts[0] == "src" or (parts[0] in roots and len(parts) > 2) else parts
        names = [part for part in inside if part != "__init__"]
        try:
            source = Source(path.read_text(encoding="utf-8"), "")
        except (OSError, UnicodeDecodeError, CannotEditError):
            continue
        found = creations(source)
        top_level = [creation.app for creation in found if creation.block is source.tree.body and creation.app]
        factories = [node.name for node in source.tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        if found and _is_importable(names) and ("create_app" in factories or top_level):
            yield f"{'.'.join(names)}:{'create_app' if 'create_app' in factories else top_level[0]}"


def _is_importable(names: Sequence[str]) -> bool:
    return bool(names) and all(name.isidentifier() for name in names)


def _projects_below(folder: Path) -> list[str]:
    """Return the folders in *folder* with a project of their own."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and _is_project(path))


def _is_project(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("pyproject.toml", "setup.py"))


def _modules(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        depth = len(Path(parent).relative_to(folder).parts)
        folders[:] = sorted(
            name
            for name in folders
            if depth < _MAX_DEPTH
            and name not in _SKIPPED
            and not name.startswith(".")
            and not Path(parent, name, "pyvenv.cfg").exists()
            and not _is_project(Path(parent, name))
        )
        yield from (Path(parent, name) for name in sorted(files) if name.endswith(".py"))
