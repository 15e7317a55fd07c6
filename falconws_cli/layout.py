"""Where a project has its modules: the one that creates the app, and the one that adds the routes. Must not write.

The answer comes from [tool.falconws], from the app's import, and from what the modules contain, not from one layout.
"""

from collections.abc import Iterable
from pathlib import PurePosixPath

from falconws_cli.project import Project
from falconws_cli.source.python import CannotEditError, Source
from falconws_cli.source.register.apps import creations
from falconws_cli.source.register.route_reader import routes_in


def app_module(project: Project) -> PurePosixPath:
    """Return the module that creates the app; if none of the usual ones does, the one in the app's import path."""
    package = project.package_path
    named = project.path_of(project.app.partition(":")[0])
    candidates = [
        named.with_suffix(".py"),
        named / "__init__.py",
        package / "app.py",
        package / "main.py",
        package / "__init__.py",
    ]
    there = _existing(project, candidates)
    # Without any of them, return a path for error messages to name.
    of_its_name = next((path for path in candidates[:2] if path in there), candidates[0])
    return next((path for path in there if _creates_app(project, path)), of_its_name)


def routes_module(project: Project) -> PurePosixPath:
    """Return the module that adds the routes; that of the app when none does."""
    package, app = project.package_path, app_module(project)
    own = [package / "routes.py", package / "routes" / "__init__.py", package / "urls.py"]
    there = _existing(project, [*own, app])
    return next((path for path in there if _adds_routes(project, path)), next(iter(there), app))


def _existing(project: Project, paths: Iterable[PurePosixPath]) -> list[PurePosixPath]:
    return [path for path in dict.fromkeys(paths) if project.exists(path)]


def _text(project: Project, path: PurePosixPath) -> str:
    return (project.read(path) or b"").decode(errors="replace")


def _creates_app(project: Project, path: PurePosixPath) -> bool:
    try:
        return bool(creations(Source(_text(project, path), project.package)))
    except CannotEditError:
        return False


def _adds_routes(project: Project, path: PurePosixPath) -> bool:
    text = _text(project, path)
    return bool(routes_in(text)) or "def add_routes(" in text
