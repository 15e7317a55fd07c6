"""The log of a generated project: one format, no line twice, whoever starts the process."""

import json
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.generated.workshop import START_S, environment, falconws, get, new_project
from tests.ports import free_port

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (INFO|WARNING|ERROR) [\w.]+: .+")
ROOT = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"own": {"format": "own %(levelname)s %(name)s %(message)s"}},
    "handlers": {"own": {"class": "logging.StreamHandler", "formatter": "own"}},
    "root": {"handlers": ["own"], "level": "INFO"},
}
SERVERS = {
    "falconws": ["-m", "falconws_cli", "serve", "--port", "{port}"],
    "uvicorn": ["-m", "uvicorn", "demo.asgi:app", "--port", "{port}"],
    "hypercorn": ["-m", "hypercorn", "demo.asgi:app", "--bind", "127.0.0.1:{port}"],
}
LISTENING = {
    "falconws": "startup complete",
    "uvicorn": "Uvicorn running on",
    "hypercorn": "Running on",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = new_project(tmp_path_factory.mktemp("logs"))
    falconws(root, "add-middleware", "log", "--kind", "logging")
    return root


def log_of(root: Path, server: str, *options: str) -> list[str]:
    """Serve the project, send it one request, and return its log."""
    port = free_port()
    words = [word.format(port=port) for word in SERVERS[server]]
    process = subprocess.Popen(
        [sys.executable, "-u", *words, *options],
        cwd=root,
        env=environment({"PYTHONPATH": str(root)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    watchdog = threading.Timer(2 * START_S, process.kill)
    watchdog.start()
    assert process.stdout is not None
    lines = []
    try:
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if LISTENING[server] in line:
                break
        assert get(f"127.0.0.1:{port}", "/echo?text=hello") == (200, "hello")
        process.terminate()
        lines += process.stdout.read().splitlines()
        process.wait(START_S)
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()
    return lines


@pytest.mark.parametrize("server", SERVERS)
def test_each_request_is_logged_once_on_every_server(root: Path, server: str) -> None:
    lines = log_of(root, server)
    mine = [line for line in lines if "GET '/echo'" in line]
    assert len(mine) == 1, "\n".join(lines)
    assert LINE.fullmatch(mine[0])
    assert len([line for line in lines if LISTENING[server] in line]) == 1, "\n".join(lines)


def test_falconws_serve_has_one_format_for_all_lines(root: Path) -> None:
    banner, *lines = log_of(root, "falconws")
    assert banner.startswith("falconws serves ")
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    names = {line.split(": ")[0].rpartition(" ")[2] for line in lines}
    assert names >= {"uvicorn.error", "uvicorn.access", "falconws.server", "demo.middleware.log"}


@pytest.mark.parametrize("server", ["falconws", "uvicorn"])
def test_a_logging_configuration_of_the_server_stays(root: Path, server: str, tmp_path: Path) -> None:
    file = tmp_path / "log.json"
    file.write_text(json.dumps(ROOT))
    lines = [line for line in log_of(root, server, "--log-config", str(file)) if not line.startswith("falconws serves")]
    assert [line for line in lines if not line.startswith("own ")] == []
    assert len([line for line in lines if "GET '/echo'" in line]) == 1


def test_creating_the_app_leaves_the_log_alone(root: Path) -> None:
    code = (
        "import logging, demo.app, demo.settings; demo.app.create_app(demo.settings.Settings()); "
        "print([n for n in ('', 'demo', 'falconws', 'falcon') if logging.getLogger(n).handlers])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "[]\n"
