"""`falconws init`: lets a Falcon app that was not generated use the other commands. Plans; must not write."""

import ast
import os
import tomllib
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from falconws_cli.change.plan import PlannedFile
from falconws_cli.errors import CommandError, RefusedError
from falconws_cli.generators.planning import PYPROJECT, read_text
from falconws_cli.layout import app_module, routes_module
from falconws_cli.package_folders import package_folders
from falconws_cli.project import Project, is_app_path
from falconws_cli.source.python import CannotEditError, Source
from falconws_cli.source.register.apps import creations

_SKIPPED = frozenset({"tests", "test", "docs", "build", "dist", "node_modules", "site-packages", "venv", "env"})
_MAX_DEPTH = 4


def plan_init(folder: Path, app: str | None) -> tuple[PlannedFile, list[str]]:
    """Return pyproject.toml with [tool.falconws], and notes about what works now.

    Args:
        folder: The root of the project.
        app: "module:attribute"; None looks for the app.

    Raises:
        RefusedError: The table is there already, or it is not clear which app is meant.
        CommandError: pyproject.toml is not valid.
    """
    before = Project(folder, "").read(PYPROJECT)
    text = (before or b"").decode("utf-8", "surrogateescape")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CommandError(f"Cannot edit {PYPROJECT}: {error}.") from error
    if "falconws" in document.get("tool", {}):
        raise RefusedError(f"{PYPROJECT} has [tool.falconws] already; see `falconws doctor`.")
    folders = package_folders(document)
    if app is None:
        app = _only(list(_find_apps(folder, [str(path) for path in folders.values()])))
    elif not is_app_path(app):
        raise RefusedError(f'"{app}" is not of the form module:attribute, such as demo.app:create_app.')
    newline = "\r\n" if "\r\n" in text else "\n"
    table = newline.join(["[tool.falconws]", f'app = "{app}"', ""])
    separator = "" if not text else newline if text.endswith("\n") else newline * 2
    edited = (text + separator + table).encode("utf-8", "surrogateescape")
    return PlannedFile(PYPROJECT, edited, before=before), _notes(Project(folder, app, folders))


def _notes(project: Project) -> list[str]:
    notes = [
        f"The app is {project.app}: `falconws serve`, `inspect` and `doctor` work, if it can be imported.",
        f"`falconws add-resource` adds routes to {routes_module(project)}; `add-middleware` and `add-media-handler` "
        f"edit {app_module(project)}.",
    ]
    conftest = read_text(project, PurePosixPath("tests/conftest.py"))
    if conftest is None or "def app(" not in conftest:
        notes.append("Generated tests need a fixture `app` in tests/conftest.py that returns the app.")
    return notes


def _only(found: list[str]) -> str:
    if len(found) == 1:
        return found[0]
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
        if found and names and ("create_app" in factories or top_level):
            yield f"{'.'.join(names)}:{'create_app' if 'create_app' in factories else top_level[0]}"


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
        )
        yield from (Path(parent, name) for name in sorted(files) if name.endswith(".py"))
