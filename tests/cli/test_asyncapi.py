"""`falconws asyncapi`: printed, written, checked, and refused in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

APP = '''
import falconws
from falconws.typed import Conversation, speaks
from msgspec import Struct

class Say(Struct, tag="say"):
    """Say something."""
    text: str{more}

class Chat(Conversation[Say, Say]):
    """People hear each other."""

class Untyped:
    async def on_websocket(self, req, ws): ...

class Typed(Untyped):
    @speaks(Chat)
    async def on_websocket(self, req, chat): ...

app = falconws.App()
app.add_route("/chat", Typed())
plain = falconws.App()
plain.add_route("/", Untyped())
print("printed by the app")
'''


def write_app(folder: Path, more: str = "") -> None:
    (folder / "served.py").write_text(APP.format(more=more))


def run(folder: Path, *words: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "falconws_cli", "asyncapi", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_document_is_all_that_is_printed(tmp_path: Path) -> None:
    write_app(tmp_path)
    code, out, err = run(tmp_path, "served:app", "--server", "wss://example.com/v1")
    assert code == 0
    document = json.loads(out)
    assert (document["asyncapi"], document["info"]["title"]) == ("3.0.0", "served")
    assert document["servers"]["production"]["host"] == "example.com"
    assert "printed by the app" in err


def test_a_committed_document_is_written_and_checked(tmp_path: Path) -> None:
    write_app(tmp_path)
    assert run(tmp_path, "served:app", "--output", "asyncapi.json")[:2] == (0, "Wrote asyncapi.json.\n")
    assert run(tmp_path, "served:app", "--check", "asyncapi.json")[:2] == (0, "asyncapi.json is up to date.\n")
    write_app(tmp_path, "\n    to: str = ''")
    code, out, err = run(tmp_path, "served:app", "--check", "asyncapi.json")
    assert (code, out) == (1, "")
    assert err.endswith("asyncapi.json is out of date; run falconws asyncapi --output asyncapi.json\n")
    code, out, _ = run(tmp_path, "served:app", "--check", "asyncapi.json", "--breaking")
    assert (code, out) == (0, "Nothing since asyncapi.json breaks a client.\n")
    write_app(tmp_path, "\n    to: str")
    code, out, err = run(tmp_path, "served:app", "--check", "asyncapi.json", "--breaking")
    assert (code, out) == (1, "  Chat: say.to: clients have to send this member now\n")
    assert "1 change since asyncapi.json would break clients" in err


def test_a_page_is_written_beside_the_document(tmp_path: Path) -> None:
    write_app(tmp_path)
    code, out, _ = run(tmp_path, "served:app", "--html", "api.html", "--output", "asyncapi.json")
    assert (code, out) == (0, "Wrote asyncapi.json.\nWrote api.html.\n")
    assert "People hear each other." in (tmp_path / "api.html").read_text()
    assert json.loads((tmp_path / "asyncapi.json").read_text())["asyncapi"] == "3.0.0"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["served:plain"], 1, "served:plain has no typed route"),
        (["served:nothing"], 1, "nothing"),
        ([], 1, "pyproject.toml"),
        (["served:app", "--breaking"], 2, "give --check FILE too"),
        (["served:app", "--check", "missing.json"], 1, "Cannot read missing.json"),
        (["served:app", "--check", "served.py"], 1, "served.py is not JSON"),
        (["served:app", "--check", "list.json"], 1, "list.json is not an AsyncAPI document"),
        (["served:app", "--output", "no/such/folder.json"], 1, "Cannot write no/such/folder.json"),
        (["served:app", "--server", "http://example.com"], 2, "starts with ws:// or wss://"),
        (["served:app", "--check", "list.json", "--output", "x"], 2, "--check writes nothing"),
        (["served:app", "--check", "list.json", "--html", "x"], 2, "--check writes nothing"),
    ],
)
def test_what_cannot_be_done_is_one_line(tmp_path: Path, words: list[str], code: int, says: str) -> None:
    write_app(tmp_path)
    (tmp_path / "list.json").write_text("[]")
    before = sorted(tmp_path.iterdir())
    found, out, err = run(tmp_path, *words)
    assert (found, out) == (code, "")
    assert says in err.splitlines()[-1]
    assert "Traceback" not in err
    assert [path for path in sorted(tmp_path.iterdir()) if path.name != "__pycache__"] == before
