"""Public names of a package that are loaded on first use, by PEP 562.

Imports nothing but the standard library, because packages import it before anything else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

__all__ = ("lazy_names",)


def lazy_names(
    package: str, names_by_module: Mapping[str, Iterable[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` for *package*.

    Args:
        package: Its ``__name__``.
        names_by_module: For each module of the package, by its name relative to the package, the names that it owns. If
            two modules have a name, the later one owns it.
    """
    owners = {name: module for module, names in names_by_module.items() for name in names}

    def load(name: str) -> Any:
        owner = owners.get(name)
        if owner is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f".{owner}", package), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *owners})

    return load, names
