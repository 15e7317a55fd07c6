"""`falconws init`: projects that were not generated join in."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import click.testing
import pytest

from falconws_cli.errors import ExitCode

Run = Callable[..., click.testing.Result]

FALCON = "import falcon.asgi\n\n\ndef create_app():\n    app = falcon.asgi.App()\n    return app\n"
MODULE = "import falconws\n\napp = falconws.App()\n"


def write(root: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(text.encode())
    return root


@pytest.mark.parametrize(
    ("files", "app"),
    [
        ({"shop/__init__.py": "", "shop/main.py": FALCON}, "shop.main:create_app"),
        ({"src/shop/app.py": MODULE, ".venv/lib/other/app.py": MODULE}, "shop.app:app"),
        ({"shop/__init__.py": MODULE, "tests/app.py": MODULE}, "shop:app"),
        ({"service.py": MODULE}, "service:app"),
    ],
)
def test_the_app_is_found(run: Run, tmp_path: Path, files: dict[str, str], app: str) -> None:
    write(tmp_path, files)
    result = run("init")
    assert result.exit_code == ExitCode.OK, result.output
    assert tomllib.loads((tmp_path / "pyproject.toml").read_text()) == {"tool": {"falconws": {"app": app}}}
    assert f"The app is {app}" in result.output


@pytest.mark.parametrize("text", ["[project]\nname = 'x'\n", "[project]\r\nname = 'x'\r\n", "[tool.ruff]", "# only\n"])
def test_the_table_is_added_and_everything_else_stays(run: Run, tmp_path: Path, text: str) -> None:
    write(tmp_path, {"pyproject.toml": text, "shop/__init__.py": "", "shop/app.py": FALCON})
    assert run("init").exit_code == ExitCode.OK
    edited = (tmp_path / "pyproject.toml").read_bytes().decode()
    assert edited.startswith(text)
    assert edited.count("\r\n") in (0, edited.count("\n"))
    assert tomllib.loads(edited)["tool"]["falconws"] == {"app": "shop.app:create_app"}
    assert run("add-resource", "chat").exit_code == ExitCode.OK
    assert "ChatResource()" in (tmp_path / "shop" / "app.py").read_text()
    refused = run("init")
    assert (refused.exit_code, "already" in refused.stderr) == (ExitCode.USAGE, True)


@pytest.mark.parametrize(
    ("files", "words", "problem"),
    [
        ({"shop/app.py": "x = 1\n"}, [], "No module here creates a Falcon app"),
        ({"a.py": MODULE, "b.py": MODULE}, [], "a:app, b:app"),
        ({"a.py": MODULE}, ["a.app"], "module:attribute"),
    ],
)
def test_what_is_not_clear_is_refused(
    run: Run, tmp_path: Path, files: dict[str, str], words: list[str], problem: str
) -> None:
    write(tmp_path, files)
    result = run("init", *words)
    assert result.exit_code == ExitCode.USAGE
    assert problem in result.stderr
    assert not (tmp_path / "pyproject.toml").exists()
