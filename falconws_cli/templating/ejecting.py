"""Copies templates of falconws for a project, or for all projects of a user, where they replace ours."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from falconws_cli.change.plan import PlannedFile
from falconws_cli.errors import RefusedError
from falconws_cli.suggestions import did_you_mean
from falconws_cli.templating.templates import (
    Template,
    find_root,
    list_trees,
    overriding_folders,
    read_templates,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

_INCLUDE = re.compile(rb"""{%-?\s*(?:include|from|import)\s+["'](partials/[^"']+)["']""")


def tree_names() -> list[str]:
    """Return the names of all trees and partials, as a user may type them."""
    return list_trees(find_root())


def find_templates(name: str) -> list[Template]:
    """Return the templates that *name* means: a tree ("resource/echo"), several ("resource"), or one file of a tree.

    Raises:
        RefusedError: There is no such template.
    """
    root = find_root()
    templates = read_templates([root], sorted(folder.name for folder in root.iterdir()))
    wanted = _spelling(name)
    found = [
        template
        for path, template in sorted(templates.items())
        if _spelling(path) in (wanted, f"{wanted}.jinja") or _spelling(path).startswith(f"{wanted}/")
    ]
    if not wanted or not found:
        raise RefusedError(
            f'There is no template "{name}".{did_you_mean(name, [*tree_names(), *templates])} '
            "See `falconws eject --list`."
        )
    return found


def copies(templates: Iterable[Template], folder: PurePosixPath) -> list[PlannedFile]:
    """Return the copies of *templates* below *folder*."""
    return [PlannedFile(folder / template.path, template.data) for template in templates]


def included_by(templates: Iterable[Template]) -> list[str]:
    """Return the partials that *templates* include, except those among them."""
    templates = list(templates)
    own = {template.path for template in templates}
    names = {match.decode() for template in templates for match in _INCLUDE.findall(template.data)}
    return sorted(names - own)


def owners(root: Path | None, tree: str) -> list[Path]:
    """Return the folders that replace something of *tree*, in the order of their precedence."""
    return [folder for folder in overriding_folders(root, [tree]) if (folder / tree).is_dir()]


def _spelling(name: str) -> str:
    return name.strip().strip("/").replace("_", "-").lower()
