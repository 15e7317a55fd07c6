"""What a generator cannot find is said with the file that was looked for, the reason, and the lines to add."""

from pathlib import Path

import pytest

from falconws_cli.errors import ExitCode
from tests.cli.conftest import Run
from tests.cli.recorder import one_line_error, tree

APP = "import falconws\n\napp = falconws.App()\n"
ROUTE = ("add-resource", "chat")
MIDDLEWARE = ("add-middleware", "log", "--kind", "logging")


def project(tmp_path: Path, app: str, files: dict[str, bytes]) -> Path:
    root = tmp_path / "project"
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    (root / "pyproject.toml").write_text(f'[project]\nname = "x"\nversion = "1"\n\n[tool.falconws]\napp = "{app}"\n')
    return root


@pytest.mark.parametrize(
    ("files", "words", "where", "reason"),
    [
        ({}, ROUTE, "shop/main.py", "there is no such file"),
        ({}, MIDDLEWARE, "shop/main.py", "there is no such file"),
        ({"shop/main.py": b"# caf\xe9\n"}, ROUTE, "shop/main.py", "it is not UTF-8"),
        ({"shop/main.py": APP.encode(), "shop/routes.py": b"# \xff\n"}, ROUTE, "shop/routes.py", "it is not UTF-8"),
        ({"shop/main.py": b"app = falconws.App(\n"}, MIDDLEWARE, "shop/main.py", "it is not valid Python on line 1"),
        ({"shop/main.py": b"x = 1\n"}, ROUTE, "shop/main.py", "it has no function add_routes(app) and adds no routes"),
        ({"shop/main.py": b"x = 1\n"}, MIDDLEWARE, "shop/main.py", "it has no line such as `app = falconws.App()`"),
        (
            {"shop/main.py": b"import falconws\n\n\ndef create_app():\n    return falconws.App()\n"},
            MIDDLEWARE,
            "shop/main.py",
            "line 5 returns the app without giving it a name; write `app = ...` there, and `return app` at the end",
        ),
        (
            {"shop/main.py": APP.encode(), "shop/urls.py": b""},
            ROUTE,
            "shop/urls.py",
            "it has no function add_routes(app) and adds no routes",
        ),
    ],
)
def test_the_file_the_reason_and_the_lines_are_printed(
    run: Run, tmp_path: Path, files: dict[str, bytes], words: tuple[str, ...], where: str, reason: str
) -> None:
    root = project(tmp_path, "shop.main:app", {"shop/__init__.py": b"", **files})
    before = tree(root)
    result = run(*words, cwd="project")
    assert result.exit_code == ExitCode.LEFT_TO_DO, result.output
    what = "the route /chat" if words == ROUTE else "the middleware LogMiddleware"
    lines = (
        ["from shop.resources.chat import ChatResource", 'app.add_route("/chat", ChatResource())']
        if words == ROUTE
        else ["from shop.middleware.log import LogMiddleware", "app.add_middleware(LogMiddleware())"]
    )
    listed = "".join(f"    {line}\n" for line in lines)
    assert (
        f"\nCannot register {what} in {where}: {reason}.\nAdd these lines to it by hand:\n\n{listed}" in result.output
    )
    # Somebody may have added the lines to a file that cannot be read.
    assert run("undo", cwd="project").exit_code in (ExitCode.OK, ExitCode.LEFT_TO_DO)
    assert tree(root) == before


def test_an_app_that_is_one_module_needs_a_package(run: Run, tmp_path: Path) -> None:
    root = project(tmp_path, "main:app", {"main.py": APP.encode()})
    before = tree(root)
    said = one_line_error(run(*ROUTE, cwd="project"))
    assert "The app is in the module main.py, and generated code goes into a package: create one" in said
    assert tree(root) == before


def test_a_package_that_is_nowhere_is_named_with_its_folder(run: Run, tmp_path: Path) -> None:
    project(tmp_path, "shop.main:app", {"README.md": b""})
    said = one_line_error(run(*ROUTE, cwd="project"))
    assert "has no folder shop; correct the setting, create the package, or tell your build backend" in said
