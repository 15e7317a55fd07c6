"""Reads the routes in a project's source, for suggestions. Must not import the app."""

from pathlib import Path

from falconws_cli.errors import CommandError
from falconws_cli.layout import app_module, routes_module
from falconws_cli.project import Project, find_project
from falconws_cli.source.register.route_reader import routes_in
from falconws_cli.source.uritemplate import matches
from falconws_cli.suggestions import did_you_mean


def written_routes(project: Project) -> list[str]:
    """Return the literal URI templates in the modules where projects add their routes."""
    found: dict[str, str] = {}
    for path in dict.fromkeys((routes_module(project), app_module(project), project.package_path / "app.py")):
        data = project.read(path)
        if data is not None:
            found |= routes_in(data.decode(errors="replace"))
    return list(found)


def suggest_route(path: str, start: Path) -> str:
    """Return a hint for a *path* that is answered with 404.

    It is the route of the project around *start* that has this path, else a similar route.
    """
    plain = path.partition("?")[0]
    try:
        project = find_project(start)
        routes = written_routes(project) if project else []
    except CommandError:
        # The project may have nothing to do with the server.
        routes = []
    for route in routes:
        if matches(route, plain):
            return f" The project has the route {route}: its responder, or a middleware, may have answered."
    return did_you_mean(plain, routes) or " Is the path right?"
