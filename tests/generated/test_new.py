"""`falconws new`: the golden tree, and the project as its users check it."""

import contextlib
import difflib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from falconws_cli.errors import ExitCode
from falconws_cli.generators import new_project as new_project_module
from tests.generated.workshop import (
    START_S,
    assert_formatted_and_linted,
    assert_tests_pass,
    assert_typed,
    environment,
    falconws,
    get,
    new_project,
    served,
)
from tests.ports import usual_port_to_oneself

GOLDEN = Path(__file__).with_name("golden")


TYPED = ("room", "request-response", "feed", "duplex")


def files(root: Path) -> dict[str, str]:
    """The text of each file, without what the project remembers of its making."""
    found = {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*")) if path.is_file()}
    return {name: path.read_text() for name, path in found.items() if not name.startswith(".falconws/")}


@pytest.mark.parametrize(
    ("name", "arguments"),
    {
        "demo": ("demo",),
        "chat-room": ("chat-room",),
        "minimal": ("demo", "--minimal"),
        "everything": ("demo", "--with", "docker,compose,redis,github-ci,pre-commit,agents-md"),
    }.items(),
)
def test_a_new_project_is_the_golden_tree(
    tmp_path: Path, name: str, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As falconws of a package index makes it.
    monkeypatch.setattr(new_project_module, "find_source", lambda root: "")
    assert_golden(name, files(new_project(tmp_path, *arguments)))


def test_typed_resources_are_the_golden_tree(tmp_path: Path) -> None:
    root = new_project(tmp_path, "demo", "--minimal")
    before = files(root)
    for pattern in TYPED:
        falconws(root, "add-resource", f"typed {pattern}", "--pattern", pattern, "--typed")
    assert_golden("typed", {path: text for path, text in files(root).items() if before.get(path) != text})


def assert_golden(name: str, made: dict[str, str]) -> None:
    """Compare with the golden tree. Run with FALCONWS_UPDATE_GOLDEN=1 to accept what is generated now."""
    # So that neither pytest nor ruff take the golden files for their own.
    folder = GOLDEN / name
    if os.environ.get("FALCONWS_UPDATE_GOLDEN"):
        for path, text in made.items():
            target = folder / f"{path}.golden"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
    golden = {path.removesuffix(".golden"): text for path, text in files(folder).items()}
    assert sorted(made) == sorted(golden), "files are missing from, or too many for, the golden tree"
    for path, text in golden.items():
        difference = difflib.unified_diff(text.splitlines(), made[path].splitlines(), "golden", "made", lineterm="")
        assert made[path] == text, f"{path}\n" + "\n".join(difference)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["demo", "a" + "b" * 39], ids=["demo", "longest name"])
def test_a_new_project_is_clean_and_its_tests_pass(tmp_path: Path, name: str) -> None:
    root = new_project(tmp_path, name)
    assert_formatted_and_linted(root)
    assert_typed(root)
    assert_tests_pass(root, expected=11)


@pytest.mark.timeout(300)
def test_a_project_without_what_it_started_with_is_clean_and_its_tests_pass(tmp_path: Path) -> None:
    root = new_project(tmp_path)
    falconws(root, "destroy", "resource", "echo", code=ExitCode.LEFT_TO_DO)
    assert_formatted_and_linted(root)
    assert_typed(root)
    assert_tests_pass(root, expected=8)


@pytest.mark.parametrize("option", [("--minimal",), ("--with", "redis"), ("--with", "nats")], ids=" ".join)
def test_the_longest_name_is_formatted_in_every_layout(tmp_path: Path, option: tuple[str, ...]) -> None:
    assert_formatted_and_linted(new_project(tmp_path, "a" + "b" * 39, *option))


def test_a_new_project_serves_each_of_its_routes(tmp_path: Path) -> None:
    root = new_project(tmp_path)
    with served(root) as address:
        assert get(address, "/healthz") == (200, {"status": "ok"})
        assert get(address, "/echo?text=hello") == (200, "hello")
        for origin in (None, Origin(f"http://{address}")):
            with connect(f"ws://{address}/echo", origin=origin) as ws:
                ws.send("Grüße")
                assert ws.recv(timeout=START_S) == "Grüße"
        with (
            pytest.raises(InvalidStatus) as refused,
            connect(f"ws://{address}/echo", origin=Origin("https://elsewhere.example")),
        ):
            pass
        assert refused.value.response.status_code == 403


@pytest.fixture
def usual_port() -> Iterator[None]:
    """No other test takes port 8000."""
    with usual_port_to_oneself():
        yield


@pytest.mark.timeout(400)
@pytest.mark.usefixtures("usual_port")
@pytest.mark.parametrize("taken", [False, True], ids=["port 8000 may be free", "port 8000 is taken"])
def test_new_with_serve_ends_with_the_url_of_a_page(tmp_path: Path, taken: bool) -> None:
    holder, held = socket.socket(), False
    if taken:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Somebody else may hold it, who may also let it go meanwhile.
        with contextlib.suppress(OSError):
            holder.bind(("127.0.0.1", 8000))
            holder.listen(1)
            held = True
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "falconws_cli", "new", "demo", "--serve"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    watchdog = threading.Timer(120, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Open "):
                break
        output = "".join(lines)
        url = re.fullmatch(r"Open (http://127\.0\.0\.1:(\d+)/) in a browser\. Ctrl\+C stops the server\.\n", lines[-1])
        assert url is not None, output
        if held:
            assert f"Port 8000 is taken; using port {url[2]}." in output
        browser = urllib.request.Request(url[1], headers={"Accept": "text/html,application/xml;q=0.9,*/*;q=0.8"})
        with urllib.request.urlopen(browser, timeout=START_S) as response:
            assert response.url == f"{url[1]}_falconws/"
            assert "<title>falconws console</title>" in response.read().decode()
        process.send_signal(signal.SIGINT)
        assert process.wait(START_S) == 0
    finally:
        watchdog.cancel()
        holder.close()
        if process.poll() is None:
            process.kill()
        process.communicate()


def run_serve(root: Path, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "falconws_cli", "serve", *arguments],
        cwd=root,
        env=environment(env),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    return new_project(tmp_path)


def assert_one_line(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert done.returncode == 1
    assert done.stderr.startswith("Error: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    for part in parts:
        assert part in done.stderr


def test_serve_names_the_line_of_an_import_error(demo: Path) -> None:
    routes = demo / "demo" / "routes.py"
    routes.write_text("import no_such_module\n" + routes.read_text())
    assert_one_line(run_serve(demo, "--port", "0"), "No module named 'no_such_module'", "routes.py, line 1")


def test_serve_names_the_line_of_a_syntax_error(demo: Path) -> None:
    (demo / "demo" / "routes.py").write_text("\n\ndef (\n")
    assert_one_line(run_serve(demo, "--port", "0"), "SyntaxError", "routes.py, line 3")


def test_serve_names_a_setting_that_cannot_be_used(demo: Path) -> None:
    done = run_serve(demo, "--port", "0", env={"DEMO_LOG_LEVEL": "loud"})
    assert_one_line(done, 'DEMO_LOG_LEVEL: "loud" is not a level; use one of CRITICAL, ')


def test_serve_says_that_the_port_is_in_use(demo: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        assert_one_line(run_serve(demo, "--port", str(port)), f"127.0.0.1:{port}", "in use", "choose another port")


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("nope", "module:attribute"),
        ("nope.app:app", 'Cannot find the module "nope.app"'),
        ("demo.app:nope", 'has no attribute "nope"'),
    ],
)
def test_serve_says_what_is_wrong_with_a_target(demo: Path, target: str, problem: str) -> None:
    assert_one_line(run_serve(demo, target, "--port", "0"), problem)


@pytest.mark.parametrize("target", ["demo.asgi:app", "demo.app:create_app"])
def test_serve_takes_an_app_or_a_factory_and_a_unix_socket(demo: Path, target: str, tmp_path: Path) -> None:
    path = tmp_path / "s"
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "falconws_cli", "serve", target, "--uds", str(path)],
        cwd=demo,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "Application startup complete" in line:
                break
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(START_S)
            client.connect(str(path))
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            response = http.client.HTTPResponse(client)
            response.begin()
            assert response.status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(START_S) == 0
    finally:
        watchdog.cancel()
        if process.poll() is None:
            process.kill()
        process.communicate()
