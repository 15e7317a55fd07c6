"""`falconws add-middleware`: a middleware, its tests and its registration."""

from collections.abc import Mapping
from enum import Enum
from pathlib import PurePosixPath

from falconws_cli.change.plan import Generated, Recipe
from falconws_cli.errors import RefusedError
from falconws_cli.generators.planning import read_text, refuse_taken_class
from falconws_cli.layout import app_module
from falconws_cli.names import Name, parse_name
from falconws_cli.project import Project
from falconws_cli.source import registration
from falconws_cli.source.python import Import
from falconws_cli.source.registration import JsonValue
from falconws_cli.templating.rendering import render_trees

_CONFTEST = PurePosixPath("tests/conftest.py")


class Kind(Enum):
    """The kinds of middleware."""

    BLANK = "blank"
    LOGGING = "logging"
    TOKEN_AUTH = "token-auth"


class MiddlewareGenerator:
    """Generates middleware. Option: "kind"."""

    def recipe(self, project: Project, name: str, options: Mapping[str, JsonValue]) -> Recipe:
        """Return the recipe of a middleware.

        Raises:
            RefusedError: The name cannot be used; or the project has token authentication already.
        """
        parsed = parse_name(name, suffix="middleware")
        refuse_taken_class(project, "middleware", parsed)
        kind = Kind(options.get("kind", "blank"))
        conftest = read_text(project, _CONFTEST) or ""
        taken = "accepted_token" in conftest and _variable(project, parsed) not in conftest
        if kind is Kind.TOKEN_AUTH and taken:
            raise RefusedError(
                "The project has token authentication already: tests/conftest.py has a fixture accepted_token; "
                "add the new tokens to that middleware's variable instead."
            )
        return Recipe("middleware", parsed.kebab, {"kind": kind.value})

    def make(self, project: Project, recipe: Recipe) -> Generated:
        """Return the middleware, its tests and its registration; with authentication, also a token for all tests."""
        name = parse_name(recipe.name)
        kind = Kind(recipe.options.get("kind", "blank"))
        class_name = f"{name.class_prefix}Middleware"
        variable = _variable(project, name)
        context = {
            "package": project.package,
            "package_dir": str(project.package_path),
            "module": name.module,
            "class_name": class_name,
            "variable": variable,
            "cookie": f"{name.module}_token",
            "origins_variable": f"{project.env_prefix}_ALLOWED_ORIGINS",
        }
        files = render_trees([f"middleware/{kind.value}"], context, root=project.root)
        # The code for conftest.py is no file of its own.
        snippet = [file for file in files if file.path.name == "conftest_snippet.py"]
        registrations = [
            registration.middleware(
                app_module(project),
                project.package,
                middleware=Import(f"{project.package}.middleware.{name.module}", class_name),
                factory="from_env" if kind is Kind.TOKEN_AUTH else "",
            )
        ]
        notes = []
        if kind is Kind.TOKEN_AUTH:
            registrations.append(_token_for_the_tests(project, snippet[0].data.decode()))
            notes.append(
                f"Set {variable} to the accepted tokens, as NAME:TOKEN and separated by commas; the app does not start "
                "without it."
            )
        return Generated(tuple(file for file in files if file not in snippet), tuple(registrations), notes=tuple(notes))


def _variable(project: Project, name: Name) -> str:
    return f"{project.env_prefix}_{name.constant}_TOKENS"


def _token_for_the_tests(project: Project, snippet: str) -> registration.RegistrationSpec:
    """Return the registration that gives the project's tests a token."""
    return registration.functions(
        _CONFTEST,
        "tests",
        first_party=project.package,
        what="a token for the tests",
        imports=(),
        code=snippet,
        needs=("pytest",),
    )
