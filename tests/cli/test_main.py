"""The group of commands: what it lists, what it loads, and what it says of a command that is not there."""

import os
import subprocess
import sys
from pathlib import Path

import click
import click.testing
import pytest

from falconws_cli.main import cli
from falconws_cli.suggestions import Choice

CONTEXT = click.Context(cli)
COMMANDS = cli.list_commands(CONTEXT)


def run(*arguments: str) -> click.testing.Result:
    return click.testing.CliRunner().invoke(cli, list(arguments), prog_name="falconws")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_of_each_command_what_its_module_says(name: str) -> None:
    command = cli.get_command(CONTEXT, name)
    assert command is not None
    assert command.name == name
    [line] = [line for line in run("--help").output.splitlines() if line.startswith(f"  {name} ")]
    assert line.split(maxsplit=1)[1] == command.get_short_help_str(limit=200)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_each_command_has_examples(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert "Examples:\n" in result.output
    assert f"  falconws {name}" in result.output


def test_the_help_of_a_command_loads_nothing_heavy() -> None:
    script = (
        "import sys, contextlib, io\n"
        "from falconws_cli.main import cli\n"
        "for name in sys.argv[1:]:\n"
        "    with contextlib.redirect_stdout(io.StringIO()):\n"
        "        cli([name, '--help'], standalone_mode=False)\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", script, *COMMANDS], capture_output=True, text=True, check=True)
    heavy = {"falcon", "falconws", "jinja2", "prompt_toolkit", "pytest", "tomlkit", "uvicorn", "websockets"}
    assert heavy.isdisjoint(done.stdout.split())


@pytest.mark.parametrize("arguments", [["--help"], []])
def test_the_list_loads_no_command(arguments: list[str]) -> None:
    script = (
        "import sys, falconws_cli.main\n"
        "try:\n"
        "    falconws_cli.main.cli()\n"
        "finally:\n"
        "    print(*sorted(name for name in sys.modules if '.' in name or name.startswith('falcon')))"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "falconws_cli.main" in loaded
    assert [name for name in loaded if name.startswith(("falconws_cli.commands", "falconws."))] == []
    assert loaded.isdisjoint({"falcon", "falconws", "importlib.metadata", "importlib.resources"})


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("ad-resource", "add-resource"), ("srve", "serve"), ("Bench", "bench"), ("add-midleware", "add-middleware")],
)
def test_a_command_that_is_misspelled_is_suggested(typed: str, meant: str) -> None:
    result = run(typed)
    assert result.exit_code == 2
    assert f'There is no command "{typed}". Did you mean "{meant}"' in result.stderr


def test_a_command_like_no_other_is_not_guessed_at() -> None:
    result = run("xyzzy")
    assert result.exit_code == 2
    assert result.stderr.endswith('Error: There is no command "xyzzy".\n')


@pytest.mark.parametrize("arguments", [["serve", "--prot", "8000"], ["--versoin"]])
def test_an_option_that_is_misspelled_is_suggested(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Did you mean" in result.stderr
    assert {"--prot": "--port", "--versoin": "--version"}[arguments[0 if len(arguments) == 1 else 1]] in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add-resource", "x", "--pattern", "roon"], '--pattern cannot be "roon". Did you mean "room"?'),
        (["add-resource", "x", "--pattern", "Feed"], '--pattern cannot be "Feed". Did you mean "feed"?'),
        (["add-middleware", "x", "--kind", "zzz"], '--kind cannot be "zzz". Use blank, logging or token-auth.'),
        (
            ["add-media-handler", "x", "--payload", "text", "--codec", "jsno"],
            '--codec cannot be "jsno". Did you mean "json" or "orjson"?',
        ),
        (["serve", "--engine", "picow"], '--engine cannot be "picow". Did you mean "picows"?'),
        (["new", "x", "--with", "redsi"], 'There is no part "redsi" for --with. Did you mean "redis"?'),
        (["completion", "basch"], 'SHELL cannot be "basch". Did you mean "bash"?'),
        (["completion", "tcsh"], 'SHELL cannot be "tcsh". Use bash, zsh or fish.'),
    ],
)
def test_a_value_that_is_misspelled_is_suggested_in_one_line(arguments: list[str], said: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr == f"Error: {said}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serve", "--port", "abc"], "'--port': 'abc' is not a valid integer."),
        (["bench", "/echo", "--seconds", "abc"], "'--seconds': 'abc' is not a valid number."),
    ],
)
def test_a_value_that_is_no_number_is_told_plainly(arguments: list[str], said: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.endswith(f"Error: Invalid value for {said}\n")


def test_a_choice_that_is_missing_is_told_in_one_line() -> None:
    result = run("add-media-handler", "x")
    assert result.exit_code == 2
    assert result.stderr.endswith("\nError: Missing option '--payload'. Use text or binary.\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_choice_of_a_command_is_one_that_suggests(name: str) -> None:
    command = cli.get_command(CONTEXT, name)
    assert command is not None
    kinds = [parameter.type for parameter in command.params if isinstance(parameter.type, click.Choice)]
    assert all(isinstance(kind, Choice) for kind in kinds)


@pytest.mark.parametrize("kind", ["resource", "middleware", "media-handler"])
def test_each_generating_command_has_one_that_removes(kind: str) -> None:
    assert {f"add-{kind}", f"remove-{kind}"} <= set(COMMANDS)
    assert "destroy" not in COMMANDS


def test_the_older_spelling_still_works_and_is_not_listed() -> None:
    assert "remove-KIND" in run("destroy", "--help").output
    assert "destroy" not in run("--help").output


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_terminal_that_cannot_show_a_character_does_not_end_the_command(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "app.py").write_text(
        "import falconws\n\n\nclass R:\n    async def on_get(self, req, resp): ...\n\n\n"
        "app = falconws.App()\napp.add_route('/gr\\u00fc\\u00dfe', R())\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "falconws_cli", "inspect", "app:app", "--tree"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"routes" in done.stdout
