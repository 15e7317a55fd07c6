"""Edits of a project's pyproject.toml that keep its formatting and comments. Pure, idempotent."""

import re
from collections.abc import Iterable
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from falconws_cli.errors import CommandError


def edit_pyproject(
    text: str,
    *,
    dependencies: Iterable[str] = (),
    dev_dependencies: Iterable[str] = (),
    untyped_modules: Iterable[str] = (),
    unformatted_files: Iterable[str] = (),
) -> str:
    """Return *text* with what is missing added.

    Args:
        dependencies: Requirements for [project] dependencies, such as "orjson>=3.10". One that names a package
            which is already required leaves that requirement alone.
        dev_dependencies: The same for the extra "dev".
        untyped_modules: Modules that come without types, for mypy to accept.
        unformatted_files: Patterns of generated files that ruff leaves alone.

    Raises:
        CommandError: The text is not a pyproject.toml with a [project] table.
    """
    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        raise CommandError(f"Cannot edit pyproject.toml: {error}.") from error
    project = document.get("project")
    if not isinstance(project, dict):
        raise CommandError("Cannot edit pyproject.toml: it has no [project] table.")
    for requirement in dependencies:
        _require(_list(project, "dependencies"), requirement)
    for requirement in dev_dependencies:
        extras = _table(project, "optional-dependencies")
        _require(_list(extras, "dev"), requirement)
    for pattern in unformatted_files:
        _include(_list(_table(_table(document, "tool"), "ruff"), "extend-exclude"), pattern)
    for module in untyped_modules:
        _accept_untyped(_table(_table(document, "tool"), "mypy"), module)
    return tomlkit.dumps(document)


def _require(requirements: Any, wanted: str) -> None:
    if any(_distribution(str(requirement)) == _distribution(wanted) for requirement in requirements):
        return
    _include(requirements, wanted)


def _distribution(requirement: str) -> str:
    """Return the normalized name of the package that a requirement is about (PEP 503)."""
    match = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", requirement)
    return re.sub(r"[-_.]+", "-", match[1]).lower() if match else requirement


def _include(items: Any, wanted: str) -> None:
    if wanted in [str(item) for item in items]:
        return
    items.append(wanted)


def _accept_untyped(mypy: Any, module: str) -> None:
    overrides = mypy.get("overrides")
    if overrides is None:
        overrides = tomlkit.aot()
        mypy["overrides"] = overrides
    for override in overrides:
        modules = override.get("module")
        if module == modules or (isinstance(modules, list) and module in modules):
            return
    entry = tomlkit.table()
    entry["module"] = module
    entry["ignore_missing_imports"] = True
    overrides.append(entry)


def _table(parent: Any, key: str) -> Any:
    if key not in parent:
        parent[key] = tomlkit.table()
    return parent[key]


def _list(parent: Any, key: str) -> Any:
    if key not in parent:
        parent[key] = tomlkit.array()
    return parent[key]
