"""`falconws add-middleware`: a middleware, its tests, its place in the app."""

from enum import Enum
from pathlib import PurePosixPath

from falconws_cli.errors import RefusedError
from falconws_cli.generators.target import initial_packages, planned_edit, read_text, refuse_existing
from falconws_cli.names import parse_name
from falconws_cli.plan import Plan, PlannedFile, PlannedRegistration, merge, render_tree
from falconws_cli.project import Project
from falconws_cli.register import append_functions, register_middleware
from falconws_cli.syntax import Import
from falconws_cli.templates import load_tree


class Kind(Enum):
    """What a new middleware does."""

    BLANK = "blank"
    LOGGING = "logging"
    TOKEN_AUTH = "token-auth"


def plan_middleware(project: Project, text: str, *, kind: Kind) -> Plan:
    """Return the plan of a middleware.

    Raises:
        RefusedError: The name cannot be used, or is taken; or the project has token authentication already.
    """
    name = parse_name(text, suffix="middleware")
    class_name = f"{name.class_prefix}Middleware"
    variable = f"{project.package.upper()}_{name.constant}_TOKENS"
    context = {
        "package": project.package,
        "package_dir": str(project.package_path),
        "module": name.module,
        "class_name": class_name,
        "variable": variable,
        "cookie": f"{name.module}_token",
        "origins_variable": f"{project.package.upper()}_ALLOWED_ORIGINS",
    }
    files = render_tree(load_tree("middleware", kind.value), context)
    refuse_existing(project, files, f"a middleware {name.module}")
    app_path = project.package_path / "app.py"
    app = read_text(project, app_path) or ""
    middleware = Import(f"{project.package}.middleware.{name.module}", class_name)
    registration = register_middleware(
        app,
        project.package,
        middleware=middleware,
        factory="from_env" if kind is Kind.TOKEN_AUTH else "",
    )
    edits, registered = planned_edit(app_path, app, registration)
    registrations = [registered]
    notes: list[str] = []
    # Its code for conftest.py is not a file of its own.
    snippet = [file for file in files if file.path.name == "conftest_snippet.py"]
    files = [file for file in files if file not in snippet]
    if kind is Kind.TOKEN_AUTH:
        test_edits, test_registered = _authenticate_tests(project, snippet[0].data.decode(), variable)
        edits += test_edits
        registrations.append(test_registered)
        notes.append(f"Set {variable} to the tokens to accept, separated by commas; without it the app does not start.")
    return Plan(merge(initial_packages(project, "middleware"), files, edits), tuple(registrations), tuple(notes))


def _authenticate_tests(project: Project, snippet: str, variable: str) -> tuple[list[PlannedFile], PlannedRegistration]:
    """Give the project's tests a token, without which every one of them would be refused."""
    path = PurePosixPath("tests/conftest.py")
    conftest = read_text(project, path) or ""
    if variable not in conftest and "accepted_token" in conftest:
        raise RefusedError(
            "The project has token authentication already: tests/conftest.py has a fixture accepted_token; "
            "add the new tokens to that middleware's variable instead."
        )
    registration = append_functions(
        conftest,
        "tests",
        first_party=project.package,
        what="a token for the tests",
        imports=[Import("collections.abc", "AsyncIterator"), Import("falconws.testing", "Client")],
        code=snippet,
        needs=("pytest", "falconws", "app"),
    )
    return planned_edit(path, conftest, registration)
