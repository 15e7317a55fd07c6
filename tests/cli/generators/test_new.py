"""The choices of `falconws new`: parts, presets, questions; what goes together, and what is said when it does not."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click.testing
import pytest
from click.shell_completion import ShellComplete

from falconws_cli.errors import ExitCode
from falconws_cli.generators.parts import WHAT, Part, ProjectOptions, parse_parts
from falconws_cli.generators.presets import presets_file
from falconws_cli.main import cli
from tests.cli.lifecycle.operations import operation_files
from tests.cli.pseudoterminal import terminal
from tests.cli.recorder import without_record

Run = Callable[..., click.testing.Result]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for the settings of a user who has none yet."""
    folder = tmp_path / "config"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return folder


def write_presets(text: str) -> Path:
    file = presets_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def recipe(root: Path) -> tuple[str, dict[str, object]]:
    """Return the command line that the project remembers, and the options of its recipe."""
    operation = json.loads(operation_files(root)[0].read_text())
    return operation["command"], operation["recipe"]["options"]


def refusal(result: click.testing.Result, code: ExitCode = ExitCode.USAGE) -> str:
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.mark.parametrize(
    "options",
    [
        ("--with", "docker,github-ci"),
        ("--with", "github-ci, docker"),
        ("--with", "github-ci", "--with", "docker"),
        ("--with", "Docker,docker,github-ci,"),
    ],
)
def test_parts_come_in_any_order_and_as_often_as_you_like(run: Run, tmp_path: Path, options: tuple[str, ...]) -> None:
    assert run("new", "demo", *options).exit_code == 0
    assert recipe(tmp_path / "demo") == (
        "falconws new demo --with docker,github-ci",
        {"minimal": False, "with": ["docker", "github-ci"]},
    )
    assert (tmp_path / "demo" / "Dockerfile").is_file()
    assert (tmp_path / "demo" / ".github" / "workflows" / "ci.yml").is_file()


def test_compose_brings_the_image_that_it_runs(run: Run, tmp_path: Path) -> None:
    assert run("new", "demo", "--minimal", "--with", "compose").exit_code == 0
    assert recipe(tmp_path / "demo")[1] == {"minimal": True, "with": ["docker", "compose"]}
    assert (tmp_path / "demo" / "Dockerfile").is_file()


def test_a_folder_that_has_files_becomes_a_project_when_it_is_said_what_becomes_of_them(
    run: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "LICENSE").write_text("mine")
    (folder / "README.md").write_text("# Mine\n")
    (folder / "thesis.txt").write_text("mine")
    assert "--merge, --skip or --force" in refusal(run("new", "demo"))
    assert [file.name for file in sorted(folder.iterdir())] == ["LICENSE", "README.md", "thesis.txt"]

    assert run("new", "demo", "--skip").exit_code == ExitCode.OK
    assert (folder / "LICENSE").read_text() == "mine"
    assert (folder / "README.md").read_text() == "# Mine\n"
    assert "README.md" not in run("status", "--json", cwd=folder).stdout
    for policy in ("--merge", "--skip", "--force"):
        assert "is a falconws project already" in refusal(run("new", "demo", policy))


def test_conflicts_of_a_merge_are_not_served(run: Run, tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "pyproject.toml").write_text('[project]\nname = "other"\n')
    result = run("new", "demo", "--merge", "--serve")
    assert result.exit_code == ExitCode.MERGE_CONFLICTS
    assert "<<<<<<<" in (tmp_path / "demo" / "pyproject.toml").read_text()
    assert "Next:" not in result.stdout


def test_a_hub_says_where_it_looks_for_its_broker(run: Run) -> None:
    said = run("new", "chat room", "--with", "nats").stdout
    assert "CHAT_ROOM_HUB_URL is nats://127.0.0.1:4222 unless you set it" in said
    assert "`docker compose up -d nats`" in said
    assert "Next: cd chat-room && pip install -e '.[dev]' && falconws serve" in said


@pytest.mark.parametrize(
    ("options", "problem", "instead"),
    [
        (("--with", "dokcer"), 'no part "dokcer"', 'Did you mean "docker"?'),
        (("--with", "docker,github"), 'no part "github"', 'Did you mean "github-ci"?'),
        (("--with", "zeppelin"), 'no part "zeppelin"', "The parts are docker, compose, redis, nats, "),
        (("--with", "redis,nats"), "one hub", "choose redis or nats"),
        (("--with", "nats", "--minimal"), "no settings for the address of nats", "leave out --minimal or --with nats"),
        (("--with", "redis docker"), 'no part "redis docker"', "Put commas between parts"),
        (("--with", "valkey"), 'no part "valkey"', 'Use "redis"'),
        (("--with", ""), "does not name a part", "The parts are docker, compose, redis, nats, "),
        (("--with", "docker", "--with", " ,"), "does not name a part", "The parts are docker, compose, redis, nats, "),
    ],
)
def test_what_cannot_be_had_is_refused_before_anything_is_written(
    run: Run, tmp_path: Path, options: tuple[str, ...], problem: str, instead: str
) -> None:
    message = refusal(run("new", "demo", *options))
    assert problem in message
    assert instead in message
    assert not (tmp_path / "demo").exists()


def test_a_name_is_needed_unless_it_is_asked_for(run: Run) -> None:
    result = run("new", "--minimal")
    assert result.exit_code == ExitCode.USAGE
    assert "Missing argument 'NAME'" in result.stderr


def test_the_help_tells_every_part(run: Run) -> None:
    shown = run("new", "--help").output
    listed = re.findall(
        r"^    ([a-z-]+) {2,}(.+)$", shown.partition("Parts:")[2].partition("Examples:")[0], re.MULTILINE
    )
    assert dict(listed) == {part.value: what for part, what in WHAT.items()}
    assert list(WHAT) == list(Part)


def test_parts_are_completed_behind_a_comma_too() -> None:
    def complete(incomplete: str) -> list[str]:
        completion = ShellComplete(cli, {}, "falconws", "_FALCONWS_COMPLETE")
        return [item.value for item in completion.get_completions(["new", "demo", "--with"], incomplete)]

    assert complete("do") == ["docker"]
    assert complete("docker,") == [f"docker,{part.value}" for part in Part if part is not Part.DOCKER]
    assert complete("docker,com") == ["docker,compose"]


def test_what_is_typed_comes_on_top_of_a_preset(run: Run, tmp_path: Path, home: Path) -> None:
    write_presets('[service]\nwith = ["docker", "github-ci"]\n\n[sketch]\nminimal = true\n')
    assert run("new", "demo", "--preset", "service", "--with", "compose").exit_code == 0
    command, options = recipe(tmp_path / "demo")
    assert options == {"minimal": False, "with": ["docker", "compose", "github-ci"]}
    # Others, who do not have the preset, can do the same.
    assert command == "falconws new demo --with docker,compose,github-ci"
    assert run("new", "other", "--preset", "sketch").exit_code == 0
    assert recipe(tmp_path / "other") == ("falconws new other --minimal", {"minimal": True, "with": []})


@pytest.mark.parametrize(
    ("text", "code", "problem"),
    [
        ('[servce]\nwith = ["docker"]\n', ExitCode.USAGE, 'no preset "service" in FILE. Did you mean "servce"?'),
        ("[zeppelin]\n", ExitCode.USAGE, 'no preset "service" in FILE. It has zeppelin.'),
        ("", ExitCode.USAGE, 'no preset "service" in FILE. It is empty.'),
        (
            '[service]\nwiht = ["docker"]\n',
            ExitCode.FAILURE,
            'FILE: service.wiht is unknown. Did you mean "with"?',
        ),
        (
            "[service]\nport = 1\n",
            ExitCode.FAILURE,
            "FILE: service.port is unknown. The keys are minimal and with.",
        ),
        ('[service]\nwith = "docker"\n', ExitCode.FAILURE, "FILE: service.with must be a list of parts"),
        ("[service]\nwith = [1]\n", ExitCode.FAILURE, "FILE: service.with must be a list of parts"),
        ('[service]\nminimal = "yes"\n', ExitCode.FAILURE, "FILE: service.minimal must be true or false."),
        ('[service]\nwith = ["dokcer"]\n', ExitCode.FAILURE, 'FILE: service.with: There is no part "dokcer"'),
        ('[service]\nwith = ["redis", "nats"]\n', ExitCode.FAILURE, "FILE: service.with: A project has one hub"),
        ('service = "docker"\n', ExitCode.FAILURE, "FILE: service is outside of a preset"),
        ("[service\n", ExitCode.FAILURE, "Cannot read FILE: "),
        ("\ufeff[service]\n", ExitCode.FAILURE, "Cannot read FILE: "),
    ],
)
def test_a_presets_file_that_is_wrong_is_named_with_the_key(
    run: Run, tmp_path: Path, home: Path, text: str, code: ExitCode, problem: str
) -> None:
    file = write_presets(text)
    assert problem.replace("FILE", str(file)) in refusal(run("new", "demo", "--preset", "service"), code)
    assert not (tmp_path / "demo").exists()


def test_without_a_presets_file_it_is_said_where_to_write_one(run: Run, home: Path) -> None:
    message = refusal(run("new", "demo", "--preset", "service"), ExitCode.FAILURE)
    assert str(home / "falconws" / "presets.toml") in message
    assert 'with = ["docker", "github-ci"]' in message


def test_questions_need_somebody_to_answer_them(run: Run, tmp_path: Path) -> None:
    message = refusal(run("new", "demo", "--interactive"))
    assert "needs a terminal" in message
    assert "falconws new --help" in message
    assert not (tmp_path / "demo").exists()


def test_the_questions_end_with_the_command_line_that_says_the_same(tmp_path: Path, run: Run) -> None:
    command = [sys.executable, "-m", "falconws_cli", "new", "--interactive", "--with", "pre-commit"]
    with terminal(command, cwd=tmp_path, environ=os.environ, rows=60) as asked:
        for question, answer in {
            "Name of the project:": "class",
            "is a Python keyword": "chat room",
            "Only one module": "",
            "A Dockerfile": "y",
            "A compose.yaml": "n",
            "A GitHub workflow": "y",
            # Typed already, so that Enter means yes.
            "Git hooks": "",
            "An AGENTS.md": "",
            "A hub": "carrier-pigeon",
            "is not one of": "redis",
        }.items():
            asked.until_shown(question)
            asked.type(f"{answer}\n")
        asked.until_shown("Next: cd chat-room")
        assert asked.wait() == 0
        said = re.search(r"The same without prompts: falconws (.+?)\r\n", asked.written.decode())
    assert said is not None
    assert said[1] == "new 'chat room' --with docker,redis,github-ci,pre-commit"
    assert recipe(tmp_path / "chat-room")[0] == f"falconws {said[1]}"
    (tmp_path / "again").mkdir()
    assert run("new", "chat room", *said[1].split()[3:], cwd="again").exit_code == 0
    one, other = (without_record(root) for root in (tmp_path / "chat-room", tmp_path / "again" / "chat-room"))
    # The process of its own knows that falconws came from this checkout, and the README says so.
    assert {**one, "README.md": b""} == {**other, "README.md": b""}


def test_whoever_has_enough_of_questions_gets_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "falconws_cli", "new", "demo", "--interactive"]
    with terminal(command, cwd=tmp_path, environ=os.environ) as asked:
        asked.until_shown("Only one module")
        assert asked.interrupt() == 1
    assert list(tmp_path.iterdir()) == []


def test_options_say_themselves_again() -> None:
    for options in (ProjectOptions(), ProjectOptions(True, parse_parts(["compose,agents-md"]))):
        words = options.words
        listed = words[words.index("--with") + 1] if "--with" in words else ""
        assert ProjectOptions("--minimal" in words, parse_parts([listed] if listed else [])) == options


def git(root: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    done = subprocess.run(["git", *identity, *arguments], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("name", [".", "price-feed"])
def test_a_new_repository_becomes_a_project_without_options(run: Run, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "price-feed"
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / "LICENSE").write_text("mine")
    (folder / "README.md").write_text("# Mine\n")
    (folder / ".gitignore").write_text("*.log\n")
    result = run("new", name, cwd="price-feed" if name == "." else "")
    assert result.exit_code == ExitCode.OK, result.output
    assert (folder / "README.md").read_text() == "# Mine\n"
    assert (folder / ".gitignore").read_text() == "*.log\n"
    assert (folder / "price_feed" / "app.py").exists()
    step = "" if name == "." else "cd price-feed && "
    assert result.output.endswith(f"\nNext: {step}falconws serve\n")


def test_a_folder_whose_name_cannot_be_a_package_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "2fast").mkdir()
    assert 'try "fast2"' in refusal(run("new", ".", cwd="2fast"))


def test_the_package_can_have_another_name_and_be_in_src(run: Run, tmp_path: Path) -> None:
    assert run("new", "my-service", "--package", "shop", "--src").exit_code == ExitCode.OK
    root = tmp_path / "my-service"
    assert not (root / "shop").exists()
    assert (root / "src" / "shop" / "resources" / "echo.py").exists()
    assert recipe(root) == (
        "falconws new my-service --package shop --src",
        {"minimal": False, "with": [], "package": "shop", "src": True},
    )
    assert run("add-resource", "chat", cwd="my-service").exit_code == ExitCode.OK
    assert (root / "src" / "shop" / "resources" / "chat.py").exists()
    assert "intact" in run("status", cwd="my-service").output


@pytest.mark.parametrize("package", ["redis", "json", "tests"])
def test_a_package_that_would_hide_another_is_refused(run: Run, tmp_path: Path, package: str) -> None:
    assert f'try "my-{package}"' in refusal(run("new", "demo", "--package", package))
    assert not (tmp_path / "demo").exists()


def test_the_project_is_committed_when_asked_for(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "ada@example.com")
    assert run("new", "demo", "--git").exit_code == ExitCode.OK
    root = tmp_path / "demo"
    assert git(root, "log", "--format=%s") == "falconws new demo\n"
    assert git(root, "status", "--porcelain") == ""


def test_without_git_the_project_is_created_and_the_commit_is_said_to_be_missing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = run("new", "demo", "--git")
    assert result.exit_code == ExitCode.FAILURE
    assert "git is not installed" in result.stderr
    assert (tmp_path / "demo" / "demo" / "app.py").exists()


def test_what_comes_next_can_be_pasted_into_a_shell(run: Run, tmp_path: Path) -> None:
    (tmp_path / "my projects").mkdir()
    result = run("new", "demo", "--in", "my projects", "--with", "redis")
    assert result.output.endswith("\nNext: cd 'my projects/demo' && pip install -e '.[dev]' && falconws serve\n")


@pytest.mark.parametrize("command", ["add-resource", "add-middleware"])
def test_two_names_of_one_class_are_refused(run: Run, tmp_path: Path, command: str) -> None:
    assert run("new", "demo").exit_code == ExitCode.OK
    assert run(command, "chat-room2", cwd="demo").exit_code == ExitCode.OK
    before = without_record(tmp_path / "demo")
    assert "the same class name" in refusal(run(command, "chat-room-2", cwd="demo"))
    assert without_record(tmp_path / "demo") == before
    assert run(command, "chat-room2", cwd="demo").exit_code == ExitCode.OK
