"""What a command is about to do: in lines, as a diff, as JSON; and what becomes of files that are in the way."""

import json
import shutil
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import Any

import click.testing
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falconws_cli.change.changes import FileChange
from falconws_cli.change.plan import PlannedFile
from falconws_cli.change.writer import Status
from falconws_cli.errors import ExitCode
from tests.cli.conftest import Run
from tests.cli.pseudoterminal import Terminal, terminal
from tests.cli.recorder import one_line_error, tree

ECHO = PurePosixPath("demo/resources/echo.py")
TEST = PurePosixPath("tests/resources/test_echo.py")
IN_THE_WAY = ("add-resource", "echo", "--no-http")
MINE = "# My own.\n"


def parsed(result: click.testing.Result) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_a_dry_run_counts_what_it_would_do(run: Run, demo: Path) -> None:
    shown = run("add-media-handler", "orders", "--payload", "text", "--codec", "orjson", "--dry-run", cwd="demo")
    assert shown.exit_code == 0
    assert shown.output.endswith("this was a dry run. 2 files to create, 2 to update.\n")
    (demo / ECHO).unlink()
    shown = run(*IN_THE_WAY, "--dry-run", cwd="demo")
    assert "1 file to create" in shown.output
    assert "1 in conflict." in shown.output


def test_git_applies_the_diff_of_a_dry_run_as_the_command_does(run: Run, demo: Path, tmp_path: Path) -> None:
    arguments = ("add-media-handler", "orders", "--payload", "binary", "--codec", "msgpack")
    patch = "".join(
        file["diff"] for file in parsed(run(*arguments, "--dry-run", "--json", "--diff", cwd="demo"))["files"]
    )
    copy = tmp_path / "copy"
    shutil.copytree(demo, copy)
    subprocess.run(["git", "apply", "-"], input=patch, text=True, cwd=copy, check=True)
    assert run(*arguments, cwd="demo").exit_code == 0
    done = {path: data for path, data in tree(demo).items() if not path.startswith(".falconws/")}
    assert {path: data for path, data in tree(copy).items() if not path.startswith(".falconws/")} == done


def test_lines_show_the_diff_below_each_path(run: Run, demo: Path) -> None:
    shown = run("add-resource", "chat", "--dry-run", "--diff", cwd="demo").stdout
    assert "    update  demo/routes.py\n--- a/demo/routes.py\n+++ b/demo/routes.py\n@@" in shown
    assert '\n+    app.add_route("/chat", ChatResource())\n' in shown


TEXTS = st.text(alphabet=st.sampled_from("ab\n\r\f\x1e é"), max_size=12).map(str.encode)


@settings(deadline=None)
@given(before=st.none() | TEXTS, after=TEXTS)
def test_a_diff_says_exactly_what_changes(before: bytes | None, after: bytes) -> None:
    path = PurePosixPath("x.py")
    status = Status.CREATE if before is None else Status.IDENTICAL if before == after else Status.UPDATE
    diff = FileChange(PlannedFile(path, after, before=before), status, before).diff()
    assert undone(diff, after) == (before or b"")


def undone(diff: str, after: bytes) -> bytes:
    """Apply a unified diff with all of its context backwards."""
    if not diff:
        return after
    assert diff.startswith(("--- a/x.py\n+++ b/x.py\n@@", "--- /dev/null\n+++ b/x.py\n@@"))
    old: list[str] = []
    last = ""
    for line in diff.split("\n")[2:-1]:
        if line.startswith("\\"):
            if last in ("-", " "):
                old[-1] = old[-1].removesuffix("\n")
        elif line.startswith(("-", " ")):
            old.append(line[1:] + "\n")
        if not line.startswith("\\"):
            last = line[:1]
    return "".join(old).encode()


def test_json_is_one_object_of_a_documented_shape(run: Run, demo: Path) -> None:
    preview = parsed(run("add-resource", "chat room", "--dry-run", "--json", "--diff", cwd="demo"))
    assert list(preview) == [
        "command", "written", "exit_code", "counts", "files", "record", "registrations", "left_to_do", "notes",
    ]  # fmt: skip
    assert preview["command"] == "falconws add-resource 'chat room'"
    assert preview["written"] is False
    assert preview["exit_code"] == 0
    assert preview["counts"] == {"create": 2, "update": 1, "identical": 0, "delete": 0, "conflict": 0, "skip": 0}
    assert [(file["path"], file["status"]) for file in preview["files"]] == [
        ("demo/resources/chat_room.py", "create"),
        ("demo/routes.py", "update"),
        ("tests/resources/test_chat_room.py", "create"),
    ]
    assert preview["files"][1]["diff"].startswith("--- a/demo/routes.py\n+++ b/demo/routes.py\n")
    assert preview["record"] == "update"
    (registration,) = preview["registrations"]
    assert registration["what"] == "the route /chat-room"
    assert registration["path"] == "demo/routes.py"
    assert registration["outcome"] == "registered"
    assert registration["reason"] == ""
    assert registration["lines"][1] == 'app.add_route("/chat-room", ChatRoomResource())'
    done = parsed(run("add-resource", "chat room", "--json", cwd="demo"))
    assert done["written"] is True
    assert done["counts"] == preview["counts"]
    assert (demo / "demo" / "resources" / "chat_room.py").is_file()
    again = parsed(run("add-resource", "chat room", "--json", cwd="demo"))
    assert again["counts"]["identical"] == 2
    assert again["record"] == "identical"
    assert again["registrations"][0]["outcome"] == "already registered"


def test_new_has_the_same_json(run: Run, tmp_path: Path) -> None:
    document = parsed(run("new", "demo", "--json"))
    assert document["written"] is True
    assert document["record"] == "create"
    assert document["counts"]["create"] == len(document["files"]) > 15
    assert document["command"] == "falconws new demo"
    assert (tmp_path / "demo" / "demo" / "app.py").is_file()


def test_a_conflict_in_json_is_reported_there_too(run: Run, demo: Path) -> None:
    before = tree(demo)
    for arguments in (["--json"], ["--json", "--dry-run"]):
        result = run(*IN_THE_WAY, *arguments, cwd="demo")
        assert result.exit_code == ExitCode.CONFLICT
        document = parsed(result)
        assert document["exit_code"] == ExitCode.CONFLICT
        assert document["written"] is False
        assert document["counts"]["conflict"] == 2
        assert result.stderr.startswith("Error: demo/resources/echo.py and tests/resources/test_echo.py exist")
    assert tree(demo) == before


def test_without_a_terminal_a_conflict_names_files_and_options(run: Run, demo: Path) -> None:
    before = tree(demo)
    result = run(*IN_THE_WAY, cwd="demo")
    assert result.exit_code == ExitCode.CONFLICT
    message = one_line_error(result)
    for named in (str(ECHO), str(TEST), "--force", "--skip", "--merge", "Nothing was written."):
        assert named in message
    assert tree(demo) == before
    shown = run(*IN_THE_WAY, "--dry-run", cwd="demo")
    assert shown.exit_code == ExitCode.CONFLICT
    assert f"  conflict  {ECHO}\n" in shown.stdout
    assert "--force" in shown.stderr


def test_force_overwrites(run: Run, demo: Path) -> None:
    expected = parsed(run(*IN_THE_WAY, "--dry-run", "--json", "--diff", "--force", cwd="demo"))
    result = run(*IN_THE_WAY, "--force", cwd="demo")
    assert result.exit_code == 0, result.output
    assert f"    update  {ECHO} (overwritten)\n" in result.output
    assert "EchoResource" in (demo / ECHO).read_text()
    assert {file["path"] for file in expected["files"] if file["status"] == "update"} == {str(ECHO), str(TEST)}
    assert run(*IN_THE_WAY, cwd="demo").exit_code == 0


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_what_a_kept_file_does_not_define_is_not_registered(run: Run, demo: Path, options: tuple[str, ...]) -> None:
    (demo / "demo" / "resources" / "chat.py").write_text(MINE)
    routes = (demo / "demo" / "routes.py").read_text()
    result = run("add-resource", "chat", "--pattern", "room", "--skip", *options, cwd="demo")
    assert result.exit_code == ExitCode.LEFT_TO_DO
    assert "demo/resources/chat.py, which was kept, does not define ChatResource; define it there" in result.output
    assert '    app.add_route("/chat", ChatResource())\n' in result.output
    assert (demo / "demo" / "routes.py").read_text() == routes
    assert ("Hub" in (demo / "demo" / "app.py").read_text()) == (not options)
    imported = subprocess.run([sys.executable, "-c", "import demo.asgi"], cwd=demo, capture_output=True, check=False)
    assert imported.returncode == 0, imported.stderr
    if not options:
        assert run("undo", cwd="demo").exit_code == 0
        assert "Hub" not in (demo / "demo" / "app.py").read_text()


def test_a_new_project_registers_no_echo_that_a_kept_file_lacks(run: Run, tmp_path: Path) -> None:
    echo = tmp_path / "demo" / ECHO
    echo.parent.mkdir(parents=True)
    echo.write_text(MINE)
    result = run("new", "demo", "--skip")
    assert result.exit_code == ExitCode.LEFT_TO_DO
    assert f"{ECHO}, which was kept, does not define EchoResource" in result.output
    assert "EchoResource" not in (tmp_path / "demo/demo/routes.py").read_text()


def test_skip_keeps_and_does_the_rest(run: Run, demo: Path) -> None:
    module = demo / "demo" / "resources" / "chat.py"
    mine = f"{MINE}\n\nclass ChatResource:\n    pass\n"
    module.write_text(mine)
    result = run("add-resource", "chat", "--skip", cwd="demo")
    assert result.exit_code == 0
    assert module.read_text() == mine
    assert "skip  demo/resources/chat.py (kept as it is)" in result.output
    assert (demo / "tests" / "resources" / "test_chat.py").is_file()
    assert "ChatResource" in (demo / "demo" / "routes.py").read_text()
    # What is kept is the user's, and nothing that falconws would ever take away.
    assert run("destroy", "resource", "chat", cwd="demo").exit_code == 0
    assert module.read_text() == mine


def test_merge_brings_both_together_where_it_can(run: Run, demo: Path) -> None:
    assert run("add-resource", "chat", cwd="demo").exit_code == 0
    module = demo / "demo" / "resources" / "chat.py"
    module.write_text(MINE + module.read_text())
    result = run("add-resource", "chat", "--no-http", "--merge", cwd="demo")
    assert result.exit_code == 0, result.output
    assert "update  demo/resources/chat.py (merged)" in result.output
    text = module.read_text()
    assert text.startswith(MINE)
    assert "on_get" not in text
    assert run("undo", cwd="demo").exit_code == 0
    assert "on_get" in module.read_text()


def test_merge_leaves_markers_where_both_changed_the_same(run: Run, demo: Path) -> None:
    assert run("add-resource", "chat", cwd="demo").exit_code == 0
    module = demo / "demo" / "resources" / "chat.py"
    module.write_text(module.read_text().replace("on_get", "on_put"))
    result = run("add-resource", "chat", "--no-http", "--merge", cwd="demo")
    assert result.exit_code == ExitCode.MERGE_CONFLICTS
    assert "merged, with 1 conflict between <<<<<<< and >>>>>>> to resolve" in result.output
    text = module.read_text()
    assert "<<<<<<< yours\n" in text
    assert ">>>>>>> generated now\n" in text


def test_without_git_the_new_text_goes_beside(run: Run, demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (demo / ECHO).write_text(MINE + (demo / ECHO).read_text())
    before = (demo / ECHO).read_bytes()
    monkeypatch.setenv("PATH", str(demo))
    for _ in range(2):
        result = run(*IN_THE_WAY, "--merge", cwd="demo")
        assert result.exit_code == ExitCode.LEFT_TO_DO
        assert f"skip  {ECHO} (not merged: git is not installed; compare it with echo.py.new)" in result.output
        assert (demo / ECHO).read_bytes() == before
        assert "EchoResource" in (demo / f"{ECHO}.new").read_text()


def test_two_ways_to_settle_conflicts_exclude_each_other(run: Run, demo: Path) -> None:
    result = run(*IN_THE_WAY, "--force", "--skip", cwd="demo")
    assert result.exit_code == ExitCode.USAGE
    assert "--force and --skip cannot be combined" in result.stderr


def test_a_folder_in_the_way_is_nothing_that_an_option_settles(run: Run, demo: Path) -> None:
    folder = demo / "demo" / "resources" / "chat.py"
    folder.mkdir()
    before = tree(demo)
    for option in ("--force", "--skip", "--merge"):
        result = run("add-resource", "chat", option, cwd="demo")
        assert result.exit_code == ExitCode.CONFLICT
        assert "demo/resources/chat.py cannot be written" in one_line_error(result)
    assert tree(demo) == before


def asked(demo: Path, *arguments: str) -> AbstractContextManager[Terminal]:
    command = [sys.executable, "-m", "falconws_cli", *arguments]
    environ = {"PYTHONPATH": str(Path(__file__).parents[3])}
    return terminal(command, cwd=demo, environ=environ, rows=60)


def test_on_a_terminal_each_conflict_is_asked_about(demo: Path) -> None:
    test_before = (demo / TEST).read_bytes()
    with asked(demo, *IN_THE_WAY) as user:
        user.until_shown(f"{ECHO} exists and differs.")
        user.until_shown("[q]uit, [?] >")
        user.type("?\n")
        user.until_shown("m  merge both, as git would")
        user.type("d\n")
        user.until_shown(f"--- a/{ECHO}")
        user.type("o\n")
        user.until_shown(f"{TEST} exists and differs.")
        user.type("k\n")
        shown = user.until_shown(f"skip  {TEST}")
        assert user.wait() == 0
    assert any(f"update  {ECHO} (overwritten)" in line for line in shown)
    assert (demo / TEST).read_bytes() == test_before


def test_all_overwrites_the_rest_without_asking(demo: Path) -> None:
    with asked(demo, *IN_THE_WAY) as user:
        user.until_shown(f"{ECHO} exists and differs.")
        user.type("a\n")
        user.until_shown(f"update  {TEST} (overwritten)")
        assert user.wait() == 0


def test_merging_is_an_answer_too(demo: Path) -> None:
    with asked(demo, *IN_THE_WAY) as user:
        user.until_shown(f"{ECHO} exists and differs.")
        user.type("m\n")
        user.until_shown(f"{TEST} exists and differs.")
        user.type("k\n")
        user.until_shown("(merged")
        assert user.wait() in (ExitCode.OK, ExitCode.MERGE_CONFLICTS)


@pytest.mark.parametrize(("keys", "code"), [("q\n", ExitCode.CONFLICT), ("\x04", 1), ("\x03", 1)])
def test_quitting_writes_nothing(demo: Path, keys: str, code: int) -> None:
    before = tree(demo)
    with asked(demo, *IN_THE_WAY) as user:
        user.until_shown(f"{ECHO} exists and differs.")
        user.type("o\n")
        user.until_shown(f"{TEST} exists and differs.")
        user.until("second question", lambda lines: sum("[q]uit" in line for line in lines) == 2)
        user.type(keys)
        assert user.wait() == code
    assert tree(demo) == before
