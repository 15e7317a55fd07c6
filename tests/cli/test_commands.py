"""The commands as a user sees them: output, exit codes, and the disk afterwards."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from falconws_cli.errors import ExitCode
from falconws_cli.main import cli
from tests.cli.conftest import Run
from tests.cli.recorder import one_line_error, tree

COMMANDS = list(cli.list_commands(click.Context(cli)))


def test_help_imports_neither_falcon_nor_jinja2_nor_uvicorn() -> None:
    script = (
        "import sys, contextlib, io\n"
        "from falconws_cli.main import cli\n"
        "for arguments in (['--help'], *([c, '--help'] for c in sys.argv[1:])):\n"
        "    with contextlib.redirect_stdout(io.StringIO()):\n"
        "        cli(arguments, standalone_mode=False)\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", script, *COMMANDS], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "falconws_cli" in loaded
    assert loaded.isdisjoint({"falcon", "falconws", "jinja2", "uvicorn", "tomlkit", "websockets", "pytest"})


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_each_command_has_examples(run: Run, command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "Examples:\n" in result.output
    assert f"  falconws {command}" in result.output


def test_the_help_lists_every_command_and_exit_code(run: Run) -> None:
    output = run("--help").output
    for command in COMMANDS:
        assert f"\n  {command} " in output
    for code in ExitCode:
        assert re.search(rf"\b{code.value}\s", output.partition("Exit codes:")[2])


@pytest.mark.parametrize(
    ("name", "problem", "instead"),
    [
        ("class", "Python keyword", "my-class"),
        ("json", "standard library", "my-json"),
        ("../x", "is a path", "falconws new x --in .."),
        ("2fast", "begins with a digit", "fast2"),
        ("falcon", "the installed package falcon", "my-falcon"),
        ("tests", "project's tests", "my-tests"),
        ("", "is empty", "chat-room"),
        ("full", "is not empty: it contains thesis.txt", "choose another name"),
        ("file", "exists and is a file", "choose another name"),
    ],
)
def test_new_refuses_before_anything_is_written(
    run: Run, tmp_path: Path, name: str, problem: str, instead: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    before = tree(tmp_path)
    result = run("new", name)
    assert result.exit_code == ExitCode.USAGE
    message = one_line_error(result)
    assert problem in message
    assert instead in message
    assert tree(tmp_path) == before


def test_new_uses_an_empty_folder_and_any_spelling(run: Run, tmp_path: Path) -> None:
    (tmp_path / "chat-room").mkdir()
    assert run("new", "ChatRoom").exit_code == 0
    assert (tmp_path / "chat-room" / "chat_room" / "app.py").is_file()
    assert run("new", "chat room", "--in", "src").exit_code == ExitCode.USAGE
    (tmp_path / "src").mkdir()
    assert run("new", "chat room", "--in", "src").exit_code == 0
    assert (tmp_path / "src" / "chat-room" / "chat_room" / "app.py").is_file()


@pytest.mark.parametrize(
    "arguments",
    [
        ("add-resource", "chat", "--pattern", "duplex"),
        ("add-middleware", "auth", "--kind", "token-auth"),
        ("add-media-handler", "orders", "--payload", "binary", "--codec", "msgpack"),
    ],
)
def test_a_dry_run_shows_what_the_real_run_does_and_writes_nothing(
    run: Run, demo: Path, arguments: tuple[str, ...]
) -> None:
    before = tree(demo)
    preview = run(*arguments, "--dry-run", cwd="demo/tests")
    assert preview.exit_code == 0
    assert tree(demo) == before
    done = run(*arguments, cwd="demo/tests")
    shown, _, summary = preview.output.partition("\nNothing was written: this was a dry run. ")
    assert done.output.startswith(shown)
    changed = {path for path, data in tree(demo).items() if before.get(path) != data}
    # One line for all that the project remembers, and the others for what the user should look at.
    memory = {path for path in changed if path.startswith(".falconws/")}
    lines = {line.split()[1] for line in shown.splitlines() if line.split()[0] in ("create", "update")}
    assert lines == {*(changed - memory), ".falconws/"}
    assert summary.startswith("2 files to create, ")


def test_new_as_a_dry_run_writes_nothing(run: Run, tmp_path: Path) -> None:
    result = run("new", "demo", "--dry-run")
    assert "create  demo/app.py" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("add-resource", "chat", "--pattern", "duplex"),
        ("add-middleware", "auth", "--kind", "token-auth"),
        ("add-media-handler", "orders", "--payload", "binary", "--codec", "msgpack"),
    ],
)
def test_the_same_command_twice_changes_nothing_the_second_time(
    run: Run, demo: Path, arguments: tuple[str, ...]
) -> None:
    assert run(*arguments, cwd="demo").exit_code == 0
    before = tree(demo)
    again = run(*arguments, cwd="demo")
    assert again.exit_code == 0, again.output
    assert "already" in again.output
    assert tree(demo) == before


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("add-resource", "class"), 'try "my-class"'),
        (("add-resource", "x", "--route", "/echo"), "is taken by EchoResource()"),
        (("add-resource", "x", "--route", "noslash"), 'try "/noslash"'),
        (("add-resource", "x", "--route", "/{a:nope}"), "dt, float, int, path, uuid"),
        (("add-resource", "x", "--subprotocol", "a b"), "cannot be a subprotocol"),
        (("add-middleware", "2fast"), 'try "fast2"'),
        (("add-media-handler", "x", "--payload", "text", "--codec", "cbor"), "use --payload binary"),
        (("add-media-handler", "x", "--payload", "text", "--codec", "protobuf"), "use --payload binary"),
        (("add-media-handler", "x", "--payload", "text", "--codec", "msgpack"), "use --payload binary"),
    ],
)
def test_what_cannot_be_generated_is_refused_before_anything_is_written(
    run: Run, demo: Path, arguments: tuple[str, ...], problem: str
) -> None:
    before = tree(demo)
    result = run(*arguments, cwd="demo")
    assert result.exit_code == ExitCode.USAGE
    assert problem in one_line_error(result)
    assert tree(demo) == before


def test_what_is_in_the_way_is_a_conflict_before_anything_is_written(run: Run, demo: Path) -> None:
    before = tree(demo)
    result = run("add-resource", "echo", "--no-http", cwd="demo")
    assert result.exit_code == ExitCode.CONFLICT
    assert "demo/resources/echo.py" in one_line_error(result)
    assert tree(demo) == before


def test_a_route_that_falcon_could_not_tell_from_another_is_refused(run: Run, demo: Path) -> None:
    assert run("add-resource", "room", "--route", "/rooms/{room_id}", cwd="demo").exit_code == 0
    result = run("add-resource", "door", "--route", "/rooms/{name}/door", cwd="demo")
    assert result.exit_code == ExitCode.USAGE
    assert "cannot tell the route /rooms/{name}/door from /rooms/{room_id}" in one_line_error(result)


def test_a_second_handler_for_the_same_messages_is_refused(run: Run, demo: Path) -> None:
    assert run("add-media-handler", "one", "--payload", "text", "--codec", "json", cwd="demo").exit_code == 0
    result = run("add-media-handler", "two", "--payload", "text", "--codec", "orjson", cwd="demo")
    assert result.exit_code == ExitCode.USAGE
    assert "handled by OneHandler()" in one_line_error(result)


def test_a_second_token_auth_is_refused(run: Run, demo: Path) -> None:
    assert run("add-middleware", "auth", "--kind", "token-auth", cwd="demo").exit_code == 0
    result = run("add-middleware", "gate", "--kind", "token-auth", cwd="demo")
    assert result.exit_code == ExitCode.USAGE
    assert "has token authentication already" in one_line_error(result)


def test_where_no_place_is_found_the_files_are_written_and_the_lines_printed(run: Run, demo: Path) -> None:
    routes = demo / "demo" / "routes.py"
    routes.write_text("ROUTES = []\n")
    result = run("add-resource", "chat", cwd="demo")
    assert result.exit_code == ExitCode.LEFT_TO_DO
    assert (demo / "demo" / "resources" / "chat.py").is_file()
    assert routes.read_text() == "ROUTES = []\n"
    assert "Cannot register the route /chat in demo/routes.py: it has no function add_routes(app)" in result.output
    assert "    from demo.resources.chat import ChatResource\n" in result.output
    assert '    app.add_route("/chat", ChatResource())\n' in result.output


def test_without_a_conftest_the_tests_token_is_left_to_the_user(run: Run, demo: Path) -> None:
    conftest = demo / "tests" / "conftest.py"
    conftest.unlink()
    result = run("add-middleware", "auth", "--kind", "token-auth", cwd="demo")
    assert result.exit_code == ExitCode.LEFT_TO_DO
    assert "Cannot register a token for the tests in tests/conftest.py: there is no such file." in result.output
    assert "    def client_headers() -> dict[str, str]:" in result.output
    assert (demo / "demo" / "middleware" / "auth.py").is_file()
    assert not conftest.exists()


def test_the_source_layout_and_line_ends_of_a_project_are_kept(run: Run, demo: Path) -> None:
    (demo / "src").mkdir()
    (demo / "demo").rename(demo / "src" / "demo")
    routes = demo / "src" / "demo" / "routes.py"
    routes.write_bytes(routes.read_bytes().replace(b"\n", b"\r\n"))
    assert run("add-resource", "chat", cwd="demo").exit_code == 0
    assert run("add-middleware", "auth", "--kind", "token-auth", cwd="demo").exit_code == 0
    assert (demo / "src" / "demo" / "resources" / "chat.py").is_file()
    data = routes.read_bytes()
    assert b"ChatResource())\r\n" in data
    assert data.count(b"\n") == data.count(b"\r\n")
    assert "client_headers" in (demo / "tests" / "conftest.py").read_text()


@pytest.mark.parametrize("command", [("add-resource", "x"), ("add-middleware", "x"), ("serve",), ("test",)])
def test_outside_of_a_project_one_line_says_so(run: Run, command: tuple[str, ...]) -> None:
    result = run(*command)
    assert result.exit_code == ExitCode.FAILURE
    assert "falconws new NAME" in one_line_error(result)


@pytest.mark.parametrize(
    ("pyproject", "problem"),
    [
        ("[tool.falconws", "Cannot read"),
        ("[tool.falconws]\n", 'app = "'),
        ('[tool.falconws]\napp = "demo"\n', 'app = "'),
        ('[tool]\nfalconws = "x"\n', 'app = "'),
        ('[tool.falconws]\napp = "gone.app:create_app"\n', "has no folder gone"),
    ],
)
def test_a_broken_project_is_one_line(run: Run, tmp_path: Path, pyproject: str, problem: str) -> None:
    (tmp_path / "pyproject.toml").write_text(pyproject)
    result = run("add-resource", "x")
    assert result.exit_code == ExitCode.FAILURE
    assert problem in one_line_error(result)
    assert os.listdir(tmp_path) == ["pyproject.toml"]


def test_a_pyproject_without_falconws_is_passed_by(run: Run, demo: Path) -> None:
    inner = demo / "tools"
    inner.mkdir()
    (inner / "pyproject.toml").write_text("[project]\nname = 'tools'\n")
    assert run("add-resource", "chat", cwd="demo/tools").exit_code == 0
    assert (demo / "demo" / "resources" / "chat.py").is_file()


def test_test_runs_pytest_in_the_project_and_passes_its_exit_code_on(demo: Path) -> None:
    def falconws_test(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "falconws_cli", "test", *arguments]
        return subprocess.run(command, cwd=demo / "demo", capture_output=True, text=True, check=False)

    done = falconws_test("--", "-q", "-k", "health")
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout
    # pytest's code for "no tests were collected".
    assert falconws_test("--", "-k", "nothing_has_this_name").returncode == 5
    (demo / "tests" / "test_red.py").write_text("def test_red() -> None:\n    assert False\n")
    assert falconws_test("-k", "red").returncode == 1


@pytest.mark.parametrize("folder", ["tests", "tests/resources", "demo", "."])
def test_paths_of_tests_are_relative_to_the_current_folder(demo: Path, folder: str) -> None:
    for name in ("test_echo.py", "test_echo.py::test_each_text_comes_back"):
        path = os.path.relpath(demo / "tests" / "resources" / name.partition("::")[0], demo / folder)
        typed = path + name.removeprefix("test_echo.py")
        command = [sys.executable, "-m", "falconws_cli", "test", "--", "-q", typed]
        done = subprocess.run(command, cwd=demo / folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_protobuf_without_its_compiler_says_how_to_get_it(
    run: Run, demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "grpc_tools", None)
    before = tree(demo)
    result = run("add-media-handler", "orders", "--payload", "binary", "--codec", "protobuf", cwd="demo")
    assert result.exit_code == ExitCode.FAILURE
    assert "pip install grpcio-tools" in one_line_error(result)
    assert tree(demo) == before
