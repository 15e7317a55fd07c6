"""`pip install falconws`, without the extra "cli": production's commands work, the others say what to install."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from falconws_cli.main import _COMMANDS
from tests.cli.pseudoterminal import Terminal
from tests.generated import wheelhouse
from tests.generated.workshop import new_project, served
from tests.ports import free_port

WORKSHOP = ("jinja2", "tomlkit", "prompt_toolkit", "pygments", "pytest", "pytest_asyncio", "watchfiles")
INSTALL = 'run `pip install "falconws[cli]"`.'


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has falconws and nothing more."""
    folder = tmp_path_factory.mktemp("base")
    wheels, environment = folder / "wheels", folder / "venv"
    wheels.mkdir()
    wheelhouse.build_falconws(wheels)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True, timeout=60)
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), "install", "--quiet"]
    env = {**os.environ, **wheelhouse.pip_environment(wheels)}
    subprocess.run([*pip, "falconws"], env=env, check=True, timeout=120)
    return environment / "bin" / "python"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_project(tmp_path_factory.mktemp("project"))


def run(python: Path, folder: Path, *words: str, code: int) -> str:
    """Return what `falconws` prints; it must end with *code*."""
    done = subprocess.run(
        [str(python), "-m", "falconws_cli", *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


def test_the_base_installation_has_no_tools_of_development(python: Path) -> None:
    (packages,) = python.parents[1].glob("lib/python*/site-packages")
    assert {path.name for path in packages.iterdir()}.isdisjoint(WORKSHOP)


def test_the_help_lists_all_commands(python: Path, tmp_path: Path) -> None:
    listed = re.findall(r"^  ([a-z-]+)  ", run(python, tmp_path, "--help", code=0), re.MULTILINE)
    assert set(_COMMANDS) <= set(listed)


def test_every_command_has_its_help(python: Path, tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from falconws_cli.main import cli\n"
        "for command in sys.argv[1:]:\n"
        "    cli([command, '--help'], prog_name='falconws', standalone_mode=False)\n"
    )
    command = [str(python), "-c", script, *_COMMANDS]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.count("Examples:") == len(_COMMANDS)


@pytest.mark.parametrize(
    "words",
    [
        ["new", "shop"],
        ["new", "--interactive"],
        ["init"],
        ["add-resource", "chat"],
        ["add-middleware", "auth"],
        ["add-media-handler", "orders", "--codec", "json", "--payload", "text"],
        ["status"],
        ["undo"],
        ["remove-resource", "echo"],
        ["moved", "a", "b"],
        ["forget", "echo"],
        ["upgrade", "--check"],
        ["eject", "--list"],
        ["test"],
    ],
    ids=" ".join,
)
def test_a_command_of_development_says_in_one_line_what_to_install(
    python: Path, project: Path, words: list[str]
) -> None:
    said = run(python, project, *words, code=1)
    assert (
        said == f'Error: `falconws {words[0]}` needs the extra "cli" of falconws, which is not installed: {INSTALL}\n'
    )


def test_reload_says_in_one_line_what_to_install(python: Path, project: Path) -> None:
    said = run(python, project, "serve", "--reload", code=1)
    assert said == f'Error: --reload needs the extra "cli" of falconws, which is not installed: {INSTALL}\n'


def test_a_conversation_on_a_terminal_says_what_to_install(python: Path, project: Path) -> None:
    terminal = Terminal([str(python), "-m", "falconws_cli", "connect", "/echo"], cwd=project, environ=os.environ)
    assert terminal.wait() == 1
    assert INSTALL in "".join(terminal.lines())


def test_production_serves_inspects_publishes_and_checks(python: Path, project: Path) -> None:
    assert "/echo" in run(python, project, "inspect", code=0)
    doctor = run(python, project, "doctor", "--port", str(free_port()), code=0)
    assert "falconws[cli] lacks jinja2" in doctor
    assert "not compared, which needs" in doctor
    assert "No broker is configured" in run(python, project, "publish", "room", "hello", code=2)
    untyped = run(python, project, "asyncapi", code=1)
    assert untyped.startswith("Error: demo.asgi:app has no typed route: ")
    assert untyped.endswith('needs the extra "typed" of falconws: run `pip install "falconws[typed]"`.\n')
    (project / "typed_app.py").write_text("import falconws.typed\n\napp = None\n")
    assert run(python, project, "asyncapi", "typed_app:app", code=1) == (
        'Error: Typed conversations need the extra "typed" of falconws, which is not installed: '
        'run `pip install "falconws[typed]"`.\n'
    )
    with served(project, python=python) as address:
        url = f"ws://{address}/echo"
        assert run(python, project, "connect", url, "--send", "hello", "--expect", "hello", code=0) == "hello\n"
        assert "messages" in run(python, project, "bench", url, "--seconds", "0.2", "--connections", "2", code=0)


def test_the_testing_client_needs_no_pytest(python: Path, project: Path) -> None:
    script = (
        "import asyncio\n"
        "from falconws.testing import Client\n"
        "from demo.app import create_app\n"
        "async def talk():\n"
        "    async with Client(create_app()) as client, client.websocket('/echo') as ws:\n"
        "        await ws.send_text('hello')\n"
        "        print(await ws.receive_text())\n"
        "asyncio.run(talk())\n"
    )
    done = subprocess.run([str(python), "-c", script], cwd=project, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr


def test_the_fixtures_do_not_stop_a_pytest_without_asyncio(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        "def test_mine():\n    pass\n\ndef test_client(client):\n    pass\n\ndef app():\n    pass\n"
    )
    (tmp_path / "run.py").write_text(
        "import sys\nsys.modules['pytest_asyncio'] = None\nimport pytest\n"
        "sys.exit(pytest.main(['-q', '-p', 'falconws.testing.plugin', '-p', 'no:cacheprovider']))\n"
    )
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "run.py"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert "1 passed, 1 error" in done.stdout
    assert "The fixture 'client' needs pytest-asyncio: pip install \"falconws[cli]\"" in done.stdout
