"""`falconws destroy resource echo`: what a new project starts with goes like anything else."""

import json
from pathlib import Path

import pytest

from falconws_cli.errors import ExitCode
from tests.cli.conftest import Run, do
from tests.cli.recorder import one_line_error, snapshot, tree, without_memory


def mentioning(root: Path) -> list[str]:
    return [path for path, data in without_memory(root).items() if b"echo" in data.lower()]


@pytest.mark.parametrize("name", ["echo", "EchoResource"])
def test_nothing_of_it_is_left_and_the_project_is_as_if_it_had_never_been(run: Run, tmp_path: Path, name: str) -> None:
    assert run("new", "demo", "--with", "agents-md").exit_code == 0
    demo = tmp_path / "demo"
    before = without_memory(demo)
    own = ["demo/resources/echo.py", "tests/resources/test_echo.py"]
    assert sorted(mentioning(demo)) == sorted(["AGENTS.md", "README.md", "demo/routes.py", "tests/test_app.py", *own])
    output = do(run, "destroy", "resource", name)
    assert "unregister  the route /echo from demo/routes.py" in output
    assert mentioning(demo) == []
    assert sorted(before.keys() - without_memory(demo).keys()) == own
    assert "0 edited, 0 missing" in do(run, "status")
    assert "up to date" in do(run, "upgrade", "--check")
    assert "made no resource" in one_line_error(run("destroy", "resource", name, cwd="demo"))


def test_it_comes_back_with_undo_and_can_go_again(run: Run, demo: Path) -> None:
    before = without_memory(demo)
    do(run, "destroy", "resource", "echo")
    gone = without_memory(demo)
    do(run, "undo")
    assert without_memory(demo) == before
    status = do(run, "status")
    assert "0 edited, 0 missing" in status
    assert status.count("falconws new demo") == 1
    assert "up to date" in do(run, "upgrade", "--check")
    # It is no command that could be undone.
    assert "but the project itself" in one_line_error(run("undo", cwd="demo"))
    do(run, "destroy", "resource", "echo")
    assert without_memory(demo) == gone


def test_what_was_added_or_edited_around_it_stays(run: Run, demo: Path) -> None:
    do(run, "add-resource", "chat")
    readme = demo / "README.md"
    readme.write_text(readme.read_text().replace("# demo\n", "# Our demo\n"))
    tests = demo / "tests" / "resources" / "test_echo.py"
    tests.write_text(tests.read_text() + "# Mine.\n")
    output = do(run, "destroy", "resource", "echo", code=ExitCode.LEFT_TO_DO)
    assert "skip  tests/resources/test_echo.py (edited since; --force takes it away too)" in output
    assert "\nREADME.md:13 still mentions /echo, which is gone: see to it yourself.\n" in output
    assert "update  tests/test_app.py" in output
    routes = (demo / "demo" / "routes.py").read_text()
    assert "ChatResource()" in routes
    assert "Echo" not in routes
    assert "taken back but for what was edited" in do(run, "status")
    do(run, "destroy", "resource", "echo", "--force", code=ExitCode.LEFT_TO_DO)
    assert not tests.exists()
    do(run, "add-resource", "echo", "--pattern", "feed")
    assert (demo / "demo" / "resources" / "echo.py").exists()


def test_a_file_that_uses_it_is_named(run: Run, demo: Path) -> None:
    (demo / "demo" / "loud.py").write_text("from demo.resources.echo import EchoResource\n")
    output = do(run, "destroy", "resource", "echo", code=ExitCode.LEFT_TO_DO)
    assert "demo/loud.py:1 still imports demo.resources.echo, which is gone" in output


def test_a_dry_run_writes_nothing(run: Run, demo: Path) -> None:
    before = snapshot(demo)
    files = json.loads(do(run, "destroy", "resource", "echo", "--dry-run", "--json"))["files"]
    assert {file["path"]: file["status"] for file in files}["demo/resources/echo.py"] == "delete"
    assert snapshot(demo) == before


def test_where_it_has_no_file_of_its_own_one_line_says_what_to_delete(run: Run, tmp_path: Path) -> None:
    assert run("new", "demo", "--minimal").exit_code == 0
    before = tree(tmp_path)
    result = run("destroy", "resource", "echo", cwd="demo")
    assert result.exit_code == ExitCode.USAGE
    assert "EchoResource is in demo/app.py" in one_line_error(result)
    assert "delete the class and its route there, and its test in tests/test_app.py" in result.stderr
    assert tree(tmp_path) == before


def test_a_misspelled_name_is_suggested(run: Run, demo: Path) -> None:
    assert 'Did you mean "echo"?' in one_line_error(run("destroy", "resource", "ecko", cwd="demo"))
