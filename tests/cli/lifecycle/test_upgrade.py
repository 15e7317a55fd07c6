"""Upgrades of projects that older templates or today's have made, with and without edits."""

import functools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click.testing
import pytest

from falconws_cli.errors import ExitCode
from falconws_cli.main import cli
from falconws_cli.templating import rendering, templates
from tests.cli.lifecycle.operations import operation_files
from tests.cli.recorder import tree

VERSIONS = ["older", "current"]
COMMANDS = [
    ["add-resource", "chat room", "--route", "/rooms/{room_id}/chat", "--pattern", "duplex", "--subprotocol", "wamp"],
    ["add-resource", "ticker", "--pattern", "feed", "--no-http"],
    ["add-middleware", "auth", "--kind", "token-auth"],
    ["add-media-handler", "orders", "--payload", "binary", "--codec", "msgpack"],
]
"""One command for each kind of edit: routes, middleware, fixtures, dependencies."""
APP = "project/full/%package_dir%/app.py.jinja"
SETTINGS = "project/full/%package_dir%/settings.py.jinja"

Run = Callable[..., click.testing.Result]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "demo"


@pytest.fixture
def run(root: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in the project."""

    def run(*arguments: str) -> click.testing.Result:
        monkeypatch.chdir(root)
        return click.testing.CliRunner().invoke(cli, list(arguments), prog_name="falconws")

    return run


@pytest.fixture
def changed_templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the templates that tests may change; it is what is installed."""
    copy = tmp_path / "templates"
    shutil.copytree(templates.find_root(), copy)
    monkeypatch.setattr(rendering, "find_root", lambda: copy)
    return copy


def make(folder: Path, version: str) -> Path:
    """Make a project in *folder* with today's templates, or with older ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("falconws_cli.generators.new_project.find_source", lambda root: "")
        if version == "older":
            home = folder / "older-templates"
            shutil.copytree(templates.find_root(), home)
            change(home / APP, '"""Creates', '"""In an older version, creates')
            change(
                home / "project/full/%package_dir%/routes.py.jinja",
                "import falconws\n",
                "import falconws as falconws\n",
            )
            change(home / "project/base/pyproject.toml.jinja", ">={{ falconws_version }}", ">=0.0.1")
            change(
                home / "middleware/token-auth/conftest_snippet.py.jinja", "def client_headers", "def  client_headers"
            )
            change(home / "resource/feed/%package_dir%/resources/%module%.py.jinja", '"""', '"""Old: ')
            (home / "project/full/tests/test_settings.py.jinja").unlink()
            (home / "project/full/%package_dir%/gone.py.jinja").write_text('GONE = "{{ package }}"\n')
            patch.setattr(rendering, "find_root", lambda: home)
        for command in [["new", "demo"], *COMMANDS]:
            patch.chdir(folder if command[0] == "new" else folder / "demo")
            result = click.testing.CliRunner().invoke(cli, command, prog_name="falconws")
            assert result.exit_code == ExitCode.OK, result.output
    return folder / "demo"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Projects as templates of some version made them, each once."""
    return functools.cache(lambda version: make(tmp_path_factory.mktemp(version), version))


@pytest.fixture(scope="session")
def upgraded_trees(made: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Projects that were upgraded to today's templates, each once."""

    @functools.cache
    def upgraded(version: str) -> Path:
        root = tmp_path_factory.mktemp("upgraded") / "demo"
        shutil.copytree(made(version), root)
        subprocess.run([sys.executable, "-m", "falconws_cli", "upgrade"], cwd=root, check=True, capture_output=True)
        return root

    return upgraded


@pytest.fixture
def restore(made: Callable[[str], Path]) -> Callable[[str, Path], None]:
    """Put a project that was made by templates of some version at a path."""

    def restore(version: str, root: Path) -> None:
        shutil.copytree(made(version), root)

    return restore


@pytest.fixture
def upgraded(upgraded_trees: Callable[[str], Path], root: Path) -> Callable[[str], Path]:
    """Put a project that was upgraded to today's templates where the test works."""

    def upgraded(version: str) -> Path:
        shutil.copytree(upgraded_trees(version), root)
        return root

    return upgraded


def change(file: Path, old: str, new: str) -> None:
    text = file.read_bytes().decode()
    assert old in text
    file.write_bytes(text.replace(old, new).encode())


def generated(root: Path) -> dict[str, bytes]:
    return {path: data for path, data in tree(root).items() if not path.startswith((".falconws", ".git/"))}


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


@pytest.fixture(scope="session")
def fresh(made: Callable[[str], Path]) -> dict[str, bytes]:
    """What today's commands make, without an upgrade."""
    return generated(made("current"))


@pytest.mark.parametrize("version", VERSIONS)
def test_what_an_upgrade_changed_counts_as_nobodys_edit(
    version: str, root: Path, upgraded: Callable[[str], Path], run: Run
) -> None:
    upgraded(version)
    counts = json.loads(run("status", "--json").output)["counts"]
    assert (counts["edited"], counts["missing"]) == (0, 0)
    change(root / "demo" / "routes.py", "import falconws\n", "import falconws  # mine\n")
    assert "    edited  demo/routes.py\n" in run("status").output


@pytest.mark.parametrize("version", VERSIONS)
def test_a_project_that_nobody_edited_becomes_what_would_be_made_today(
    version: str, root: Path, upgraded: Callable[[str], Path], run: Run, fresh: dict[str, bytes]
) -> None:
    upgraded(version)
    assert generated(root) == fresh
    check = run("upgrade", "--check")
    assert (check.exit_code, check.output[:25]) == (ExitCode.OK, "The project is up to date")
    before = tree(root)
    assert run("upgrade").exit_code == ExitCode.OK
    assert tree(root) == before


@pytest.mark.parametrize("version", VERSIONS)
def test_edits_survive_and_the_project_s_own_tests_pass(
    version: str, root: Path, run: Run, restore: Callable[[str, Path], None]
) -> None:
    restore(version, root)
    change(root / "demo/resources/chat_room.py", "class ChatRoomResource", "# mine\nclass ChatRoomResource")
    change(
        root / "demo/app.py",
        "    return app\n",
        "    app.req_options.strip_url_path_trailing_slash = True\n    return app\n",
    )
    change(root / "README.md", "# demo\n", "# Our demo\n")
    (root / "tests/resources/test_ticker.py").unlink()
    upgraded_root = root
    result = run("upgrade")
    assert result.exit_code == ExitCode.OK, result.output
    assert "# mine\nclass" in (upgraded_root / "demo/resources/chat_room.py").read_text()
    assert "strip_url_path" in (upgraded_root / "demo/app.py").read_text()
    assert (upgraded_root / "README.md").read_text().startswith("# Our demo\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


@pytest.mark.parametrize("version", VERSIONS)
def test_both_changes_are_merged_file_by_file(
    version: str, root: Path, upgraded: Callable[[str], Path], run: Run, changed_templates: Path
) -> None:
    upgraded(version)
    change(root / "demo/app.py", '"""Creates', '"""Really creates')
    change(root / "tests/conftest.py", "\n\n@pytest.fixture\ndef app", "\n\nMINE = 1\n\n\n@pytest.fixture\ndef app")
    change(
        changed_templates / APP,
        "    add_routes(app, settings)\n    return app",
        "    # Routes come last.\n    add_routes(app, settings)\n    return app",
    )
    change(
        changed_templates / "project/full/%package_dir%/routes.py.jinja",
        "import falconws\n",
        "import falconws as falconws\n",
    )
    change(changed_templates / "resource/feed/%package_dir%/resources/%module%.py.jinja", '"""', '"""New: ')
    new = changed_templates / "project/full/%package_dir%/version.py.jinja"
    new.write_text('VERSION = "{{ package }} 2"\n')
    (changed_templates / "project/full/tests/test_settings.py.jinja").unlink()
    (changed_templates / "project/full/%package_dir%/asgi.py.jinja").unlink()
    change(root / "demo/asgi.py", "app = ", "# mine\napp = ")

    check = run("upgrade", "--check")
    assert check.exit_code == ExitCode.UPGRADE_AVAILABLE
    preview = run("upgrade", "--dry-run", "--diff")
    assert preview.exit_code == ExitCode.OK
    assert '+VERSION = "demo 2"' in preview.output
    before = tree(root)
    assert "Nothing was written" in preview.output
    assert tree(root) == before

    result = run("upgrade")
    assert result.exit_code == ExitCode.OK, result.output
    lines = [line.strip() for line in result.output.splitlines()]
    assert "update  demo/app.py (merged)" in lines
    assert "update  demo/routes.py" in lines
    assert "create  demo/version.py" in lines
    assert "delete  tests/test_settings.py (the templates no longer have it)" in lines
    assert "skip  demo/asgi.py (the templates no longer have it; you have edited it, so it stays)" in lines
    assert not any("conftest" in line for line in lines)
    app = (root / "demo/app.py").read_text()
    assert app.startswith('"""Really creates')
    assert "    # Routes come last.\n" in app
    assert "AuthMiddleware(settings.auth_tokens)" in app
    assert "import falconws as falconws\n" in (root / "demo/routes.py").read_text()
    assert "TickerResource()" in (root / "demo/routes.py").read_text()
    assert not (root / "tests/test_settings.py").exists()
    assert (root / "demo/asgi.py").exists()
    assert run("upgrade", "--check").exit_code == ExitCode.OK


@pytest.mark.parametrize("version", VERSIONS)
def test_changes_of_one_place_become_counted_conflicts(
    version: str, root: Path, upgraded: Callable[[str], Path], run: Run, changed_templates: Path
) -> None:
    upgraded(version)
    for file in (root / "demo/settings.py", changed_templates / SETTINGS):
        change(file, '("CRITICAL", ', f'("{file.name}", ')
    assert json.loads(run("upgrade", "--dry-run", "--json").output)["exit_code"] == ExitCode.MERGE_CONFLICTS
    result = run("upgrade")
    assert result.exit_code == ExitCode.MERGE_CONFLICTS
    assert "demo/settings.py (merged, with 1 conflict to resolve)" in result.output
    assert "1 conflict to resolve: look for <<<<<<<" in result.output
    text = (root / "demo/settings.py").read_text()
    assert '<<<<<<< yours\nLOG_LEVELS = ("settings.py"' in text
    assert '=======\nLOG_LEVELS = ("settings.py.jinja"' in text
    # Merged once more, nobody could read it.
    change(changed_templates / SETTINGS, '"""The settings', '"""Again, the settings')
    again = run("upgrade")
    assert again.exit_code == ExitCode.FAILURE
    assert "demo/settings.py has conflict markers of an earlier merge" in again.stderr
    change(changed_templates / SETTINGS, '"""Again, the settings', '"""The settings')
    # It is remembered: what is in conflict now is no upgrade any more.
    assert run("upgrade", "--check").exit_code == ExitCode.OK


def test_without_git_the_new_version_goes_beside(
    root: Path,
    upgraded: Callable[[str], Path],
    run: Run,
    changed_templates: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    upgraded("current")
    monkeypatch.setenv("PATH", str(tmp_path))
    change(root / "demo/settings.py", '"""The settings', '"""Mine: the settings')
    change(changed_templates / SETTINGS, '("CRITICAL", ', '("FATAL", ')
    change(changed_templates / APP, '"""Creates', '"""Now creates')
    mine = (root / "demo/settings.py").read_text()
    result = run("upgrade")
    assert result.exit_code == ExitCode.LEFT_TO_DO, result.output
    assert "skip  demo/settings.py (not merged: git is not installed; compare it with settings.py.new)" in result.output
    assert (root / "demo/settings.py").read_text() == mine
    assert '("FATAL", ' in (root / "demo/settings.py.new").read_text()


def test_what_is_not_committed_stops_an_upgrade(
    root: Path, upgraded: Callable[[str], Path], run: Run, changed_templates: Path
) -> None:
    upgraded("current")
    change(changed_templates / APP, '"""Creates', '"""Now creates')
    git(root, "init", "-q")
    refused = run("upgrade")
    assert refused.exit_code == ExitCode.FAILURE
    assert "commit or stash first, or use --force" in refused.stderr
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "all")
    (root / "notes.txt").write_text("not tracked, and in nobody's way\n")
    change(root / "README.md", "# demo", "# mine")
    before = tree(root)
    assert "README.md: changed and not committed" in run("upgrade").stderr
    assert tree(root) == before
    assert run("upgrade", "--dry-run").exit_code == ExitCode.OK
    assert run("upgrade", "--check").exit_code == ExitCode.UPGRADE_AVAILABLE
    git(root, "commit", "-q", "-a", "-m", "mine")
    assert run("upgrade").exit_code == ExitCode.OK
    assert (root / "demo/app.py").read_text().startswith('"""Now creates')


def test_only_the_project_s_own_part_of_a_repository_has_to_be_committed(
    root: Path, upgraded: Callable[[str], Path], run: Run, changed_templates: Path
) -> None:
    upgraded("current")
    change(changed_templates / APP, '"""Creates', '"""Now creates')
    (root.parent / "other.txt").write_text("1")
    git(root.parent, "init", "-q")
    git(root.parent, "add", "demo", "other.txt")
    git(root.parent, "commit", "-q", "-m", "all")
    (root.parent / "other.txt").write_text("2")
    change(root / "README.md", "# demo", "# mine")
    assert run("upgrade").stderr.startswith("Error: README.md: changed and not committed")
    git(root.parent, "checkout", "-q", "demo")
    assert run("upgrade").exit_code == ExitCode.OK


def test_force_upgrades_what_is_not_committed(
    root: Path, upgraded: Callable[[str], Path], run: Run, changed_templates: Path
) -> None:
    upgraded("current")
    git(root, "init", "-q")
    change(changed_templates / APP, '"""Creates', '"""Now creates')
    assert run("upgrade", "--force").exit_code == ExitCode.OK
    assert (root / "demo/app.py").read_text().startswith('"""Now creates')


def test_windows_line_ends_stay(root: Path, upgraded: Callable[[str], Path], run: Run, changed_templates: Path) -> None:
    upgraded("current")
    for path in ("demo/app.py", "demo/settings.py"):
        (root / path).write_bytes((root / path).read_bytes().replace(b"\n", b"\r\n"))
    change(changed_templates / APP, '"""Creates', '"""Now creates')
    (changed_templates / SETTINGS).unlink()
    assert run("upgrade").exit_code == ExitCode.OK
    data = (root / "demo/app.py").read_bytes()
    assert data.startswith(b'"""Now creates')
    assert data.count(b"\n") == data.count(b"\r\n")
    assert not (root / "demo/settings.py").exists()


def test_a_requirement_that_moves_on_does_not_conflict_with_what_generators_added(
    root: Path, upgraded: Callable[[str], Path], run: Run, changed_templates: Path
) -> None:
    upgraded("current")
    change(
        changed_templates / "project/base/pyproject.toml.jinja",
        ",<{{ next_breaking_version }}",
        ",<99",
    )
    result = run("upgrade")
    assert result.exit_code == ExitCode.OK, result.output
    text = (root / "pyproject.toml").read_text()
    assert ',<99",' in text
    assert '"msgpack>=1.0.8"' in text


def test_files_of_the_user_s_own_are_not_overwritten_by_new_ones(
    root: Path, upgraded: Callable[[str], Path], run: Run, changed_templates: Path
) -> None:
    upgraded("current")
    (root / "demo/version.py").write_text("mine\n")
    (changed_templates / "project/full/%package_dir%/version.py").write_text("theirs\n")
    # Not worth an upgrade of its own.
    assert run("upgrade", "--check").exit_code == ExitCode.OK
    (changed_templates / "project/full/%package_dir%/more.py").write_text("theirs\n")
    result = run("upgrade")
    assert "skip  demo/version.py (new in the templates; your file was there first, and is kept)" in result.output
    assert (root / "demo/version.py").read_text() == "mine\n"
    assert (root / "demo/more.py").read_text() == "theirs\n"
    assert run("upgrade", "--check").exit_code == ExitCode.OK


def test_options_that_came_later_have_their_defaults(root: Path, upgraded: Callable[[str], Path], run: Run) -> None:
    upgraded("current")
    for file in operation_files(root):
        document = json.loads(file.read_text())
        options = document["recipe"]["options"]
        for option, default in {"subprotocol": None, "minimal": False, "with": []}.items():
            if option in options and options[option] == default:
                del options[option]
        file.write_text(json.dumps(document))
    before = generated(root)
    result = run("upgrade")
    assert result.exit_code == ExitCode.OK, result.output
    assert "The project is up to date" in result.output
    assert generated(root) == before


def test_what_was_upgraded_can_be_destroyed(
    root: Path, upgraded: Callable[[str], Path], run: Run, changed_templates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgraded("current")
    for path in ("app", "routes"):
        change(
            changed_templates / f"project/full/%package_dir%/{path}.py.jinja",
            "import falconws\n",
            "import falconws as falconws\n",
        )
    assert run("upgrade").exit_code == ExitCode.OK
    for what in (
        ["resource", "ticker"],
        ["resource", "chat-room"],
        ["middleware", "auth"],
        ["media-handler", "orders"],
    ):
        result = run("destroy", *what)
        assert result.exit_code == ExitCode.OK, result.output
    made = root.parent / "made"
    made.mkdir()
    monkeypatch.chdir(made)
    # With the changed templates.
    assert click.testing.CliRunner().invoke(cli, ["new", "demo"], prog_name="falconws").exit_code == ExitCode.OK
    assert generated(root) == generated(made / "demo")


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_project_started_with_can_go_before_an_upgrade_and_stays_away(
    version: str,
    root: Path,
    run: Run,
    fresh: dict[str, bytes],
    changed_templates: Path,
    restore: Callable[[str, Path], None],
) -> None:
    restore(version, root)
    assert run("destroy", "resource", "echo").exit_code in (ExitCode.OK, ExitCode.LEFT_TO_DO)
    change(
        changed_templates / "resource/echo/%package_dir%/resources/%module%.py.jinja", '"""{{ route', '"""New: {{ route'
    )
    assert run("upgrade").exit_code == ExitCode.OK
    made = generated(root)
    assert not [path for path, data in made.items() if re.search(rb"\bEchoResource", data)]
    assert fresh.keys() - made.keys() == {"demo/resources/echo.py", "tests/resources/test_echo.py"}
    assert run("upgrade", "--check").exit_code == ExitCode.OK
    assert "0 edited, 0 missing" in run("status").output


def test_what_a_project_started_with_is_upgraded_after_it_went_and_came_back(
    root: Path, upgraded: Callable[[str], Path], run: Run, changed_templates: Path
) -> None:
    upgraded("current")
    assert run("destroy", "resource", "echo").exit_code == ExitCode.LEFT_TO_DO
    assert run("undo").exit_code == ExitCode.OK
    change(
        changed_templates / "resource/echo/%package_dir%/resources/%module%.py.jinja", '"""{{ route', '"""New: {{ route'
    )
    result = run("upgrade")
    assert result.exit_code == ExitCode.OK, result.output
    assert (root / "demo/resources/echo.py").read_text().startswith('"""New: /echo')
    assert "EchoResource()" in (root / "demo/routes.py").read_text()


def test_a_destroy_before_an_upgrade_is_not_undone_after_it(
    root: Path, upgraded: Callable[[str], Path], run: Run, changed_templates: Path
) -> None:
    upgraded("current")
    assert run("destroy", "resource", "ticker").exit_code == ExitCode.OK
    change(changed_templates / APP, '"""Creates', '"""Now creates')
    assert run("upgrade").exit_code == ExitCode.OK
    refused = run("undo")
    assert refused.exit_code == ExitCode.USAGE
    assert "is older than the upgrade to falconws " in refused.stderr
    assert "Confirm with --yes" in refused.stderr
    result = run("undo", "--yes")
    assert result.exit_code == ExitCode.OK, result.output
    assert not (root / "demo/resources/ticker.py").exists()
    assert not (root / "demo/media/orders.py").exists()
    assert (root / "demo/app.py").read_text().startswith('"""Now creates')
    assert run("upgrade", "--check").exit_code == ExitCode.OK


def test_what_needs_a_compiler_that_is_missing_is_left_out(
    root: Path, upgraded: Callable[[str], Path], run: Run, changed_templates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgraded("current")
    assert run("destroy", "media-handler", "orders").exit_code == ExitCode.OK
    made = run("add-media-handler", "trades", "--payload", "binary", "--codec", "protobuf")
    assert made.exit_code == ExitCode.OK, made.output
    change(changed_templates / APP, '"""Creates', '"""Now creates')
    monkeypatch.setitem(sys.modules, "grpc_tools", None)
    result = run("upgrade")
    assert result.exit_code == ExitCode.LEFT_TO_DO, result.output
    assert "--codec protobuf` made is left unchanged: Protocol Buffers need their compiler" in result.output
    assert (root / "demo/app.py").read_text().startswith('"""Now creates')
    assert "TradesHandler()" in (root / "demo/app.py").read_text()
    assert '"protobuf>=' in (root / "pyproject.toml").read_text()


def test_json_tells_the_same(root: Path, upgraded: Callable[[str], Path], run: Run, changed_templates: Path) -> None:
    upgraded("current")
    change(changed_templates / APP, '"""Creates', '"""Now creates')
    check = json.loads(run("upgrade", "--check", "--json").output)
    assert (check["available"], check["files"]) == (True, ["demo/app.py"])
    document = json.loads(run("upgrade", "--json").output)
    assert document["written"] is True
    assert document["files"] == [{"path": "demo/app.py", "status": "update"}]


def test_a_project_without_a_record_cannot_be_upgraded(root: Path, upgraded: Callable[[str], Path], run: Run) -> None:
    upgraded("current")
    shutil.rmtree(root / ".falconws")
    result = run("upgrade")
    assert result.exit_code == ExitCode.FAILURE
    assert "the project has no record of what was generated" in result.stderr


def test_a_readme_that_the_user_kept_is_neither_reported_nor_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    readme = tmp_path / "mine" / "README.md"
    readme.write_text("# Mine\n")
    monkeypatch.chdir(tmp_path / "mine")

    def do(*words: str) -> str:
        result = click.testing.CliRunner().invoke(cli, list(words), prog_name="falconws")
        assert result.exit_code == ExitCode.OK, result.output
        return result.output

    do("new", ".")
    before = tree(tmp_path)
    for words in (("upgrade", "--check"), ("upgrade",)):
        said = do(*words)
        assert "is up to date" in said
        assert "README" not in said
    assert tree(tmp_path) == before
    do("add-part", "docker")
    assert readme.read_text() == "# Mine\n"
    do("upgrade", "--check")
