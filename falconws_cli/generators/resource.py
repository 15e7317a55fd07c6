"""`falconws add-resource`: a resource, its tests and its route."""

import re
from collections.abc import Mapping
from enum import Enum
from pathlib import PurePosixPath

from falconws_cli.change.plan import Generated, Recipe
from falconws_cli.errors import RefusedError
from falconws_cli.generators.planning import read_text, refuse_taken_class
from falconws_cli.names import Name, parse_name
from falconws_cli.project import Project
from falconws_cli.source.python import Import
from falconws_cli.source.register import routes_in
from falconws_cli.source.registration import JsonValue, hub, route
from falconws_cli.source.uritemplate import find_conflict, parse_uri_template
from falconws_cli.templating.rendering import render_trees

# RFC 9110 section 5.6.2, "token"; RFC 6455 section 4.1 asks for it.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Pattern(Enum):
    """The patterns of a conversation."""

    ECHO = "echo"
    REQUEST_RESPONSE = "request-response"
    FEED = "feed"
    DUPLEX = "duplex"
    ROOM = "room"
    BLANK = "blank"
    HTTP = "http"


class ResourceGenerator:
    """Generates resources. Options: "route" (a URI template), "pattern", "subprotocol" (a string or None), "http"."""

    def recipe(self, project: Project, name: str, options: Mapping[str, JsonValue]) -> Recipe:
        """Return the recipe of a resource. The default route is its name.

        Raises:
            RefusedError: The name, the route or the subprotocol cannot be used, or is taken.
        """
        parsed = parse_name(name, suffix="resource")
        refuse_taken_class(project, "resources", parsed)
        typed = options.get("route")
        template = parse_uri_template(f"/{parsed.kebab}" if typed is None else str(typed))
        subprotocol = options.get("subprotocol")
        if subprotocol is not None and not _TOKEN.fullmatch(str(subprotocol)):
            raise RefusedError(
                f'"{subprotocol}" cannot be a subprotocol: use letters, digits and - . _ only, such as "wamp".'
            )
        pattern, http = Pattern(options.get("pattern", "echo")), bool(options.get("http", True))
        page = bool(options.get("page", True))
        if pattern is Pattern.HTTP and (subprotocol is not None or not http):
            raise RefusedError("The pattern http has no WebSocket: leave out --subprotocol and --no-http.")
        path = _routes_path(project)
        _refuse_taken_route(path.name, read_text(project, path) or "", template.text, _class_name(parsed))
        chosen: dict[str, JsonValue] = {
            "route": template.text,
            "pattern": pattern.value,
            "subprotocol": subprotocol,
            "http": http,
        }
        if pattern is Pattern.ROOM and http and not page:
            chosen["page"] = False
        return Recipe("resource", parsed.kebab, chosen)

    def make(self, project: Project, recipe: Recipe) -> Generated:
        """Return the resource, its tests, and its route."""
        name = parse_name(recipe.name)
        template = parse_uri_template(str(recipe.options["route"]))
        types = [field.type for field in template.fields]
        context = {
            "package": project.package,
            "package_dir": str(project.package_path),
            "module": name.module,
            "class_name": _class_name(name),
            "route": template.text,
            "path": template.example,
            "parameters": [f"{field.name}: {field.type.annotation}" for field in template.fields],
            "parameter_imports": [f"{t.import_from}.{t.annotation}" for t in types if t.import_from],
            "subprotocol": recipe.options.get("subprotocol"),
            "http": recipe.options.get("http", True),
            "page": recipe.options.get("http", True) and recipe.options.get("page", True),
        }
        pattern = Pattern(recipe.options.get("pattern", "echo"))
        room = pattern is Pattern.ROOM
        trees = [f"resource/{pattern.value}", *(["page/room"] if room and context["page"] else [])]
        files = render_trees(trees, context, root=project.root)
        resource = Import(f"{project.package}.resources.{name.module}", _class_name(name))
        registrations = [route(_routes_path(project), project.package, template=template.text, resource=resource)]
        if room:
            registrations.append(hub(project.package_path / "app.py", project.package))
        return Generated(tuple(files), tuple(registrations))


def _class_name(name: Name) -> str:
    return f"{name.class_prefix}Resource"


def _routes_path(project: Project) -> PurePosixPath:
    """Return the module that adds the routes: routes.py, or app.py in a project that has only that."""
    routes, app = project.package_path / "routes.py", project.package_path / "app.py"
    return app if project.exists(app) and not project.exists(routes) else routes


def _refuse_taken_route(module: str, routes: str, template: str, class_name: str) -> None:
    taken = routes_in(routes)
    if template in taken and taken[template].split("(")[0].split(".")[-1] == class_name:
        return
    other = find_conflict(template, taken)
    if other == template:
        raise RefusedError(f"The route {template} is taken by {taken[other]} in {module}; choose another with --route.")
    if other is not None:
        raise RefusedError(
            f"Falcon cannot tell the route {template} from {other}, which {taken[other]} has in {module}; "
            "give the field the same name and converter, or choose another path with --route."
        )
