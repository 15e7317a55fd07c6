"""Generators in projects of other layouts: which modules they edit, and undo."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click.testing
import pytest

from falconws_cli.errors import ExitCode
from tests.cli.recorder import without_record

Run = Callable[..., click.testing.Result]

APP = "import falconws\n\n\ndef create_app() -> falconws.App:\n    app = falconws.App()\n    return app\n"
WITH_ROUTES = APP.replace("import falconws\n", "import falconws\n\nfrom {routes} import add_routes\n").replace(
    "    return", "    add_routes(app)\n    return"
)
ROUTES = "def add_routes(app):\n    pass\n"
ASGI = "from {app} import create_app\n\napp = create_app()\n"

LAYOUTS: dict[str, tuple[str, dict[str, str], str, str]] = {
    "main.py": ("demo.main:create_app", {"demo/main.py": APP}, "demo/main.py", "demo/main.py"),
    "asgi.py": (
        "demo.asgi:app",
        {"demo/asgi.py": ASGI.format(app="demo.app"), "demo/app.py": APP},
        "demo/app.py",
        "demo/app.py",
    ),
    "package of routes": (
        "demo.app:create_app",
        {"demo/app.py": WITH_ROUTES.format(routes="demo.routes"), "demo/routes/__init__.py": ROUTES},
        "demo/app.py",
        "demo/routes/__init__.py",
    ),
    "urls.py": (
        "demo.app:create_app",
        {"demo/app.py": WITH_ROUTES.format(routes="demo.urls"), "demo/urls.py": ROUTES},
        "demo/app.py",
        "demo/urls.py",
    ),
    "routes.py without routes": (
        "demo.app:create_app",
        {
            "demo/app.py": APP.replace("    return", '    app.add_route("/a", object())\n    return'),
            "demo/routes.py": "PREFIX = '/v1'\n",
        },
        "demo/app.py",
        "demo/app.py",
    ),
    "app in __init__.py": ("demo:create_app", {"demo/__init__.py": APP}, "demo/__init__.py", "demo/__init__.py"),
    "src": ("demo.app:create_app", {"src/demo/app.py": APP}, "src/demo/app.py", "src/demo/app.py"),
    "namespace": (
        "acme.demo.app:create_app",
        {"acme/demo/__init__.py": "", "acme/demo/app.py": APP},
        "acme/demo/app.py",
        "acme/demo/app.py",
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_generators_edit_the_modules_that_create_the_app_and_add_the_routes(
    run: Run, tmp_path: Path, layout: str
) -> None:
    app, files, app_path, routes_path = LAYOUTS[layout]
    root = tmp_path / "project"
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if not path.startswith("acme"):
            (file.parent / "__init__.py").touch()
    (root / "pyproject.toml").write_text(f'[project]\nname = "demo"\nversion = "1"\n\n[tool.falconws]\napp = "{app}"\n')
    before = without_record(root)
    commands = [
        ("add-resource", "chat"),
        ("add-middleware", "journal", "--kind", "logging"),
        ("add-media-handler", "plain", "--payload", "text", "--codec", "json"),
    ]
    for command in commands:
        result = run(*command, cwd="project")
        assert result.exit_code == ExitCode.OK, result.output
    assert "ChatResource()" in (root / routes_path).read_text()
    assert "JournalMiddleware()" in (root / app_path).read_text()
    assert "PlainHandler()" in (root / app_path).read_text()
    folder = root / "src" if layout == "src" else root
    module, _, attribute = app.partition(":")
    script = f"import sys; sys.path.insert(0, {str(folder)!r}); from {module} import {attribute} as made; made()"
    if attribute == "create_app" and layout != "routes.py without routes":
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    for _ in commands:
        result = run("undo", cwd="project")
        assert result.exit_code == ExitCode.OK, result.output
    assert without_record(root) == before
