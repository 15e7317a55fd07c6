"""The entry points of generators in other packages: found by name, none of them loaded.

Every `falconws --help` asks for them, so this module imports next to nothing.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "falconws.generators"
BUILT_IN = ("project", "resource", "middleware", "media-handler", "part", "client")


def extension_names() -> dict[str, str]:
    """Return the names of all installed generators of other packages, each with its package's; loads none of them."""
    if not _are_there():
        return {}
    return {point.name: package_of(point) for point in find_entry_points() if _is_usable(point.name)}


def find_entry_points(name: str | None = None) -> list[EntryPoint]:
    """Return the entry points of generators in order, of all or of those called *name*."""
    from importlib.metadata import entry_points

    points = [point for point in entry_points(group=GROUP) if _is_usable(point.name) and name in (None, point.name)]
    return sorted(points, key=lambda point: point.name)


def package_of(point: EntryPoint) -> str:
    """Return the name of the package that has the entry point."""
    return point.dist.name if point.dist is not None else point.value.partition(":")[0]


def _are_there() -> bool:
    """Return whether an installed package has generators. `importlib.metadata` would take as long as all of --help.

    Packages in archives are not found here; their commands work nevertheless.
    """
    section = f"[{GROUP}]".encode()
    for entry in dict.fromkeys(sys.path):
        try:
            names = os.listdir(entry or ".")
        except OSError:
            continue
        for name in names:
            if name.endswith((".dist-info", ".egg-info")):
                try:
                    with open(os.path.join(entry, name, "entry_points.txt"), "rb") as file:
                        if section in file.read():
                            return True
                except OSError:
                    continue
    return False


def _is_usable(name: str) -> bool:
    words = name.split("-")
    return name not in BUILT_IN and name.islower() and all(word.isascii() and word.isalnum() for word in words)
