"""`falconws init`: projects that were not generated join in."""

import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click.testing
import pytest

from falconws_cli.errors import ExitCode

Run = Callable[..., click.testing.Result]

FALCON = "import falcon.asgi\n\n\ndef create_app():\n    app = falcon.asgi.App()\n    return app\n"
FACTORY = FALCON.replace("falcon.asgi", "falconws")
MODULE = "import falconws\n\napp = falconws.App()\n"


OPTIONS = {"asyncio_mode": "auto", "asyncio_default_fixture_loop_scope": "function"}
CONFTEST = """\
    import pytest

    from shop.app import create_app


    @pytest.fixture
    def app():
        return create_app()
"""


def read_tool(root: Path) -> dict[str, Any]:
    tool: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text())["tool"]
    return tool


def write(root: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(text.encode())
    return root


@pytest.mark.parametrize(
    ("files", "app"),
    [
        ({"shop/__init__.py": "", "shop/main.py": FALCON}, "shop.main:create_app"),
        ({"src/shop/app.py": MODULE, ".venv/lib/other/app.py": MODULE}, "shop.app:app"),
        ({"shop/__init__.py": MODULE, "tests/app.py": MODULE}, "shop:app"),
        ({"service.py": MODULE}, "service:app"),
    ],
)
def test_the_app_is_found(run: Run, tmp_path: Path, files: dict[str, str], app: str) -> None:
    write(tmp_path, files)
    result = run("init")
    assert result.exit_code == ExitCode.LEFT_TO_DO, result.output
    assert read_tool(tmp_path) == {
        "falconws": {"app": app},
        "pytest": {"ini_options": {**OPTIONS, "pythonpath": ["src", "."] if "src/shop/app.py" in files else ["."]}},
    }
    assert f"The app is {app}" in result.output


@pytest.mark.parametrize("text", ["[project]\nname = 'x'\n", "[project]\r\nname = 'x'\r\n", "[tool.ruff]", "# only\n"])
def test_the_table_is_added_and_everything_else_stays(run: Run, tmp_path: Path, text: str) -> None:
    write(tmp_path, {"pyproject.toml": text, "shop/__init__.py": "", "shop/app.py": FACTORY})
    assert run("init").exit_code == ExitCode.LEFT_TO_DO
    edited = (tmp_path / "pyproject.toml").read_bytes().decode()
    assert edited.startswith(text)
    assert edited.count("\r\n") in (0, edited.count("\n"))
    assert tomllib.loads(edited)["tool"]["falconws"] == {"app": "shop.app:create_app"}
    assert run("add-resource", "chat").exit_code == ExitCode.LEFT_TO_DO
    assert "ChatResource()" in (tmp_path / "shop" / "app.py").read_text()
    refused = run("init")
    assert (refused.exit_code, "already" in refused.stderr) == (ExitCode.USAGE, True)


@pytest.mark.parametrize(
    ("files", "words", "problem"),
    [
        ({"shop/app.py": "x = 1\n"}, [], "No module here creates a Falcon app"),
        ({"a.py": MODULE, "b.py": MODULE}, [], "a:app, b:app"),
        ({"a.py": MODULE}, ["a.app"], "module:attribute"),
        ({"a.py": MODULE}, ["nope:app"], 'Cannot find the module "nope" of "nope:app"'),
        ({"a.py": MODULE}, ["a:nope"], '"a" has no attribute "nope"'),
        ({"a.py": "import falcon\n\napp = falcon.App()\n"}, ["a:app"], '"a:app" is a falcon.app.App, not an ASGI app'),
        (
            {
                f"{name}/{file}": text
                for name in ("a-1", "b")
                for file, text in [("pyproject.toml", ""), ("c.py", MODULE)]
            },
            [],
            "There is no app here; run the command in the folder of a project: a-1, b.",
        ),
        ({"a-1/b.py": MODULE}, [], "No module here creates a Falcon app"),
    ],
)
def test_what_is_not_clear_is_refused(
    run: Run, tmp_path: Path, files: dict[str, str], words: list[str], problem: str
) -> None:
    write(tmp_path, files)
    result = run("init", *words)
    assert result.exit_code == ExitCode.USAGE
    assert problem in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()} == files.keys()


def test_an_app_that_does_not_load_here_is_accepted_and_said(run: Run, tmp_path: Path) -> None:
    write(tmp_path, {"shop/__init__.py": "", "shop/app.py": f"{FALCON}\nimport not_installed_here\n"})
    result = run("init")
    assert result.exit_code == ExitCode.LEFT_TO_DO
    assert "The app does not load in this environment: Cannot import" in result.output
    assert read_tool(tmp_path)["falconws"] == {"app": "shop.app:create_app"}


@pytest.mark.parametrize(
    "text",
    ['[tool.falconws]\n# It is:\napp = "old:app"  # here\n\n[tool.x]\napp = 1\n', "[tool.falconws]\r\napp = 'o:a'\r\n"],
)
def test_the_app_is_corrected(run: Run, tmp_path: Path, text: str) -> None:
    write(tmp_path, {"pyproject.toml": text, "shop/__init__.py": "", "shop/app.py": FACTORY})
    assert run("init", "shop.app:create_app").exit_code == ExitCode.LEFT_TO_DO
    edited = (tmp_path / "pyproject.toml").read_bytes().decode()
    assert read_tool(tmp_path)["falconws"] == {"app": "shop.app:create_app"}
    assert edited.startswith(
        text.replace('"old:app"', '"shop.app:create_app"').replace("'o:a'", '"shop.app:create_app"')
    )
    assert "identical  pyproject.toml" in run("init", "shop.app:create_app").output


def test_a_table_that_cannot_be_edited_is_said(run: Run, tmp_path: Path) -> None:
    text = '[tool]\nfalconws = { app = "old:app" }\n'
    write(tmp_path, {"pyproject.toml": text, "shop/__init__.py": "", "shop/app.py": FACTORY})
    result = run("init", "shop.app:create_app")
    assert result.exit_code == ExitCode.USAGE
    assert 'that cannot be edited: set app = "shop.app:create_app" in it.' in result.stderr
    assert (tmp_path / "pyproject.toml").read_text() == text


@pytest.mark.parametrize(
    "text",
    [
        '[tool.pytest.ini_options]\ntestpaths = ["tests"]\n\n[tool.x]\ny = 1\n',
        '[tool.pytest.ini_options]\nasyncio_mode = "auto"\n',
        '[tool.pytest]\ntestpaths = ["tests"]\n',
    ],
)
def test_options_of_pytest_are_added_to_those_that_are_there(run: Run, tmp_path: Path, text: str) -> None:
    write(tmp_path, {"pyproject.toml": text, "shop/__init__.py": "", "shop/app.py": FACTORY, "tox.ini": "[pytest]\n"})
    assert run("init").exit_code == ExitCode.LEFT_TO_DO
    before = tomllib.loads(text)["tool"]["pytest"]
    after = read_tool(tmp_path)["pytest"]
    assert after == ({"ini_options": before["ini_options"] | OPTIONS} if "ini_options" in before else before | OPTIONS)


@pytest.mark.parametrize(
    ("file", "text", "section", "lines"),
    [
        ("pytest.ini", "", "pytest", "    asyncio_mode = auto\n    asyncio_default_fixture_loop_scope = function\n"),
        ("tox.ini", "[pytest]\naddopts = -x\n", "pytest", "    asyncio_mode = auto\n"),
        ("setup.cfg", "[tool:pytest]\nasyncio_mode = strict\n", "tool:pytest", "    asyncio_mode = auto\n"),
        ("pytest.toml", '[pytest]\nasyncio_mode = "strict"\n', "pytest", '    asyncio_mode = "auto"\n'),
        ("pytest.ini", "[pytest]\nasyncio_mode = auto\n", "", ""),
        ("tox.ini", "[pytest]\naddopts = --asyncio-mode=auto\n", "", ""),
    ],
)
def test_another_file_with_options_of_pytest_is_left_to_the_user(
    run: Run, tmp_path: Path, file: str, text: str, section: str, lines: str
) -> None:
    conftest = textwrap.dedent(CONFTEST)
    files = {"shop/__init__.py": "", "shop/app.py": FACTORY, file: text, "tests/conftest.py": conftest}
    write(tmp_path, files)
    for words in (["init"], ["add-resource", "chat"]):
        result = run(*words)
        assert result.exit_code == (ExitCode.LEFT_TO_DO if lines else ExitCode.OK), result.output
        assert (f"Set this in [{section}] of {file}:\n\n{lines}" in result.output) is bool(lines)
    assert "pytest" not in read_tool(tmp_path)


def test_what_is_said_is_all_that_generated_tests_need(run: Run, tmp_path: Path) -> None:
    write(tmp_path, {"shop/__init__.py": "", "shop/app.py": FALCON, "tests/conftest.py": "import pytest\n"})
    assert "generated code needs its subclass falconws.App" in run("init").output
    (tmp_path / "shop" / "app.py").write_text(FACTORY)
    (tmp_path / "pyproject.toml").unlink()
    said = f"Generated tests need a fixture `app`. Add these lines to tests/conftest.py:\n\n{CONFTEST}"
    output = run("init").output
    assert said in output
    assert "needs its subclass" not in output
    added = run("add-resource", "chat")
    assert (added.exit_code, said in added.output) == (ExitCode.LEFT_TO_DO, True)
    write(tmp_path, {"tests/conftest.py": textwrap.dedent(CONFTEST)})
    assert run("add-resource", "words", "--pattern", "http").exit_code == ExitCode.OK
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout


@pytest.mark.parametrize(
    ("conftest", "code"),
    [
        ("from shop.testing import app\n", ExitCode.OK),
        ("from shop.testing import *\n", ExitCode.OK),
        ('pytest_plugins = ["shop.testing"]\n', ExitCode.OK),
        ('import pytest\n\n@pytest.fixture(name="app")\ndef _app():\n    return 1\n', ExitCode.OK),
        ("def client(app):\n    return app\n", ExitCode.LEFT_TO_DO),
    ],
)
def test_a_fixture_is_found_however_it_is_defined(run: Run, tmp_path: Path, conftest: str, code: int) -> None:
    write(tmp_path, {"shop/__init__.py": "", "shop/app.py": MODULE, "conftest.py": conftest})
    result = run("init")
    assert result.exit_code == code, result.output
    said = result.output
    assert ("from shop.app import app as application" in said) is (code == ExitCode.LEFT_TO_DO)
    assert ("    return application\n" in said) is (code == ExitCode.LEFT_TO_DO)
    assert run("add-resource", "chat").exit_code == code


@pytest.mark.parametrize(
    ("project", "lacks"),
    [
        ("", False),
        ('[project]\nname = "x"\n', True),
        ('[project]\nname = "x"\ndependencies = ["falcon>=4"]\n', True),
        ('[project]\nname = "x"\ndependencies = ["FalconWS[redis] >= 0.3; python_version >= \'3\'"]\n', False),
        ('[project]\nname = "x"\ndependencies = ["falconws-extra"]\n', True),
        ('[project]\nname = "x"\ndynamic = ["dependencies"]\n', False),
        ('[tool.poetry]\nname = "x"\n', False),
    ],
)
def test_a_dependency_that_is_not_listed_is_left_to_do(run: Run, tmp_path: Path, project: str, lacks: bool) -> None:
    conftest = textwrap.dedent(CONFTEST)
    write(tmp_path, {"shop/__init__.py": "", "shop/app.py": FACTORY, "tests/conftest.py": conftest})
    write(tmp_path, {"pyproject.toml": project})
    result = run("init")
    assert result.exit_code == (ExitCode.LEFT_TO_DO if lacks else ExitCode.OK), result.output
    assert ('Add "falconws" to the dependencies of the project in pyproject.toml.' in result.output) is lacks
