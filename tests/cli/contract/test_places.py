"""Where a project can be: every command works there, and undo brings every byte back."""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from falconws_cli.errors import ExitCode
from tests.cli.conftest import Run
from tests.cli.git import commit, git


def made(run: Run, folder: Path, tmp_path: Path) -> Path:
    """Return a new project in *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    assert run("new", "demo", cwd=folder.relative_to(tmp_path).as_posix()).exit_code == ExitCode.OK
    return folder / "demo"


def repository(root: Path) -> Path:
    """Make the folder a repository, with everything in it committed."""
    git(root, "init", "-q", "-b", "main")
    commit(root)
    return root


def with_spaces(run: Run, tmp_path: Path) -> Path:
    return made(run, tmp_path / "my projects (ü)", tmp_path)


def a_link(run: Run, tmp_path: Path) -> Path:
    link = tmp_path / "link"
    link.symlink_to(made(run, tmp_path / "real", tmp_path))
    return link


def below_a_link(run: Run, tmp_path: Path) -> Path:
    made(run, tmp_path / "real", tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    return tmp_path / "link" / "demo"


def a_detached_worktree(run: Run, tmp_path: Path) -> Path:
    root = repository(made(run, tmp_path / "real", tmp_path))
    git(root, "worktree", "add", "-q", "--detach", str(tmp_path / "worktree"))
    return tmp_path / "worktree"


def a_submodule(run: Run, tmp_path: Path) -> Path:
    root = repository(made(run, tmp_path / "real", tmp_path))
    outer = tmp_path / "outer"
    outer.mkdir()
    repository(outer)
    git(outer, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(root), "inner")
    return outer / "inner"


def one_of_several(run: Run, tmp_path: Path) -> Path:
    root = tmp_path / "mono"
    project = made(run, root / "services", tmp_path)
    (root / "pyproject.toml").write_text('[tool.uv.workspace]\nmembers = ["services/*"]\n')
    repository(root)
    # What others are at work on does not concern this project.
    (root / "services" / "other.txt").write_text("not committed")
    return project


def read_only(run: Run, tmp_path: Path) -> Path:
    root = made(run, tmp_path, tmp_path)
    for path in root.rglob("*.py"):
        path.chmod(0o444)
    return root


PLACES = [with_spaces, a_link, below_a_link, a_detached_worktree, a_submodule, one_of_several, read_only]


def snapshot(root: Path) -> dict[str, tuple[bytes, int]]:
    """The content and the permissions of each file, except those of git."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and ".git" not in path.relative_to(root).parts)
    return {str(path.relative_to(root)): (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) for path in files}


@pytest.mark.parametrize("has_git", [True, False], ids=["git", "no git"])
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_every_command_works_wherever_the_project_is(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Callable[[Run, Path], Path], has_git: bool
) -> None:
    root = place(run, tmp_path)
    before = snapshot(root)
    if not has_git:
        (tmp_path / "bin").mkdir()
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        assert shutil.which("git") is None
    for words in (
        ("add-resource", "chat room"),
        ("add-middleware", "log", "--kind", "logging"),
        ("status",),
        ("upgrade", "--check"),
        ("remove-resource", "chat room"),
        ("undo",),
        ("undo",),
        ("undo",),
        ("upgrade",),
    ):
        result = run(*words, cwd=os.path.relpath(root / "tests", tmp_path))
        assert result.exit_code == ExitCode.OK, (words, result.output)
    assert snapshot(root) == before
