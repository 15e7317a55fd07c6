"""`falconws add-resource`: a resource, its tests and its route.

Reads the project; must not write.
"""

import ast
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath

from falconws_cli.change.plan import NOTHING, Generated, PlannedFile, Recipe, Requirements
from falconws_cli.errors import RefusedError
from falconws_cli.generators.planning import names_for, read_text, refuse_taken_class
from falconws_cli.layout import app_module, routes_module
from falconws_cli.names import Name, parse_name
from falconws_cli.project import Project
from falconws_cli.source.python import Import
from falconws_cli.source.register.route_reader import routes_in
from falconws_cli.source.registration import JsonValue, hub, route
from falconws_cli.source.uritemplate import UriTemplate, find_conflict, parse_uri_template
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


TYPED: dict[Pattern, frozenset[str]] = {
    Pattern.REQUEST_RESPONSE: frozenset(
        {"Annotated", "Call", "Conversation", "CountWords", "Meta", "Reply", "WordCount"}
    ),
    Pattern.FEED: frozenset({"Conversation", "Never", "Struct", "Tick"}),
    Pattern.DUPLEX: frozenset({"Annotated", "Conversation", "Idle", "Meta", "Note", "Received", "Struct"}),
    Pattern.ROOM: frozenset(
        {"Annotated", "Conversation", "Error", "Gap", "IsTyping", "Joined", "Left", "Meta", "Name", "Path", "Post"}
        | {"Response", "RoomMessage", "Said", "Say", "Struct", "Text", "Typing", "Welcome", "Who"}
    ),
}
"""The patterns that can be typed, and the names in their modules, which a conversation cannot have."""

_TYPED_REQUIREMENTS = Requirements(("falconws[typed]",), modules=("falconws.typed",))


class ResourceGenerator:
    """Generates resources.

    Options: "route" (a URI template), "pattern", "subprotocol" (a string or None), "http", "page" (only with the
    pattern room), and "typed".
    """

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
        page = options.get("page")
        if pattern is Pattern.HTTP and (subprotocol is not None or not http):
            raise RefusedError("The pattern http has no WebSocket: leave out --subprotocol and --no-http.")
        if pattern is not Pattern.ROOM and page is not None:
            flag = "--page" if page else "--no-page"
            raise RefusedError(
                f"The pattern {pattern.value} has no page: leave out {flag}; only the pattern room has one."
            )
        path = routes_module(project)
        _refuse_taken_route(path.name, read_text(project, path) or "", template.text, _class_name(parsed))
        chosen: dict[str, JsonValue] = {
            "route": template.text,
            "pattern": pattern.value,
            "subprotocol": subprotocol,
            "http": http,
        }
        if page is False:
            chosen["page"] = False
        if options.get("typed"):
            _check_typed(pattern, parsed)
            chosen["typed"] = True
        recipe = Recipe("resource", parsed.kebab, chosen)
        # The responders of a room give a text of this name another one: the room is the whole path.
        replaced = {"room"} if pattern is Pattern.ROOM else set()
        fields = [one.name for one in template.fields if one.name not in replaced or one.type.annotation != "str"]
        if fields:
            _refuse_used_names(fields, self.make(project, recipe))
        return recipe

    def make(self, project: Project, recipe: Recipe) -> Generated:
        """Return the resource, its tests, and its route."""
        name = parse_name(recipe.name)
        template = parse_uri_template(str(recipe.options["route"]))
        types = [field.type for field in template.fields]
        context = {
            **names_for(project, name, _class_name(name)),
            "route": template.text,
            "path": template.example,
            "path_pattern": template.pattern,
            "parameters": [f"{field.name}: {field.type.annotation}" for field in template.fields],
            "parameter_imports": [f"{t.import_from}.{t.annotation}" for t in types if t.import_from],
            "subprotocol": recipe.options.get("subprotocol"),
            "http": recipe.options.get("http", True),
            "page": recipe.options.get("page", True),
            "typed": recipe.options.get("typed", False),
        }
        pattern = Pattern(recipe.options.get("pattern", "echo"))
        room = pattern is Pattern.ROOM
        kind = "typed" if context["typed"] else "resource"
        trees = [f"{kind}/{pattern.value}", *(["page/room"] if room and context["page"] else [])]
        files = render_trees(trees, context, root=project.root)
        if client := client_of_page(project, recipe):
            files.append(_render_client(client, template, recipe, project.root))
        resource = Import(f"{project.package}.resources.{name.module}", _class_name(name))
        registrations = [route(routes_module(project), project.package, template=template.text, resource=resource)]
        if room:
            registrations.append(hub(app_module(project), project.package))
        notes = (
            [f"Run `falconws serve --reload`, and try it at http://127.0.0.1:8000{template.example}"]
            if context["page"] and room
            else []
        )
        requirements = _TYPED_REQUIREMENTS if context["typed"] else NOTHING
        return Generated(tuple(files), tuple(registrations), requirements, tuple(notes))


@dataclass(frozen=True)
class PageClient:
    """The client that the page of a typed room imports."""

    file: PurePosixPath
    conversation: str


def client_of_page(project: Project, recipe: Recipe) -> PageClient | None:
    """Return the client of the page that *recipe* generates; None for a recipe without one."""
    options = recipe.options
    if recipe.generator != "resource" or options.get("pattern") != Pattern.ROOM.value:
        return None
    if not options.get("typed") or not options.get("page", True):
        return None
    name = parse_name(recipe.name)
    return PageClient(project.package_path / "resources" / f"{name.module}_client" / "client.js", name.class_prefix)


def _render_client(client: PageClient, template: UriTemplate, recipe: Recipe, root: Path) -> PlannedFile:
    """Return the client of a page: what `falconws generate-client js` makes of the conversation in the templates.

    It is a file of the resource, and not rendered from the app, which cannot be loaded yet.
    """
    # It takes time, and most resources have no client.
    from falconws_cli.generators.client.document import ConversationSpec
    from falconws_cli.generators.client.generator import javascript_file

    subprotocol = recipe.options.get("subprotocol")
    spec = ConversationSpec(
        name=client.conversation,
        summary="People in a room hear each other, and miss nothing when their connection breaks.",
        path=template.address,
        fields=tuple(field.name for field in template.fields),
        query=None,
        subprotocol=None if subprotocol is None else str(subprotocol),
        resumes=True,
        close_codes={},
        errors={},
        sends={},
        receives=dict.fromkeys(("welcome", "said", "is_typing", "joined", "left", "gap"), ""),
        replies={},
    )
    return javascript_file(client.file.parent, [spec], root)


def _class_name(name: Name) -> str:
    return f"{name.class_prefix}Resource"


def _refuse_used_names(fields: Collection[str], generated: Generated) -> None:
    """Refuse fields of the route that a generated responder has another use for: it is passed each by its name."""
    for file in generated.files:
        if file.path.suffix != ".py":
            continue
        for function in ast.walk(ast.parse(file.data)):
            if not isinstance(function, ast.AsyncFunctionDef) or not function.name.startswith("on_"):
                continue
            parameters = {argument.arg for argument in function.args.args}
            nodes = [node for statement in function.body for node in ast.walk(statement)]
            used = {node.id for node in nodes if isinstance(node, ast.Name)}
            for name in fields:
                if name in parameters and name in used:
                    raise RefusedError(
                        f'The field "{name}" of the route is a name that the generated {function.name}() uses; choose '
                        "another name for it."
                    )


def _check_typed(pattern: Pattern, name: Name) -> None:
    if pattern not in TYPED:
        raise RefusedError(
            f"The pattern {pattern.value} has no messages to declare: "
            f"use --typed with one of {', '.join(each.value for each in TYPED)}."
        )
    if name.class_prefix in TYPED[pattern]:
        raise RefusedError(
            f'"{name.kebab}" would name the conversation {name.class_prefix}, which is a name in its modules already; '
            "choose another name."
        )


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
