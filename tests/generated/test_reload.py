"""`falconws serve --reload`: what it watches."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.generated.workshop import START_S, environment, falconws, get, new_project

pytest.importorskip("watchfiles")

WAIT_S = 60.0


@pytest.mark.timeout(180)
def test_an_edited_page_shows_at_once_and_files_outside_of_the_package_are_not_watched(tmp_path: Path) -> None:
    root = new_project(tmp_path)
    falconws(root, "add-resource", "chat", "--pattern", "room")
    log = tmp_path / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "falconws_cli", "serve", "--reload", "--port", "0"],
            cwd=root,
            env=environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(lambda: "Application startup complete" in log.read_text())
        found = re.search(r"http://(127\.0\.0\.1:\d+)", log.read_text())
        assert found is not None
        # As many as a virtual environment brings.
        library = root / ".venv" / "lib"
        library.mkdir(parents=True)
        (library / "library.py").write_text("x = 1\n")
        page = root / "demo" / "resources" / "chat.html"
        page.write_text(page.read_text().replace("<title>Chat</title>", "<title>Changed</title>"))
        wait_for(lambda: "<title>Changed</title>" in body(found[1]))
        assert "library.py" not in log.read_text()
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(START_S) == 0, log.read_text()


def body(address: str) -> str:
    try:
        return str(get(address, "/chat")[1])
    except OSError:
        return ""


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("option", ["--reload-dir", "--reload-include"])
def test_options_of_reload_need_it(tmp_path: Path, option: str) -> None:
    root = new_project(tmp_path)
    falconws(root, "serve", option, "x", code=2)
