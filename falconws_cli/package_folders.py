"""Where a project keeps its packages, as its pyproject.toml tells the build backend. Pure.

By default, a package is in the root or in src/.
"""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any


def package_folders(document: Mapping[str, Any]) -> dict[str, PurePosixPath]:
    """Return the folder of each package that has another place, relative to the root.

    The key "" stands for all packages: its folder has them in it.
    """
    tool = _table(document, "tool")
    found = dict[str, PurePosixPath]()
    for read in (_of_setuptools, _of_hatch, _of_poetry, _of_pdm, _of_uv):
        for package, folder in read(tool):
            path = PurePosixPath(folder)
            if not path.is_absolute() and ".." not in path.parts:
                found.setdefault(package, path)
    return found


def _of_setuptools(tool: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    setuptools = _table(tool, "setuptools")
    for package, folder in _table(setuptools, "package-dir").items():
        if isinstance(folder, str):
            yield package, folder
    where = _table(_table(setuptools, "packages"), "find").get("where")
    if isinstance(where, list) and len(where) == 1 and isinstance(where[0], str):
        yield "", where[0]


def _of_hatch(tool: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    wheel = _table(_table(_table(_table(tool, "hatch"), "build"), "targets"), "wheel")
    sources = wheel.get("sources")
    if isinstance(sources, dict):
        yield from ((str(package), folder) for folder, package in sources.items())
    elif isinstance(sources, list) and len(sources) == 1 and isinstance(sources[0], str):
        yield "", sources[0]
    for path in _strings(wheel.get("packages")):
        # hatchling keeps the last part of the path.
        yield PurePosixPath(path).name, path


def _of_poetry(tool: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    packages = _table(tool, "poetry").get("packages")
    for entry in packages if isinstance(packages, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("include"), str) and isinstance(entry.get("from"), str):
            yield entry["include"].replace("/", "."), f"{entry['from']}/{entry['include']}"


def _of_pdm(tool: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    folder = _table(_table(tool, "pdm"), "build").get("package-dir")
    if isinstance(folder, str):
        yield "", folder


def _of_uv(tool: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    folder = _table(_table(tool, "uv"), "build-backend").get("module-root")
    if isinstance(folder, str):
        yield "", folder


def _table(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, dict) else {}


def _strings(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
