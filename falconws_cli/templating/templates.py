"""Finds templates: of the project, of the user, and of falconws, in this order of precedence.

A folder of templates has a subfolder for each tree ("resource/echo"), and "partials", which trees include. Knows
nothing of what templates mean.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from falconws_cli.change.paths import resolve_inside
from falconws_cli.errors import CommandError, refused_by_system

if TYPE_CHECKING:
    from collections.abc import Iterable

PARTIALS = "partials"
IN_PROJECT = Path(".falconws", "templates")
_HERE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Template:
    """One file of a tree."""

    path: str
    """Below the folder of templates: "resource/echo/tests/resources/test_%module%.py.jinja"."""
    data: bytes
    file: Path


def find_root() -> Path:
    """Return the folder of our own templates: in the package of a wheel, beside the package in a checkout.

    Raises:
        CommandError: The installation does not have it.
    """
    for folder in (_HERE / "templates", _HERE.parent / "templates"):
        if (folder / "project").is_dir():
            return folder
    raise CommandError("The installation of falconws lacks its templates; install falconws again.")


def users_folder() -> Path:
    """Return the folder whose templates replace ours in all projects of this user."""
    return Path(click.get_app_dir("falconws"), "templates")


def overriding_folders(root: Path | None, trees: Iterable[str]) -> list[Path]:
    """Return the folders that replace something of *trees*, in the order of their precedence.

    Args:
        root: The project's folder, or None.
        trees: The trees, such as "resource/echo".
    """
    folders = [root / IN_PROJECT] if root is not None else []
    folders.append(users_folder())
    parts = [*trees, PARTIALS]
    return [folder for folder in folders if folder.is_dir() and any((folder / part).is_dir() for part in parts)]


def read_templates(folders: Iterable[Path], trees: Iterable[str], root: Path | None = None) -> dict[str, Template]:
    """Return the templates of *trees* and all partials, by path. Of two with one path, the first folder's is used.

    Args:
        folders: Where to look.
        trees: The trees, such as "resource/echo".
        root: The project. Its own templates must not be links that lead out of it.

    Raises:
        CommandError: A file cannot be read, or is outside of the project.
    """
    found: dict[str, Template] = {}
    parts = [*trees, PARTIALS]
    for folder in folders:
        for part in parts:
            for file in _files(folder / part):
                path = file.relative_to(folder).as_posix()
                if path not in found:
                    if root is not None and folder == root / IN_PROJECT:
                        resolve_inside(root, PurePosixPath(file.relative_to(root).as_posix()))
                    found[path] = Template(path, _read(file), file)
    return found


def _files(folder: Path) -> list[Path]:
    # Names with a leading dot or a trailing ~ belong to editors and systems; templates write a leading dot as `dot_`.
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__" and not name.startswith(".")]
        found += [os.path.join(parent, name) for name in names if not name.startswith(".") and not name.endswith("~")]
    return [Path(file) for file in sorted(found)]


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise refused_by_system(f"read the template {file}", error) from error


def list_trees(folder: Path) -> list[str]:
    """Return the trees in *folder*, such as "resource/echo", in order.

    A tree is the highest folder that has something of a project in it: a file, or one of a project's folders.
    """
    found: list[str] = []

    def visit(place: Path) -> None:
        inside = [path for path in sorted(place.iterdir()) if path.name != "__pycache__"]
        if any(path.is_file() or "%" in path.name or path.name.startswith(("dot_", "tests")) for path in inside):
            found.append(place.relative_to(folder).as_posix())
            return
        for path in inside:
            visit(path)

    for kind in sorted(folder.iterdir()):
        if kind.is_dir():
            visit(kind)
    return found
