"""Generated code that was moved or renamed is found again, or reported; nothing is removed by half."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from falconws_cli.errors import ExitCode
from falconws_cli.templating import rendering, templates
from tests.cli.conftest import Run, do
from tests.cli.recorder import one_line_error, tree, without_record


def replace_in(root: Path, pattern: str, new: str) -> None:
    """Replace a pattern in all of the project's own text files."""
    for file in root.rglob("*"):
        if file.is_file() and file.suffix in (".py", ".toml") and ".falconws" not in file.parts:
            file.write_text(re.sub(pattern, new, file.read_text()))


def rename_package(root: Path) -> None:
    (root / "demo").rename(root / "chat_service")
    replace_in(root, r"\bdemo\b(?=[.:]| import)", "chat_service")


def move_to_src(root: Path) -> None:
    (root / "src").mkdir()
    (root / "demo").rename(root / "src" / "demo")


def move_module(root: Path) -> None:
    (root / "demo/rooms").mkdir()
    (root / "demo/resources/alpha.py").rename(root / "demo/rooms/alpha.py")
    replace_in(root, r"demo\.resources\.alpha", "demo.rooms.alpha")


def rename_module(root: Path) -> None:
    (root / "demo/resources/alpha.py").rename(root / "demo/resources/beta.py")
    replace_in(root, r"demo\.resources\.alpha", "demo.resources.beta")


def move_routes(root: Path) -> None:
    (root / "demo/routes.py").rename(root / "demo/urls.py")
    replace_in(root, r"(?<=from )demo\.routes", "demo.urls")


def move_folder(root: Path) -> None:
    (root / "demo/resources").rename(root / "demo/http")
    replace_in(root, r"demo\.resources", "demo.http")


MOVES = [rename_package, move_to_src, move_module, rename_module, move_routes, move_folder]
ADDITIONS = (
    ["add-resource", "other", "--pattern", "feed"],
    ["add-resource", "alpha", "--pattern", "duplex"],
    ["add-middleware", "auth", "--kind", "token-auth"],
)


@pytest.fixture
def project(run: Run, demo: Path) -> Path:
    for command in ADDITIONS:
        do(run, *command)
    return demo


@pytest.mark.parametrize("move", MOVES)
def test_destroy_removes_what_was_moved_and_nothing_else(
    run: Run, project: Path, move: Callable[[Path], None], tmp_path: Path
) -> None:
    move(project)
    moved = without_record(project)
    do(run, "destroy", "resource", "alpha")
    after = without_record(project)
    gone = {Path(path).name for path in moved.keys() - after.keys()}
    assert gone == {"test_alpha.py", "beta.py" if move is rename_module else "alpha.py"}
    assert not [path for path, data in after.items() if b"AlphaResource" in data]
    assert [data for path, data in after.items() if b"OtherResource" in data]
    do(run, "undo")
    assert without_record(project) == moved
    do(run, "destroy", "middleware", "auth")
    assert not [path for path, data in without_record(project).items() if b"AuthMiddleware" in data]


@pytest.mark.parametrize("move", MOVES)
def test_undo_takes_back_what_was_moved(run: Run, project: Path, move: Callable[[Path], None]) -> None:
    do(run, "undo")
    move(project)
    do(run, "undo")
    assert not [path for path, data in without_record(project).items() if b"AlphaResource" in data]


@pytest.mark.parametrize("move", MOVES)
def test_status_shows_where_it_is(run: Run, project: Path, move: Callable[[Path], None]) -> None:
    move(project)
    shown = do(run, "status")
    assert " moved  " in shown
    assert "`falconws moved OLD NEW` records" in shown
    assert "missing  " not in shown
    counts = json.loads(do(run, "status", "--json"))["counts"]
    assert counts["moved"] > 0
    assert (counts["missing"], counts["edited"]) == (0, 0 if move is not rename_package else counts["edited"])


@pytest.mark.parametrize("move", MOVES)
def test_an_upgrade_follows(
    run: Run, project: Path, move: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move(project)
    before = without_record(project)
    # Nothing is new, so that nothing changes, wherever it is.
    assert "up to date" in do(run, "upgrade")
    assert without_record(project) == before
    home = tmp_path / "templates"
    shutil.copytree(templates.find_root(), home)
    monkeypatch.setattr(rendering, "find_root", lambda: home)
    for template in home.glob("resource/duplex/%package_dir%/resources/*.py.jinja"):
        template.write_text(template.read_text() + "\n\nUPGRADED = True\n")
    conftest = home / "project/full/tests/conftest.py.jinja"
    conftest.write_text(conftest.read_text() + "\n\nUPGRADED = True\n")
    do(run, "upgrade")
    after = without_record(project)
    assert after.keys() == before.keys()
    changed = {path for path in after if after[path] != before[path]}
    assert {Path(path).name for path in changed} == {"conftest.py", "beta.py" if move is rename_module else "alpha.py"}
    for path in changed:
        assert b"UPGRADED = True" in after[path]
        assert b"<<<<<<<" not in after[path]
    if move is rename_package:
        assert b"from chat_service.app import" in after["tests/conftest.py"]


TOLD = {
    rename_package: [("demo", "chat_service")],
    move_to_src: [("demo", "src/demo")],
    move_module: [("demo/resources/alpha.py", "demo/rooms/alpha.py")],
    rename_module: [("demo/resources/alpha.py", "demo/resources/beta.py")],
    move_routes: [("demo/routes.py", "demo/urls.py")],
    move_folder: [("demo/resources", "demo/http")],
}


@pytest.mark.parametrize("move", MOVES)
def test_what_was_told_is_recorded_and_can_be_undone(run: Run, project: Path, move: Callable[[Path], None]) -> None:
    move(project)
    record = tree(project / ".falconws")
    for old, new in TOLD[move]:
        do(run, "moved", old, new)
    shown = do(run, "status")
    assert " moved  " not in shown
    assert "missing  " not in shown
    # An edit that could not be found again by itself is followed too.
    name = "beta.py" if move is rename_module else "alpha.py"
    (module,) = project.rglob(name)
    module.write_text("class Mine:\n    pass\n")
    output = do(run, "destroy", "resource", "alpha", code=ExitCode.LEFT_TO_DO)
    assert f"skip  {module.relative_to(project)} (edited since" in output
    do(run, "undo")
    assert f"Undoing: falconws moved {TOLD[move][0][0]}" in do(run, "undo")
    assert tree(project / ".falconws") == record


@pytest.mark.parametrize("command", [("destroy", "resource", "alpha"), ("undo",)])
def test_what_is_not_found_is_reported_and_nothing_is_removed(
    run: Run, project: Path, command: tuple[str, ...]
) -> None:
    do(run, "undo")
    module = project / "demo/resources/alpha.py"
    module.unlink()
    before = tree(project)
    result = run(*command, cwd="demo")
    assert result.exit_code == ExitCode.LEFT_TO_DO
    message = one_line_error(result)
    assert "demo/resources/alpha.py is not where it was made; nothing was removed." in message
    assert "falconws moved" in message
    assert "falconws forget" in message
    assert tree(project) == before
    assert "missing  demo/resources/alpha.py" in do(run, "status")
    do(run, "forget", "demo/resources/alpha.py")
    do(run, *command)
    assert not (project / "tests/resources/test_alpha.py").exists()


def test_force_takes_what_is_missing_for_deleted(run: Run, project: Path) -> None:
    (project / "demo/resources/alpha.py").unlink()
    do(run, "destroy", "resource", "alpha", "--force")
    assert not (project / "tests/resources/test_alpha.py").exists()
    assert "AlphaResource" not in (project / "demo/routes.py").read_text()


def test_a_renamed_class_is_found_by_its_route(run: Run, project: Path) -> None:
    replace_in(project, r"\bAlphaResource\b", "Lobby")
    output = do(run, "destroy", "resource", "alpha", code=ExitCode.LEFT_TO_DO)
    assert "skip  demo/resources/alpha.py (edited since" in output
    routes = (project / "demo/routes.py").read_text()
    assert "Lobby" not in routes
    assert "OtherResource" in routes
    do(run, "undo")
    assert '"/alpha", Lobby()' in (project / "demo/routes.py").read_text()


def test_a_class_that_was_renamed_and_moved_is_found_by_its_content(run: Run, project: Path) -> None:
    replace_in(project, r"\bAlphaResource\b", "Lobby")
    move_module(project)
    shown = do(run, "status")
    assert "demo/rooms/alpha.py (was demo/resources/alpha.py)" in shown
    do(run, "destroy", "resource", "alpha", code=ExitCode.LEFT_TO_DO)
    assert (project / "demo/rooms/alpha.py").exists()
    assert "Lobby" not in (project / "demo/routes.py").read_text()


def test_of_two_copies_neither_is_taken_for_the_one_that_was_moved(run: Run, project: Path) -> None:
    module = project / "demo/resources/alpha.py"
    text = module.read_text()
    module.unlink()
    for name in ("one", "two"):
        (project / f"demo/{name}.py").write_text(text)
    before = tree(project)
    assert run("destroy", "resource", "alpha", cwd="demo").exit_code == ExitCode.LEFT_TO_DO
    assert tree(project) == before


def test_forget_leaves_the_files_to_the_user(run: Run, project: Path) -> None:
    before = without_record(project)
    do(run, "forget", "alpha")
    do(run, "forget", "middleware/auth")
    assert without_record(project) == before
    assert "alpha" not in do(run, "status")
    assert 'no generated resource "alpha"' in one_line_error(run("destroy", "resource", "alpha", cwd="demo"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("moved", "demo/nowhere.py", "demo/app.py"), "falconws generated nothing at demo/nowhere.py"),
        (("moved", "demo/resources/alpha.py", "demo/x.py"), "There is nothing at demo/x.py"),
        (("moved", "demo/resources/alpha.py", "demo/app.py"), "demo/resources/alpha.py is still there"),
        (("forget", "nobody"), 'Nothing called "nobody" is recorded'),
        (("forget", "same"), "use resource/same or middleware/same"),
        (("moved", "demo/resources/alpha.py", "../x.py"), "not a path inside the project"),
    ],
)
def test_a_mistake_is_one_line(run: Run, project: Path, arguments: tuple[str, ...], said: str) -> None:
    if "same" in arguments:
        do(run, "add-resource", "same")
        do(run, "add-middleware", "same", "--kind", "logging")
    before = tree(project)
    result = run(*arguments, cwd="demo")
    assert result.exit_code in (ExitCode.USAGE, ExitCode.FAILURE)
    assert said in one_line_error(result)
    assert tree(project) == before


def test_a_registration_in_a_file_of_the_user_s_own_is_found_too(run: Run, project: Path) -> None:
    do(run, "forget", "demo/routes.py")
    move_routes(project)
    do(run, "destroy", "resource", "alpha")
    assert "AlphaResource" not in (project / "demo/urls.py").read_text()
    assert "OtherResource" in (project / "demo/urls.py").read_text()


def test_a_registration_that_is_not_found_stops_the_removal(run: Run, project: Path) -> None:
    do(run, "forget", "demo/routes.py")
    (project / "demo/routes.py").write_text((project / "demo/routes.py").read_text().replace('"/alpha"', "ALPHA"))
    move_routes(project)
    before = tree(project)
    result = run("destroy", "resource", "alpha", cwd="demo")
    assert result.exit_code == ExitCode.LEFT_TO_DO
    assert "demo/routes.py is not where it was made; nothing was removed." in one_line_error(result)
    assert tree(project) == before


def test_a_file_that_is_only_similar_is_not_taken_for_a_deleted_one(run: Run, project: Path) -> None:
    alpha = project / "demo/resources/alpha.py"
    lines = alpha.read_text().splitlines(keepends=True)
    alpha.unlink()
    own = project / "demo/own.py"
    own.write_text("".join(lines[: len(lines) * 2 // 3]).replace("AlphaResource", "Own") + "MINE = 1\n" * 8)
    assert run("destroy", "resource", "alpha", cwd="demo").exit_code == ExitCode.LEFT_TO_DO
    run("destroy", "resource", "alpha", "--force", cwd="demo")
    assert own.exists()


def test_a_minimal_project_moves_too(run: Run, tmp_path: Path) -> None:
    assert run("new", "small", "--minimal").exit_code == 0
    root = tmp_path / "small"
    assert run("add-resource", "alpha", cwd="small").exit_code == 0
    (root / "small").rename(root / "tiny")
    replace_in(root, r"\bsmall\b(?=[.:]| import)", "tiny")
    assert run("destroy", "resource", "alpha", cwd="small").exit_code == 0
    assert not [path for path, data in without_record(root).items() if b"AlphaResource" in data]
    assert "up to date" in run("upgrade", cwd="small").output
