"""`falconws undo`: what was generated goes, and comes back; what somebody has edited stays."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from falconws_cli.errors import ExitCode
from tests.cli.conftest import Run, do
from tests.cli.lifecycle.additions import ADDITIONS, THINGS
from tests.cli.lifecycle.operations import operation_of
from tests.cli.recorder import one_line_error, snapshot, tree, without_record


@pytest.mark.parametrize("thing", THINGS)
def test_undo_leaves_everything_as_it_was_before(run: Run, demo: Path, thing: tuple[str, str]) -> None:
    before = snapshot(demo)
    do(run, *ADDITIONS[thing])
    output = do(run, "undo")
    assert output.startswith("Undoing: falconws add-")
    assert snapshot(demo) == before


@settings(
    max_examples=3,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(order=st.permutations(THINGS))
def test_undo_again_and_again_ends_with_the_new_project(run: Run, tmp_path: Path, order: list[tuple[str, str]]) -> None:
    demo = tmp_path / "demo"
    shutil.rmtree(demo, ignore_errors=True)
    assert run("new", "demo").exit_code == 0
    states = [snapshot(demo)]
    for thing in order:
        do(run, *ADDITIONS[thing])
        states.append(snapshot(demo))
    for state in reversed(states[:-1]):
        do(run, "undo")
        assert snapshot(demo) == state
    assert "Undoing: falconws add-resource echo" in do(run, "undo", code=ExitCode.LEFT_TO_DO)
    assert "`falconws new demo` created" in do(run, "undo", code=ExitCode.USAGE)


@pytest.mark.parametrize("thing", THINGS)
def test_undoing_a_destroy_brings_everything_back(run: Run, demo: Path, thing: tuple[str, str]) -> None:
    do(run, *ADDITIONS[thing])
    do(run, "add-resource", "other")
    before = snapshot(demo)
    do(run, "destroy", *thing)
    assert "` can be undone" in do(run, "status")
    do(run, "undo")
    assert snapshot(demo) == before


def test_undo_goes_on_past_a_destroy_that_was_followed_by_another_command(run: Run, demo: Path) -> None:
    do(run, "add-resource", "chat")
    before = snapshot(demo)
    do(run, "destroy", "resource", "chat")
    do(run, "add-resource", "ticker")
    assert "Undoing: falconws add-resource ticker" in do(run, "undo")
    assert "Undoing: falconws destroy resource chat" in do(run, "undo")
    assert snapshot(demo) == before


def test_undo_goes_on_past_what_it_has_kept(run: Run, demo: Path) -> None:
    fresh = without_record(demo)
    do(run, "add-resource", "ticker")
    do(run, "add-resource", "chat")
    module = demo / "demo" / "resources" / "chat.py"
    module.write_text("# Mine.\n")
    do(run, "undo", code=ExitCode.LEFT_TO_DO)
    assert "Undoing: falconws add-resource ticker" in do(run, "undo")
    assert without_record(demo) == {**fresh, "demo/resources/chat.py": b"# Mine.\n"}
    do(run, "undo", "--force")
    assert without_record(demo) == fresh


@pytest.mark.parametrize("command", [("undo",), ("destroy", "resource", "chat")])
def test_edits_around_a_registration_stay(run: Run, demo: Path, command: tuple[str, ...]) -> None:
    routes = demo / "demo" / "routes.py"
    fresh = routes.read_text()
    do(run, "add-resource", "chat")
    routes.write_text("# Mine.\n" + routes.read_text())
    do(run, *command)
    assert routes.read_text() == "# Mine.\n" + fresh


def test_a_route_that_was_there_before_is_not_undone(run: Run, demo: Path) -> None:
    do(run, "add-resource", "chat")
    module = demo / "demo" / "resources" / "chat.py"
    module.unlink()
    routes = (demo / "demo" / "routes.py").read_bytes()
    assert "already  the route /chat" in do(run, "add-resource", "chat")
    assert "demo/routes.py:5 still imports demo.resources.chat" in do(run, "undo", code=ExitCode.LEFT_TO_DO)
    assert not module.exists()
    assert (demo / "demo" / "routes.py").read_bytes() == routes
    assert (demo / "tests" / "resources" / "test_chat.py").exists()


def test_overwritten_files_come_back_with_undo(run: Run, demo: Path) -> None:
    before = snapshot(demo)
    do(run, "add-resource", "echo", "--no-http", "--force")
    assert snapshot(demo) != before
    do(run, "undo")
    assert snapshot(demo) == before


@pytest.mark.parametrize("command", [("undo",), ("destroy", "resource", "echo")])
def test_a_project_without_record_says_so_and_begins_one(run: Run, demo: Path, command: tuple[str, ...]) -> None:
    shutil.rmtree(demo / ".falconws")
    before = snapshot(demo)
    result = run(*command, cwd="demo")
    assert result.exit_code == ExitCode.FAILURE
    assert "has no record of what was generated" in one_line_error(result)
    assert "has no record of what was generated" in do(run, "status")
    assert json.loads(do(run, "status", "--json"))["recorded"] is False
    do(run, "add-resource", "chat")
    do(run, "undo")
    assert snapshot(demo) == before


@pytest.mark.parametrize("spoiled", ["", "<<<<<<< HEAD\n", '{"format": 1}'])
def test_damage_is_named_and_the_other_operations_are_usable(run: Run, demo: Path, spoiled: str) -> None:
    do(run, "add-resource", "chat")
    before = without_record(demo)
    do(run, "add-resource", "ticker")
    file, _ = operation_of(demo, "chat")
    file.write_text(spoiled)
    damaged = f"{file.relative_to(demo)} is damaged: "
    assert damaged in do(run, "status", code=ExitCode.LEFT_TO_DO)
    assert damaged in do(run, "undo")
    assert without_record(demo) == before
    assert damaged in do(run, "add-resource", "lobby")
    assert damaged in do(run, "upgrade", code=ExitCode.LEFT_TO_DO)
    assert file.read_text() == spoiled


@pytest.mark.parametrize("command", [("status",), ("undo",), ("add-resource", "ticker"), ("upgrade",)])
def test_a_newer_record_is_refused_by_every_command(run: Run, demo: Path, command: tuple[str, ...]) -> None:
    file, document = operation_of(demo, "echo")
    file.write_text(json.dumps({**document, "format": 2, "needs": "9.9.0"}))
    before = tree(demo)
    result = run(*command, cwd="demo")
    assert result.exit_code == ExitCode.FAILURE
    assert "This project needs falconws 9.9.0 or newer" in one_line_error(result)
    assert tree(demo) == before


def test_the_resource_of_a_new_project_is_said_to_be_a_part_of_it(run: Run, demo: Path) -> None:
    do(run, "add-resource", "chat")
    assert "Undoing: falconws add-resource chat\n" in do(run, "undo")
    output = do(run, "undo", code=ExitCode.LEFT_TO_DO)
    assert "Undoing: falconws add-resource echo (a part of `falconws new demo`)\n" in output
