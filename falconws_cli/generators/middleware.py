"""`falconws add-middleware`: a middleware, its tests and its registration.

Reads the project; must not write.
"""

from collections.abc import Mapping
from enum import Enum
from pathlib import PurePosixPath

from falconws_cli.change.plan import Generated, Recipe
from falconws_cli.errors import RefusedError
from falconws_cli.generators.planning import names_for, read_text, refuse_taken_class
from falconws_cli.layout import app_module
from falconws_cli.names import Name, parse_name
from falconws_cli.project import Project
from falconws_cli.source import registration
from falconws_cli.source.formatting import LINE_LENGTH
from falconws_cli.source.python import Import
from falconws_cli.source.registration import JsonValue
from falconws_cli.templating.rendering import render_trees

_CONFTEST = PurePosixPath("tests/conftest.py")
_README = PurePosixPath("README.md")


class Kind(Enum):
    """The kinds of middleware."""

    BLANK = "blank"
    LOGGING = "logging"
    TOKEN_AUTH = "token-auth"


class MiddlewareGenerator:
    """Generates middleware. Options: "kind", and whether its tokens are "settings"."""

    def recipe(self, project: Project, name: str, options: Mapping[str, JsonValue]) -> Recipe:
        """Return the recipe of a middleware.

        Raises:
            RefusedError: The name cannot be used; or the project has token authentication already.
        """
        parsed = parse_name(name, suffix="middleware")
        refuse_taken_class(project, "middleware", parsed)
        kind = Kind(options.get("kind", "blank"))
        conftest = read_text(project, _CONFTEST) or ""
        taken = "def client_headers" in conftest and _variable(project, parsed) not in conftest
        if kind is Kind.TOKEN_AUTH and taken:
            raise RefusedError(
                "The project has token authentication already: tests/conftest.py has a fixture client_headers; "
                "add the new tokens to that middleware's variable instead."
            )
        chosen: dict[str, JsonValue] = {"kind": kind.value}
        if kind is Kind.TOKEN_AUTH and _has_settings(project):
            chosen["settings"] = True
        return Recipe("middleware", parsed.kebab, chosen)

    def make(self, project: Project, recipe: Recipe) -> Generated:
        """Return the middleware, its tests and its registration; with authentication, also a token for all tests."""
        name = parse_name(recipe.name)
        kind = Kind(recipe.options.get("kind", "blank"))
        settings = bool(recipe.options.get("settings", False))
        class_name = f"{name.class_prefix}Middleware"
        field, variable = f"{name.module}_tokens", _variable(project, name)
        context = {
            **names_for(project, name, class_name),
            "variable": variable,
            "settings": settings,
            "field": field,
            "cookie": f"{name.module}_token",
            "origins_variable": f"{project.env_prefix}_ALLOWED_ORIGINS",
        }
        files = render_trees([f"middleware/{kind.value}"], context, root=project.root)
        # The code for conftest.py is no file of its own.
        snippet = [file for file in files if file.path.name == "conftest_snippet.py"]
        auth = kind is Kind.TOKEN_AUTH
        registrations = [
            registration.middleware(
                app_module(project),
                project.package,
                middleware=Import(f"{project.package}.middleware.{name.module}", class_name),
                factory="from_env" if auth and not settings else "",
                argument=f"settings.{field}" if auth and settings else "",
            )
        ]
        notes = []
        if auth:
            registrations.append(_token_for_the_tests(project, snippet[0].data.decode()))
            if settings:
                registrations += _setting(project, name, field, variable)
            notes.append(
                f"Set {variable} to the accepted tokens, as NAME:TOKEN and separated by commas; the app does not start "
                "without it."
            )
        return Generated(tuple(file for file in files if file not in snippet), tuple(registrations), notes=tuple(notes))


def _variable(project: Project, name: Name) -> str:
    return f"{project.env_prefix}_{name.constant}_TOKENS"


def _settings_module(project: Project) -> PurePosixPath:
    return project.package_path / "settings.py"


def _has_settings(project: Project) -> bool:
    """Return whether the project has the settings of `falconws new`, and its factory takes them."""
    settings = read_text(project, _settings_module(project)) or ""
    factory = read_text(project, app_module(project)) or ""
    return "class Settings" in settings and "READERS" in settings and "create_app(settings:" in factory


def _setting(project: Project, name: Name, field: str, variable: str) -> list[registration.RegistrationSpec]:
    """Return the registrations that make the tokens a setting, for the service, for its tests, and for readers."""
    meaning = "Accepted tokens, such as `ada:TOKEN,ben:TOKEN`; without one, the service does not start"
    return [
        registration.setting(
            _settings_module(project),
            project.package,
            name=field,
            field=f'{_annotated(field, name)} = ()\n"""The accepted tokens; the app needs one."""\n',
            reader=f"{name.module}.read_tokens",
            imports=(Import(f"{project.package}.middleware", name.module),),
        ),
        registration.variable(_CONFTEST, "tests", name=variable, value="tests:a-token-for-tests"),
        registration.row(_README, project.package, name=variable, row=f"| `{variable}` | none | {meaning} |"),
    ]


def _annotated(field: str, name: Name) -> str:
    """Return the field with its type, on one line if that fits into the class."""
    head, item = f"{field}: tuple[", f"{name.module}.Token, ..."
    fits = len(f"    {head}{item}] = ()") <= LINE_LENGTH
    return f"{head}{item}]" if fits else f"{head}\n    {item}\n]"


def _token_for_the_tests(project: Project, snippet: str) -> registration.RegistrationSpec:
    """Return the registration that lets the test client send a token."""
    return registration.functions(
        _CONFTEST,
        "tests",
        first_party=project.package,
        what="a token for the tests",
        imports=(),
        code=snippet,
        needs=("pytest",),
    )
