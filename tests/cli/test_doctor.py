"""`falconws doctor` on real projects, healthy and not."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import click.testing
import pytest

from falconws_cli.doctor.app_check import check_app
from falconws_cli.doctor.finding import Finding, Level, worst_of
from falconws_cli.main import cli
from falconws_cli.project import Project
from tests.ports import free_port

WAIT_S = 60.0


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pristine")
    done = click.testing.CliRunner().invoke(cli, ["new", "demo", "--in", str(folder)], prog_name="falconws")
    assert done.exit_code == 0, done.output
    return folder / "demo"


@pytest.fixture
def demo(pristine: Path, tmp_path: Path) -> Path:
    """A fresh project."""
    return shutil.copytree(pristine, tmp_path / "demo")


@pytest.fixture
def port() -> int:
    """A port that is free."""
    return free_port()


def doctor(folder: Path, port: int, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "falconws_cli", "doctor", "--port", str(port), *words]
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


def findings(folder: Path, port: int, worst: str, *words: str, **environ: str) -> dict[str, dict[str, str]]:
    """What the doctor finds, by topic; *worst* is the worst of it."""
    done = doctor(folder, port, "--json", *words, **environ)
    assert done.stderr == ""
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["worst"] == worst, done.stdout
    fails = worst == "problem" or (worst == "warning" and "--strict" in words)
    assert done.returncode == (1 if fails else 0)
    return {check["topic"]: check for check in document["checks"]}


def rewrite(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_a_fresh_project_is_well(demo: Path, port: int) -> None:
    done = doctor(demo / "tests", port)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[-1] == "No problems found."
    assert all(line.startswith("ok       ") for line in lines[:-2])
    topics = [line[9:24].strip() for line in lines[:-2]]
    assert topics == [
        *("python", "falcon", "uvicorn", "engine", "port"),
        *("project", "generated files", "dependencies", "settings", "app", "routes"),
    ]
    assert f"127.0.0.1:{port} is free" in done.stdout
    assert "2, of which 1 accept WebSockets" in done.stdout


def test_outside_of_a_project_the_installation_is_looked_at(tmp_path: Path, port: int) -> None:
    found = findings(tmp_path, port, "ok")
    assert "app" not in found
    assert "is not in a project" in found["project"]["detail"]


def test_without_picows_it_says_why_and_which_engine_serves(demo: Path, port: int, tmp_path: Path) -> None:
    (tmp_path / "hidden" / "picows").mkdir(parents=True)
    (tmp_path / "hidden" / "picows" / "__init__.py").write_text("raise ImportError('no wheel')\n")
    engine = findings(demo, port, "warning", PYTHONPATH=str(tmp_path / "hidden"))["engine"]
    assert engine["level"] == "warning"
    assert "websockets-sansio" in engine["detail"]
    assert "no wheel" in engine["detail"]
    assert "pip install picows" in engine["remedy"]


def test_a_port_that_is_taken_is_told_with_who_has_it(demo: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = findings(demo, listener.getsockname()[1], "warning" if sys.platform == "linux" else "problem")
    assert found["port"]["remedy"]
    if sys.platform == "linux":
        assert f"(pid {os.getpid()})" in found["port"]["detail"]


def test_a_missing_file_is_a_warning_and_an_edited_one_is_none(demo: Path, port: int) -> None:
    rewrite(demo / "demo" / "resources" / "echo.py", "async for text", "async for message")
    assert "1 of them edited" in findings(demo, port, "ok")["generated files"]["detail"]
    (demo / "tests" / "test_app.py").unlink()
    found = findings(demo, port, "warning")["generated files"]
    assert found["level"] == "warning"
    assert "tests/test_app.py is missing" in found["detail"]


def test_a_damaged_record_is_a_problem(demo: Path, port: int) -> None:
    next((demo / ".falconws" / "operations").iterdir()).write_text("<<<<<<<\n")
    assert "is damaged" in findings(demo, port, "problem")["generated files"]["detail"]


def test_dependencies_that_are_not_installed_are_told(demo: Path, port: int) -> None:
    rewrite(demo / "pyproject.toml", "dependencies = [", 'dependencies = [\n    "falcon-no-such-package>=1",')
    found = findings(demo, port, "problem")["dependencies"]
    assert "falcon-no-such-package is not installed" in found["detail"]
    assert found["remedy"] == 'pip install -e ".[dev]"'


def test_a_dependency_of_another_version_is_told_and_other_platforms_are_not(demo: Path, port: int) -> None:
    rewrite(
        demo / "pyproject.toml",
        "dependencies = [",
        'dependencies = [\n    "nowhere; sys_platform == \'beos\'",\n    "pytest<1",',
    )
    found = findings(demo, port, "problem")["dependencies"]
    assert "pytest<1 is required" in found["detail"]
    assert "nowhere" not in found["detail"]


def test_a_setting_that_cannot_be_used_is_told(demo: Path, port: int) -> None:
    found = findings(demo, port, "problem", DEMO_LOG_LEVEL="loud")
    assert 'DEMO_LOG_LEVEL: "loud"' in found["settings"]["detail"]
    assert found["app"]["level"] == "problem"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise RuntimeError('not today')", "RuntimeError: not today"),
        ("def (", "SyntaxError"),
        ("import falcon_no_such_module", "No module named 'falcon_no_such_module'"),
        ("import os\nos._exit(7)", "ended the process with exit code 7"),
        ("import sys\nsys.exit('bye')", "called sys.exit(bye)"),
    ],
)
def test_a_broken_app_is_told_and_the_doctor_lives_on(demo: Path, port: int, code: str, said: str) -> None:
    (demo / "demo" / "app.py").write_text(f"print('noise')\n{code}\n")
    found = findings(demo, port, "problem")["app"]
    assert said in found["detail"]
    assert found["remedy"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no process groups to end")
def test_an_app_that_blocks_is_ended_with_its_children(demo: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (demo / "demo" / "app.py").write_text(
        "import subprocess, sys, time\n"
        f"with open({str(pipe)!r}, 'w') as pipe:\n"
        "    child = \"import time; print('begun', flush=True); time.sleep(600)\"\n"
        "    subprocess.Popen([sys.executable, '-c', child], stdout=pipe)\n"
        "time.sleep(600)\n"
    )
    with os.fdopen(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), "rb") as reader:
        # Long enough for the import to come so far on a busy machine; the app would block for ten minutes.
        [found] = check_app(Project(demo, "demo.asgi:app"), timeout_s=6)
        assert found.level is Level.PROBLEM
        assert "has not finished within 6 s" in found.detail
        assert "process_startup()" in found.remedy
        # A signal is not waited for by the one who sends it: the pipe tells when the last who could write is gone.
        os.set_blocking(reader.fileno(), True)
        assert reader.read() == b"begun\n"


def test_an_app_without_routes_or_origins_is_warned_of(demo: Path, port: int) -> None:
    app = demo / "demo" / "app.py"
    rewrite(app, "    app.ws_options.allowed_origins = settings.allowed_origins\n", "")
    assert "allowed_origins" in findings(demo, port, "warning")["origins"]["remedy"]
    rewrite(app, "    add_routes(app, settings)\n", "")
    found = findings(demo, port, "warning")
    assert found["routes"]["level"] == "warning"
    assert "origins" not in found


@pytest.fixture
def typed(demo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a typed room."""
    monkeypatch.chdir(demo)
    done = click.testing.CliRunner().invoke(cli, ["add-resource", "chat", "--pattern", "room", "--typed"])
    assert done.exit_code == 0, done.output
    return demo


def test_what_typed_routes_declare_is_looked_at(typed: Path, port: int) -> None:
    assert findings(typed, port, "ok")["typed routes"]["detail"] == "1 conversation declared"


def test_a_document_that_is_out_of_date_is_told(typed: Path, port: int) -> None:
    command = [sys.executable, "-m", "falconws_cli", "asyncapi", "--output", "asyncapi.json"]
    subprocess.run([*command, "--server", "wss://example.com"], cwd=typed, check=True)
    findings(typed, port, "ok")
    rewrite(typed / "demo" / "messages" / "chat.py", "max_length=2000", "max_length=3000")
    found = findings(typed, port, "warning")["typed routes"]
    assert (found["detail"], found["remedy"]) == (
        "asyncapi.json is out of date",
        "run `falconws asyncapi --output asyncapi.json`",
    )


def test_tags_that_collide_and_what_has_no_docstring_are_told(typed: Path, port: int) -> None:
    messages = typed / "demo" / "messages" / "chat.py"
    rewrite(messages, 'tag="is_typing"', 'tag="typing"')
    said = findings(typed, port, "warning")["typed routes"]["detail"]
    assert said == 'in Chat, the client and the server have different messages with the tag "typing"'
    rewrite(messages, 'tag="typing"', 'tag="type"')
    rewrite(messages, '"""People in a room hear each other, and miss nothing when their connection breaks."""', "")
    said = findings(typed, port, "warning")["typed routes"]["detail"]
    assert "docstring" in said


@pytest.mark.parametrize(("url", "worst"), [("memory://", "ok"), ("redis://127.0.0.1:{port}/0", "problem")])
def test_the_broker_of_a_hub_is_asked(demo: Path, port: int, url: str, worst: str) -> None:
    hub = f"falconws.Hub({url.format(port=port)!r}, timeout_s=0.5)"
    rewrite(demo / "demo" / "app.py", "    return app\n", f"    app.add_middleware({hub})\n    return app\n")
    found = findings(demo, port, worst)["broker"]
    assert found["level"] == worst
    assert found["detail"]


def test_a_hub_that_cannot_be_made_is_told_in_a_line(demo: Path, port: int) -> None:
    hub = "falconws.Hub('rediss://host?ssl_cert_reqs=maybe')"
    rewrite(demo / "demo" / "app.py", "    return app\n", f"    app.add_middleware({hub})\n    return app\n")
    found = findings(demo, port, "problem")["app"]
    assert "redis-py does not accept these parameters" in found["detail"]
    assert "\n" not in found["detail"]


def test_a_broken_pyproject_is_a_problem(tmp_path: Path, port: int) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.falconws\n")
    assert "Cannot read" in findings(tmp_path, port, "problem")["project"]["detail"]
    (tmp_path / "pyproject.toml").write_text('[tool.falconws]\napp = "gone.app:create_app"\n')
    assert "there is no gone" in findings(tmp_path, port, "problem")["project"]["detail"]


def test_strict_fails_for_warnings_too_and_for_nothing_else(demo: Path, port: int) -> None:
    findings(demo, port, "ok", "--strict")
    (demo / "tests" / "test_app.py").unlink()
    findings(demo, port, "warning")
    findings(demo, port, "warning", "--strict")


def test_the_worst_decides() -> None:
    ok, warning, problem = (Finding("x", level, "y") for level in Level)
    assert worst_of([]) is Level.OK
    assert worst_of([ok, warning, ok]) is Level.WARNING
    assert worst_of([problem, warning, ok]) is Level.PROBLEM
