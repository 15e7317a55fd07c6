"""Where packages are, as each build backend is told."""

import tomllib
from pathlib import Path, PurePosixPath

import pytest

from falconws_cli.package_folders import package_folders
from falconws_cli.project import Project


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ('[tool.setuptools.package-dir]\n"" = "lib"', {"": "lib"}),
        ('[tool.setuptools.package-dir]\ndemo = "store"', {"demo": "store"}),
        ('[tool.setuptools.packages.find]\nwhere = ["lib"]', {"": "lib"}),
        ('[tool.hatch.build.targets.wheel]\npackages = ["python/demo"]', {"demo": "python/demo"}),
        ('[tool.hatch.build.targets.wheel]\nsources = ["lib"]', {"": "lib"}),
        ('[tool.hatch.build.targets.wheel.sources]\nstore = "demo"', {"demo": "store"}),
        ('[[tool.poetry.packages]]\ninclude = "demo"\nfrom = "lib"', {"demo": "lib/demo"}),
        ('[tool.pdm.build]\npackage-dir = "lib"', {"": "lib"}),
        ('[tool.uv.build-backend]\nmodule-root = "lib"', {"": "lib"}),
        ('[tool.uv.build-backend]\nmodule-root = "../lib"', {}),
        ('[tool.pdm.build]\npackage-dir = "/lib"', {}),
        ("[tool]\nsetuptools = 1\npoetry = []\nhatch.build = 3\npdm = false", {}),
        ("[tool.hatch.build.targets.wheel]\npackages = [1]\nsources = [2]", {}),
    ],
)
def test_the_folder_is_read_from_the_settings_of_the_backend(text: str, expected: dict[str, str]) -> None:
    found = package_folders(tomllib.loads(text))
    assert {package: str(folder) for package, folder in found.items()} == expected


@pytest.mark.parametrize(
    ("folders", "there", "package_path", "import_root"),
    [
        ({}, "demo", "demo", "."),
        ({}, "src/demo", "src/demo", "src"),
        ({"": "lib"}, "lib/demo", "lib/demo", "lib"),
        # What the settings name is not there, as after a move.
        ({"": "lib"}, "src/demo", "src/demo", "src"),
        ({"demo": "python/demo"}, "python/demo", "python/demo", "python"),
        ({"demo": "store"}, "store", "store", "."),
    ],
)
def test_a_project_finds_its_package(
    tmp_path: Path, folders: dict[str, str], there: str, package_path: str, import_root: str
) -> None:
    (tmp_path / there).mkdir(parents=True)
    (tmp_path / there / "__init__.py").touch()
    places = {package: PurePosixPath(folder) for package, folder in folders.items()}
    project = Project(tmp_path, "demo.app:create_app", places)
    assert str(project.package_path) == package_path
    assert project.import_root == tmp_path / import_root
    assert project.package == "demo"
