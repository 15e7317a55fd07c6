"""The commands, and the environment that all of them are installed in."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.benchmarks.peers import ROOT
from tests.benchmarks.start_up.runs import Program

_HERE = Path(__file__).parent
_REQUIREMENTS = _HERE / "requirements-peers.txt"
_INSTALL_S = 600.0
BARE = "click"

_BARE_MODULE = '''\
import click


@click.group()
def cli() -> None:
    """A group with one command."""


@cli.command()
def hello() -> None:
    """Say hello."""
'''
_BARE_SCRIPT = """\
#!{python}
import sys
from bare_click import cli
sys.exit(cli())
"""


def default_folder() -> Path:
    """Return a folder whose name depends on the peers."""
    name = f"{sys.version_info.major}.{sys.version_info.minor}-{_digest([_REQUIREMENTS])}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "falconws-start-up" / name


def install(folder: Path) -> Path:
    """Install the missing peers, and falconws as a wheel of this checkout. Return the folder of the programs."""
    python = folder / "bin" / "python"
    if not python.exists():
        _run([sys.executable, "-m", "venv", str(folder)])
    peers = folder / "peers-installed"
    if not peers.exists():
        _run([str(python), "-m", "pip", "install", "--quiet", "-r", str(_REQUIREMENTS)])
        peers.touch()
    own = folder / "falconws-installed"
    state = _digest(_sources())
    if not own.exists() or own.read_text() != state:
        _run([str(python), "-m", "pip", "install", "--quiet", str(ROOT)])
        _run([str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", str(ROOT)])
        own.write_text(state)
    (packages,) = (folder / "lib").glob("python*/site-packages")
    (packages / "bare_click.py").write_text(_BARE_MODULE)
    script = folder / "bin" / "bare-click"
    script.write_text(_BARE_SCRIPT.format(python=python))
    script.chmod(0o755)
    return folder / "bin"


def programs(bin_folder: Path, scratch: Path) -> list[Program]:
    """Create templates and projects in *scratch*, and return all programs.

    The peers that render a template get the files that `falconws new` generates, so that all write the same files.
    """
    falconws = str(bin_folder / "falconws")
    project = scratch / "project"
    project.mkdir(parents=True)
    _run([falconws, "new", "demo", "--in", str(project)])
    demo = project / "demo"
    cookiecutter = _template(demo, scratch / "cookiecutter", "{{cookiecutter.name}}")
    (scratch / "cookiecutter" / "cookiecutter.json").write_text('{"name": "demo"}')
    copier = _template(demo, scratch / "copier" / "template", "")
    (scratch / "copier" / "copier.yml").write_text("_subdirectory: template\nname:\n  type: str\n  default: demo\n")
    return [
        Program(BARE, "a click group with one command, `--help`", (str(bin_folder / "bare-click"), "--help"), _nothing),
        Program("help", "falconws --help", (falconws, "--help"), _nothing, ours=True),
        Program("new", "falconws new", (falconws, "new", "demo"), _nothing, "demo/pyproject.toml", True),
        Program(
            "add-resource",
            "falconws add-resource",
            (falconws, "add-resource", "ticker", "--pattern", "feed"),
            lambda folder: _copy(demo, folder),
            "tests/resources/test_ticker.py",
            True,
        ),
        Program("hatch", "hatch new", (str(bin_folder / "hatch"), "new", "demo"), _nothing, "demo/pyproject.toml"),
        Program(
            "django",
            "django-admin startproject",
            (str(bin_folder / "django-admin"), "startproject", "demo"),
            _nothing,
            "demo/manage.py",
        ),
        Program(
            "cookiecutter",
            "cookiecutter --no-input",
            (str(bin_folder / "cookiecutter"), "--no-input", str(cookiecutter)),
            _nothing,
            "demo/pyproject.toml",
        ),
        Program(
            "copier",
            "copier copy --defaults",
            (str(bin_folder / "copier"), "copy", "--defaults", "--quiet", str(copier), "demo"),
            _nothing,
            "demo/pyproject.toml",
        ),
    ]


def environment(home: Path) -> Mapping[str, str]:
    """Return an environment without user settings."""
    home.mkdir(exist_ok=True)
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}


def versions(bin_folder: Path) -> dict[str, str]:
    """Return the version of the package of every program."""
    script = "from importlib.metadata import version; import sys; print(*map(version, sys.argv[1:]))"
    names = ["falconws", "click", "hatch", "django", "cookiecutter", "copier"]
    output = _run([str(bin_folder / "python"), "-c", script, *names])
    return dict(zip(names, output.split(), strict=True))


def _template(project: Path, folder: Path, name: str) -> Path:
    """Create a template of *project* in *folder*, with a placeholder for the name of the package.

    *name* is the name of the project's folder in a template of cookiecutter; a template of copier has none.
    """
    value, suffix = ("{{ cookiecutter.name }}", "") if name else ("{{ name }}", ".jinja")
    for source in sorted(path for path in project.rglob("*") if path.is_file()):
        relative = source.relative_to(project)
        if relative.parts[0] == ".falconws":
            continue
        target = folder / name / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text().replace("demo", value)
        target.with_name(target.name + suffix).write_text(text)
    return folder.parent if not name else folder


def _copy(project: Path, folder: Path) -> None:
    shutil.copytree(project, folder, dirs_exist_ok=True)


def _nothing(folder: Path) -> None:
    pass


def _sources() -> list[Path]:
    files = [ROOT / "pyproject.toml"]
    for name in ("falconws_cli", "templates", "runtime"):
        files += [path for path in (ROOT / name).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return sorted(files)


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {(done.stderr or done.stdout).strip()[-1000:]}")
    return done.stdout
