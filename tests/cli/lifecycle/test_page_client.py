"""The client of a typed room's page: a file of the resource, and what `generate-client js` makes of the app."""

from __future__ import annotations

from pathlib import Path

import pytest

from falconws_cli.doctor.client_check import check_clients
from falconws_cli.doctor.finding import Level
from falconws_cli.errors import ExitCode
from falconws_cli.project import find_project
from tests.cli.conftest import Run, do
from tests.cli.recorder import snapshot

ADD = ("add-resource", "chat", "--pattern", "room", "--typed")
FOLDER = "demo/resources/chat_client"
GENERATE = ("generate-client", "js", "--output", FOLDER, "--only", "Chat")


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--subprotocol", "chat.v1"),
        ("--route", "/rooms/{number:int}/{part}.{kind}/chat"),
        ("--route", "/{rest:path}"),
        ("--route", "/rooms/{room}"),
    ],
)
def test_it_is_what_generate_client_makes_of_the_app(run: Run, demo: Path, options: tuple[str, ...]) -> None:
    do(run, *ADD, *options)
    assert f"identical  {FOLDER}/client.js" in do(run, *GENERATE, "--dry-run")
    project = find_project(demo)
    assert project is not None
    (finding,) = check_clients(project)
    assert (finding.level, finding.detail) == (Level.OK, f"{FOLDER} is up to date")


def test_without_a_page_there_is_no_client(run: Run, demo: Path) -> None:
    do(run, *ADD, "--no-page")
    assert not (demo / FOLDER).exists()


def test_a_change_of_the_messages_is_noticed_generated_and_undone(run: Run, demo: Path) -> None:
    before = snapshot(demo)
    do(run, *ADD)
    client = demo / FOLDER / "client.js"
    first = client.read_text()
    messages = demo / "demo" / "messages" / "chat.py"
    source = messages.read_text()
    messages.write_text(
        source.replace("class Who(", 'class Notice(RoomMessage, tag="notice"):\n    text: str\n\n\nclass Who(').replace(
            "| Joined", "| Notice | Joined"
        )
    )
    project = find_project(demo)
    assert project is not None
    (finding,) = check_clients(project)
    command = f"falconws {' '.join(GENERATE)}"
    assert (finding.level, finding.remedy) == (Level.WARNING, f"run `{command}`")

    do(run, *GENERATE)
    assert '"notice"' in client.read_text()
    assert do(run, *GENERATE, "--check") == f"{FOLDER} is up to date.\n"
    assert "up to date" in do(run, "upgrade", "--check")
    assert f"{command} (falconws" in do(run, "status")

    do(run, "undo")
    assert client.read_text() == first
    messages.write_text(source)
    do(run, "undo")
    assert {path: text for path, text in snapshot(demo).items() if "__pycache__" not in str(path)} == before


@pytest.mark.parametrize("route", ["/rooms/{room:int}", "/rooms/{hub}", "/rooms/{who}"])
def test_a_field_that_the_responders_use_is_refused(run: Run, demo: Path, route: str) -> None:
    assert "is a name that the generated" in do(run, *ADD, "--route", route, code=ExitCode.USAGE)
