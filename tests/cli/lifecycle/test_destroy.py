"""`falconws destroy`: what was generated goes, in any order, and what somebody has edited stays."""

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
def test_destroy_leaves_everything_as_it_was_before(run: Run, demo: Path, thing: tuple[str, str]) -> None:
    before = without_record(demo)
    do(run, *ADDITIONS[thing])
    do(run, "destroy", *thing)
    assert without_record(demo) == before
    assert not any("__pycache__" not in p.parts and not any(p.iterdir()) for p in demo.rglob("*") if p.is_dir())


@settings(
    max_examples=4,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(order=st.permutations(THINGS), keep=st.sets(st.sampled_from(THINGS)), data=st.data())
def test_what_is_destroyed_in_any_order_was_never_there(
    run: Run, tmp_path: Path, order: list[tuple[str, str]], keep: set[tuple[str, str]], data: st.DataObject
) -> None:
    demo = tmp_path / "demo"
    shutil.rmtree(demo, ignore_errors=True)
    assert run("new", "demo").exit_code == 0
    for thing in order:
        if thing in keep:
            do(run, *ADDITIONS[thing])
    expected = without_record(demo)
    shutil.rmtree(demo)
    assert run("new", "demo").exit_code == 0
    for thing in order:
        do(run, *ADDITIONS[thing])
    gone = [thing for thing in order if thing not in keep]
    for thing in data.draw(st.permutations(gone)):
        do(run, "destroy", *thing)
    assert without_record(demo) == expected
    files = json.loads(do(run, "status", "--json"))
    assert files["counts"]["edited"] == files["counts"]["missing"] == 0


def test_a_destroy_comes_back_into_files_that_were_edited_since(run: Run, demo: Path) -> None:
    do(run, *ADDITIONS["resource", "chat room"])
    do(run, *ADDITIONS["media-handler", "fast"])
    do(run, "destroy", "resource", "chat-room")
    routes = demo / "demo" / "routes.py"
    routes.write_text("# Mine.\n" + routes.read_text())
    output = do(run, "undo")
    assert "register  the route /chat-room in demo/routes.py" in output
    assert routes.read_text().startswith("# Mine.\n")
    assert '"/chat-room", ChatRoomResource()' in routes.read_text()
    do(run, "destroy", "media-handler", "fast")
    pyproject = demo / "pyproject.toml"
    pyproject.write_text("# Mine.\n" + pyproject.read_text())
    other = demo / "demo" / "media" / "fast.py"
    other.write_text("# Another.\n")
    output = do(run, "undo", code=ExitCode.LEFT_TO_DO)
    assert "skip  demo/media/fast.py (another file is there now; --force overwrites it)" in output
    assert other.read_text() == "# Another.\n"
    assert '"orjson>=3.10"' in pyproject.read_text()


def test_an_edited_file_is_kept_and_named_unless_forced(run: Run, demo: Path) -> None:
    do(run, "add-resource", "chat")
    module = demo / "demo" / "resources" / "chat.py"
    module.write_text(module.read_text() + "# Mine.\n")
    edited = module.read_bytes()
    before = tree(demo)
    shown = do(run, "destroy", "resource", "chat", "--dry-run", code=ExitCode.LEFT_TO_DO)
    assert tree(demo) == before
    output = do(run, "destroy", "resource", "chat", code=ExitCode.LEFT_TO_DO)
    assert output == shown.partition("\nNothing was written")[0]
    assert "skip  demo/resources/chat.py (edited since; --force removes it too)" in output
    assert "remove  the route /chat from demo/routes.py" in output
    assert module.read_bytes() == edited
    assert not (demo / "tests" / "resources" / "test_chat.py").exists()
    assert "edited  demo/resources/chat.py" in do(run, "status")
    do(run, "destroy", "resource", "chat", "--force")
    assert not module.exists()
    # A forced destroy comes back too, with what was edited.
    do(run, "undo")
    assert module.read_bytes() == edited


def test_what_was_taken_back_but_for_edits_is_not_taken_back_again(run: Run, demo: Path) -> None:
    do(run, "add-resource", "chat")
    made = without_record(demo)
    module = demo / "demo" / "resources" / "chat.py"
    module.write_text(module.read_text() + "# Mine.\n")
    do(run, "destroy", "resource", "chat", code=ExitCode.LEFT_TO_DO)
    before = snapshot(demo)
    for _ in range(2):
        output = do(run, "destroy", "resource", "chat", code=ExitCode.LEFT_TO_DO)
        assert output == (
            "      skip  demo/resources/chat.py (edited since; --force removes it too)\n"
            "\nNothing else is left of it, and nothing was changed.\n"
        )
        assert snapshot(demo) == before
    # What went the first time still comes back.
    do(run, "undo")
    assert without_record(demo) == {**made, "demo/resources/chat.py": module.read_bytes()}


def test_what_cannot_be_taken_out_is_shown_with_the_lines(run: Run, demo: Path) -> None:
    do(run, "add-resource", "chat")
    routes = demo / "demo" / "routes.py"
    text = routes.read_text() + "\n\nCHAT = ChatResource()\nprint(CHAT)\n"
    routes.write_text(text)
    output = do(run, "destroy", "resource", "chat", code=ExitCode.LEFT_TO_DO)
    assert "ChatResource is still used" in output
    assert "    CHAT = ChatResource()\n" in output


def test_code_that_uses_what_goes_is_named(run: Run, demo: Path) -> None:
    do(run, "add-resource", "chat")
    (demo / "demo" / "lobby.py").write_text(
        "import os\nfrom demo.resources.chat import ChatResource\n\nX = ChatResource\n"
    )
    (demo / "demo" / "resources" / "hall.py").write_text(
        "from . import chat as c\nfrom .chat import ChatResource as R\n"
    )
    output = do(run, "destroy", "resource", "chat", code=ExitCode.LEFT_TO_DO)
    for number in (1, 2):
        assert f"demo/resources/hall.py:{number} still imports demo.resources.chat, which is gone" in output
    assert "demo/lobby.py:2 still imports demo.resources.chat, which is gone: edit it by hand." in output


def test_a_dependency_stays_for_as_long_as_something_needs_it(run: Run, demo: Path) -> None:
    pyproject = demo / "pyproject.toml"
    fresh = pyproject.read_bytes()
    do(run, "add-media-handler", "one", "--payload", "text", "--codec", "msgspec")
    do(run, "add-media-handler", "two", "--payload", "binary", "--codec", "msgspec")
    output = do(run, "destroy", "media-handler", "one")
    assert "msgspec>=0.19 stays a dependency: other code needs it." in output
    assert '"msgspec>=0.19"' in pyproject.read_text()
    own = demo / "demo" / "own.py"
    own.write_text("import json, msgspec as m\n\nX = (m, json)\n")
    do(run, "destroy", "media-handler", "two")
    assert '"msgspec>=0.19"' in pyproject.read_text()
    do(run, "undo")
    own.unlink()
    output = do(run, "destroy", "media-handler", "two")
    assert "msgspec>=0.19 is no longer a dependency of the project" in output
    assert pyproject.read_bytes() == fresh


def test_a_dependency_that_was_there_before_is_not_taken_away(run: Run, demo: Path) -> None:
    pyproject = demo / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace("dependencies = [", 'dependencies = [\n    "orjson",', 1))
    before = pyproject.read_bytes()
    do(run, *ADDITIONS["media-handler", "fast"])
    do(run, "destroy", "media-handler", "fast")
    assert pyproject.read_bytes() == before


def test_lines_that_were_added_by_hand_are_taken_out(run: Run, demo: Path) -> None:
    routes = demo / "demo" / "routes.py"
    fresh = routes.read_text()
    routes.write_text("ROUTES = []\n")
    do(run, "add-resource", "chat", code=ExitCode.LEFT_TO_DO)
    by_hand = '    app.add_route("/chat", ChatResource())\n'
    routes.write_text("from demo.resources.chat import ChatResource\n" + fresh + by_hand)
    do(run, "destroy", "resource", "chat")
    assert "ChatResource" not in routes.read_text()


def test_packages_that_were_made_for_it_go_with_the_last_module(run: Run, demo: Path) -> None:
    shutil.rmtree(demo / "demo" / "media")
    before = without_record(demo)
    do(run, *ADDITIONS["media-handler", "fast"])
    do(run, *ADDITIONS["media-handler", "orders"])
    do(run, "destroy", "media-handler", "fast")
    assert (demo / "demo" / "media" / "__init__.py").exists()
    do(run, "destroy", "media-handler", "orders")
    assert not (demo / "demo" / "media" / "orders.py").exists()
    (demo / "demo" / "media" / "__init__.py").unlink(missing_ok=True)
    assert without_record(demo) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("resource", "chta"), 'This project has no generated resource "chta". Did you mean "chat"?'),
        (("resource", "zzz"), 'This project has no generated resource "zzz". It has chat and echo.'),
        (("middleware", "chat"), 'This project has no generated middleware "chat".'),
        (("resourse", "chat"), 'the kinds are resource, middleware, media-handler, part. Did you mean "resource"?'),
        (("project", "demo"), 'There is no kind "project"'),
    ],
)
def test_a_name_that_is_not_known_gets_a_suggestion(
    run: Run, demo: Path, arguments: tuple[str, str], said: str
) -> None:
    do(run, "add-resource", "chat")
    before = tree(demo)
    result = run("destroy", *arguments, cwd="demo")
    assert result.exit_code == ExitCode.USAGE
    assert said in one_line_error(result)
    assert tree(demo) == before


@pytest.mark.parametrize("name", ["chat room", "ChatRoom", "chat_room", "ChatRoomResource", "chat-room"])
def test_any_spelling_of_a_name_works(run: Run, demo: Path, name: str) -> None:
    do(run, "add-resource", "chat room")
    do(run, "destroy", "resource", name)
    assert not (demo / "demo" / "resources" / "chat_room.py").exists()


def test_running_a_command_again_makes_an_old_project_remember(run: Run, demo: Path) -> None:
    do(run, "add-resource", "chat")
    shutil.rmtree(demo / ".falconws")
    assert "create  .falconws/" in do(run, "add-resource", "chat")
    assert ".falconws" not in do(run, "add-resource", "chat")
    do(run, "destroy", "resource", "chat")
    assert not (demo / "demo" / "resources" / "chat.py").exists()
    assert "ChatResource" not in (demo / "demo" / "routes.py").read_text()


def test_a_file_that_another_thing_has_too_stays(run: Run, demo: Path) -> None:
    do(run, "add-resource", "chat")
    do(run, "add-resource", "ticker")
    _, chat = operation_of(demo, "chat")
    file, ticker = operation_of(demo, "ticker")
    ticker["files"]["demo/resources/chat.py"] = chat["files"]["demo/resources/chat.py"]
    file.write_text(json.dumps(ticker))
    do(run, "destroy", "resource", "ticker")
    assert not (demo / "demo" / "resources" / "ticker.py").exists()
    assert (demo / "demo" / "resources" / "chat.py").exists()


@pytest.mark.parametrize("order", [("lobby", "hall"), ("hall", "lobby")])
def test_what_two_things_share_goes_with_the_last(run: Run, demo: Path, order: tuple[str, str]) -> None:
    app = demo / "demo" / "app.py"
    fresh = without_record(demo)
    for name in ("lobby", "hall"):
        do(run, "add-resource", name, "--pattern", "room")
    shared = app.read_bytes()
    do(run, "destroy", "resource", order[0])
    assert app.read_bytes() == shared
    last = without_record(demo)
    do(run, "destroy", "resource", order[1])
    assert without_record(demo) == fresh
    do(run, "undo")
    assert without_record(demo) == last
    assert json.loads(do(run, "status", "--json"))["counts"]["edited"] == 0


def test_json_for_machines(run: Run, demo: Path) -> None:
    do(run, "add-resource", "chat")
    (demo / "demo" / "resources" / "chat.py").write_text("# Mine.\n")
    preview = json.loads(do(run, "undo", "--dry-run", "--json", "--diff", code=ExitCode.LEFT_TO_DO))
    assert preview["counts"] == {"create": 0, "update": 1, "identical": 0, "delete": 1, "conflict": 0, "skip": 1}
    assert preview["exit_code"] == ExitCode.LEFT_TO_DO
    assert preview["registrations"][0]["outcome"] == "removed"
    done = json.loads(do(run, "destroy", "resource", "chat", "--json", code=ExitCode.LEFT_TO_DO))
    assert done["written"] is True
    assert done["command"] == "falconws destroy resource chat"
    status = json.loads(do(run, "status", "--json"))
    assert status["counts"] == {"intact": 19, "edited": 1, "moved": 0, "missing": 0, "conflict": 0}
    assert status["destroyed"] == ["falconws destroy resource chat"]
    assert status["operations"][2]["partly_removed"] is True
    assert status["operations"][2]["files"] == [{"path": "demo/resources/chat.py", "state": "edited"}]


def test_the_resource_that_a_project_starts_with_goes_like_any_other(run: Run, demo: Path) -> None:
    before = without_record(demo)
    output = do(run, "destroy", "resource", "EchoResource", code=ExitCode.LEFT_TO_DO)
    assert "remove  the route /echo from demo/routes.py" in output
    assert "README.md:17 still mentions /echo, which is gone: edit it by hand.\n" in output
    after = without_record(demo)
    assert before.keys() - after.keys() == {"demo/resources/echo.py", "tests/resources/test_echo.py"}
    assert [path for path, data in after.items() if b"echo" in data.lower()] == ["README.md"]
    assert "up to date" in do(run, "upgrade", "--check")
    do(run, "undo")
    assert without_record(demo) == before


def test_a_part_of_a_new_project_is_said_to_be_made_by_new(run: Run, tmp_path: Path) -> None:
    assert run("new", "other", "--with", "docker,agents-md").exit_code == 0
    before = tree(tmp_path / "other")
    said = one_line_error(run("remove-part", "docker", cwd="other"))
    assert "belongs to the project that `falconws new other --with docker,agents-md` created" in said
    assert "delete .dockerignore and Dockerfile, and edit the other files" in said
    assert 'This project has no generated part "compose"' in one_line_error(run("remove-part", "compose", cwd="other"))
    assert tree(tmp_path / "other") == before
