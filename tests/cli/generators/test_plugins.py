"""Generators of other packages: the example of the documentation, installed; and packages that are broken."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click.testing
import pytest

from falconws_cli import generators, plugin_api
from falconws_cli.change.record import read_record
from falconws_cli.entry_points import extension_names
from falconws_cli.errors import ExitCode
from falconws_cli.main import cli
from falconws_cli.project import require_project
from falconws_cli.templating.templates import find_root
from tests.cli import recorder
from tests.cli.lifecycle.operations import operation_of

EXAMPLE = Path(__file__).parent / "falconws-countdown"

Shell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the example package is installed in, as pip does it."""
    folder = tmp_path_factory.mktemp("installed")
    source = shutil.copytree(EXAMPLE, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(folder / "site"), str(source)], check=True, timeout=100, capture_output=True)
    return folder / "site"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fresh")
    assert click.testing.CliRunner().invoke(cli, ["new", "demo", "--in", str(folder)]).exit_code == 0
    return folder / "demo"


@pytest.fixture
def demo(fresh: Path, tmp_path: Path) -> Path:
    return shutil.copytree(fresh, tmp_path / "demo")


@pytest.fixture
def shell(site: Path, demo: Path) -> Shell:
    """Run falconws as a user does who has the package, in the project."""

    def run(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "falconws_cli", *words],
            cwd=demo,
            env={**os.environ, "PYTHONPATH": str(site), **environ},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def tree(root: Path) -> dict[str, bytes]:
    return recorder.tree(root, without="__pycache__")


def test_its_command_works_like_the_built_in_ones(shell: Shell, demo: Path, site: Path) -> None:
    before = tree(demo)
    dry = shell("add-countdown", "launch", "--start", "5", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert tree(demo) == before

    done = shell("add-countdown", "launch", "--start", "5")
    assert done.returncode == 0, done.stderr
    for line in ("create  demo/resources/launch.py", "create  tests/resources/test_launch.py", "the route /launch"):
        assert line in dry.stdout
        assert line in done.stdout
    assert "range(5, -1, -1)" in (demo / "demo/resources/launch.py").read_text()
    pytest_run = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:randomly",
        "-p",
        "no:cacheprovider",
        "tests/resources",
    ]
    tests = subprocess.run(pytest_run, cwd=demo, capture_output=True, text=True, timeout=120, check=False)
    assert tests.returncode == 0, tests.stdout

    # The record has what renders the same files again, for `upgrade`.
    operation = read_record(demo).operations[-1]
    assert operation.recipe is not None
    assert operation.command == "falconws add-countdown launch --start 5"
    assert operation.recipe.options == {"start": 5, "route": "/launch"}
    assert "launch" in shell("status").stdout

    made = tree(demo)
    assert shell("undo").returncode == 0
    assert tree(demo) == before
    assert shell("add-countdown", "launch", "--start", "5").returncode == 0
    assert {path: data for path, data in tree(demo).items() if ".falconws" not in path} == {
        path: data for path, data in made.items() if ".falconws" not in path
    }
    assert shell("destroy", "countdown", "launch").returncode == 0
    assert not (demo / "demo/resources/launch.py").exists()
    assert (demo / "demo/routes.py").read_bytes() == before["demo/routes.py"]


def test_what_it_made_can_be_taken_back_without_the_package(shell: Shell, demo: Path) -> None:
    before = tree(demo)
    assert shell("add-countdown", "launch").returncode == 0
    undone = shell("undo", PYTHONPATH="")
    assert undone.returncode == 0, undone.stderr
    assert tree(demo) == before


def test_a_recorded_recipe_renders_again(shell: Shell, demo: Path, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shell("add-countdown", "launch").returncode == 0
    monkeypatch.syspath_prepend(site)
    project = require_project(demo)
    recipe = read_record(demo).operations[-1].recipe
    for file in generators.make_again(project, recipe).files:
        assert (demo / file.path).read_bytes() == file.data


def test_upgrade_brings_what_it_made_to_the_templates_of_its_next_version(
    shell: Shell, demo: Path, site: Path, tmp_path: Path
) -> None:
    assert shell("add-countdown", "launch").returncode == 0
    module = demo / "demo/resources/launch.py"
    module.write_text("# Ours.\n" + module.read_text())
    newer = shutil.copytree(site, tmp_path / "newer")
    template = newer / "falconws_countdown/templates/countdown/%package_dir%/resources/%module%.py.jinja"
    template.write_text(template.read_text().replace("Sends every number", "Sends each number"))
    upgraded = shell("upgrade", PYTHONPATH=str(newer))
    assert upgraded.returncode == 0, upgraded.stderr
    assert module.read_text().startswith("# Ours.\n")
    assert "Sends each number" in module.read_text()


def test_upgrade_without_the_package_leaves_out_what_it_made_and_says_so(shell: Shell, demo: Path) -> None:
    assert shell("add-countdown", "launch").returncode == 0
    before = tree(demo)
    left_out = (
        "What `falconws add-countdown launch` made is left unchanged: "
        'There is no generator "countdown"; install the package falconws-countdown, which has it.\n'
    )
    unchanged = shell("upgrade", PYTHONPATH="")
    assert (unchanged.returncode, unchanged.stderr) == (ExitCode.LEFT_TO_DO, "")
    assert unchanged.stdout.startswith("The rest of the project is up to date")
    assert unchanged.stdout.endswith(left_out)
    check = shell("upgrade", "--check", PYTHONPATH="")
    assert (check.returncode, check.stdout) == (ExitCode.LEFT_TO_DO, unchanged.stdout.replace("\n\n", "\n"))
    assert tree(demo) == before

    # The line beside the route that the generator has registered.
    template = "project/full/%package_dir%/routes.py.jinja"
    own = demo / ".falconws/templates" / template
    own.parent.mkdir(parents=True)
    last = 'app.add_route("/healthz", HealthResource())\n'
    own.write_text((find_root() / template).read_text().replace(last, f"{last}    # Nothing more.\n"))
    check = shell("upgrade", "--check", PYTHONPATH="")
    assert (check.returncode, left_out in check.stdout) == (ExitCode.UPGRADE_AVAILABLE, True)
    told = json.loads(shell("upgrade", "--check", "--json", PYTHONPATH="").stdout)
    assert (told["available"], told["left_out"]) == (True, [left_out.rstrip()])
    upgraded = shell("upgrade", PYTHONPATH="")
    assert (upgraded.returncode, left_out in upgraded.stdout) == (ExitCode.LEFT_TO_DO, True), upgraded.stderr
    routes = (demo / "demo/routes.py").read_text()
    assert routes.count("# Nothing more.") == routes.count("LaunchResource())") == 1
    assert "    edited" not in shell("status").stdout
    assert shell("upgrade").returncode == 0
    assert shell("destroy", "countdown", "launch").returncode == 0
    assert "Launch" not in (demo / "demo/routes.py").read_text()


def test_upgrade_leaves_out_what_a_package_refuses_to_make_again(shell: Shell, demo: Path, site: Path) -> None:
    assert shell("add-countdown", "launch").returncode == 0
    before = tree(demo)
    module = shutil.copytree(site, demo.parent / "refusing") / "falconws_countdown/__init__.py"
    wanted = "        name = parse_name(recipe.name)\n"
    assert wanted in module.read_text()
    module.write_text(module.read_text().replace(wanted, '        raise RefusedError("It has no clock.")\n'))
    upgraded = shell("upgrade", PYTHONPATH=str(demo.parent / "refusing"))
    assert upgraded.returncode == ExitCode.LEFT_TO_DO, upgraded.stderr
    assert "What `falconws add-countdown launch` made is left unchanged: It has no clock.\n" in upgraded.stdout
    assert tree(demo) == before


def test_an_operation_of_an_older_falconws_which_did_not_record_the_package_is_left_out_too(
    shell: Shell, demo: Path
) -> None:
    assert shell("add-countdown", "launch").returncode == 0
    file, document = operation_of(demo, "launch")
    assert document["recipe"].pop("package") == "falconws-countdown"
    file.write_text(json.dumps(document))
    upgraded = shell("upgrade", PYTHONPATH="")
    assert upgraded.returncode == ExitCode.LEFT_TO_DO
    assert 'There is no generator "countdown"; install the package that it came with.' in upgraded.stdout


def test_its_templates_can_be_ones_own(shell: Shell, demo: Path) -> None:
    own = demo / ".falconws/templates/countdown/%package_dir%/resources"
    own.mkdir(parents=True)
    (own / "%module%.py.jinja").write_text("# {{ start }}, my own way\n")
    assert shell("add-countdown", "launch").returncode == 0
    assert (demo / "demo/resources/launch.py").read_text() == "# 3, my own way\n"
    assert (demo / "tests/resources/test_launch.py").exists()


def test_it_is_listed_helped_completed_and_suggested(shell: Shell) -> None:
    [line] = [line for line in shell("--help").stdout.splitlines() if "add-countdown" in line]
    assert "falconws-countdown" in line
    about = shell("add-countdown", "--help").stdout
    assert "Add a resource that counts down" in about
    for option in ("--start", "--route", "--dry-run", "--diff", "--json", "--force"):
        assert option in about
    assert "add-countdown" in completions(shell, "falconws add-c", 1)
    assert "--start" in completions(shell, "falconws add-countdown --st", 2)
    misspelled = shell("add-countdwn", "launch")
    assert misspelled.returncode == 2
    assert 'Did you mean "add-countdown"' in misspelled.stderr
    option = shell("add-countdown", "launch", "--strat", "3")
    assert option.returncode == 2
    assert "--start" in option.stderr


def completions(shell: Shell, line: str, position: int) -> str:
    return shell(COMP_WORDS=line, COMP_CWORD=str(position), _FALCONWS_COMPLETE="bash_complete").stdout


def test_a_refusal_is_one_line_and_writes_nothing(shell: Shell, demo: Path) -> None:
    before = tree(demo)
    refused = shell("add-countdown", "launch", "--start", "0")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert refused.stderr == "Error: A countdown from 0 has no numbers; give --start 1 or more.\n"
    assert tree(demo) == before


def test_json_names_what_it_makes(shell: Shell) -> None:
    said = json.loads(shell("add-countdown", "launch", "--dry-run", "--json").stdout)
    assert "demo/resources/launch.py" in json.dumps(said)


def test_the_page_documents_all_that_a_package_may_import() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "plugin-api.md").read_text()
    documented = re.findall(r"auto\w+:: falconws_cli\.plugin_api\.(\w+)", page)
    # An alias of types has nothing to document.
    assert sorted([*documented, "JsonValue"]) == sorted(plugin_api.__all__)
    assert all(hasattr(plugin_api, name) for name in plugin_api.__all__)


BROKEN = {
    "no module": ("missing:Generator", "", "cannot be loaded: ModuleNotFoundError: No module named 'missing'. Update"),
    "no attribute": ("{module}:Nobody", "", "AttributeError"),
    "syntax": ("{module}:Generator", "def", "SyntaxError"),
    "exit": ("{module}:Generator", "import sys\nsys.exit(7)", "{module}.py, line 2: SystemExit: 7"),
    "no params": ("{module}:Generator", "class Generator: pass", "AttributeError"),
    "no methods": ("{module}:Generator", "class Generator:\n    params = ()", "recipe() and make()"),
    "strange params": (
        "{module}:Generator",
        "class Generator:\n    params = ('--start',)\n    recipe = make = print",
        "needs params (click options)",
    ),
    "recipe fails": (
        "{module}:Generator",
        "class Generator:\n    params = ()\n    make = print\n    def recipe(self, *a):\n        1 / 0",
        "{module}.py, line 5: ZeroDivisionError: division by zero. Nothing was written.",
    ),
    "no recipe": (
        "{module}:Generator",
        "class Generator:\n    params = ()\n    make = print\n    def recipe(self, *a):\n        return {{}}",
        "not a Recipe",
    ),
    "no json": (
        "{module}:Generator",
        "from falconws_cli.plugin_api import *\nclass Generator:\n    params = ()\n    make = print\n"
        "    def recipe(self, *a):\n        return Recipe('x', 'y', {{'of': object()}})",
        "JSON",
    ),
    "outside": (
        "{module}:Generator",
        "from falconws_cli.plugin_api import *\nfrom pathlib import PurePosixPath\nclass Generator:\n    params = ()\n"
        "    def recipe(self, *a):\n        return Recipe('x', 'y')\n    def make(self, *a):\n"
        "        return Generated((PlannedFile(PurePosixPath('../outside.py'), b''),))",
        "it would write ../outside.py",
    ),
    "no piece": (
        "{module}:Generator",
        "from falconws_cli.plugin_api import *\nclass Generator:\n    params = ()\n"
        "    def recipe(self, *a):\n        return Recipe('x', 'y')\n    def make(self, *a):\n        return []",
        "not a Generated",
    ),
}


def install(folder: Path, package: str, value: str, module: str, text: str, name: str = "strange") -> None:
    """Put a package there as an installer would leave it behind."""
    info = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[falconws.generators]\n{name} = {value}\n")
    (folder / f"{module}.py").write_text(text)


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_package_is_one_line(case: str, tmp_path: Path, demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    value, text, said = BROKEN[case]
    module = f"broken_{case.replace(' ', '_')}"
    install(tmp_path / "site", "strange-things", value.format(module=module), module, text.format())
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.chdir(demo)
    before = tree(demo)
    runner = click.testing.CliRunner()
    result = runner.invoke(cli, ["add-strange", "one"])
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "strange-things" in result.stderr
    assert said.format(module=module) in result.stderr
    assert tree(demo) == before
    # Nothing else minds.
    assert runner.invoke(cli, ["--help"]).exit_code == 0
    assert runner.invoke(cli, ["add-resource", "fine"]).exit_code == 0


def test_two_packages_with_one_name_are_named(tmp_path: Path, demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("one", "other"):
        install(tmp_path / "site", f"things-{package}", "nothing:Nothing", package, "")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.chdir(demo)
    result = click.testing.CliRunner().invoke(cli, ["add-strange", "x"])
    assert result.exit_code == 1
    assert "things-one and things-other both have a generator" in result.stderr


@pytest.mark.parametrize("name", ["resource", "project", "media-handler", "Strange", "two words", "a--b", "-x"])
def test_a_name_that_no_command_can_have_is_passed_over(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "site", "strange-things", "nothing:Nothing", "nothing", "", name=name)
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert extension_names() == {}
    assert click.testing.CliRunner().invoke(cli, ["add-resource", "--help"]).exit_code == 0


def test_looking_for_packages_loads_none_of_them(tmp_path: Path, site: Path) -> None:
    script = "import sys; from falconws_cli.entry_points import extension_names; print(extension_names(), *sys.modules)"

    def loaded(path: Path) -> str:
        environ = {**os.environ, "PYTHONPATH": str(path)}
        done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True)
        return done.stdout

    assert loaded(site).startswith("{'countdown': 'falconws-countdown'} ")
    assert "falconws_countdown" not in loaded(site)
    # Where there is none, not even the module that reads metadata.
    assert loaded(tmp_path).startswith("{} ")
    assert "importlib.metadata" not in loaded(tmp_path)
