"""Completion in real shells: what a user gets who presses the tab key."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click.testing
import pytest

from falconws_cli.commands.completion import INSTALLATION
from falconws_cli.main import cli
from tests.cli.pseudoterminal import Terminal, terminal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")

SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'eval "$(falconws completion bash)"; PS1="ready> "'),
    "zsh": (
        ["zsh", "-f", "-i"],
        'autoload -Uz compinit; compinit -u; eval "$(falconws completion zsh)"; PS1="ready> "',
    ),
    "fish": (
        ["fish", "--no-config", "--private"],
        # What fish suggests from its history looks like a completion.
        "falconws completion fish | source; set -g fish_autosuggestion_enabled 0; "
        'function fish_prompt; echo "ready> "; end',
    ),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a resource, a middleware and a media handler of its own."""
    folder = tmp_path_factory.mktemp("completion")
    runner = click.testing.CliRunner()
    with contextlib.chdir(folder):
        assert runner.invoke(cli, ["new", "demo"]).exit_code == 0
    with contextlib.chdir(folder / "demo"):
        for words in (
            ["add-resource", "chat room", "--route", "/rooms/{room_id}/chat"],
            ["add-middleware", "journal", "--kind", "logging"],
            ["add-media-handler", "orders", "--payload", "binary", "--codec", "msgpack"],
        ):
            result = runner.invoke(cli, words)
            assert result.exit_code == 0, result.output
    return folder / "demo"


@pytest.fixture(scope="module", params=list(SHELLS))
def shell(
    request: pytest.FixtureRequest, project: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Terminal]:
    """A shell at its prompt, in the project, with completion installed."""
    command, install = SHELLS[request.param]
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]}")
    home = str(tmp_path_factory.mktemp("home"))
    environ = {
        "HOME": home,
        "XDG_CONFIG_HOME": f"{home}/.config",
        "XDG_DATA_HOME": f"{home}/.local/share",
        "LANG": "C.UTF-8",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    with terminal(command, cwd=project, environ=environ, rows=50) as screen:
        # Shells throw away what was typed before their first prompt.
        screen.until("first prompt", lambda lines: lines and lines[-1].endswith(("#", "$", "%", ">")))
        screen.type(f"{install}\r")
        screen.until("prompt of ours", lambda lines: lines and lines[-1] == "ready>")
        yield screen


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("falconws insp", "falconws inspect"),
        ("falconws add-resource x --pat", "falconws add-resource x --pattern"),
        ("falconws add-resource x --pattern du", "falconws add-resource x --pattern duplex"),
        ("falconws add-middleware x --kind tok", "falconws add-middleware x --kind token-auth"),
        ("falconws add-media-handler x --codec msgs", "falconws add-media-handler x --codec msgspec"),
        ("falconws add-media-handler x --payload b", "falconws add-media-handler x --payload binary"),
        ("falconws destroy res", "falconws destroy resource"),
        ("falconws remove-res", "falconws remove-resource"),
        ("falconws remove-resource c", "falconws remove-resource chat-room"),
        ("falconws remove-media-handler o", "falconws remove-media-handler orders"),
        ("falconws destroy resource c", "falconws destroy resource chat-room"),
        ("falconws destroy middleware j", "falconws destroy middleware journal"),
        ("falconws destroy media-handler o", "falconws destroy media-handler orders"),
        ("falconws connect /e", "falconws connect /echo"),
        ("falconws bench /r", "falconws bench /rooms/"),
        ("falconws completion f", "falconws completion fish"),
    ],
)
def test_the_tab_key_completes(shell: Terminal, typed: str, completed: str) -> None:
    shell.type(f"{typed}\t")
    shell.until(f"completion of {typed!r}", lambda lines: any(line == f"ready> {completed}" for line in lines))
    # Ctrl+U takes the line away, Ctrl+L what the next one might find above.
    shell.type("\x15\x0c")
    shell.until("empty screen", lambda lines: lines == ["ready>"])


def complete(folder: Path, words: str, count: int) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", "from falconws_cli.main import cli; cli(prog_name='falconws')"],
        cwd=folder,
        env={**os.environ, "_FALCONWS_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(count)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_each_kind_offers_its_own_names_only(project: Path) -> None:
    assert complete(project, "falconws destroy ", 2) == ["plain,resource", "plain,middleware", "plain,media-handler"]
    assert complete(project / "tests", "falconws destroy middleware ", 3) == ["plain,journal"]
    assert complete(project, "falconws destroy nothing ", 3) == []


def test_routes_are_offered_up_to_their_first_field(project: Path) -> None:
    assert complete(project, "falconws connect ", 2) == ["plain,/healthz", "plain,/echo", "plain,/rooms/"]


def test_where_there_is_no_project_or_a_broken_one_nothing_is_said(tmp_path: Path) -> None:
    for text in (None, "[tool.falconws", '[tool.falconws]\napp = "demo.app:app"\n'):
        if text is not None:
            (tmp_path / "pyproject.toml").write_text(text)
        folder = tmp_path / ".falconws" / "operations"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "20260131T120000.000000Z-1f2e3d4c.json").write_text("{")
        for words, count in (("falconws destroy resource ", 3), ("falconws connect ", 2)):
            assert complete(tmp_path, words, count) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_the_same_however_it_is_called(shell: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "falconws_cli", "completion", shell], capture_output=True, text=True, check=True
    )
    assert "_FALCONWS_COMPLETE" in done.stdout
    assert "python" not in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("shell", "said"),
    [
        (
            "/bin/bash",
            "Name the shell. To install completion in bash, run: "
            """echo 'eval "$(falconws completion bash)"' >> ~/.bashrc""",
        ),
        (
            "/usr/bin/fish",
            "Name the shell. To install completion in fish, run: "
            "falconws completion fish > ~/.config/fish/completions/falconws.fish",
        ),
        ("/bin/tcsh", "Name the shell: bash, zsh or fish."),
        (None, "Name the shell: bash, zsh or fish."),
    ],
)
def test_without_a_shell_one_line_says_what_to_do_in_the_users_own(shell: str | None, said: str) -> None:
    result = click.testing.CliRunner().invoke(cli, ["completion"], prog_name="falconws", env={"SHELL": shell})
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"Error: {said}\n")


def test_the_help_says_how_each_shell_is_set_up() -> None:
    result = click.testing.CliRunner().invoke(cli, ["completion", "--help"])
    for shell, command in INSTALLATION.items():
        assert f"{shell:<5} {command}" in result.output
