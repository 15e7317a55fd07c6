"""`falconws add-resource`: a resource, its tests, its route."""

import re
from enum import Enum

from falconws_cli.errors import RefusedError
from falconws_cli.generators.target import initial_packages, planned_edit, read_text, refuse_existing
from falconws_cli.names import parse_name
from falconws_cli.plan import Plan, merge, render_tree
from falconws_cli.project import Project
from falconws_cli.register import register_route, routes_in
from falconws_cli.syntax import Import
from falconws_cli.templates import load_tree
from falconws_cli.uritemplate import find_conflict, parse_uri_template

# RFC 9110 section 5.6.2, "token"; RFC 6455 section 4.1 asks for it.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Pattern(Enum):
    """The ways to hold a conversation."""

    ECHO = "echo"
    REQUEST_RESPONSE = "request-response"
    FEED = "feed"
    DUPLEX = "duplex"
    BLANK = "blank"


def plan_resource(
    project: Project, text: str, *, route: str | None, pattern: Pattern, subprotocol: str | None, http: bool
) -> Plan:
    """Return the plan of a resource.

    Args:
        project: Where it goes.
        text: Its name, as typed.
        route: Its URI template; None makes one of the name.
        pattern: The conversation it holds.
        subprotocol: What a client must offer; None for none.
        http: Whether it answers GET too.

    Raises:
        RefusedError: The name, the route or the subprotocol cannot be used, or is taken.
    """
    name = parse_name(text, suffix="resource")
    template = parse_uri_template(route if route is not None else f"/{name.kebab}")
    if subprotocol is not None and not _TOKEN.fullmatch(subprotocol):
        raise RefusedError(
            f'"{subprotocol}" cannot be a subprotocol: use letters, digits and - . _ only, such as "wamp".'
        )
    class_name = f"{name.class_prefix}Resource"
    routes_path = project.package_path / "routes.py"
    routes = read_text(project, routes_path)
    _refuse_taken_route(routes or "", template.text, class_name)
    context = {
        "package": project.package,
        "package_dir": str(project.package_path),
        "module": name.module,
        "class_name": class_name,
        "route": template.text,
        "path": template.example,
        "parameters": [f"{field.name}: {field.type.annotation}" for field in template.fields],
        "parameter_imports": [
            f"{field.type.import_from}.{field.type.annotation}" for field in template.fields if field.type.import_from
        ],
        "subprotocol": subprotocol,
        "http": http,
    }
    files = render_tree(load_tree("resource", pattern.value), context)
    refuse_existing(project, files, f"a resource {name.module}")
    resource = Import(f"{project.package}.resources.{name.module}", class_name)
    registration = register_route(routes or "", project.package, template=template.text, resource=resource)
    edits, registered = planned_edit(routes_path, routes or "", registration)
    return Plan(merge(initial_packages(project, "resources"), files, edits), (registered,))


def _refuse_taken_route(routes: str, template: str, class_name: str) -> None:
    taken = routes_in(routes)
    if template in taken and taken[template].split("(")[0].split(".")[-1] == class_name:
        return
    other = find_conflict(template, taken)
    if other == template:
        raise RefusedError(
            f"The route {template} is taken by {taken[other]} in routes.py; choose another with --route."
        )
    if other is not None:
        raise RefusedError(
            f"Falcon cannot tell the route {template} from {other}, which {taken[other]} has in routes.py; "
            "give the field the same name and converter, or choose another path with --route."
        )
