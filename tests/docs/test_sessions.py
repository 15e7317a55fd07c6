"""The sessions that the pages show happen like that."""

import json
import re
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.cli.projects.store import restore
from tests.docs.shell import Shell, assert_shows, read_session

ROOT = Path(__file__).parents[2]
SESSIONS = ROOT / "docs" / "sessions"


def session(name: str) -> str:
    return (SESSIONS / f"{name}.console").read_text()


def readme_sessions() -> list[str]:
    return re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_the_first_session_of_the_readme(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    start, hello, *grow = readme_sessions()
    with shell.serving(start):
        shell.play(hello)
    for text in grow:
        shell.play(text)


def test_the_tutorial(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.play(session("new"))
    with shell.serving(session("serve")):
        shell.play(session("hello"))
    shell.play(session("test"))
    shell.play(session("add-feed"))
    resource = tmp_path / "demo" / "demo" / "resources" / "load.py"
    edited = ROOT / "docs" / "snippets" / "tutorial" / "load.py"
    assert unedited(edited.read_text()) == resource.read_text()
    shutil.copy(edited, resource)
    with shell.serving(session("serve")):
        shell.play(session("listen"))
    shell.play(session("test-feed"))


def unedited(text: str) -> str:
    """Take back the three edits that the tutorial tells."""
    for after, before in {
        "import os\n": "",
        '"load": os.getloadavg()[0]': "",
        "the machine's load average as it changes": "events to the client as they happen",
        "the time, and the load average of the last minute": "the time, where your source of events comes in",
        ".isoformat(), }": ".isoformat()}",
    }.items():
        text = text.replace(after, before)
    return text


def test_growing_a_project(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.play(session("new"))
    shell.play(session("add-auth"))
    with shell.serving(session("serve-token")):
        shell.play(session("hello-token"))
    shell.play(session("add-media"))


def test_talking_to_a_server_and_looking_into_an_app(tmp_path: Path) -> None:
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


def test_talking_in_a_room(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.play(session("new"))
    shell.play(session("add-room"))
    with shell.serving(session("serve")):
        shell.play(session("talk"))


def test_clients_are_told_before_the_server_goes(tmp_path: Path) -> None:
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
    # The first to be closed may be closed before its responder knows.
    assert last_words.count({"restarting": True}) >= 2
    assert [word for word in last_words if word not in ({"restarting": True}, 1012)] == []


def last_word(ws: ClientConnection) -> object:
    """Return what the server says next, or the code that it closes with."""
    try:
        return json.loads(ws.recv(timeout=60))
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


def test_upgrading_to_a_template_of_one_s_own(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.play(session("new"))
    shell.play(session("upgrade"))


def test_upgrading_a_project_of_falconws_0_1(tmp_path: Path) -> None:
    restore("0.1.0", tmp_path)
    Shell(tmp_path).play(session("adopt"))


def test_a_name_that_is_refused(tmp_path: Path) -> None:
    Shell(tmp_path).play(session("refused"))
    assert not any(path.is_dir() for path in tmp_path.iterdir())


def test_every_session_is_played_and_shown() -> None:
    names = {path.stem for path in SESSIONS.iterdir()}
    played = set(re.findall(r'session\("([a-z-]+)"\)', Path(__file__).read_text()))
    pages = "".join(path.read_text() for path in (ROOT / "docs").rglob("*.md"))
    shown = set(re.findall(r"sessions/([a-z-]+)\.console", pages))
    assert names == played == shown


def test_a_transcript_that_lies_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="It prints:\nhello"):
        Shell(tmp_path).play("$ echo hello\ngoodbye\n")
    with pytest.raises(AssertionError, match="goodbye"):
        assert_shows("hello\n", "hello\ngoodbye\n", "x")
    assert read_session("$ a\nb\n\nc\n$ d\n") == [("a", "b\n\nc\n"), ("d", "")]
