"""The test setup of a generated project: its fixtures, its warnings, and the limits of its requirements."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.generated.workshop import environment, falconws, new_project

pytestmark = pytest.mark.timeout(300)

OTHER_PLUGIN = """
import pytest

@pytest.fixture
def client():
    pytest.skip("the client of another framework")

@pytest.fixture
def live_server():
    pytest.skip("the server of another framework")
"""

# As pytest-flask and pytest-django do for every fixture of these names.
OTHER_FRAMEWORK = """
import pytest

@pytest.fixture(autouse=True)
def _of_a_framework(request):
    if {"app", "live_server"} & set(request.fixturenames):
        pytest.fail("this fixture is not that of the framework")
"""


def run_tests(root: Path, *arguments: str) -> str:
    """Run the project's tests; return the line that counts them."""
    done = subprocess.run(
        [sys.executable, "-m", "falconws_cli", "test", "--", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=root,
        env=environment({"PYTHONPATH": os.pathsep.join([str(root.parent), os.environ.get("PYTHONPATH", "")])}),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    found = re.findall(r"^\d+ (?:passed|failed|skipped|error).* in .*$", done.stdout, re.MULTILINE)
    assert found, done.stdout + done.stderr
    return str(found[-1])


@pytest.mark.parametrize("layout", [(), ("--minimal",)], ids=["full", "minimal"])
def test_fixtures_of_other_plugins_do_not_replace_those_of_falconws(tmp_path: Path, layout: tuple[str, ...]) -> None:
    root = new_project(tmp_path, "demo", *layout)
    (tmp_path / "other_plugin.py").write_text(OTHER_PLUGIN)
    falconws(root, "add-middleware", "auth", "--kind", "token-auth")
    counted = run_tests(root, "-p", "other_plugin")
    assert "passed" in counted
    assert "skipped" not in counted
    assert "failed" not in counted


@pytest.mark.parametrize("framework", ["flask", "django"])
def test_plugins_of_other_frameworks_do_not_take_the_fixtures_for_theirs(tmp_path: Path, framework: str) -> None:
    root = new_project(tmp_path)
    metadata = tmp_path / f"other_{framework}-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: other_{framework}\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(f"[pytest11]\n{framework} = other_{framework}\n")
    (tmp_path / f"other_{framework}.py").write_text(OTHER_FRAMEWORK)
    counted = run_tests(root)
    assert re.fullmatch(r"\d+ passed in .*", counted)


def test_only_warnings_of_the_projects_own_code_are_errors(tmp_path: Path) -> None:
    root = new_project(tmp_path)
    (tmp_path / "some_library.py").write_text(
        "import warnings\n\ndef old():\n    warnings.warn('old', DeprecationWarning, stacklevel=1)\n"
    )
    (root / "demo" / "own.py").write_text(
        "import warnings\n\ndef own():\n    warnings.warn('own', DeprecationWarning, stacklevel=1)\n"
    )
    (root / "tests" / "test_warnings.py").write_text("import some_library\n\ndef test_it():\n    some_library.old()\n")
    assert run_tests(root, "-k", "test_warnings").startswith("1 passed")
    (root / "tests" / "test_warnings.py").write_text("from demo.own import own\n\ndef test_it():\n    own()\n")
    assert run_tests(root, "-k", "test_warnings").startswith("1 failed")


def test_the_client_and_the_live_server_work_in_one_test(tmp_path: Path) -> None:
    root = new_project(tmp_path)
    falconws(root, "add-resource", "chat", "--pattern", "room")
    (root / "tests" / "test_both.py").write_text(
        "from falconws.testing import Client, LiveServer\n"
        "from websockets.asyncio.client import connect\n\n\n"
        "async def test_both(client: Client, live_server: LiveServer) -> None:\n"
        "    async with connect(f'{live_server.ws_url}/chat?room=lobby&name=ada') as ada:\n"
        "        assert 'welcome' in str(await ada.recv())\n"
        "        async with client.websocket('/chat?room=lobby&name=ben') as ben:\n"
        "            assert (await ben.receive_media())['type'] == 'welcome'\n"
    )
    assert run_tests(root, "-k", "test_both").startswith("1 passed")


@pytest.mark.parametrize("part", ["redis", "nats", "pre-commit"])
def test_every_requirement_has_an_upper_bound(tmp_path: Path, part: str) -> None:
    root = new_project(tmp_path, "demo", "--with", part)
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    bounded: dict[str, bool] = {}
    for line in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        requirement = Requirement(line)
        # falconws[cli] of the extra has the bounds of falconws.
        bounded[requirement.name] = bounded.get(requirement.name, False) or "<" in {
            s.operator for s in requirement.specifier
        }
    assert all(bounded.values()), bounded
