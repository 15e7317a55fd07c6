"""What users install: a wheel that has the templates and makes what the checkout makes."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from falconws_cli.templating.templates import find_root
from tests.cli.recorder import tree

ROOT = Path(__file__).parents[3]

COMMANDS = [
    ["new", "demo"],
    ["new", "small", "--minimal"],
    ["new", "shared", "--with", "redis"],
    ["new", "whole", "--with", "docker,compose,github-ci,pre-commit,agents-md"],
    *(
        ["add-resource", f"{pattern} one", "--pattern", pattern, *options]
        for pattern, options in {
            "echo": [],
            "request-response": ["--route", "/rooms/{room_id:uuid}/{number:int}", "--no-http"],
            "feed": ["--subprotocol", "wamp"],
            "duplex": ["--route", "/a/{b}", "--subprotocol", "wamp"],
            "blank": ["--no-http"],
            "room": ["--route", "/talk/{room_id}", "--subprotocol", "chat"],
        }.items()
    ),
    *(["add-middleware", f"{kind} one", "--kind", kind] for kind in ("blank", "logging", "token-auth")),
    ["add-media-handler", "orders", "--codec", "orjson", "--payload", "text"],
    ["add-media-handler", "packed", "--codec", "msgpack", "--payload", "binary"],
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(ROOT)], check=True, timeout=100, capture_output=True)
    [built] = folder.glob("falconws-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """A folder on the import path, as an installer fills it."""
    folder = wheel.parent / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def play(folder: Path, *sites: Path) -> list[str]:
    """Run all commands in *folder* with the falconws in *sites*; return what each said."""
    folder.mkdir()
    said = []
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, sites)),
        "XDG_CONFIG_HOME": str(folder / "settings"),
    }
    for words in COMMANDS:
        done = subprocess.run(
            [sys.executable, "-m", "falconws_cli", *words],
            cwd=folder if words[0] == "new" else folder / "demo",
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    return said


def test_an_installed_falconws_makes_the_same_projects_byte_for_byte(installed: Path, tmp_path: Path) -> None:
    # A project says where falconws came from: from a package index, in both cases.
    record = tmp_path / "record"
    (record / "falconws-0.dist-info").mkdir(parents=True)
    assert play(tmp_path / "installed", installed) == play(tmp_path / "checkout", record, ROOT)
    assert tree(tmp_path / "installed", without="operations") == tree(tmp_path / "checkout", without="operations")


@pytest.mark.parametrize("words", [["new", "demo"], ["add-resource", "chat"]])
def test_a_command_loads_only_what_it_needs(installed: Path, tmp_path: Path, words: list[str]) -> None:
    environ = {**os.environ, "PYTHONPATH": str(installed), "XDG_CONFIG_HOME": str(tmp_path / "settings")}

    def run(*command: str, cwd: Path) -> str:
        python = [sys.executable, "-X", "importtime", "-m", "falconws_cli"]
        done = subprocess.run([*python, *command], cwd=cwd, env=environ, capture_output=True, text=True, check=True)
        return done.stderr

    loaded = run("new", "demo", cwd=tmp_path)
    if words[0] != "new":
        loaded = run(*words, cwd=tmp_path / "demo")
    assert "falconws_cli.templating.rendering" in loaded
    for module in ("importlib.metadata", "tomlkit", "falcon.asgi"):
        assert module not in loaded


def test_the_wheel_has_the_two_packages_and_the_templates_and_nothing_else(wheel: Path) -> None:
    contents = {"falconws": ROOT / "runtime" / "falconws", "falconws_cli": ROOT / "falconws_cli"}
    contents["falconws_cli/templates"] = find_root()
    expected = {
        f"{name}/{path.relative_to(folder).as_posix()}"
        for name, folder in contents.items()
        for path in folder.rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == expected
