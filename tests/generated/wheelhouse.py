"""Wheels of what is installed here, put together again from its files, so that pip can install without a network.

Knows nothing of the projects that are installed from them.
"""

import csv
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterable
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.once import once

CHECKOUT = Path(__file__).parents[2]
_LEFT_BY_THE_INSTALLER = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json")


def build_falconws(folder: Path) -> None:
    """Put wheels into *folder*: of falconws as it is in the checkout, and of all that it needs."""
    shutil.copytree(once("wheels", _build_falconws), folder, dirs_exist_ok=True)


def _build_falconws(folder: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("falconws-*.whl")
    (metadata,) = (path for path in zipfile.Path(wheel).iterdir() if path.name.endswith(".dist-info"))
    # An editable install goes on saying what pyproject.toml said when it was made.
    pack(_applying(PathDistribution(metadata).requires or [], frozenset()), folder)


def pack(requirements: Iterable[str], folder: Path) -> None:
    """Put wheels into *folder*: of what is installed here of *requirements*, and of all that they need."""
    for name in sorted(_needed(requirements)):
        _pack(distribution(name), folder)


def pip_environment(wheelhouse: Path) -> dict[str, str]:
    """Return what makes pip look into *wheelhouse*, and nowhere else."""
    return {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheelhouse),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_CACHE_DIR": "1",
    }


def environment_with_everything(venv: Path) -> dict[str, str]:
    """Create a virtual environment that has all that is installed here; return the variables to use it with pip.

    pip has to find out that what it is asked for is enough, and builds projects with what is there.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True, timeout=120)
    (packages,) = venv.glob("lib/python*/site-packages")
    installed = sysconfig.get_path("purelib")
    (packages / "installed.pth").write_text(f"import site; site.addsitedir({installed!r})\n")
    pip = venv / "bin" / "pip"
    pip.write_text(f'#!/bin/sh\nexec {venv}/bin/python -m pip "$@"\n')
    pip.chmod(0o755)
    path = os.pathsep.join([str(venv / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    # For pip, "0" is what the option of this name stands for.
    return {**pip_environment(venv), "PIP_NO_BUILD_ISOLATION": "0", "PATH": path}


def _needed(requirements: Iterable[str]) -> set[str]:
    """Return the names of the distributions that *requirements* stand for, with all that those need here."""
    needed: set[str] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    pending = [Requirement(text) for text in requirements]
    while pending:
        requirement = pending.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        needed.add(name)
        pending += map(Requirement, _applying(distribution(name).requires or [], extras))
    return needed


def _applying(requirements: Iterable[str], extras: frozenset[str]) -> list[str]:
    """Return those of *requirements* whose markers are true here, for a distribution with *extras*."""
    parsed = [(text, Requirement(text).marker) for text in requirements]
    return [
        text
        for text, marker in parsed
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))
    ]


def _pack(installed: Distribution, folder: Path) -> None:
    name = re.sub(r"[-_.]+", "_", installed.metadata["Name"])
    tags = [tag.split("-") for tag in re.findall(r"^Tag: (\S+)", installed.read_text("WHEEL") or "", re.MULTILINE)]
    # Several tags are one in a file's name: "py2.py3-none-any".
    tag = "-".join(".".join(dict.fromkeys(kinds)) for kinds in zip(*tags, strict=True))
    made_by_pip = {entry.name for entry in installed.entry_points if entry.group == "console_scripts"}
    rows = io.StringIO()
    record = csv.writer(rows)
    with zipfile.ZipFile(folder / f"{name}-{installed.version}-{tag}.whl", "w") as wheel:
        for file in installed.files or ():
            path = file.as_posix()
            if path.endswith(".pyc") or file.name in _LEFT_BY_THE_INSTALLER:
                continue
            if path.startswith("../"):
                if file.parent.name != "bin" or file.name in made_by_pip:
                    continue
                path = f"{name}-{installed.version}.data/scripts/{file.name}"
            wheel.write(str(file.locate()), path)
            record.writerow((path, "", ""))
        metadata = next(path.parent for path in installed.files or () if path.name == "METADATA")
        record.writerow((f"{metadata.as_posix()}/RECORD", "", ""))
        wheel.writestr(f"{metadata.as_posix()}/RECORD", rows.getvalue())
