"""Environment variables from a file, and from the environment."""

import os
from pathlib import Path

import click
import pytest

from falconws_cli.commands.serve import command
from falconws_cli.envfile import read_env_file
from falconws_cli.errors import CommandError, RefusedError


def test_variables_are_read_and_those_that_are_set_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ONE", "TWO", "THREE", "FOUR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SET", "before")
    file = tmp_path / ".env"
    file.write_text("\ufeff# comment\n\nONE=1\nexport TWO = 'a b'\nTHREE=\"x=y # z\"\r\nFOUR=\nSET=after\n")
    read_env_file(file)
    found = {name: os.environ.pop(name) for name in ("ONE", "TWO", "THREE", "FOUR")}
    assert found == {"ONE": "1", "TWO": "a b", "THREE": "x=y # z", "FOUR": ""}
    assert os.environ["SET"] == "before"


def test_a_line_of_another_form_is_named_without_its_text(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("ONE=1\nsecret\n")
    with pytest.raises(RefusedError, match="line 2") as refused:
        read_env_file(file)
    assert "secret" not in refused.value.message
    os.environ.pop("ONE", None)


def test_a_file_that_is_missing_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no such file"):
        read_env_file(tmp_path / "none")


@pytest.mark.parametrize(
    ("environment", "arguments", "expected"),
    [
        ({}, [], ("127.0.0.1", 8000)),
        ({"PORT": "9000", "HOST": "0.0.0.0"}, [], ("0.0.0.0", 9000)),
        ({"PORT": "9000", "HOST": "::1"}, ["--port", "1", "--host", "127.0.0.2"], ("127.0.0.2", 1)),
        # conda and some shells set it.
        ({"HOST": "x86_64-conda-linux-gnu"}, [], ("127.0.0.1", 8000)),
        ({"HOST": "localhost"}, [], ("localhost", 8000)),
    ],
)
def test_port_and_host_come_from_the_environment_unless_they_are_typed(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], arguments: list[str], expected: tuple[str, int]
) -> None:
    for name in ("PORT", "HOST"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    context = command.make_context("serve", arguments)
    assert (context.params["host"], context.params["port"]) == expected


def test_a_port_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "http")
    with pytest.raises(click.BadParameter):
        command.make_context("serve", [])


def test_the_file_counts_for_the_options_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PORT", raising=False)
    (tmp_path / ".env").write_text("PORT=9001\n")
    context = command.make_context("serve", ["--env-file", str(tmp_path / ".env")])
    os.environ.pop("PORT", None)
    assert context.params["port"] == 9001
