"""A user at work: commands in a folder, and a fresh project."""

from collections.abc import Callable
from pathlib import Path

import click.testing
import pytest

from falconws_cli.main import cli
from tests.cli.git import commit, git

Run = Callable[..., click.testing.Result]


def do(run: Run, *arguments: str, code: int = 0) -> str:
    """Run a command line in the project demo; return what it says, once it has ended as expected."""
    result = run(*arguments, cwd="demo")
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in the folder that *cwd* names below tmp_path."""

    def run(*arguments: str, cwd: str = "") -> click.testing.Result:
        monkeypatch.chdir(tmp_path / cwd)
        return click.testing.CliRunner().invoke(cli, list(arguments), prog_name="falconws")

    return run


@pytest.fixture
def demo(tmp_path: Path, run: Run) -> Path:
    """A fresh project."""
    result = run("new", "demo")
    assert result.exit_code == 0, result.output
    return tmp_path / "demo"


@pytest.fixture
def repository(demo: Path) -> Path:
    """A fresh project whose user is me@example.com, committed."""
    git(demo, "init", "-q", "-b", "main")
    git(demo, "config", "user.email", "me@example.com")
    git(demo, "config", "user.name", "Me")
    commit(demo)
    return demo


@pytest.fixture(autouse=True)
def falconws_of_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """falconws comes from a package index: no generated text has the path of this checkout in it."""
    monkeypatch.setattr("falconws_cli.generators.new_project.find_source", lambda root: "")
