"""The sessions of the pages work as shown."""

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.cli.pseudoterminal import terminal
from tests.docs.shell import SESSIONS, Shell, assert_shows, read_session, session

ROOT = Path(__file__).parents[2]

# Sessions run the tests of projects, which can take longer than the default of two minutes.
pytestmark = pytest.mark.timeout(400)


def readme_sessions() -> list[str]:
    return re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_the_first_session_of_the_readme(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    start, hello, *grow = readme_sessions()
    with shell.serving(start):
        shell.play(hello)
    for text in grow:
        shell.play(text)


def test_growing_a_project(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.play(session("new"))
    shell.play(session("add-auth"))
    with shell.serving(session("serve-token")):
        shell.play(session("hello-token"))
    shell.play(session("add-media"))


def test_adding_parts_later(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.play(session("new"))
    shell.play(session("add-part"))


def test_connecting_to_a_server_and_inspecting_an_app(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.play(session("misspelled"))
    shell.play(session("new"))
    shell.play(session("inspect"))
    with shell.serving(session("serve")):
        shell.play(session("connect-script"))
        shell.play_by_hand(session("connect-by-hand"))
    shell.play(session("add-auth"))
    shell.play(session("inspect-tree"))
    shell.play(session("doctor"))


def test_generating_a_typed_resource(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.play(session("new"))
    shell.play(session("add-typed"))


def test_sending_messages_to_a_room(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.play(session("new"))
    shell.play(session("add-room"))
    with shell.serving(session("serve")):
        shell.play(session("talk"))


def test_choosing_what_a_project_contains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "settings"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(settings))
    (settings / "falconws").mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "snippets" / "presets.toml", settings / "falconws")
    shell = Shell(tmp_path)
    shell.play(session("new-minimal"))
    shell.play(session("new-with"))
    shell.play(session("new-preset"))
    play_interview(tmp_path, session("new-interactive"))


def play_interview(folder: Path, text: str) -> None:
    """Run the command of the transcript in a terminal, and type the answers to its questions."""
    [(command, want)] = read_session(text)
    words = [sys.executable, "-m", "falconws_cli", *command.split()[1:]]
    with terminal(words, cwd=folder, environ=os.environ, rows=60) as screen:
        for line in want.splitlines():
            if question := re.match(r"(?:Name of the project|.+\?.*):(?= )", line):
                screen.until_shown(question[0])
                screen.type(f"{line[question.end() + 1 :]}\n")
        assert screen.wait() == 0
        got = "".join(f"{line}\n" for line in screen.lines())
    assert_shows(want.replace("\n\n", "\n"), got, command)


def test_clients_are_notified_before_the_server_stops(tmp_path: Path) -> None:
    shutil.copy(ROOT / "docs" / "snippets" / "going_away.py", tmp_path)
    shell = Shell(tmp_path)
    started = "INFO:     Application startup complete."
    with shell.serving(f"$ falconws serve going_away:app --drain 2\n...\n{started}\n") as server, ExitStack() as stack:
        clients = [stack.enter_context(connect(f"ws://127.0.0.1:{shell.port}/news")) for _ in range(3)]
        for ws in clients:
            ws.send('"hello"')
            assert ws.recv(timeout=60) == '"hello"'
        server.terminate()
        last_words = [last_word(ws) for ws in clients]
        for ws in clients:
            ws.close()
        server.wait(60)
    # The first connection can be closed before its responder notices.
    assert last_words.count({"restarting": True}) >= 2
    assert [word for word in last_words if word not in ({"restarting": True}, 1012)] == []


def last_word(ws: ClientConnection) -> object:
    """Return the next message of the server, or its close code."""
    try:
        return json.loads(ws.recv(timeout=60))
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


def test_upgrading_to_a_custom_template(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.play(session("new"))
    shell.play(session("upgrade"))


def test_previewing_and_undoing(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.play(session("new"))
    shell.play(session("preview"))
    shell.play(session("conflict"))
    for command in ("add-resource ticker --pattern feed", "add-media-handler fast-json --payload text --codec orjson"):
        shell.run(f"falconws {command}")
    shell.play(session("status"))
    shell.play(session("undo"))
    shell.play(session("destroy"))


def test_an_invalid_name_is_refused(tmp_path: Path) -> None:
    Shell(tmp_path).play(session("refused"))
    assert not any(path.is_dir() for path in tmp_path.iterdir())


def test_own_templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The reader has no custom templates yet.
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    shell = Shell(tmp_path)
    shell.play(session("new"))
    shell.play(session("eject"))
    shell.play(session("broken-template"))


def test_a_generator_of_another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = shutil.copytree(ROOT / "tests" / "cli" / "generators" / "falconws-countdown", tmp_path / "package")
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(site), str(package)], check=True, timeout=100, capture_output=True)
    monkeypatch.setenv("PYTHONPATH", str(site))
    shell = Shell(tmp_path)
    shell.play(session("new"))
    shell.play(session("add-countdown"))


def test_every_session_is_played_and_shown() -> None:
    names = {path.stem for path in SESSIONS.iterdir()}
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    played = set(re.findall(r'session\("([a-z-]+)"\)', tests))
    pages = "".join(path.read_text() for path in (ROOT / "docs").rglob("*.md"))
    shown = set(re.findall(r"sessions/([a-z-]+)\.console", pages))
    assert names == played == shown


def test_a_wrong_transcript_fails(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="It prints:\nhello"):
        Shell(tmp_path).play("$ echo hello\ngoodbye\n")
    with pytest.raises(AssertionError, match="goodbye"):
        assert_shows("hello\n", "hello\ngoodbye\n", "x")
    assert read_session("$ a\nb\n\nc\n$ d\n") == [("a", "b\n\nc\n"), ("d", "")]
