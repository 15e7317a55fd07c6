"""Generators in projects whose pyproject.toml is not the generated one: where dependencies go, and undo."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import click.testing
import pytest

from falconws_cli.errors import ExitCode

Run = Callable[..., click.testing.Result]

TOOL = '\n[tool.falconws]\napp = "demo.app:create_app"\n'
APP = "import falconws\n\n\ndef create_app():\n    app = falconws.App()\n    return app\n"

LISTED = {
    "plain": '[project]\nname = "demo"\nversion = "1"\ndependencies = ["falconws"]\n',
    "no list": '[project]\nname = "demo"\nversion = "1"\n',
    "dynamic version": '[project]\nname = "demo"\ndynamic = ["version"]\n',
    "groups": '[project]\nname = "demo"\nversion = "1"\n\n[dependency-groups]\ndev = ["ruff"]\n',
    "poetry 2": '[project]\nname = "demo"\nversion = "1"\n\n[tool.poetry]\npackage-mode = false\n',
    "windows": '[project]\r\nname = "demo"\r\nversion = "1"\r\n',
}
ELSEWHERE = {
    "dynamic": ('[project]\nname = "demo"\ndynamic = ["version", "dependencies"]\n', "pip install"),
    "no project": ("", "pip install"),
    "poetry 1": ('[tool.poetry]\nname = "demo"\n\n[tool.poetry.dependencies]\npython = "^3.11"\n', "poetry add"),
}


@pytest.fixture
def project(tmp_path: Path) -> Callable[[str], Path]:
    """Make a project that was not generated, with the text as its pyproject.toml."""

    def make(text: str) -> Path:
        (tmp_path / "demo" / "demo").mkdir(parents=True)
        (tmp_path / "demo" / "demo" / "__init__.py").write_text("")
        (tmp_path / "demo" / "demo" / "app.py").write_text(APP)
        (tmp_path / "demo" / "conftest.py").write_text("from demo.app import create_app as app\n")
        (tmp_path / "demo" / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
        (tmp_path / "demo" / "pyproject.toml").write_bytes((text + TOOL).encode())
        return tmp_path / "demo"

    return make


def add(run: Run, codec: str) -> click.testing.Result:
    return run("add-media-handler", "fast", "--payload", "binary", "--codec", codec, cwd="demo")


@pytest.mark.parametrize("variant", LISTED)
@pytest.mark.parametrize("codec", ["orjson", "protobuf"])
def test_dependencies_go_where_the_project_lists_them_and_undo_brings_back_every_byte(
    run: Run, project: Callable[[str], Path], variant: str, codec: str
) -> None:
    root = project(LISTED[variant])
    before = (root / "pyproject.toml").read_bytes()
    assert add(run, codec).exit_code == ExitCode.OK
    document = tomllib.loads((root / "pyproject.toml").read_bytes().decode())
    assert any(line.startswith(codec) for line in document["project"]["dependencies"])
    if codec == "protobuf":
        groups = document.get("dependency-groups", document["project"].get("optional-dependencies"))
        assert any(line.startswith("types-protobuf") for line in groups["dev"])
        assert ("optional-dependencies" in document["project"]) is (variant != "groups")
    result = run("undo", cwd="demo")
    assert result.exit_code == ExitCode.OK, result.output
    assert (root / "pyproject.toml").read_bytes() == before


@pytest.mark.parametrize("variant", ELSEWHERE)
@pytest.mark.parametrize("codec", ["orjson", "protobuf"])
def test_where_dependencies_are_kept_elsewhere_the_command_is_printed_and_the_file_stays_valid(
    run: Run, project: Callable[[str], Path], variant: str, codec: str
) -> None:
    text, command = ELSEWHERE[variant]
    root = project(text)
    before = (root / "pyproject.toml").read_bytes()
    result = add(run, codec)
    assert result.exit_code == ExitCode.OK, result.output
    assert f'`{command} "{codec}' in result.output
    document = tomllib.loads((root / "pyproject.toml").read_text())
    assert "dependencies" not in document.get("project", {})
    if codec == "orjson":
        assert (root / "pyproject.toml").read_bytes() == before
    assert run("undo", cwd="demo").exit_code == ExitCode.OK
    assert (root / "pyproject.toml").read_bytes() == before


def test_a_byte_order_mark_is_named(run: Run, project: Callable[[str], Path]) -> None:
    project("\ufeff" + LISTED["plain"])
    result = add(run, "orjson")
    assert result.exit_code == ExitCode.FAILURE
    assert "byte order mark" in result.stderr


def test_a_project_of_uv_is_told_to_sync(run: Run, project: Callable[[str], Path]) -> None:
    root = project(LISTED["plain"])
    (root / "uv.lock").write_text("")
    assert "`uv sync`" in add(run, "orjson").output


@pytest.mark.parametrize("lock", ["uv.lock", "poetry.lock", "pdm.lock"])
def test_the_lock_file_of_a_workspace_tells_how_to_install_its_projects(
    run: Run, project: Callable[[str], Path], tmp_path: Path, lock: str
) -> None:
    project(LISTED["plain"])
    (tmp_path / lock).write_text("")
    command = "uv sync" if lock == "uv.lock" else f"{lock.removesuffix('.lock')} install"
    assert f"install it with `{command}`" in add(run, "orjson").output


@pytest.mark.parametrize(
    "text", ['project.name = "demo"\nproject.version = "1"\nproject.dependencies = ["falconws"]\n']
)
def test_a_form_that_cannot_be_edited_stays_and_what_to_add_is_printed(
    run: Run, project: Callable[[str], Path], text: str
) -> None:
    root = project(text)
    before = (root / "pyproject.toml").read_bytes()
    (root / "tests").mkdir()
    done = run("add-part", "pre-commit", cwd="demo")
    assert done.exit_code == ExitCode.OK
    said = 'pyproject.toml is written in a form that falconws cannot edit: add "pre-commit>=4,<5" (dev dependencies)'
    assert said in done.output
    assert (root / "pyproject.toml").read_bytes() == before
