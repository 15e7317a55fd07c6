"""`falconws new --with ...` and `--minimal`: every combination, linted, carried out, served and spoken to."""

import functools
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Origin

from falconws_cli.change.plan import Recipe
from falconws_cli.errors import RefusedError
from falconws_cli.generators.new_project import plan_project, render_project
from falconws_cli.generators.parts import BROKERS, Part, ProjectOptions
from tests.e2e.hub.servers import BrokerServer, Nats, Valkey
from tests.generated import dockerfile, wheelhouse
from tests.generated.workshop import (
    START_S,
    assert_formatted_and_linted,
    assert_tests_pass,
    assert_typed,
    environment,
    falconws,
    get,
    mypy_cache,
    new_project,
    served,
)
from tests.ports import free_port

WITHOUT_BROKER = [part.value for part in Part if part not in BROKERS]
FILES = {
    Part.DOCKER: {"Dockerfile", ".dockerignore"},
    Part.COMPOSE: {"compose.yaml"},
    Part.GITHUB_CI: {".github/workflows/ci.yml"},
    Part.PRE_COMMIT: {".pre-commit-config.yaml"},
    Part.AGENTS_MD: {"AGENTS.md"},
}
"""What each part adds."""
CHECKOUT = Path(__file__).parents[2]


def combinations() -> Iterator[tuple[bool, tuple[Part, ...]]]:
    """Yield every layout with every set of parts that it can have."""
    for minimal in (False, True):
        for chosen in itertools.product((False, True), repeat=len(Part)):
            parts = tuple(itertools.compress(Part, chosen))
            if Part.COMPOSE in parts and Part.DOCKER not in parts:
                continue
            try:
                ProjectOptions(minimal, parts).refuse_contradiction()
            except RefusedError:
                continue
            yield minimal, parts


@functools.cache
def rendered(minimal: bool, parts: tuple[Part, ...], *, name: str = "chat-room") -> dict[str, str]:
    options: dict[str, Any] = {"minimal": minimal, "with": [part.value for part in parts]}
    files = render_project(Recipe("project", name, options))
    return {file.path.as_posix(): file.data.decode() for file in files}


def tool(name: str) -> str:
    """Return the path of a program that came with the extra "dev"."""
    found = shutil.which(name, path=os.fspath(Path(sys.executable).parent))
    assert found is not None, f'{name} is not installed; run pip install -e ".[dev]"'
    return found


def run(*command: str, cwd: Path, env: dict[str, str] | None = None, code: int = 0) -> str:
    """Return what *command* prints; it must end with *code*."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment() if env is None else env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == code, f"{' '.join(command)}\n{done.stdout}"
    return done.stdout


def test_every_combination_renders_to_whole_files_and_nothing_else() -> None:
    plain = {minimal: rendered(minimal, ()) for minimal in (False, True)}
    count = 0
    for minimal, parts in combinations():
        files = rendered(minimal, parts)
        broker = any(part in BROKERS for part in parts)
        added = set().union(*(FILES.get(part, set()) for part in parts))
        if broker:
            added |= {"compose.yaml", "tests/test_hub.py"}
        assert set(files) - set(plain[minimal]) == added, parts
        for path, text in files.items():
            assert "{%" not in text, path
            assert "{{" not in text.replace("${{", ""), path
            assert not text or text.endswith("\n"), path
            assert not text.endswith("\n\n"), path
            assert "\n\n\n" not in text or path.endswith(".py"), path
            assert not re.search(r"[ \t]$", text, re.MULTILINE), path
        count += 1
    # Full: docker and compose in 3 ways, 3 others, none or one of 2 brokers; minimal: without brokers.
    assert count == 3 * 8 * 3 + 3 * 8


def test_the_image_is_linted() -> None:
    for minimal in (False, True):
        text = rendered(minimal, (Part.DOCKER,))["Dockerfile"]
        subprocess.run([tool("hadolint"), "--failure-threshold", "style", "-"], input=text, text=True, check=True)


def test_every_compose_file_and_workflow_keeps_to_its_schema(tmp_path: Path) -> None:
    schemas = {"compose.yaml": "vendor.compose-spec", ".github/workflows/ci.yml": "vendor.github-workflows"}
    # No other part has a say in these files.
    matter = {Part.DOCKER, Part.COMPOSE, Part.GITHUB_CI, *BROKERS}
    projects = [rendered(minimal, parts) for minimal, parts in combinations() if matter.issuperset(parts)]
    for path, schema in schemas.items():
        texts = {files[path] for files in projects if path in files}
        files = [tmp_path / f"{schema}-{number}.yaml" for number in range(len(texts))]
        for file, text in zip(files, texts, strict=True):
            file.write_text(text)
        run(tool("check-jsonschema"), "--builtin-schema", schema, *map(str, files), cwd=tmp_path)


def test_the_service_of_compose_outlasts_the_drain_and_cannot_write() -> None:
    files = rendered(False, (Part.DOCKER, Part.COMPOSE))
    service = yaml.safe_load(files["compose.yaml"])["services"]["chat-room"]
    words = image_command(files["Dockerfile"])
    drain = int(words[words.index("--drain") + 1])
    assert int(service["stop_grace_period"].removesuffix("s")) > drain + 5
    # Docker's own patience is 10 seconds.
    assert drain + 5 <= 10
    assert service["read_only"] is True
    assert service["ports"] == ["127.0.0.1:8000:8000"]


def image_command(text: str) -> list[str]:
    instructions = dict(dockerfile.read_instructions(text))
    return list(yaml.safe_load(instructions["CMD"]))


def test_the_dockerfile_of_the_docs_is_the_one_that_is_generated() -> None:
    files = rendered(False, (Part.DOCKER,), name="demo")
    assert (CHECKOUT / "docs" / "snippets" / "deploy" / "Dockerfile").read_text() == files["Dockerfile"]


@pytest.mark.parametrize(
    ("path", "ignored"),
    [
        ("pyproject.toml", False),
        ("README.md", False),
        ("demo/app.py", False),
        ("demo/resources/echo.py", False),
        ("wheels/falconws-1-py3-none-any.whl", False),
        ("demo/__pycache__/app.cpython-313.pyc", True),
        ("demo/resources/__pycache__/echo.cpython-313.pyc", True),
        (".env", True),
        (".git/config", True),
        ("tests/conftest.py", True),
        ("secret.pem", True),
    ],
)
def test_only_what_the_image_needs_goes_to_the_builder(path: str, ignored: bool) -> None:
    dockerignore = rendered(False, (Part.DOCKER,), name="demo")[".dockerignore"]
    assert dockerfile.is_ignored(PurePosixPath(path), dockerignore) is ignored


@pytest.mark.timeout(400)
def test_a_minimal_project_is_clean_served_and_grows(tmp_path: Path) -> None:
    root = new_project(tmp_path, "demo", "--minimal", "--with", ",".join(WITHOUT_BROKER))
    modules = [path.relative_to(root).as_posix() for path in root.rglob("*.py")]
    assert sorted(modules) == ["demo/__init__.py", "demo/app.py", "tests/conftest.py", "tests/test_app.py"]
    assert_formatted_and_linted(root)
    assert_tests_pass(root, expected=1)
    falconws(root, "add-resource", "chat room", "--pattern", "request-response", "--route", "/rooms/{number:int}")
    falconws(root, "add-middleware", "auth", "--kind", "token-auth")
    falconws(root, "add-media-handler", "orders", "--payload", "text", "--codec", "msgspec")
    assert_formatted_and_linted(root)
    assert_typed(root)
    assert_tests_pass(root, expected=1 + 4 + 3 + 2)
    with served(root, {"DEMO_AUTH_TOKENS": "ada:secret"}) as address:
        assert get(address, "/healthz") == (200, {"status": "ok"})
        for path, message, answer in (
            ("/echo", "hello", "hello"),
            ("/rooms/7", '{"id":1,"text":"two words"}', '{"id":1,"words":2}'),
        ):
            with connect(f"ws://{address}{path}", additional_headers={"Authorization": "Bearer secret"}) as ws:
                ws.send(message)
                assert ws.recv(timeout=START_S) == answer


@pytest.mark.timeout(400)
def test_the_steps_of_the_dockerfile_make_an_image_that_serves_is_healthy_and_drains(tmp_path: Path) -> None:
    root = new_project(tmp_path, "chat room", "--with", "docker")
    # Not among those that the image is made of.
    (root / ".env").write_text("CHAT_ROOM_LOG_LEVEL=DEBUG\n")
    # falconws and its dependencies come from the folder for wheels that no index has; hatchling from the "index".
    index, scratch, base = tmp_path / "index", tmp_path / "scratch", tmp_path / "base"
    for folder in (index, scratch, root / "wheels"):
        folder.mkdir()
    wheelhouse.build_falconws(root / "wheels")
    wheelhouse.pack(["hatchling"], index)
    run(sys.executable, "-m", "venv", "--without-pip", str(base), cwd=tmp_path)
    (base / "bin" / "pip").write_text(f'#!/bin/sh\nexec {sys.executable} -m pip "$@"\n')
    (base / "bin" / "pip").chmod(0o755)
    image = dockerfile.build(root, scratch, base=base, environment=wheelhouse.pip_environment(index))

    assert [path.name for path in image.root.iterdir()] == ["opt"]
    installed = {path.name for path in (image.root / "opt").glob("chat-room/lib/python*/site-packages/*")}
    assert {"chat_room", "falconws", "falconws_cli", "falcon", "picows"} <= installed
    assert installed.isdisjoint({"pip", "tests", "mypy", "hatchling", "pytest", "jinja2", "tomlkit", "prompt_toolkit"})
    assert int(image.settings["USER"].split(":")[0]) > 0
    assert (image.settings["EXPOSE"], image.settings["STOPSIGNAL"]) == ("8000", "SIGTERM")
    before = snapshot(image.root)
    with running(image) as (process, port):
        assert check(image, port) == 0
        with connect(f"ws://127.0.0.1:{port}/echo") as ws:
            ws.send("hello")
            assert ws.recv(timeout=START_S) == "hello"
            process.send_signal(signal.Signals[image.settings["STOPSIGNAL"]])
            with pytest.raises(ConnectionClosed) as closed:
                ws.recv(timeout=START_S)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
        assert process.wait(START_S) == 0
        assert check(image, port) == 1
    # Its user may not write, and it must not need to.
    assert snapshot(image.root) == before

    with running(image, {"FORWARDED_ALLOW_IPS": "*"}) as (process, port):
        headers = {"X-Forwarded-Proto": "https"}
        with connect(
            f"ws://127.0.0.1:{port}/echo", origin=Origin(f"https://127.0.0.1:{port}"), additional_headers=headers
        ) as ws:
            ws.send("through a proxy")
            assert ws.recv(timeout=START_S) == "through a proxy"


@contextmanager
def running(
    image: dockerfile.Image, env: dict[str, str] | None = None
) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Run the image's command on a free port of the loopback interface until the block ends."""
    port = free_port()
    here = {"0.0.0.0": "127.0.0.1", "8000": str(port)}
    words = [here.get(word, word) for word in image.commands["CMD"]]
    assert str(port) in words
    assert "127.0.0.1" in words
    process = subprocess.Popen(
        words,
        cwd=image.root / image.workdir.relative_to("/"),
        env={**image.environment, **(env or {}), "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if "Application startup complete" in line:
                break
        assert process.poll() is None, "".join(lines)
        yield process, port
    finally:
        if process.poll() is None:
            process.terminate()
        output, _ = process.communicate(timeout=START_S)
    assert process.returncode == 0, "".join(lines) + output
    assert "Traceback" not in output, output


def check(image: dockerfile.Image, port: int) -> int:
    """Return the exit code of the image's health check."""
    words = [word.replace("8000", str(port)) for word in image.commands["HEALTHCHECK"]]
    # No proxy of the environment may come between.
    variables = {**image.environment, "http_proxy": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1"}
    done = subprocess.run(words, cwd=image.root, env=variables, capture_output=True, check=False, timeout=START_S)
    return done.returncode


class ComposedNats(Nats):
    """NATS as compose.yaml starts it, on free ports and with a folder of its own."""

    words: list[str]
    http_port = 0

    def command(self) -> list[str]:
        self.http_port = free_port()
        here = {"/data": str(self.folder), "8222": str(self.http_port)}
        program, *_ = super().command()
        return [program, "--addr", "127.0.0.1", "--port", str(self.port), *(here.get(w, w) for w in self.words)]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("broker", BROKERS)
def test_a_project_with_a_hub_is_clean_reaches_all_processes_and_is_ready_while_its_broker_is(
    tmp_path: Path, broker: Part
) -> None:
    (tmp_path / "project").mkdir()
    root = new_project(tmp_path / "project", "demo", "--with", ",".join([broker.value, *WITHOUT_BROKER]))
    falconws(root, "add-resource", "chat", "--pattern", "room")
    assert (root / "demo" / "app.py").read_text().count("Hub(") == 1
    assert_formatted_and_linted(root)
    assert_typed(root)
    assert_tests_pass(root, expected=14)
    extras = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert broker.value in extras
    dependencies = tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]
    assert [re.sub(">=.*", "", dependency) for dependency in dependencies] == [f"falconws[{broker.value}]"]

    services = yaml.safe_load((root / "compose.yaml").read_text())["services"]
    url = services["demo"]["environment"]["DEMO_HUB_URL"]
    assert re.fullmatch(rf"{broker.value}://{broker.value}:\d+", url)
    assert services[broker.value]["ports"] == [f"127.0.0.1:{url.rpartition(':')[2]}:{url.rpartition(':')[2]}"]
    if broker is Part.NATS:
        ComposedNats.words = services["nats"]["command"]
        server: BrokerServer = ComposedNats(tmp_path / "broker")
    else:
        server = Valkey(tmp_path / "broker")
    try:
        env = {"DEMO_HUB_URL": server.url}
        with served(root, env) as address, served(root, env) as elsewhere:
            for each in (address, elsewhere):
                until_ready(each)
            assert_heard(address, elsewhere)
            if isinstance(server, ComposedNats):
                health = services["nats"]["healthcheck"]["test"][-1].removeprefix("http://127.0.0.1:8222")
                assert get(f"127.0.0.1:{server.http_port}", health)[0] == 200
            server.kill()
            assert "hub" in until_unready(address)
            # Alive all the same: a container is not to be replaced because its broker is away.
            assert get(address, "/healthz") == (200, {"status": "ok"})
    finally:
        server.stop()


def until_unready(address: str) -> str:
    """Return what ``/readyz`` says when it is 503: the broker is asked once a second."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            get(address, "/readyz")
        except urllib.error.HTTPError as unready:
            if unready.code != 503:
                raise
            with unready as response:
                return response.read().decode()
        time.sleep(0.1)
    raise AssertionError("the service is still ready")


def until_ready(address: str) -> None:
    """Return when the service is ready: a start does not wait long for the broker."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            answer = get(address, "/readyz")
        except urllib.error.HTTPError as unready:
            unready.close()
            time.sleep(0.05)
        else:
            assert answer == (200, "ready\n")
            return
    raise AssertionError(f"not ready within {START_S:g} s")


def assert_heard(address: str, elsewhere: str) -> None:
    """Say something at *address*; it must be heard *elsewhere*, by another process."""
    with (
        connect(f"ws://{elsewhere}/chat?room=lobby&name=bob") as bob,
        connect(f"ws://{address}/chat?room=lobby&name=ada") as ada,
    ):
        for ws in (bob, ada):
            assert json.loads(ws.recv(timeout=START_S))["type"] == "welcome"
        ada.send(json.dumps({"say": "hello"}))
        while (event := json.loads(bob.recv(timeout=START_S)))["type"] == "joined":
            pass
        assert (event["type"], event["name"], event["text"]) == ("message", "ada", "hello")


def snapshot(root: Path) -> set[tuple[str, int]]:
    return {(path.as_posix(), path.lstat().st_mtime_ns) for path in root.rglob("*")}


@pytest.mark.timeout(400)
def test_the_workflow_and_the_hooks_pass_and_notice_what_is_wrong(tmp_path: Path) -> None:
    root = new_project(tmp_path, "demo", "--with", "github-ci,pre-commit", "--with", "agents-md")
    job = yaml.safe_load((root / ".github" / "workflows" / "ci.yml").read_text())
    steps = job["jobs"]["check"]["steps"]
    assert [step["uses"].partition("@")[0] for step in steps[:2]] == ["actions/checkout", "actions/setup-python"]
    assert steps[1]["with"]["python-version"] == "${{ matrix.python }}"
    # Each release that falconws is tested with.
    pyproject = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    tested = re.findall(r"Python :: (3\.\d+)", "\n".join(pyproject["project"]["classifiers"]))
    assert job["jobs"]["check"]["strategy"]["matrix"]["python"] == tested
    env = {
        **wheelhouse.environment_with_everything(tmp_path / "venv"),
        "HOME": str(tmp_path),
        "MYPY_CACHE_DIR": mypy_cache(),
        "PRE_COMMIT_HOME": str(tmp_path / "pre-commit"),
        **{f"GIT_{who}_{what}": "ada@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    agents = rendered(False, (Part.GITHUB_CI, Part.AGENTS_MD))["AGENTS.md"]
    for step in steps[2:]:
        run("bash", "-e", "-c", step["run"], cwd=root, env=env)
        assert f"| `{step['run'].removeprefix('python -m ').replace(' --check', '')}` |" in agents

    run("git", "init", "-q", "-b", "main", cwd=root, env=env)
    run("git", "init", "-q", "--bare", str(tmp_path / "remote.git"), cwd=root, env=env)
    run("git", "remote", "add", "origin", str(tmp_path / "remote.git"), cwd=root, env=env)
    run("pre-commit", "validate-config", cwd=root, env=env)
    run("pre-commit", "install", cwd=root, env=env)
    run("git", "add", "-A", cwd=root, env=env)
    committed = run("git", "commit", "-q", "-m", "Start", cwd=root, env=env)
    assert committed.count("Passed") == 3, committed
    pushed = run("git", "push", "-q", "origin", "main", cwd=root, env=env)
    assert re.findall(r"^(.+?)\.+Passed$", pushed, re.MULTILINE) == ["falconws test"], pushed

    echo = root / "demo" / "resources" / "echo.py"
    text = echo.read_text()
    for sound, wrong in {
        "import falcon\n": "import os\nimport falcon\n",
        "resp.text = req": "resp.text  =  req",
        "send_text(text)": "send_text(7)",
    }.items():
        assert sound in text
        text = text.replace(sound, wrong)
    echo.write_text(text)
    run("git", "add", "-A", cwd=root, env=env)
    refused = run("git", "commit", "-q", "-m", "No", cwd=root, env=env, code=1)
    failed = re.findall(r"^(.+?)\.+Failed$", refused, re.MULTILINE)
    assert failed == ["ruff format", "ruff check", "mypy"], refused
    assert run("git", "log", "--oneline", cwd=root, env=env).count("\n") == 1


def test_a_recipe_without_options_is_that_of_a_plain_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("falconws_cli.generators.new_project.find_source", lambda root: "")
    _, (plan, *_) = plan_project("chat room", tmp_path)
    # What may be there already when a project is created is no matter of its upgrade.
    created = tuple(replace(file, keep_existing=False) for file in plan.files)
    assert render_project(Recipe("project", "chat-room")) == created
