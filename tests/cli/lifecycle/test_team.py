"""One project in several hands: branches that meet, colleagues' commands, two terminals, edits that are edits."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from falconws_cli.change import lock
from falconws_cli.change.lock import exclusive
from falconws_cli.errors import ExitCode
from tests.cli.conftest import Run, do
from tests.cli.git import commit, git
from tests.cli.lifecycle.operations import operation_files, operation_of
from tests.cli.pseudoterminal import terminal
from tests.cli.recorder import one_line_error, snapshot, tree, without_record


def statuses(run: Run) -> dict[str, str]:
    document = json.loads(do(run, "status", "--json"))
    return {file["path"]: file["state"] for operation in document["operations"] for file in operation["files"]}


def test_the_records_of_two_branches_merge_without_a_conflict(run: Run, repository: Path) -> None:
    git(repository, "checkout", "-q", "-b", "theirs")
    do(run, "add-middleware", "log", "--kind", "logging")
    commit(repository, "colleague@example.com")
    git(repository, "checkout", "-q", "main")
    do(run, "add-resource", "chat")
    do(run, "add-media-handler", "orders", "--payload", "binary", "--codec", "msgpack")
    do(run, "undo")
    commit(repository)
    git(repository, "merge", "-q", "theirs")
    assert set(statuses(run).values()) == {"intact"}
    # My last command, though the colleague's is as new; theirs stays recorded, and can be destroyed.
    assert "Undoing: falconws add-resource chat" in do(run, "undo")
    assert "falconws add-middleware log" in do(run, "status")
    do(run, "destroy", "middleware", "log")
    assert "LogMiddleware" not in (repository / "demo/app.py").read_text()


def test_registrations_in_another_order_are_no_edit(run: Run, repository: Path) -> None:
    do(run, "add-resource", "chat")
    do(run, "add-resource", "lobby")
    routes = repository / "demo/routes.py"
    chat, lobby = '    app.add_route("/chat", ChatResource())\n', '    app.add_route("/lobby", LobbyResource())\n'
    text = routes.read_text()
    assert chat + lobby in text
    routes.write_text(text.replace(chat + lobby, lobby + chat))
    assert statuses(run)["demo/routes.py"] == "intact"
    routes.write_text(text.replace(chat, ""))
    assert statuses(run)["demo/routes.py"] == "edited"


def test_an_edit_stays_an_edit_after_other_commands(run: Run, demo: Path) -> None:
    routes, pyproject = demo / "demo/routes.py", demo / "pyproject.toml"
    routes.write_text(routes.read_text().replace("import falconws\n", "import falconws  # mine\n"))
    pyproject.write_text(pyproject.read_text() + "\n# mine\n")
    for command in (["add-resource", "chat"], ["add-media-handler", "o", "--payload", "text", "--codec", "orjson"]):
        do(run, *command)
        assert statuses(run)["demo/routes.py"] == statuses(run)["pyproject.toml"] == "edited"
    do(run, "undo")
    do(run, "destroy", "resource", "chat")
    assert statuses(run)["demo/routes.py"] == statuses(run)["pyproject.toml"] == "edited"
    routes.write_text(routes.read_text().replace("  # mine", ""))
    assert statuses(run)["demo/routes.py"] == "intact"


def test_undo_undo_takes_back_two_commands_of_whatever_kind(run: Run, demo: Path) -> None:
    states = [snapshot(demo)]
    for command in (
        ["add-resource", "chat"],
        ["add-resource", "lobby", "--pattern", "room"],
        ["destroy", "resource", "chat"],
        ["add-resource", "hall", "--pattern", "room"],
        ["destroy", "resource", "hall"],
    ):
        do(run, *command)
        states.append(snapshot(demo))
    for state in reversed(states[:-1]):
        do(run, "undo")
        assert snapshot(demo) == state


def test_what_a_colleague_committed_is_asked_about(run: Run, repository: Path) -> None:
    do(run, "add-resource", "chat")
    commit(repository, "colleague@example.com")
    do(run, "add-resource", "lobby")
    # Not committed, so mine.
    assert "Undoing: falconws add-resource lobby" in do(run, "undo")
    # Committed by me.
    assert "Undoing: falconws add-resource echo" in do(run, "undo", code=ExitCode.LEFT_TO_DO)
    before = tree(repository)
    refused = run("undo", cwd="demo")
    assert refused.exit_code == ExitCode.USAGE
    assert "`falconws add-resource chat` was committed by colleague@example.com. Undo it?" in one_line_error(refused)
    assert "Confirm with --yes" in refused.stderr
    assert tree(repository) == before
    assert "Undoing: falconws add-resource chat" in do(run, "undo", "--dry-run")
    assert tree(repository) == before
    assert "Undoing: falconws add-resource chat" in do(run, "undo", "--yes")


def test_on_a_terminal_the_question_is_asked(run: Run, repository: Path) -> None:
    do(run, "add-resource", "chat")
    commit(repository, "colleague@example.com")
    do(run, "undo", code=ExitCode.LEFT_TO_DO)
    command = [sys.executable, "-m", "falconws_cli", "undo"]
    environ = {"PYTHONPATH": str(Path(__file__).parents[3])}
    for answer, code in (("n\n", ExitCode.USAGE), ("y\n", ExitCode.OK)):
        with terminal(command, cwd=repository, environ=environ, rows=40) as user:
            user.until_shown("was committed by colleague@example.com. Undo it?")
            user.type(answer)
            assert user.wait() == code
        assert (repository / "demo/resources/chat.py").exists() == (code != ExitCode.OK)


def test_a_clone_of_somebody_else_s_project_asks_first(run: Run, repository: Path) -> None:
    git(repository, "config", "user.email", "other@example.com")
    said = one_line_error(run("undo", cwd="demo"))
    assert "`falconws add-resource echo`, a part of `falconws new demo`, was committed by me@example.com." in said


def test_undo_never_brings_back_what_a_colleague_has_destroyed(run: Run, repository: Path) -> None:
    do(run, "add-resource", "theirs")
    commit(repository)
    git(repository, "checkout", "-q", "-b", "other")
    do(run, "destroy", "resource", "theirs")
    commit(repository, "colleague@example.com")
    git(repository, "checkout", "-q", "main")
    do(run, "add-middleware", "log", "--kind", "logging")
    commit(repository)
    git(repository, "merge", "-q", "other")
    do(run, "undo")
    assert not (repository / "demo/resources/theirs.py").exists()
    assert "TheirsResource" not in (repository / "demo/routes.py").read_text()
    assert "falconws add-resource theirs" not in do(run, "status")


def test_commands_at_the_same_time_lose_nothing(demo: Path) -> None:
    names = [f"room{letter}" for letter in "abcd"]
    running = [
        subprocess.Popen([sys.executable, "-m", "falconws_cli", "add-resource", name], cwd=demo, stdout=subprocess.PIPE)
        for name in names
    ]
    for process in running:
        process.communicate(timeout=60)
        assert process.returncode == 0
    routes = (demo / "demo/routes.py").read_text()
    for name in names:
        assert f'"/{name}"' in routes
        assert operation_of(demo, name)
    assert len(operation_files(demo)) == len(names) + 2


def test_a_project_that_is_created_twice_at_the_same_time_is_created_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "falconws_cli", "new", "twice"]
    running = [subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in "ab"]
    for process in running:
        process.communicate(timeout=60)
    assert sorted(process.returncode for process in running) == [ExitCode.OK, ExitCode.USAGE]
    assert len(operation_files(tmp_path / "twice")) == 2


def test_a_command_that_waits_too_long_says_so(run: Run, demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "WAIT_S", 0.1)
    before = tree(demo)
    with exclusive(demo):
        for command in (["add-resource", "chat"], ["undo"], ["destroy", "resource", "echo"], ["upgrade"]):
            result = run(*command, cwd="demo")
            assert result.exit_code == ExitCode.FAILURE
            assert "Another falconws command is running" in one_line_error(result)
    assert tree(demo) == before
    do(run, "add-resource", "chat")


def test_a_dependency_goes_with_the_last_that_needs_it_whoever_added_it(run: Run, repository: Path) -> None:
    fresh = without_record(repository)
    git(repository, "checkout", "-q", "-b", "other")
    do(run, "add-media-handler", "one", "--payload", "text", "--codec", "msgspec")
    commit(repository, "colleague@example.com")
    git(repository, "checkout", "-q", "main")
    git(repository, "merge", "-q", "other")
    do(run, "add-media-handler", "two", "--payload", "binary", "--codec", "msgspec")
    do(run, "destroy", "media-handler", "one")
    do(run, "destroy", "media-handler", "two")
    assert {path: data for path, data in without_record(repository).items() if not path.startswith(".git/")} == {
        path: data for path, data in fresh.items() if not path.startswith(".git/")
    }
