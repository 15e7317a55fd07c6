"""A user's own templates: copied by `falconws eject`, found before ours, and clear about what is wrong with them."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click.testing
import pytest

from falconws_cli.errors import RefusedError
from falconws_cli.main import cli
from falconws_cli.templating import templates
from falconws_cli.templating.ejecting import find_templates, tree_names
from tests.cli.recorder import tree

Run = Callable[..., click.testing.Result]

ECHO = ".falconws/templates/resource/echo/%package_dir%/resources/%module%.py.jinja"


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own folder of templates, which is not there yet."""
    folder = tmp_path / "settings" / "templates"
    monkeypatch.setattr(templates, "users_folder", lambda: folder)
    return folder


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fresh")
    assert click.testing.CliRunner().invoke(cli, ["new", "demo", "--in", str(folder)]).exit_code == 0
    return folder / "demo"


@pytest.fixture
def demo(fresh: Path, tmp_path: Path, user: Path) -> Path:
    return shutil.copytree(fresh, tmp_path / "demo")


@pytest.fixture
def run(demo: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in the project."""

    def run(*arguments: str) -> click.testing.Result:
        monkeypatch.chdir(demo)
        return click.testing.CliRunner().invoke(cli, list(arguments), prog_name="falconws")

    return run


def error_of(result: click.testing.Result) -> str:
    """The error, which must be one line, after the one that announces the project's own templates."""
    *announced, error = result.stderr.splitlines(keepends=True)
    assert [line.partition(" for ")[0] for line in announced] == [
        "Using the project's own templates in .falconws/templates/"
    ]
    return error


def replace(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_an_ejected_template_is_ours_until_it_is_edited(demo: Path, run: Run) -> None:
    plain = run("add-resource", "one", "--dry-run", "--diff").stdout
    assert run("eject", "resource/echo").exit_code == 0
    assert run("add-resource", "one", "--dry-run", "--diff").stdout == plain
    replace(demo / ECHO, "await ws.send_text", "await ws.send_data")
    run("add-resource", "two")
    assert "await ws.send_data" in (demo / "demo/resources/two.py").read_text()
    # The other patterns are as they were.
    run("add-resource", "three", "--pattern", "blank")
    assert "send_data" not in (demo / "demo/resources/three.py").read_text()


def test_the_project_wins_over_the_user_who_wins_over_us_file_by_file(demo: Path, user: Path, run: Run) -> None:
    assert run("eject", "resource/echo", "--user").exit_code == 0
    module = user / "resource/echo/%package_dir%/resources/%module%.py.jinja"
    test = user / "resource/echo/tests/resources/test_%module%.py.jinja"
    module.write_text("# {{ class_name }}, the user's\n")
    test.write_text("# the user's test\n")
    (demo / ECHO).parent.mkdir(parents=True)
    (demo / ECHO).write_text("# {{ class_name }}, the project's\n")
    run("add-resource", "one")
    assert (demo / "demo/resources/one.py").read_text() == "# OneResource, the project's\n"
    assert (demo / "tests/resources/test_one.py").read_text() == "# the user's test\n"
    (demo / ECHO).unlink()
    run("add-resource", "two")
    assert (demo / "demo/resources/two.py").read_text() == "# TwoResource, the user's\n"
    module.unlink()
    run("add-resource", "three")
    assert "class ThreeResource" in (demo / "demo/resources/three.py").read_text()


def test_a_tree_may_have_files_of_ones_own(demo: Path, run: Run) -> None:
    own = demo / ".falconws/templates/resource/echo/docs"
    own.mkdir(parents=True)
    (own / "%module%.md.jinja").write_text("# {{ route }}\n")
    (own / "logo.bin").write_bytes(b"\xff\0")
    (own / ".%module%.md.jinja.swp").write_text("an editor's")
    (own / "%module%.md.jinja~").write_text("an editor's")
    assert run("add-resource", "one").exit_code == 0
    assert tree(demo / "docs") == {"one.md": b"# /one\n", "logo.bin": b"\xff\0"}


def test_a_partial_of_ones_own_is_included(demo: Path, run: Run) -> None:
    result = run("eject", "resource/echo")
    assert "partials/accept.jinja" in result.output
    assert run("eject", "partials/accept").exit_code == 0
    (demo / ".falconws/templates/partials/accept.jinja").write_text("        await ws.accept()  # ours\n")
    run("add-resource", "one", "--pattern", "feed")
    assert "await ws.accept()  # ours\n" in (demo / "demo/resources/one.py").read_text()


def test_a_new_project_comes_from_the_users_templates(tmp_path: Path, user: Path) -> None:
    runner = click.testing.CliRunner()
    assert runner.invoke(cli, ["eject", "project/base", "--user"]).exit_code == 0
    replace(user / "project/base/pyproject.toml.jinja", "A WebSocket service on Falcon.", "The service {{ package }}.")
    assert runner.invoke(cli, ["new", "two", "--in", str(tmp_path)]).exit_code == 0
    assert 'description = "The service two."' in (tmp_path / "two/pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a\n{{ class_nam }}\n", 2, "'class_nam' is undefined. Templates here may use class_name, "),
        ("a\n\n{% if on %}\n", 3, "Unexpected end of template"),
        ("{{ class_name | shout }}", 1, "No filter named 'shout'"),
        ("{% include 'partials/nowhere.jinja' %}", 1, "partials/nowhere.jinja"),
        ("{{ from_import() }}", 1, "missing 2 required positional arguments"),
        ("\n{{ class_name.__class__.__mro__ }}", 2, "unsafe"),
        ("{{ 1 / 0 }}", 1, "division by zero"),
    ],
)
def test_a_template_that_does_not_render_says_where_and_why(
    demo: Path, run: Run, text: str, line: int, what: str
) -> None:
    (demo / ECHO).parent.mkdir(parents=True)
    (demo / ECHO).write_text(text)
    before = tree(demo)
    result = run("add-resource", "one")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert error_of(result).startswith(f"Error: {ECHO}, line {line}: ")
    assert what in result.stderr
    assert tree(demo) == before


def test_an_error_in_an_included_template_names_that_one(demo: Path, run: Run) -> None:
    run("eject", "partials/accept")
    partial = ".falconws/templates/partials/accept.jinja"
    (demo / partial).write_text("\n\n{{ oops }}")
    assert error_of(run("add-resource", "one")).startswith(f"Error: {partial}, line 3: 'oops' is undefined.")


@pytest.mark.parametrize("data", [b"\xff", None])
def test_a_template_that_cannot_be_read_is_refused(demo: Path, run: Run, data: bytes | None) -> None:
    (demo / ECHO).parent.mkdir(parents=True)
    if data is None:
        (demo / ECHO).parent.joinpath("%mo%.py.jinja").write_text("")
    else:
        (demo / ECHO).write_bytes(data)
    result = run("add-resource", "one")
    assert result.exit_code == 1
    assert ("is not UTF-8" if data else "%mo%") in error_of(result)


def test_eject_does_not_overwrite_what_was_edited(demo: Path, run: Run) -> None:
    run("eject", "resource/echo")
    ours = (demo / ECHO).read_bytes()
    (demo / ECHO).write_text("edited")
    before = tree(demo)
    result = run("eject", "resource/echo")
    assert result.exit_code == 4
    assert "--force" in result.stderr
    assert tree(demo) == before
    assert run("eject", "resource/echo", "--force").exit_code == 0
    assert (demo / ECHO).read_bytes() == ours


def test_a_dry_run_of_eject_writes_nothing(demo: Path, run: Run) -> None:
    before = tree(demo)
    result = run("eject", "middleware/token-auth", "--dry-run")
    assert result.exit_code == 0
    assert ".falconws/templates/middleware/token-auth/" in result.output
    assert tree(demo) == before


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("resource/echo", "resource/echo"),
        ("resource", "resource"),
        ("project", "project"),
        ("media-handler/json/text", "media_handler/json/text"),
        ("media_handler/json", "media_handler/json"),
        ("Middleware/Token_Auth/", "middleware/token-auth"),
        ("resource/echo/tests", "resource/echo/tests"),
        ("partials/accept", "partials/accept.jinja"),
        ("project/base/dot_gitignore", "project/base/dot_gitignore"),
    ],
)
def test_a_name_means_all_that_is_below_it(name: str, folder: str) -> None:
    root = templates.find_root()
    place = root / folder
    files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    assert files
    assert {template.file for template in find_templates(name)} == set(files)


@pytest.mark.parametrize("name", ["resource/ecko", "", "/", "..", "resource/ech", "../project"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(RefusedError, match="eject --list") as refused:
        find_templates(name)
    if name.startswith("resource"):
        assert 'Did you mean "resource/echo"' in str(refused.value)


def test_the_list_shows_which_templates_are_ones_own(demo: Path, run: Run) -> None:
    run("eject", "resource/echo")
    lines = run("eject", "--list").output.splitlines()
    assert [line.split()[0] for line in lines] == tree_names()
    some = {
        "resource/echo",
        "middleware/token-auth",
        "media_handler/json/text",
        "project/with/docker",
        "project/with/hub",
    }
    assert some <= set(tree_names())
    [echo] = [line for line in lines if line.startswith("resource/echo")]
    assert str(demo / ".falconws/templates") in echo
    assert "(" not in "".join(lines).replace(echo, "")


def test_every_file_of_ours_is_in_one_listed_tree() -> None:
    root = templates.find_root()
    for file in (path for path in root.rglob("*") if path.is_file()):
        path = file.relative_to(root).as_posix()
        assert len([tree for tree in tree_names() if path.startswith(f"{tree}/")]) == 1, path


def test_eject_needs_a_name_and_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runner = click.testing.CliRunner()
    nameless = runner.invoke(cli, ["eject"])
    assert (nameless.exit_code, "eject --list" in nameless.stderr) == (2, True)
    homeless = runner.invoke(cli, ["eject", "resource/echo"])
    assert homeless.exit_code == 1
    assert "is not in a falconws project" in homeless.stderr


def test_the_users_folder_is_that_of_the_system(tmp_path: Path) -> None:
    script = "from falconws_cli.templating.templates import users_folder; print(users_folder())"
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).is_relative_to(tmp_path)
    assert done.stdout.strip().endswith("falconws/templates")
